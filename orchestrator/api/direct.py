"""The shortest way from a request with a JSON body to its endpoint."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from email.message import Message
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError


class DirectRoute(APIRoute):
    """A route to an endpoint that takes ``(body, request, parts)``.

    It is declared and described like any other, but FastAPI's general machinery, which takes longer
    than choosing an expert does, is left out: the caller's right is checked, the body is read by
    its model in one go, and the endpoint answers with a response.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        [access] = self.dependant.dependencies
        check, endpoint = access.call, self.endpoint
        model = self.body_field.field_info.annotation if self.body_field else None
        assert check is not None
        assert isinstance(model, type)
        assert issubclass(model, BaseModel)

        async def handle(request: Request) -> Response:
            parts = await check(request)
            body = _read(model, await request.body(), request.headers.get("content-type"))
            answer: Response = await endpoint(body=body, request=request, parts=parts)
            return answer

        return handle


def _read(model: type[BaseModel], body: bytes, content_type: str | None) -> BaseModel:
    """Raises RequestValidationError, as FastAPI does."""
    try:
        # A browser sends other types to any server without asking that server first.
        if _is_json(content_type):
            return model.model_validate_json(body)
        return model.model_validate(body)  # which says what is expected instead
    except ValidationError as error:
        raise RequestValidationError(error.errors()) from None


def _is_json(content_type: str | None) -> bool:
    if content_type == "application/json":
        return True
    header = Message()
    header["content-type"] = content_type or ""
    kind = header.get_content_subtype()
    return header.get_content_maintype() == "application" and (
        kind == "json" or kind.endswith("+json")
    )
