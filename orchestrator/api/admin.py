"""``/admin/experts``: the expert registry.  Viewers read it, administrators change it."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query

from coterie.types import Expert, as_jsonable
from orchestrator.api.deps import ForAdmin, ForViewer, WhoCalls
from orchestrator.consequences import Act
from orchestrator.experts_file import ExpertEntry
from orchestrator.keys.key import Caller
from orchestrator.parts import Parts
from orchestrator.registrar import Registrar

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
                "draining": expert.name in parts.draining.names,
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
    return expert_body(await Registrar(parts, who).add(body, verify=verify))


@router.get("/experts/{name}")
async def get_expert(name: str, parts: ForViewer) -> dict[str, Any]:
    return expert_body(await parts.registry.get(name))


@router.delete("/experts/{name}", status_code=204)
async def remove_expert(name: str, parts: ForAdmin, who: WhoCalls) -> None:
    """Removes an expert with its answers; the active snapshot is followed by one without it."""
    await Registrar(parts, who).act(Act.REMOVE, name)


@router.put("/experts/{name}")
async def replace_expert(
    name: str, body: ExpertEntry, parts: ForAdmin, who: WhoCalls
) -> dict[str, Any]:
    """Replaces a managed entry; a declared one is changed in its file."""
    return expert_body(await Registrar(parts, who).replace(name, body))


@router.post("/experts/{name}/enable")
async def enable_expert(name: str, parts: ForAdmin, who: WhoCalls) -> dict[str, Any]:
    return await _acted(Act.ENABLE, name, parts, who)


@router.post("/experts/{name}/disable")
async def disable_expert(name: str, parts: ForAdmin, who: WhoCalls) -> dict[str, Any]:
    """Keeps an expert from being asked; what it answers now may be cut off."""
    return await _acted(Act.DISABLE, name, parts, who)


@router.post("/experts/{name}/drain")
async def drain_expert(name: str, parts: ForAdmin, who: WhoCalls) -> dict[str, Any]:
    """Disables an expert whose engine stays until what it answers now has ended."""
    return await _acted(Act.DRAIN, name, parts, who)


@router.post("/experts/{name}/test")
async def try_expert(name: str, parts: ForAdmin, who: WhoCalls) -> dict[str, Any]:
    """Asks the expert one short question for real."""
    found = await Registrar(parts, who).try_out(name)
    if found.completion is None:
        return {"ok": False, "error": found.error}
    return {
        "ok": True,
        "text": found.completion.text,
        "usage": as_jsonable(found.completion.usage),
        "latency_ms": round(found.latency_s * 1000, 1),
    }


def expert_body(expert: Expert) -> dict[str, Any]:
    """An expert as JSON; of its API key only the variable's name is known here at all."""
    return dict(as_jsonable(expert))


async def _acted(act: Act, name: str, parts: Parts, who: Caller) -> dict[str, Any]:
    await Registrar(parts, who).act(act, name)
    return expert_body(await parts.registry.get(name))
