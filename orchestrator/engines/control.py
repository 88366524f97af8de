"""What a vLLM server of our own can be told beyond OpenAI's API: sleep, wake, reload, adapters.

Paths and bodies are vLLM's (entrypoints/serve/dev, entrypoints/serve/lora).  The endpoints exist
only where the server was started with VLLM_SERVER_DEV_MODE=1, and they are only ever asked on this
machine.  In which order to use them is ``resident``'s business.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from coterie.errors import (
    ConfigurationError,
    EngineProtocolError,
    EngineRejected,
    EngineUnavailable,
)
from orchestrator.engines.failures import TRANSPORT_ERRORS, from_exception, from_status
from orchestrator.engines.signals import LoadSignal, read_load
from orchestrator.engines.target import Target
from orchestrator.engines.vllm import is_loopback

_QUICK_S: Final = 5.0
_MOVE_S: Final = 600.0
"""The longest a server may take to sleep, wake or reload weights from a slow disk."""


class VllmControl:
    """The control endpoints of the server at ``base_url``, for the engine of expert ``name``.

    Every method raises an :class:`coterie.errors.EngineError` for what goes wrong.

    Raises:
        ConfigurationError: the address is not one of this machine's loopback.
    """

    def __init__(self, name: str, base_url: str, client: httpx.AsyncClient) -> None:
        host = urlsplit(base_url).hostname or ""
        if not is_loopback(host):
            raise ConfigurationError(
                f"expert {name!r}: refusing to use vLLM's control endpoints at {host!r}; they may "
                "only be reached through the loopback interface"
            )
        self._target = Target(name, base_url, name)
        self._client = client

    async def is_sleeping(self) -> bool:
        """Whether the engine sleeps or is paused, at any level."""
        answer = await self._ask("GET", "/is_sleeping", timeout_s=_QUICK_S)
        return self._flag(answer, "is_sleeping")

    async def sleep(self, level: int) -> None:
        """Puts the engine to sleep once what it answers is done; what comes meanwhile waits.

        Level 1 keeps the weights in host memory, level 2 nothing.  An engine that sleeps already
        stays as it is, whatever the level.
        """
        await self._ask("POST", "/sleep", params={"level": level, "mode": "wait"})

    async def wake(self, tag: str | None = None) -> bool:
        """Wakes the engine, or only its ``weights`` or ``kv_cache``; whether all is awake now."""
        answer = await self._ask("POST", "/wake_up", params={"tags": tag} if tag else {})
        return isinstance(answer, Mapping) and answer.get("status") == "awake"

    async def reload_weights(self) -> None:
        """Reads the weights anew, which must be awake; adapters follow with their next request."""
        await self._ask("POST", "/collective_rpc", json={"method": "reload_weights"})

    async def reset_prefix_cache(self) -> None:
        """Forgets cached prefixes; raises EngineUnavailable while a request holds some."""
        answer = await self._ask("POST", "/reset_prefix_cache")
        if not self._flag(answer, "success"):
            raise EngineUnavailable(
                self._target.expert,
                "its prefix cache could not be reset while requests use it; try again",
            )

    async def load_adapter(self, name: str, path: str) -> None:
        """Serves the LoRA adapter in folder ``path`` under ``name`` from now on."""
        body = {"lora_name": name, "lora_path": path}
        await self._ask("POST", "/v1/load_lora_adapter", json=body)

    async def unload_adapter(self, name: str) -> None:
        """No longer serves the adapter; requests that use it are answered still."""
        await self._ask("POST", "/v1/unload_lora_adapter", json={"lora_name": name})

    async def load(self) -> LoadSignal:
        """How loaded the engine is."""
        response = await self._send("GET", "/metrics", timeout_s=_QUICK_S)
        try:
            return read_load(response.text)
        except ValueError as error:
            raise EngineProtocolError(
                self._target.expert, f"its metrics cannot be read: {error}; is it vLLM?"
            ) from error

    async def _ask(self, method: str, path: str, **request: Any) -> Any:
        response = await self._send(method, path, **request)
        try:
            return response.json()
        except ValueError:
            return None  # a success that says nothing more, or says it in words

    async def _send(
        self, method: str, path: str, *, timeout_s: float = _MOVE_S, **request: Any
    ) -> httpx.Response:
        target = self._target
        try:
            response = await self._client.request(
                method, target.url(path), timeout=timeout_s, **request
            )
        except TRANSPORT_ERRORS as error:
            raise from_exception(target, error) from error
        if _is_missing(response):
            raise EngineRejected(
                target.expert,
                f"its server has no {path}; start it with VLLM_SERVER_DEV_MODE=1 and "
                "VLLM_ALLOW_RUNTIME_LORA_UPDATING=1",
                status=response.status_code,
            )
        if not response.is_success:
            raise from_status(
                target, response.status_code, response.content, response.headers, now_s=0.0
            )
        return response

    def _flag(self, answer: Any, key: str) -> bool:
        if not isinstance(answer, Mapping) or not isinstance(answer.get(key), bool):
            raise EngineProtocolError(
                self._target.expert, f"its server did not say {key!r}; is it vLLM?"
            )
        return bool(answer[key])


def _is_missing(response: httpx.Response) -> bool:
    """Whether the route does not exist: vLLM's own refusals carry an ``error`` object."""
    return response.status_code in (404, 405) and b'"error"' not in response.content
