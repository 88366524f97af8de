"""The command line's way to a running server: its own HTTP API, nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from coterie.errors import AccessDenied, CoterieError
from orchestrator.settings import Settings

_ADMIN = ("/admin", "/v1/jobs")
"""What needs the admin key."""


class ServerUnreachable(CoterieError):
    """No server answers there."""


@dataclass(slots=True)
class Client:
    """Talks to a server.  The keys are read from its key files, when they can be."""

    settings: Settings
    chat_key: str | None = field(default=None, repr=False)
    admin_key: str | None = field(default=None, repr=False)
    timeout_s: float = 300.0

    @classmethod
    def of(cls, settings: Settings) -> Client:
        """The client of the server these settings describe."""
        return cls(settings, _read(settings.chat_key_file), _read(settings.admin_key_file))

    @property
    def url(self) -> str:
        """Where the server answers."""
        return self.settings.url

    def get(self, path: str) -> dict[str, Any]:
        return self._call("GET", path)

    def post(self, path: str, body: Any = None) -> dict[str, Any]:
        return self._call("POST", path, body)

    def delete(self, path: str) -> None:
        self._call("DELETE", path)

    def ok(self, path: str) -> bool:
        """Whether ``path`` answers with success, now."""
        try:
            return httpx.get(f"{self.url}{path}", timeout=5, trust_env=False).is_success
        except httpx.HTTPError:
            return False

    def readiness(self) -> dict[str, Any]:
        """What ``/health/readiness`` says, ready or not."""
        return dict(self._send("GET", "/health/readiness").json())

    def chat(self, body: Mapping[str, Any]) -> tuple[dict[str, Any], httpx.Headers]:
        """A plain chat completion, with the response's headers."""
        response = _checked(self._send("POST", "/v1/chat/completions", body))
        return response.json(), response.headers

    def stream(self, body: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """The chunks of a streamed chat completion; the first item holds the headers."""
        with (
            httpx.Client(trust_env=False, timeout=self.timeout_s) as http,
            http.stream(
                "POST",
                f"{self.url}/v1/chat/completions",
                json={**body, "stream": True},
                headers=self._headers("/v1"),
            ) as response,
        ):
            if not response.is_success:
                response.read()
                _checked(response)
            yield {"headers": dict(response.headers)}
            for line in response.iter_lines():
                if line.startswith("data: ") and line != "data: [DONE]":
                    yield json.loads(line.removeprefix("data: "))

    def _call(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        response = _checked(self._send(method, path, body))
        return dict(response.json()) if response.content else {}

    def _send(self, method: str, path: str, body: Any = None) -> httpx.Response:
        try:
            return httpx.request(
                method,
                f"{self.url}{path}",
                json=body,
                headers=self._headers(path),
                timeout=self.timeout_s,
                trust_env=False,
            )
        except httpx.ConnectError as error:
            raise ServerUnreachable(
                f"no server answers at {self.url}: start it with `coterie serve` or `make up`"
            ) from error
        except httpx.HTTPError as error:
            raise ServerUnreachable(f"{self.url}{path}: {error!r}") from error

    def _headers(self, path: str) -> dict[str, str]:
        key = self.admin_key if path.startswith(_ADMIN) else self.chat_key
        return {"Authorization": f"Bearer {key}"} if key else {}


def _checked(response: httpx.Response) -> httpx.Response:
    if response.is_success:
        return response
    try:
        message = response.json()["error"]["message"]
    except (ValueError, KeyError, TypeError):
        message = response.text[:300]
    kind = AccessDenied if response.status_code == 401 else CoterieError
    raise kind(f"{message} (HTTP {response.status_code})")


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return None
