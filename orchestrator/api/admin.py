"""``/admin/experts``: the expert registry.  Viewers read it, administrators change it."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated, Any

from fastapi import APIRouter, Query

from coterie.errors import ConfigurationError, EngineError, RegistryError
from coterie.types import Expert, ExpertKind, ExpertSource, Question, Sampling, as_jsonable
from orchestrator.api.deps import ForAdmin, ForViewer, WhoCalls
from orchestrator.engines.fusion_start import check_fusion
from orchestrator.experts_file import ExpertEntry
from orchestrator.parts import Parts

router = APIRouter(prefix="/admin")


@router.get("/experts")
async def list_experts(parts: ForViewer) -> dict[str, Any]:
    """Every registered expert, with its state."""
    health = await parts.fleet.health()
    rows = []
    for expert in await parts.registry.list():
        found = health.get(expert.name)
        rows.append(
            {
                **expert_body(expert),
                "healthy": bool(found and found.ok),
                "detail": found.detail if found else "",
            }
        )
    return {"experts": rows, "processes": [as_jsonable(p) for p in parts.fleet.describe()]}


@router.post("/experts", status_code=201)
async def add_expert(
    body: ExpertEntry,
    parts: ForAdmin,
    who: WhoCalls,
    verify: Annotated[bool, Query()] = True,
) -> dict[str, Any]:
    """Registers an expert; its endpoint must answer, or its models be there and speak one
    vocabulary, unless ``verify=false``."""
    expert = body.to_domain(source=ExpertSource.MANAGED)
    if verify and expert.kind is ExpertKind.OPENAI:
        await _verify(expert, parts)
    if verify:
        await _verify_fusion(expert, parts)
    await parts.registry.add(expert)
    await parts.audit.note(who, "expert.add", expert.name, expert_body(expert))
    await parts.refresh()
    return expert_body(expert)


@router.get("/experts/{name}")
async def get_expert(name: str, parts: ForViewer) -> dict[str, Any]:
    return expert_body(await parts.registry.get(name))


@router.delete("/experts/{name}", status_code=204)
async def remove_expert(name: str, parts: ForAdmin, who: WhoCalls) -> None:
    """Removes an expert with its answers; the active snapshot is followed by one without it."""
    await parts.registry.remove(name)
    await parts.audit.note(who, "expert.remove", name)
    await parts.forget([name])
    await parts.refresh()


@router.put("/experts/{name}")
async def replace_expert(
    name: str, body: ExpertEntry, parts: ForAdmin, who: WhoCalls
) -> dict[str, Any]:
    """Replaces a managed entry; a declared one is changed in its file."""
    if body.name != name:
        raise RegistryError(
            f"the entry is named {body.name!r}, the path {name!r}: an expert's name cannot change, "
            "as its profile hangs on it; add it anew instead"
        )
    expert = body.to_domain(source=ExpertSource.MANAGED)
    await _verify_fusion(expert, parts)
    await parts.registry.update(expert)
    await parts.audit.note(who, "expert.replace", name, expert_body(expert))
    await parts.refresh()
    return expert_body(expert)


@router.post("/experts/{name}/enable")
async def enable_expert(name: str, parts: ForAdmin, who: WhoCalls) -> dict[str, Any]:
    await _verify_fusion(await parts.registry.get(name), parts)
    await parts.registry.enable(name)
    await parts.audit.note(who, "expert.enable", name)
    await parts.refresh()
    return expert_body(await parts.registry.get(name))


@router.post("/experts/{name}/disable")
async def disable_expert(name: str, parts: ForAdmin, who: WhoCalls) -> dict[str, Any]:
    await parts.registry.disable(name)
    await parts.audit.note(who, "expert.disable", name)
    await parts.refresh()
    return expert_body(await parts.registry.get(name))


@router.post("/experts/{name}/test")
async def try_expert(name: str, parts: ForAdmin) -> dict[str, Any]:
    """Asks the expert one short question for real."""
    expert = parts.roster.expert(name)
    sampling = Sampling(temperature=0.0, max_tokens=16).over(expert.defaults)
    started = time.perf_counter()
    try:
        completion = await parts.fleet.engine(name).complete(Question.of("Say hello."), sampling)
    except EngineError as error:
        return {"ok": False, "error": str(error)}
    return {
        "ok": True,
        "text": completion.text,
        "usage": as_jsonable(completion.usage),
        "latency_ms": round((time.perf_counter() - started) * 1000, 1),
    }


def expert_body(expert: Expert) -> dict[str, Any]:
    """An expert as JSON; of its API key only the variable's name is known here at all."""
    return dict(as_jsonable(expert))


async def _verify_fusion(expert: Expert, parts: Parts) -> None:
    """What would keep the large model's engine from starting is told before it is stopped.

    Of an expert of another kind nothing is.
    """
    experts = {e.name: e for e in await parts.registry.list()}
    try:
        await asyncio.to_thread(check_fusion, expert, experts, parts.settings.home)
    except ConfigurationError as error:
        raise RegistryError(f"expert {expert.name!r} is refused: {error}") from error


async def _verify(expert: Expert, parts: Parts) -> None:
    found = await parts.fleet.probe(expert)
    if not found.ok:
        raise RegistryError(
            f"endpoint {expert.endpoint!r} of {expert.name!r} cannot be used: {found.detail}; "
            "start it or mend the URL, or register it all the same with verify=false"
        )
