"""Whom an OpenAI-compatible engine talks to: address, model id, key."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from coterie.types import Sampling


@dataclass(frozen=True, slots=True)
class Target:
    """One model on one server.

    ``base_url`` may end in ``/v1`` or not.  ``api_key`` never shows in a repr or an error;
    ``api_key_env`` is the name of the variable it came from.  ``defaults`` are the expert's own
    sampling settings, used where a request is silent.  ``ours``: the server is an engine that
    Coterie started; ``fusion`` is the fusion it is asked for.
    """

    expert: str
    base_url: str
    model: str
    api_key: str | None = field(default=None, repr=False)
    api_key_env: str | None = None
    defaults: Sampling = field(default_factory=Sampling)
    ours: bool = False
    fusion: str | None = None

    def url(self, path: str) -> str:
        """The address of ``path``, which starts with a slash and is relative to the base."""
        return self.base_url.rstrip("/").removesuffix("/v1").rstrip("/") + path

    @property
    def headers(self) -> dict[str, str]:
        """What every request carries."""
        headers = {"content-type": "application/json"}
        if self.api_key:
            headers["authorization"] = f"Bearer {self.api_key}"
        return headers

    @property
    def server(self) -> str:
        """The server's address as errors show it: without credentials, path or query."""
        try:
            parts = urlsplit(self.base_url)
        except ValueError:
            return "its endpoint"
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"

    def redact(self, text: str) -> str:
        """``text`` without the key, should a server have echoed it."""
        return text.replace(self.api_key, "[key]") if self.api_key else text
