"""vLLM's OpenAI server, imitated endpoint by endpoint; the engine behind it is ``core``.

An imitation, for tests and benchmarks without a GPU.  Paths, bodies and status codes follow vLLM
0.32 (files below are relative to the ``vllm`` package):

=================================  ==============================================================
serve/dev/sleep/api_router.py      /sleep, /wake_up, /is_sleeping
serve/dev/rpc/api_router.py        /collective_rpc
serve/dev/cache/api_router.py      /reset_prefix_cache
serve/lora/api_router.py,          /v1/load_lora_adapter, /v1/unload_lora_adapter
openai/models/serving.py
serve/exception_handling/*         errors; a route that does not exist is Starlette's own 404
launchers/api_server/routers.py    the dev endpoints only with VLLM_SERVER_DEV_MODE=1
launchers/launcher.py              an engine that died takes the server with it
=================================  ==============================================================

``/imitation`` is no endpoint of vLLM's: it tells what happened and arranges failures.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import uuid4

from fastapi import Depends, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel

from aggregator.fusion.request import Ask
from coterie.errors import RequestError
from tests.imitation import chat
from tests.imitation.answers import answer_tokens, content_hash, prompt_tokens
from tests.imitation.core import Adapter, CallFailed, Core, EngineDead
from tests.imitation.core import Request as Asked
from tests.imitation.fusing import Fusing
from tests.imitation.metrics import metrics_text

PathNoSlash = re.compile(r"/(?:home|usr|opt|var|tmp|root|lib|mnt|srv)(?:/[\w.\-]+)+")


@dataclass
class Served:
    """What one server serves: the base model under ``name``, and the adapters loaded now.

    ``log`` is a file that gets a line for each chat request, "TIME MODEL HASH" (epoch seconds), see
    ``content_hash``.
    """

    core: Core
    name: str
    model: str
    max_model_len: int = 4096
    dev_mode: bool = False
    runtime_lora: bool = False
    words: tuple[int, int] = (8, 40)
    adapters: dict[str, Adapter] = field(default_factory=dict)
    fusing: Fusing | None = None
    on_death: Callable[[], None] = lambda: None
    log: Path | None = None

    def tell(self, model: str, messages: Sequence[Mapping[str, Any]]) -> None:
        """Writes who was asked what into the log, which outlives the process however it ends."""
        if self.log:
            with self.log.open("a", encoding="utf-8") as opened:
                opened.write(
                    f"{time.time()} {model} {content_hash(messages)}\n"
                )  # short: in one piece


class ChatBody(BaseModel, extra="allow"):
    """entrypoints/openai/chat_completion/protocol.py, the fields that matter here."""

    messages: list[dict[str, Any]]
    model: str | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    temperature: float | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    stream: bool = False
    stream_options: dict[str, Any] | None = None
    vllm_xargs: dict[str, str | int | float | list[str | int | float]] | None = None


class TokenizeBody(BaseModel, extra="allow"):
    """serve/tokenize/protocol.py: either a conversation or a text."""

    model: str | None = None
    messages: list[dict[str, Any]] | None = None
    prompt: str | None = None


class LoadBody(BaseModel):
    """serve/lora/protocol.py."""

    lora_name: str
    lora_path: str
    load_inplace: bool = False


class UnloadBody(BaseModel):
    """serve/lora/protocol.py."""

    lora_name: str
    lora_int_id: int | None = None


class Refusal(Exception):
    """An answer other than success."""

    def __init__(self, message: str, kind: str, code: int, param: str | None = None) -> None:
        super().__init__(message)
        self.body = chat.error_body(message, kind, code, param)
        self.code = code


def make_app(served: Served) -> FastAPI:
    """The application; which routes it has depends on ``dev_mode`` and ``runtime_lora``."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    _handle_errors(app, served)
    _serve_basics(app, served)
    _serve_chat(app, served)
    if served.dev_mode:
        _serve_dev(app, served)
    if served.runtime_lora:
        _serve_adapters(app, served)
    _serve_imitation(app, served)
    return app


def _handle_errors(app: FastAPI, served: Served) -> None:
    @app.exception_handler(Refusal)
    async def refused(_: Request, error: Refusal) -> Response:
        return JSONResponse(error.body, error.code)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        param = ".".join(map(str, first.get("loc", ())))
        message = f"1 validation error:\n  {first}"
        return JSONResponse(chat.error_body(message, "Bad Request", 400, param), 400)

    @app.exception_handler(CallFailed)
    async def failed(_: Request, error: CallFailed) -> Response:
        # core_client.py raises a bare Exception: error_response.py's last resort.
        return JSONResponse(chat.error_body(str(error), "InternalServerError", 500), 500)

    @app.exception_handler(EngineDead)
    async def dead(_: Request, error: EngineDead) -> Response:
        served.on_death()
        return JSONResponse(chat.error_body(str(error), "InternalServerError", 500), 500)


