"""``GET /metrics``: for Prometheus, to whoever may look."""

from __future__ import annotations

import secrets
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import PlainTextResponse, Response

from orchestrator.api.deps import READS, check_role, get_parts, identified, token_of
from orchestrator.observability.metrics import CONTENT_TYPE
from orchestrator.parts import Parts
from orchestrator.scrape import scraped

router = APIRouter()


async def may_scrape(request: Request) -> Parts:
    """The parts, for a key of role viewer or admin, for COTERIE_METRICS_KEY, or for anybody."""
    parts = get_parts(request)
    settings = parts.settings
    if settings.metrics_open or _is(settings.metrics_key, token_of(request)):
        return parts
    check_role(await identified(request), READS)
    return parts


@router.get("/metrics", response_class=PlainTextResponse)
async def metrics(parts: Annotated[Parts, Depends(may_scrape)]) -> Response:
    """Everything that is counted of this process, in Prometheus's text format."""
    return Response(await scraped(parts), headers={"content-type": CONTENT_TYPE})


def _is(key: str | None, token: str | None) -> bool:
    return bool(key and token) and secrets.compare_digest(str(key).encode(), str(token).encode())
