"""The experts: their table, what is done with one, adding and changing, a file of them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, UploadFile
from fastapi.responses import Response

from coterie.db import utcnow
from coterie.errors import CoterieError, RequestError
from coterie.types import ExpertKind, ExpertSource
from orchestrator.amendment import Amendment, Fate
from orchestrator.api.dashboard import expert_form
from orchestrator.api.dashboard.around import LOOKED_BACK, around
from orchestrator.api.dashboard.expert_form import FormProblem, empty_form, entry_from, form_of
from orchestrator.api.dashboard.expert_list import COLUMNS, PATH, Wanted, shown
from orchestrator.api.dashboard.guard import Manages, Sees, Visit, pages_of
from orchestrator.api.dashboard.standing import Surroundings, standing
from orchestrator.consequences import Act, Consequences, consequences
from orchestrator.experts_file import write_experts
from orchestrator.protocol.errors import status_and_body
from orchestrator.registrar import MOST_TEXT, Registrar

router = APIRouter(prefix="/experts")
# No expert's name begins with an underscore: these paths are nobody's.

CHANGED = "experts-changed"
"""The event that makes what is shown of experts look again."""


@router.get("")
async def table(
    visit: Sees,
    text: str = "",
    state: str = "",
    kind: str = "",
    source: str = "",
    sort: str = "name",
    page: int = 1,
) -> Response:
    """Every expert, a page at a time; for htmx the table alone."""
    wanted, known = Wanted(text, state, kind, source, sort, page), await around(visit)
    found = shown([standing(e, known) for e in known.experts.values()], wanted)
    acts = {s.name: _toggle(s.expert.enabled, s.name, known) for s in found.rows}
    return visit.page(
        "experts_piece.html" if is_piece(visit) else "experts.html",
        wanted=wanted,
        found=found,
        acts=acts,
        columns=COLUMNS,
        days=LOOKED_BACK.days,
        any=bool(known.experts),
        kinds=list(ExpertKind),
    )


def is_piece(visit: Visit) -> bool:
    """Whether htmx asks for a piece of the page."""
    headers = visit.request.headers
    return "hx-request" in headers and "hx-history-restore-request" not in headers


def _toggle(enabled: bool, name: str, known: Surroundings) -> Consequences:
    act = Act.DISABLE if enabled else Act.ENABLE
    return consequences(act, known.experts[name], known.experts, running=known.running.get(name, 0))


# --- adding and changing ------------------------------------------------------------------------


@router.get("/_new")
async def new(visit: Manages, kind: ExpertKind = ExpertKind.OPENAI) -> Response:
    """The form of a new expert."""
    return await _form(visit, empty_form(kind), None)


@router.post("/_new")
async def add(visit: Manages, kind: ExpertKind) -> Response:
    """Registers an expert, or shows what is wrong with the form."""
    values = await _values(visit)
    try:
        entry = entry_from(kind, values)
        await _registrar(visit).add(entry, verify=bool(values.get("verify")))
    except (FormProblem, CoterieError) as error:
        return await _refused(visit, kind, values, error, None)
    return _to(f"{PATH}/{entry.name}")


@router.get("/{name}/edit")
async def edit(name: str, visit: Manages) -> Response:
    """The form of an expert that there is."""
    expert = await visit.parts.registry.get(name)
    _refuse_declared(expert.source, name)
    return await _form(visit, form_of(expert), name)


@router.post("/{name}/edit")
async def change(name: str, visit: Manages) -> Response:
    """Overwrites an expert's entry, or shows what is wrong with the form."""
    values = {**await _values(visit), "name": name}
    expert = await visit.parts.registry.get(name)
    _refuse_declared(expert.source, name)
    try:
        await _registrar(visit).replace(name, entry_from(expert.kind, values))
    except (FormProblem, CoterieError) as error:
        return await _refused(visit, expert.kind, values, error, name)
    return _to(f"{PATH}/{name}")


@router.post("/_probe")
async def probe(visit: Manages, kind: ExpertKind) -> Response:
    """Whether what stands in the form could be asked; nothing is kept."""
    try:
        found = await _registrar(visit).probe(entry_from(kind, await _values(visit)))
    except (FormProblem, CoterieError) as error:
        return notice(visit, str(error), good=False)
    if not found.ok:
        return notice(visit, f"No connection: {found.detail}", good=False)
    return notice(visit, found.detail or "It answers, and has this model.")