def _serve_basics(app: FastAPI, served: Served) -> None:
    @app.get("/health")
    async def health() -> Response:
        return Response(status_code=503 if served.core.dead.is_set() else 200)

    @app.get("/v1/models")
    async def models() -> Any:
        base = _card(served.name, served.model, None, served.max_model_len)
        adapters = [_card(a.name, a.path, served.name, None) for a in served.adapters.values()]
        return {"object": "list", "data": [base, *adapters]}

    @app.get("/metrics")
    async def metrics() -> Response:
        text = metrics_text(served.core, served.name)
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")

    @app.post("/tokenize", dependencies=[Depends(_is_json)])
    async def tokenize(body: TokenizeBody) -> Any:
        _adapter_for(served, body.model)
        words = (body.prompt or "").split()
        tokens = prompt_tokens(body.messages) if body.messages is not None else words
        ids = [sum(token.encode()) for token in tokens]
        answer = {"count": len(ids), "max_model_len": served.max_model_len, "tokens": ids}
        return {**answer, "token_strs": None}


def _serve_chat(app: FastAPI, served: Served) -> None:
    @app.post("/v1/chat/completions", dependencies=[Depends(_is_json)])
    async def complete(body: ChatBody, raw: Request) -> Response:
        request = _request(served, body)
        model = body.model or served.name
        served.tell(model, body.messages)
        served.core.submit(request)
        if body.stream:
            usage = bool((body.stream_options or {}).get("include_usage"))
            events = chat.streamed(served.core, request, model, include_usage=usage)
            return StreamingResponse(events, media_type="text/event-stream")
        stops = [body.stop] if isinstance(body.stop, str) else body.stop or []
        answer = chat.whole(served.core, request, model, stops)
        done = await _unless_hung_up(raw, answer)
        return JSONResponse(done) if done is not None else Response(status_code=499)


def _serve_dev(app: FastAPI, served: Served) -> None:
    core = served.core

    @app.post("/sleep")
    async def sleep(
        level: Annotated[int, Query(ge=0, le=2)] = 1,
        mode: Annotated[Literal["abort", "wait", "keep"], Query()] = "abort",
    ) -> Any:
        await core.sleep(level, mode)
        return {"status": "sleeping", "level": level}

    @app.post("/wake_up")
    async def wake_up(raw: Request) -> Any:
        tags = raw.query_params.getlist("tags") or None
        awake = await core.wake_up(tags)
        return {"status": "awake" if awake else "sleeping", "tags": tags}

    @app.get("/is_sleeping")
    async def is_sleeping() -> Any:
        if core.dead.is_set():
            raise EngineDead
        return {"is_sleeping": core.is_sleeping}

    @app.post("/collective_rpc")
    async def collective_rpc(raw: Request) -> Any:
        try:
            body = await raw.json()
        except json.JSONDecodeError as error:
            raise Refusal(f"JSON decode error: {error}", "Bad Request", 400) from error
        if not isinstance(body, dict):
            raise Refusal("Request body must be a JSON object", "Bad Request", 400)
        if body.get("method") is None:
            raise Refusal("Missing 'method' in request body", "Bad Request", 400)
        return {"results": await core.collective_rpc(body["method"])}

    @app.post("/reset_prefix_cache")
    async def reset(reset_running_requests: bool = False, reset_external: bool = False) -> Any:
        return {"success": core.reset_prefix_cache(reset_running=reset_running_requests)}


def _serve_adapters(app: FastAPI, served: Served) -> None:
    @app.post("/v1/load_lora_adapter", dependencies=[Depends(_is_json)])
    async def load(body: LoadBody) -> Response:
        load_adapter(served, body)
        return Response(f"Success: LoRA adapter '{body.lora_name}' added successfully.")

    @app.post("/v1/unload_lora_adapter", dependencies=[Depends(_is_json)])
    async def unload(body: UnloadBody) -> Response:
        name = body.lora_name
        if not name:
            told = "'lora_name' needs to be provided to unload a LoRA adapter."
            raise Refusal(told, "InvalidUserInput", 400)
        if name not in served.adapters:
            raise Refusal(f"The lora adapter '{name}' cannot be found.", "NotFoundError", 404)
        del served.adapters[name]
        return Response(f"Success: LoRA adapter '{name}' removed successfully.")


def load_adapter(served: Served, body: LoadBody) -> None:
    """openai/models/serving.py: load_lora_adapter, with its checks in its order."""
    if not body.lora_name or not body.lora_path:
        told = "Both 'lora_name' and 'lora_path' must be provided."
        raise Refusal(told, "InvalidUserInput", 400)
    if body.lora_name == served.name:
        told = f"The lora adapter '{body.lora_name}' conflicts with a served base model."
        raise Refusal(told, "InvalidUserInput", 400)
    if not body.load_inplace and body.lora_name in served.adapters:
        told = f"The lora adapter '{body.lora_name}' has already been loaded. If you want to load "
        told += "the adapter in place, set 'load_inplace' to True."
        raise Refusal(told, "InvalidUserInput", 400)
    adapter = Adapter(body.lora_name, body.lora_path, _rank(body))
    served.core.add_lora(adapter)
    served.adapters[body.lora_name] = adapter


