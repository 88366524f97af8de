"""How the OpenAPI description tells of errors: OpenAI's error object, and who may answer what."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel


class ErrorDetail(BaseModel):
    """What went wrong."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorBody(BaseModel):
    """OpenAI's error object."""

    error: ErrorDetail


def _told(description: str) -> dict[str, Any]:
    return {"model": ErrorBody, "description": description}


EVERYWHERE: dict[int | str, dict[str, Any]] = {
    400: _told("The request makes no sense; `param` names the field."),
    401: _told("A key is needed, and it was not this one."),
    403: _told("The key is not for this."),
    404: _told("There is no such thing."),
    408: _told("The request did not come in time."),
    409: _told("It is not in the state for this."),
    413: _told("The request is too long."),
    429: _told("More than may be asked now; with `Retry-After`."),
    503: _told("The database or the experts are away, or the server stops; with `Retry-After`."),
}
"""What any operation may answer."""

ASKING: dict[int | str, dict[str, Any]] = {
    502: _told("The expert's server answered nonsense, or nothing; with `Retry-After`."),
    504: _told("The expert did not answer in time; with `Retry-After`."),
}
"""What those may answer besides that ask experts."""
