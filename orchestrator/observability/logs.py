"""How log lines look: for people, or one JSON object each for machines.

Every line that is written while a request is answered carries its id, which its response and its
why-record have too, and the id of its trace, where there is one.
"""

from __future__ import annotations

import json
import logging
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Final, Literal

REQUEST_ID: Final[ContextVar[str]] = ContextVar("request_id", default="")
TRACE_ID: Final[ContextVar[str]] = ContextVar("trace_id", default="")
Form = Literal["plain", "json"]

_PLAIN: Final = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"


class PlainFormatter(logging.Formatter):
    """One line, the request's id behind it."""

    def __init__(self) -> None:
        super().__init__(_PLAIN)

    def formatMessage(self, record: logging.LogRecord) -> str:
        line = super().formatMessage(record)
        id = REQUEST_ID.get()
        return f"{line} [{id}]" if id else line


class JsonFormatter(logging.Formatter):
    """One JSON object a line; what a call to log has as ``extra={"fields": {...}}`` is in it."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC)
        told: dict[str, Any] = {
            "time": at.isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if id := REQUEST_ID.get():
            told["request_id"] = id
        if trace := TRACE_ID.get():
            told["trace_id"] = trace
        told |= getattr(record, "fields", {})
        if record.exc_info:
            told["exception"] = self.formatException(record.exc_info)
        return json.dumps(told, ensure_ascii=False, default=str)


def configure(level: str, form: Form) -> None:
    """Lets this process log so, to its standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if form == "json" else PlainFormatter())
    logging.basicConfig(level=level, handlers=[handler])