def _rank(body: LoadBody) -> int:
    try:
        text = (Path(body.lora_path) / "adapter_config.json").read_text(encoding="utf-8")
        return int(json.loads(text)["r"])
    except (OSError, ValueError, KeyError) as error:
        # vllm/exceptions.py: LoRAAdapterNotFoundError; utils.py hides the path.
        told = f"Loading lora {body.lora_name} failed: No adapter found for {body.lora_path}"
        raise Refusal(PathNoSlash.sub("<path>", told), "NotFoundError", 404) from error


def _serve_imitation(app: FastAPI, served: Served) -> None:
    core = served.core

    @app.get("/imitation")
    async def seen() -> Any:
        told = {"sleeping": sorted(core.sleeping), "weights_sound": core.weights_sound}
        return {**asdict(core.seen), **told, "adapters": sorted(served.adapters)}

    @app.post("/imitation")
    async def arrange(body: dict[str, Any]) -> Any:
        """``{"failing": {"wake_up": 1}, "dies_on": "text", "die": true}``, any of them."""
        core.failing |= body.get("failing", {})
        core.dies_on = body.get("dies_on", core.dies_on)
        if body.get("die"):
            core.die()
            asyncio.get_running_loop().call_later(0.05, served.on_death)
        return {}


def _request(served: Served, body: ChatBody) -> Asked:
    if served.core.dead.is_set():
        raise EngineDead
    adapter = _adapter_for(served, body.model)
    prompt = prompt_tokens(body.messages)
    room = served.max_model_len - len(prompt)
    if room <= 0:
        # renderers/params.py
        told = f"This model's maximum context length is {served.max_model_len} tokens. However, "
        told += f"your prompt contains {len(prompt)} input tokens, which exceeds this limit even "
        told += "without any output tokens. Please reduce the length of the input prompt. "
        told += f"(parameter=input_tokens, value={len(prompt)})"
        raise Refusal(told, "BadRequestError", 400, "input_tokens")
    ask, name = _fusion_asked(served, body), body.model or served.name
    answer = answer_tokens(
        served.fusing.voice(name, ask) if served.fusing else name,
        body.messages,
        temperature=body.temperature,
        seed=body.seed,
        words=served.words,
    )
    wanted = body.max_completion_tokens or body.max_tokens
    most = min(room, wanted) if wanted is not None else room
    reason = "stop" if len(answer) <= most else "length"
    if served.fusing and ask:
        served.fusing.trace(ask, min(most, len(answer)))
    return Asked(tuple(prompt), tuple(answer[:most]), reason, adapter)


def _fusion_asked(served: Served, body: ChatBody) -> Ask | None:
    """v1/engine/input_processor.py: validate_params, where a processor is loaded."""
    if served.fusing is None:
        return None
    try:
        return served.fusing.asked(body.vllm_xargs)
    except RequestError as error:
        raise Refusal(str(error), "BadRequestError", 400) from error


def _adapter_for(served: Served, model: str | None) -> Adapter | None:
    if not model or model == served.name:
        return None
    if model not in served.adapters:
        told = f"The model `{model}` does not exist. Valid aliases: {served.name}."
        raise Refusal(told, "NotFoundError", 404, "model")
    return served.adapters[model]


def _is_json(raw: Request) -> None:
    """serve/utils/api_utils.py: validate_json_request."""
    kind = raw.headers.get("content-type", "").lower().split(";")[0]
    if kind != "application/json":
        told = "Unsupported Media Type: Only 'application/json' is allowed"
        raise RequestValidationError([{"type": "value_error", "loc": ("body",), "msg": told}])


def _card(name: str, root: str, parent: str | None, length: int | None) -> dict[str, Any]:
    card = {"id": name, "object": "model", "created": int(time.time()), "owned_by": "vllm"}
    permission = {"id": f"modelperm-{uuid4().hex}", "object": "model_permission"}
    return {**card, "root": root, "parent": parent, "max_model_len": length} | {
        "permission": [permission]
    }


async def _unless_hung_up(raw: Request, answer: Any) -> dict[str, Any] | None:
    """serve/utils/api_utils.py, ``with_cancellation``: who hangs up ends the work."""
    work = asyncio.ensure_future(answer)
    gone = asyncio.create_task(_hung_up(raw))
    try:
        await asyncio.wait([work, gone], return_when=asyncio.FIRST_COMPLETED)
        return work.result() if work.done() else None
    finally:
        for task in (work, gone):
            task.cancel()


async def _hung_up(raw: Request) -> None:
    while (await raw.receive())["type"] != "http.disconnect":
        pass
