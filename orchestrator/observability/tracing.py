"""What the service needs of a tracer, and the one that does nothing.

Nothing of OpenTelemetry is imported here: :mod:`orchestrator.observability.otel` is, where a
collector is configured.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from typing import Final, Literal, Protocol

Value = str | bool | int | float | Sequence[str]
Attributes = Mapping[str, Value]
Headers = Iterable[tuple[bytes, bytes]]
Kind = Literal["server", "client", "internal"]

OUTGOING: Final[ContextVar[Mapping[str, str]]] = ContextVar("outgoing")
"""What requests to experts carry: the W3C trace context of the call's span."""


def outgoing() -> Mapping[str, str]:
    """Headers for a request to an expert, made inside the call's span; empty without a tracer."""
    return OUTGOING.get(_NONE)


_NONE: Final[Mapping[str, str]] = {}


class Tracing(Protocol):
    """Makes spans.  The innermost one of this task is "the" span."""

    on: bool
    """Whether spans go anywhere: attributes need not be put together otherwise."""

    def span(
        self, name: str, kind: Kind = "internal", attributes: Attributes | None = None
    ) -> AbstractContextManager[object]:
        """A span inside the one there is."""

    def serving(
        self, name: str, headers: Headers, attributes: Attributes
    ) -> AbstractContextManager[object]:
        """The span of a request; inside the caller's, where its headers name one."""

    def rename(self, name: str) -> None:
        """The span has a better name by now."""

    def note(self, attributes: Attributes) -> None:
        """The span has these attributes too."""

    def failed(self, kind: str) -> None:
        """What the span stands for failed; ``kind`` is a word for how, never a message."""

    async def aclose(self) -> None:
        """Sends what is left."""


class NoTracing:
    """Nobody traces."""

    on = False
    _span = nullcontext()

    def span(
        self, name: str, kind: Kind = "internal", attributes: Attributes | None = None
    ) -> AbstractContextManager[object]:
        return self._span

    def serving(
        self, name: str, headers: Headers, attributes: Attributes
    ) -> AbstractContextManager[object]:
        return self._span

    def rename(self, name: str) -> None:
        pass

    def note(self, attributes: Attributes) -> None:
        pass

    def failed(self, kind: str) -> None:
        pass

    async def aclose(self) -> None:
        pass
