"""What goes wrong with an OpenAI-compatible server, as errors of Coterie.  Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any, Final

import aiohttp
import httpx

from coterie.errors import (
    EngineError,
    EngineProtocolError,
    EngineRejected,
    EngineTimeout,
    EngineUnavailable,
    Unreachable,
)
from orchestrator.engines.retry import ReadTimeout
from orchestrator.engines.target import Target

CONTEXT_LENGTH_EXCEEDED: Final = "context_length_exceeded"
"""The code of a request that is too long, whatever the server called it."""

MODEL_NOT_FOUND: Final = "model_not_found"

MAX_UPSTREAM_TEXT: Final = 300
"""Characters of an upstream's own words that are passed on."""

TRANSPORT_ERRORS: Final = (httpx.HTTPError, httpx.InvalidURL, aiohttp.ClientError)
"""What sending a request may raise; aiohttp's own come through where httpx-aiohttp maps none."""

_TRANSIENT: Final = frozenset({408, 409, 425, 429})
_TOO_LONG: Final = re.compile(
    r"maximum context length|context length exceeded|exceeds? the (?:model'?s )?(?:maximum )?"
    r"context|context (?:window|size)|too many (?:input )?tokens|prompt is too long|"
    r"cannot be greater than max_(?:model_len|total_tokens)",
    re.IGNORECASE,
)
_NO_MODEL: Final = re.compile(r"model.{0,200}(?:does not exist|not found)", re.IGNORECASE | re.S)


def from_status(
    target: Target, status: int, body: bytes, headers: Mapping[str, str], *, now_s: float
) -> EngineError:
    """The error of an answer with a ``status`` other than success; ``now_s`` is epoch seconds."""
    wait_s = retry_after_s(headers, now_s=now_s)
    return _from_error(target, status, *_said(body), wait_s)


def from_event(target: Target, error: Any) -> EngineError:
    """The error of an ``error`` object inside an answer that began with success."""
    message, code = _read_error(error)
    status = error.get("code") if isinstance(error, Mapping) else None
    known = isinstance(status, int) and 400 <= status < 600
    if not known and code == CONTEXT_LENGTH_EXCEEDED:
        status = 400
    return _from_error(target, status if isinstance(status, int) else 500, message, code, None)


def _from_error(
    target: Target, status: int, message: str, code: str | None, wait_s: float | None
) -> EngineError:
    said = excerpt(target, message)
    if status in (401, 403):
        return _denied(target, status, said)
    if status in _TRANSIENT or (status >= 500 and status != 501):
        text = f"{target.server} answered {status}: {said}; try again later or ask another expert"
        return EngineUnavailable(target.expert, text, retry_after_s=wait_s)
    if status < 400:
        return EngineProtocolError(
            target.expert,
            f"{target.server} answered {status} where 200 was expected; check the endpoint's URL",
        )
    return _rejected(target, status, message, code)


def _rejected(target: Target, status: int, message: str, code: str | None) -> EngineRejected:
    said = excerpt(target, message)
    if code == CONTEXT_LENGTH_EXCEEDED or _TOO_LONG.search(message):
        return EngineRejected(
            target.expert,
            f"the conversation is too long for it: {said}; shorten it or lower max_tokens",
            status=status,
            code=CONTEXT_LENGTH_EXCEEDED,
        )
    if status == 404:
        text = f"{target.server} has no chat model {target.model!r} ({said}); "
        text += "check the expert's endpoint and model"
        return EngineRejected(target.expert, text, status=status, code=code or MODEL_NOT_FOUND)
    text = f"{target.server} refused the request ({status}): {said}; change the request"
    return EngineRejected(target.expert, text, status=status, code=code)


def _denied(target: Target, status: int, said: str) -> EngineRejected:
    if target.api_key_env:
        step = f"check the key in environment variable {target.api_key_env!r}"
    else:
        step = "name the environment variable that holds its key as the expert's api_key_env"
    # What is said with a 401 often echoes the key, or parts of it.
    said = f" ({said})" if status == 403 else ""
    text = f"{target.server} denied access with status {status}{said}; {step}"
    return EngineRejected(target.expert, text, status=status, code="access_denied")


def from_exception(target: Target, error: Exception) -> EngineError:
    """The error of a request that got no answer, or only part of one."""
    cause = error.__cause__ if isinstance(error.__cause__, aiohttp.ClientError) else error
    name = type(cause).__name__
    said = excerpt(target, str(cause)) or name
    if isinstance(error, httpx.ReadTimeout):
        return ReadTimeout(
            target.expert,
            f"{target.server} was silent for too long ({name}); it may be overloaded",
        )
    if _is_timeout(cause):
        return EngineTimeout(
            target.expert, f"no connection to {target.server} in time ({name}); is it running?"
        )
    if isinstance(cause, (httpx.DecodingError, aiohttp.ClientResponseError)):
        return EngineProtocolError(
            target.expert, f"{target.server} does not speak HTTP properly: {said}"
        )
    if isinstance(cause, (httpx.InvalidURL, httpx.UnsupportedProtocol, aiohttp.InvalidURL)):
        return EngineProtocolError(
            target.expert, f"its endpoint is not a usable URL: {said}; it should be http(s)://host"
        )
    connected = not isinstance(cause, (aiohttp.ClientConnectorError, httpx.ConnectError))
    kind = EngineUnavailable if connected else Unreachable
    return kind(target.expert, f"the connection to {target.server} failed: {said}; is it running?")


def _is_timeout(cause: BaseException) -> bool:
    """httpx-aiohttp calls every lost connection a ConnectTimeout; aiohttp's own type tells."""
    if isinstance(cause, aiohttp.ClientError):
        return isinstance(cause, TimeoutError)
    return isinstance(cause, (httpx.TimeoutException, TimeoutError))


def says_no_such_model(body: bytes) -> bool:
    """Whether a 404's body is about the model, not about the address."""
    message, code = _said(body)
    return code == MODEL_NOT_FOUND or bool(_NO_MODEL.search(message))


def excerpt(target: Target, text: str) -> str:
    """The beginning of an upstream's ``text`` on one line, without the key."""
    flat = " ".join(target.redact(text).split())
    return flat if len(flat) <= MAX_UPSTREAM_TEXT else flat[: MAX_UPSTREAM_TEXT - 1] + "…"


def retry_after_s(headers: Mapping[str, str], *, now_s: float) -> float | None:
    """Seconds a server asks to be left alone, from Retry-After in either form; None: no wish."""
    value = headers.get("retry-after")
    if value is None:
        return None
    if re.fullmatch(r"\d{1,9}(\.\d*)?", value.strip()):
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - now_s)
    except (TypeError, ValueError, OverflowError):
        return None


def _said(body: bytes) -> tuple[str, str | None]:
    text = body[: 64 * 1024].decode("utf-8", "replace")
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        return text, None
    return _read_error(parsed.get("error", parsed) if isinstance(parsed, Mapping) else parsed)


def _read_error(error: Any) -> tuple[str, str | None]:
    """Message and code of OpenAI's error object, or of the nearest thing to it."""
    if not isinstance(error, Mapping):
        return str(error), None
    message = error.get("message") or error.get("detail") or json.dumps(dict(error), default=str)
    code = error.get("code")
    return str(message), code if isinstance(code, str) else None
