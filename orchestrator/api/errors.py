"""Errors become HTTP responses here and nowhere else."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from coterie.errors import (
    AccessDenied,
    CoterieError,
    EveryoneBusy,
    ExpertBusy,
    LimitExceeded,
    NoExpertAvailable,
    QuotaExceeded,
    RateExceeded,
    ServiceStopping,
)
from coterie.outage import MAYBE_AWAY, outage_in
from orchestrator.api.dashboard.errors import error_page, is_page
from orchestrator.api.deps import get_parts
from orchestrator.observability import catalogue
from orchestrator.protocol.errors import error_body, status_and_body

log = logging.getLogger(__name__)


AGAIN_S = 5.0
"""When to ask again where nobody knows better."""
_OTHERS_FAULT = (502, 503, 504)
_REFUSALS = (
    (RateExceeded, "rate"),
    (QuotaExceeded, "budget"),
    (EveryoneBusy, "busy"),
    (ExpertBusy, "busy"),
    (NoExpertAvailable, "unavailable"),
    (ServiceStopping, "stopping"),
    (AccessDenied, "key"),
)
"""What a request is turned away for, in one word to count it by."""


def _headers(error: CoterieError, status: int) -> Mapping[str, str]:
    wait = getattr(error, "retry_after_s", None) or (AGAIN_S if status in _OTHERS_FAULT else None)
    headers = {"Retry-After": str(math.ceil(wait))} if wait else {}
    if isinstance(error, LimitExceeded):
        headers |= error.headers
    if isinstance(error, QuotaExceeded):
        headers["x-should-retry"] = "false"  # OpenAI's clients would try again within seconds
    return headers


def _response(
    request: Request,
    status: int,
    body: dict[str, Any],
    headers: Mapping[str, str] | None = None,
) -> Response:
    """OpenAI's error object; for somebody in a browser, a page that says the same."""
    if is_page(request):
        return error_page(request, status, body["error"]["message"])
    return JSONResponse(body, status, headers=headers)


def _told(request: Request, error: CoterieError) -> Response:
    if reason := next((word for kind, word in _REFUSALS if isinstance(error, kind)), None):
        get_parts(request).observer.metrics.count(catalogue.REFUSED, reason)
    status, body = status_and_body(error)
    return _response(request, status, body, _headers(error, status))


def install(app: FastAPI) -> None:
    """Adds the handlers."""

    @app.exception_handler(CoterieError)
    async def ours(request: Request, error: CoterieError) -> Response:
        return _told(request, error)

    @app.exception_handler(RequestValidationError)
    async def malformed(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        where = ".".join(str(p) for p in first["loc"] if p != "body") or None
        more = f" ({len(error.errors()) - 1} more)" if len(error.errors()) > 1 else ""
        message = f"{where or 'the body'}: {first['msg']}{more}"
        return _response(request, 400, error_body(message, "invalid_request_error", where, None))

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        message = f"{error.detail}: {request.method} {request.url.path}"
        body = error_body(message, "invalid_request_error", None, None)
        return _response(request, error.status_code, body, error.headers)

    async def away(request: Request, error: Exception) -> Response:
        """Where a store does not say so itself."""
        told = outage_in(error)
        if told is None:
            return await bug(request, error)
        log.warning("%s %s: %s", request.method, request.url.path, told)
        return _told(request, told)

    for kind in MAYBE_AWAY:
        app.add_exception_handler(kind, away)

    @app.exception_handler(Exception)
    async def bug(request: Request, error: Exception) -> Response:
        log.exception("internal error on %s %s", request.method, request.url.path)
        message = "internal error: the server's log tells more"
        return _response(request, 500, error_body(message, "api_error", None, "internal_error"))
