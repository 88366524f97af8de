"""``POST /v1/embeddings``: of a registered embedding model, or of the encoder that is here."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from coterie.types import Usage
from orchestrator.api.deps import (
    CLIENT_CLOSED_REQUEST,
    CallerGone,
    ForChat,
    caller_of,
    while_connected,
)
from orchestrator.embedding import embedder_of, estimated
from orchestrator.keys.budget import NOTHING, Spent
from orchestrator.protocol.embeddings import EmbeddingsRequest, embeddings_body

router = APIRouter()


@router.post("/v1/embeddings", response_model=None)
async def create_embeddings(body: EmbeddingsRequest, request: Request, parts: ForChat) -> Response:
    """The vectors of a text, or of several."""
    caller, texts = caller_of(request), body.texts
    embeds = embedder_of(body.model, parts.roster, parts.embedder)
    caller.check_expert(body.model)

    def cost_usd(tokens: int) -> float:
        return parts.roster.cost_usd(body.model, Usage(tokens))

    leave = await parts.meter.admit(
        request.state.request_id,
        caller,
        lambda: sum(map(estimated, texts)),
        lambda tokens: Spent(cost_usd(tokens), tokens),
    )
    took = NOTHING
    try:
        found = await while_connected(request.receive, embeds.embed(texts, body.fields))
        tokens = found.usage.prompt_tokens
        took = Spent(cost_usd(tokens), tokens)
    except CallerGone:
        return Response(status_code=CLIENT_CLOSED_REQUEST)
    finally:
        leave.settle(took)
    return JSONResponse(embeddings_body(body, found, took.usd), headers=dict(leave.headers))
