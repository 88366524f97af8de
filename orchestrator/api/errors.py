"""Errors become HTTP responses here and nowhere else."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from coterie.errors import CoterieError, LimitExceeded, QuotaExceeded
from orchestrator.protocol.errors import error_body, status_and_body

log = logging.getLogger(__name__)


def _headers(error: CoterieError) -> Mapping[str, str]:
    wait = getattr(error, "retry_after_s", None)
    headers = {"Retry-After": str(math.ceil(wait))} if wait else {}
    if isinstance(error, LimitExceeded):
        headers |= error.headers
    if isinstance(error, QuotaExceeded):
        headers["x-should-retry"] = "false"  # OpenAI's clients would try again within seconds
    return headers


def install(app: FastAPI) -> None:
    """Adds the handlers."""

    @app.exception_handler(CoterieError)
    async def ours(request: Request, error: CoterieError) -> JSONResponse:
        status, body = status_and_body(error)
        return JSONResponse(body, status, headers=_headers(error))

    @app.exception_handler(RequestValidationError)
    async def malformed(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        where = ".".join(str(p) for p in first["loc"] if p != "body") or None
        more = f" ({len(error.errors()) - 1} more)" if len(error.errors()) > 1 else ""
        message = f"{where or 'the body'}: {first['msg']}{more}"
        return JSONResponse(error_body(message, "invalid_request_error", where, None), 400)

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:
        message = f"{error.detail}: {request.method} {request.url.path}"
        body = error_body(message, "invalid_request_error", None, None)
        return JSONResponse(body, error.status_code, headers=error.headers)

    @app.exception_handler(Exception)
    async def bug(request: Request, error: Exception) -> JSONResponse:
        log.exception("internal error on %s %s", request.method, request.url.path)
        message = "internal error: the server's log tells more"
        return JSONResponse(error_body(message, "api_error", None, "internal_error"), 500)