async def _form(visit: Visit, form: expert_form.Form, name: str | None) -> Response:
    experts = await visit.parts.registry.list()
    template = "expert_form_piece.html" if is_piece(visit) else "expert_form.html"
    status = 422 if form.problems else 200
    large = [e.name for e in experts if e.kind is ExpertKind.VLLM]
    bases = [e.name for e in experts if e.kind in (ExpertKind.OPENAI, ExpertKind.VLLM)]
    return visit.page(
        template, status, form=form, name=name, bases=bases, large=large, about=expert_form.ABOUT
    )


async def _refused(
    visit: Visit,
    kind: ExpertKind,
    values: dict[str, str],
    error: FormProblem | CoterieError,
    name: str | None,
) -> Response:
    problems = error.problems if isinstance(error, FormProblem) else {"": str(error)}
    if isinstance(error, CoterieError):
        status, _ = status_and_body(error)
        if status >= 500:
            raise error
    return await _form(visit, expert_form.Form(kind, values, problems), name)


async def _values(visit: Visit) -> dict[str, str]:
    fields = await visit.request.form()
    return {name: value for name, value in fields.items() if isinstance(value, str)}


def _refuse_declared(source: ExpertSource, name: str) -> None:
    if source is ExpertSource.DECLARED:
        raise RequestError(
            f"{name!r} is declared in the server's experts file and is changed there; here it can "
            "be enabled, disabled and drained"
        )


# --- a file of experts --------------------------------------------------------------------------


@router.get("/_export")
async def export(visit: Manages) -> Response:
    """Every expert as an experts.yaml."""
    experts = await visit.parts.registry.list()
    head = f"# {len(experts)} experts, as they were at {utcnow():%Y-%m-%d %H:%M:%S} UTC\n"
    return Response(
        head + write_experts(experts),
        media_type="application/yaml",
        headers={
            "Content-Disposition": 'attachment; filename="experts.yaml"',
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "no-store",
        },
    )


@router.get("/_import")
async def import_form(visit: Manages) -> Response:
    """Asks for a file of experts."""
    return visit.page("experts_import.html", most=MOST_TEXT)


@router.post("/_preview")
async def preview(
    visit: Manages,
    text: Annotated[str, Form()] = "",
    file: Annotated[UploadFile | str | None, Form()] = None,
) -> Response:
    """What a file would change; nothing is changed."""
    if file is not None and not isinstance(file, str) and file.filename:
        text = (await file.read(MOST_TEXT * 4 + 1)).decode("utf-8", "replace")
    return _preview(visit, text, await _registrar(visit).read(text))


@router.post("/_import")
async def import_experts(
    visit: Manages, text: Annotated[str, Form()], digest: Annotated[str, Form()]
) -> Response:
    """Does what was looked at; where the registry has changed since, it is shown anew."""
    registrar = _registrar(visit)
    amendment = await registrar.read(text)
    if amendment.digest != digest:
        return _preview(visit, text, amendment, stale=True)
    await registrar.apply(amendment)
    return _to(PATH)


def _preview(visit: Visit, text: str, amendment: Amendment, *, stale: bool = False) -> Response:
    groups = [(fate, [c for c in amendment.changes if c.fate is fate]) for fate in Fate]
    return visit.page(
        "import_piece.html",
        text=text,
        amendment=amendment,
        groups=[(fate, found) for fate, found in groups if found],
        stale=stale,
    )


# --- what is done with one ----------------------------------------------------------------------


@router.post("/{name}/try")
async def try_out(name: str, visit: Manages) -> Response:
    """Asks an expert one short question for real."""
    found = await _registrar(visit).try_out(name)
    if found.completion is None:
        return notice(visit, f"No answer: {found.error}", good=False)
    said = f"{name} answered in {found.latency_s:.2f} s: {found.completion.text[:500]}"
    return notice(visit, said)


@router.post("/{name}/{act}")
async def do(name: str, act: Act, visit: Manages) -> Response:
    """Enables, disables, drains or removes an expert."""
    await _registrar(visit).act(act, name)
    if act is Act.REMOVE:
        return _to(PATH)
    draining = act is Act.DRAIN and name in visit.parts.draining.names
    word = "draining: it ends what it answers now" if draining else ACTED[act]
    response = notice(visit, f"{name} is {word}.")
    response.headers["HX-Trigger"] = CHANGED
    return response


ACTED = {Act.ENABLE: "enabled", Act.DISABLE: "disabled", Act.DRAIN: "disabled: nothing was running"}


def notice(visit: Visit, message: str, *, good: bool = True) -> Response:
    """A notice of how something went."""
    values = {"status": 200 if good else 400, "message": message, "visit": visit}
    return pages_of(visit.request).response(visit.request, "notice.html", values)


def _registrar(visit: Visit) -> Registrar:
    return Registrar(visit.parts, visit.caller)


def _to(path: str) -> Response:
    return Response(status_code=204, headers={"HX-Redirect": path})
