"""Which registered expert a recorded model is, and what a model becomes that is none.  Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import chain

from coterie.errors import UnknownExpert
from coterie.types import Expert, ExpertKind
from evals.recorded import Recording

NOWHERE = "http://recorded.invalid"
"""The endpoint of experts that are known by their recorded answers alone: no such host exists."""


def expert_called(model: str, experts: Iterable[Expert]) -> Expert | None:
    """The expert of that name, else one whose model's name is, or ends in, ``model``."""
    experts = list(experts)
    by_name = (e for e in experts if e.name in (model.casefold(), expert_name(model)))
    by_model = (e for e in experts if e.model.rsplit("/", 1)[-1].casefold() == model.casefold())
    return next(chain(by_name, by_model), None)


def expert_name(model: str) -> str:
    """What a recorded model is called as an expert."""
    return re.sub(r"[^a-z0-9._-]+", "-", model.casefold()).strip("._-")[:64]


def experts_of(recordings: Sequence[Recording], experts: Sequence[Expert]) -> dict[str, str]:
    """The expert's name for each recorded model.

    Raises :class:`UnknownExpert` where a model is no expert, or two are the same.
    """
    found = {model: expert_called(model, experts) for model in _models(recordings)}
    names = {model: expert.name for model, expert in found.items() if expert}
    if missing := [model for model in found if model not in names]:
        raise UnknownExpert(
            f"recorded, but no registered experts, are {_listed(missing)}; registered are "
            f"{_listed(e.name for e in experts)}. Leave them out with --experts, or give "
            "--register to register them, disabled"
        )
    for name in names.values():
        twins = [model for model, other in names.items() if other == name]
        if len(twins) > 1:
            raise UnknownExpert(
                f"the recorded {_listed(twins)} would both be expert {name!r}: "
                "import one of them alone with --experts"
            )
    return names


def newcomers(recordings: Sequence[Recording], experts: Sequence[Expert]) -> list[Expert]:
    """Disabled experts for the recorded models that are none yet."""
    found: list[Expert] = []
    for model in _models(recordings):
        if expert_called(model, (*experts, *found)) is None:
            parameters = (r.parameters.get(model, (None, None)) for r in recordings)
            total, active = next((p for p in parameters if any(p)), (None, None))
            found.append(_newcomer(model, total, active))
    return found


def _newcomer(model: str, total: float | None, active: float | None) -> Expert:
    return Expert(
        name=expert_name(model),
        kind=ExpertKind.OPENAI,
        model=model,
        endpoint=NOWHERE,
        description="Known by its recorded answers: give it an endpoint before enabling it.",
        total_params_b=total,
        active_params_b=active,
        enabled=False,
    )


def _models(recordings: Sequence[Recording]) -> list[str]:
    return sorted({name for recording in recordings for name in recording.experts})


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names)) or "none"
