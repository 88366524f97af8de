"""``GET /v1/models``: the coterie, its strategies, every enabled expert, and what embeds."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request

from coterie.types import Expert
from orchestrator.api.deps import ForReader, caller_of
from orchestrator.keys.key import Caller
from orchestrator.parts import Parts
from orchestrator.protocol.models import AUTO, unknown
from orchestrator.roster import EMBEDDER
from orchestrator.routing import OFFERED

router = APIRouter()
CHATS = ["/v1/chat/completions", "/v1/responses", "/v1/completions"]
EMBEDS = ["/v1/embeddings"]


@router.get("/v1/models")
async def list_models(request: Request, parts: ForReader) -> dict[str, Any]:
    """What the ``model`` field may name, as far as the caller's key may use it."""
    return {"object": "list", "data": _models(parts, caller_of(request))}


@router.get("/v1/models/{id:path}")
async def one_model(id: str, request: Request, parts: ForReader) -> dict[str, Any]:
    """One of them; an expert's entry is the same as in the list."""
    models = {model["id"]: model for model in _models(parts, caller_of(request))}
    if id not in models:
        raise unknown(id, [name for name in models if not name.startswith(AUTO)])
    return models[id]


def _models(parts: Parts, caller: Caller) -> list[dict[str, Any]]:
    strategies = [s for s in OFFERED if caller.may_use(s)]
    lengths = [e.context_length for e in parts.roster.recruited if caller.may_ask(e.name)]
    known = [length for length in lengths if length is not None]
    # Whoever has said nothing of its context may hold more than those that have.
    longest = max(known) if known and len(known) == len(lengths) else None
    found = [
        {
            **_row(AUTO, "coterie", "coterie", CHATS),
            "description": "whichever strategy did best on the profiling questions",
            "context_length": longest,
            "strategies": strategies,
        },
        *(
            {**_row(f"{AUTO}/{s}", "coterie", "strategy", CHATS), "context_length": longest}
            for s in strategies
        ),
        *(_expert(e, CHATS) for e in parts.roster.enabled if caller.may_ask(e.name)),
        *(_expert(e, EMBEDS) for e in parts.roster.embedders if caller.may_ask(e.name)),
    ]
    if parts.embedder and caller.may_ask(EMBEDDER):
        told = {"description": f"the encoder of questions: {parts.settings.embedding_model}"}
        found.append({**_row(EMBEDDER, "coterie", "encoder", EMBEDS), **told})
    return found


def _row(id: str, owner: str, kind: str, endpoints: list[str]) -> dict[str, Any]:
    head = {"id": id, "object": "model", "created": 0, "owned_by": owner}
    return {**head, "kind": kind, "endpoints": endpoints}


def _expert(expert: Expert, endpoints: list[str]) -> dict[str, Any]:
    """What it is, but for where it runs; prices are in US dollars per million tokens."""
    prices = {"prompt": expert.prompt_price, "completion": expert.completion_price}
    return {
        **_row(expert.name, f"coterie:{expert.kind.value}", expert.kind.value, endpoints),
        "description": expert.description,
        "context_length": expert.context_length,
        "prices": prices,
        "total_params_b": expert.total_params_b,
        "active_params_b": expert.active_params_b,
        "recruited": expert.recruited,
        "capabilities": expert.capabilities and list(expert.capabilities),
        "tags": list(expert.tags),
    }
