"""OpenAI's Responses request, read as a chat request.

Nothing is stored, so whatever leans on an earlier response is refused by name; so is what no chat
can do.  The answer is told in :mod:`orchestrator.protocol.response_events`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from coterie.errors import RequestError
from orchestrator.protocol.chat import ChatRequest, CoterieOptions

Fields = Mapping[str, Any]

UNSTORED = "responses are not stored here: send the whole conversation in 'input' instead"
REFUSED: Mapping[str, str] = {
    "previous_response_id": UNSTORED,
    "conversation": UNSTORED,
    "background": "a response is made while its caller waits: use /v1/batches for later",
    "prompt": "no prompt templates are kept: send 'instructions' and 'input' instead",
    "n": "a response is one answer: ask again, or use /v1/chat/completions",
    "max_tool_calls": "no tool runs here: the caller runs the functions that are called",
    "context_management": "nothing compacts a conversation: shorten 'input' instead",
    "logprobs": "leave it out, or use /v1/chat/completions",
    "top_logprobs": "leave it out, or use /v1/chat/completions",
    "moderation": "nothing is moderated: leave it out",
}
"""Fields that are not taken, unless they ask for nothing, and why."""
NOT_EXPLAINED = "ask GET /v1/routes/ID by the response's x-request-id, or use /v1/chat/completions"
INCLUDED = ("reasoning.encrypted_content",)
"""What ``include`` may ask for: there never is any, which is what such a request has to expect."""


class ResponsesRequest(BaseModel):
    """``POST /v1/responses``; fields beyond these are passed to the experts untouched."""

    model_config = ConfigDict(extra="allow")

    model: Annotated[str, Field(min_length=1)]
    input: str | Annotated[list[dict[str, Any]], Field(min_length=1)]
    instructions: str | None = None
    max_output_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    text: dict[str, Any] | None = None
    reasoning: dict[str, Any] | None = None
    metadata: dict[str, str] | None = None
    include: list[str] | None = None
    truncation: str | None = None
    store: Annotated[bool, Field(description="nothing is stored, whatever this says")] | None = None
    stream: bool | None = None
    stream_options: dict[str, Any] | None = None
    coterie: CoterieOptions | None = None

    def to_chat(self) -> ChatRequest:
        """The same as a chat request; raises :class:`RequestError` for what none can say."""
        self._check()
        messages = [{"role": "system", "content": self.instructions}] if self.instructions else []
        fields: dict[str, Any] = {
            **(self.model_extra or {}),
            "model": self.model,
            "messages": [*messages, *messages_of(self.input)],
            "max_completion_tokens": self.max_output_tokens,
            "temperature": self.temperature,
            "top_p": self.top_p,
            "stream": self.stream,
            "tools": [_tool(t, i) for i, t in enumerate(self.tools or ())] or None,
            "tool_choice": _tool_choice(self.tool_choice) if self.tools else None,
            "parallel_tool_calls": self.parallel_tool_calls if self.tools else None,
            "response_format": _format((self.text or {}).get("format")),
            "verbosity": (self.text or {}).get("verbosity"),
            "reasoning_effort": (self.reasoning or {}).get("effort"),
            "coterie": self.coterie,
        }
        return as_chat({name: value for name, value in fields.items() if value is not None})

    def _check(self) -> None:
        extra = self.model_extra or {}
        for name, why in REFUSED.items():
            if extra.pop(name, None):
                raise refused(name, why)
        if self.coterie and self.coterie.explain:
            raise refused("coterie.explain", NOT_EXPLAINED)
        if self.truncation not in (None, "disabled"):
            raise refused("truncation", "nothing is left out of a conversation: shorten 'input'")
        for name in self.include or ():
            if name not in INCLUDED:
                raise refused("include", f"there is no {name!r} to include: leave it out")


def refused(param: str, why: str) -> RequestError:
    """The error that names a field which cannot be honoured."""
    return RequestError(f"{param!r} cannot be honoured: {why}", param=param)


def as_chat(fields: Fields) -> ChatRequest:
    """The chat request of those fields; raises :class:`RequestError` where it is none."""
    try:
        return ChatRequest.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise RequestError(f"{where}: {first['msg']}", param=where) from None


# --- input --------------------------------------------------------------------------------------


def messages_of(given: str | Sequence[Fields]) -> list[dict[str, Any]]:
    """The messages of ``input``: calls that follow one another are one turn of the assistant."""
    if isinstance(given, str):
        return [{"role": "user", "content": given}]
    messages: list[dict[str, Any]] = []
    for index, item in enumerate(given):
        _add(messages, item, f"input[{index}]")
    if not messages:
        raise RequestError("'input' holds nothing to be answered", param="input")
    return messages


def _add(messages: list[dict[str, Any]], item: Fields, where: str) -> None:
    kind = item.get("type", "message")
    if kind == "message":
        content = _content(item.get("content"), f"{where}.content")
        messages.append({"role": item.get("role"), "content": content})
    elif kind == "function_call":
        called = {"name": item.get("name"), "arguments": item.get("arguments", "")}
        call = {"id": item.get("call_id"), "type": "function", "function": called}
        if not (messages and messages[-1]["role"] == "assistant"):
            messages.append({"role": "assistant", "content": None})
        messages[-1].setdefault("tool_calls", []).append(call)
    elif kind == "function_call_output":
        content = _content(item.get("output"), f"{where}.output")
        messages.append({"role": "tool", "tool_call_id": item.get("call_id"), "content": content})
    elif kind == "item_reference":
        raise RequestError(f"{where}: {UNSTORED}", param=where)
    elif kind != "reasoning":  # what was thought for an earlier answer goes to no expert again
        known = "message, function_call, function_call_output, reasoning"
        raise RequestError(f"{where}: no item of type {kind!r}; there are {known}", param=where)


def _content(content: Any, where: str) -> Any:
    """A text stays one, also where it is the only part: not every server takes lists."""
    if not isinstance(content, list):
        return content
    parts = [_part(part, f"{where}[{i}]") for i, part in enumerate(content)]
    return parts[0]["text"] if len(parts) == 1 and parts[0]["type"] == "text" else parts


def _text(part: Fields) -> dict[str, Any]:
    return {"type": "text", "text": part.get("text", "")}


def _refusal(part: Fields) -> dict[str, Any]:
    return {"type": "text", "text": part.get("refusal", "")}


def _image(part: Fields) -> dict[str, Any]:
    image = {"url": part.get("image_url"), "detail": part.get("detail")}
    return {"type": "image_url", "image_url": {k: v for k, v in image.items() if v is not None}}


def _file(part: Fields) -> dict[str, Any]:
    return {"type": "file", "file": {k: v for k, v in part.items() if k != "type"}}


PARTS: Mapping[str, Callable[[Fields], dict[str, Any]]] = {
    "input_text": _text,
    "output_text": _text,
    "text": _text,
    "refusal": _refusal,
    "input_image": _image,
    "input_audio": dict,
    "input_file": _file,
}
"""How a part of each type is said in a chat."""


def _part(part: Any, where: str) -> dict[str, Any]:
    kind = part.get("type") if isinstance(part, Mapping) else None
    if not isinstance(kind, str) or kind not in PARTS:
        known = ", ".join(PARTS)
        raise RequestError(f"{where}: no part of type {kind!r}; there are {known}", param=where)
    if part.get("file_id") or part.get("file_url"):
        raise RequestError(
            f"{where}: no files are kept for experts: send the contents themselves", param=where
        )
    return PARTS[kind](part)


# --- tools and form -----------------------------------------------------------------------------


def _tool(tool: Fields, index: int) -> dict[str, Any]:
    if tool.get("type") != "function":
        raise RequestError(
            f"tools[{index}]: no tool of type {tool.get('type')!r} runs here; describe it as one "
            "of type 'function', and run it yourself",
            param=f"tools[{index}].type",
        )
    names = ("name", "description", "parameters", "strict")
    function = {name: tool[name] for name in names if tool.get(name) is not None}
    return {"type": "function", "function": function}


def _tool_choice(choice: str | Fields | None) -> Any:
    if choice is None or isinstance(choice, str):
        return choice
    if choice.get("type") != "function":
        raise refused("tool_choice", f"there is no choice of type {choice.get('type')!r}")
    return {"type": "function", "function": {"name": choice.get("name")}}


def _format(form: Any) -> dict[str, Any] | None:
    """``text.format`` as ``response_format``."""
    kind = form.get("type") if isinstance(form, Mapping) else None
    if form is None or kind == "text":
        return None
    if kind == "json_object":
        return {"type": "json_object"}
    if kind != "json_schema":
        raise refused("text.format", f"no format is called {kind!r}")
    names = ("name", "description", "schema", "strict")
    return {"type": kind, kind: {n: form[n] for n in names if form.get(n) is not None}}
