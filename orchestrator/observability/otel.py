"""Spans by OpenTelemetry, sent to a collector over OTLP.  Needs the extra ``otel``.

Where to, how much of it and under which name is said by OpenTelemetry's own variables
(``OTEL_EXPORTER_OTLP_ENDPOINT``, ``OTEL_TRACES_SAMPLER``, ``OTEL_SERVICE_NAME`` ...), which its SDK
reads.  Nothing global is set: other libraries' spans are not ours to send.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from threading import Thread
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from coterie import __version__
from orchestrator.observability import attributes as names
from orchestrator.observability.logs import TRACE_ID
from orchestrator.observability.tracing import OUTGOING, Attributes, Headers, Kind

_KINDS: Final[Mapping[Kind, SpanKind]] = {
    "server": SpanKind.SERVER,
    "client": SpanKind.CLIENT,
    "internal": SpanKind.INTERNAL,
}
LAST_S: Final = 2.0
"""How long a service that ends waits for its collector."""
_CONTEXT: Final = (b"traceparent", b"tracestate")


class OtelTracing:
    """Makes spans that ``processor`` takes, in the name of ``service``."""

    on = True

    def __init__(self, processor: SpanProcessor, *, service: str = "coterie") -> None:
        told = {SERVICE_NAME: service, SERVICE_VERSION: __version__}
        self._provider = TracerProvider(resource=Resource.create(told), shutdown_on_exit=False)
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("coterie", __version__)
        self._propagator = TraceContextTextMapPropagator()

    def span(
        self, name: str, kind: Kind = "internal", attributes: Attributes | None = None
    ) -> AbstractContextManager[object]:
        return self._calling(name, attributes) if kind == "client" else self._in(name, attributes)

    def serving(
        self, name: str, headers: Headers, attributes: Attributes
    ) -> AbstractContextManager[object]:
        came = {k.decode(): v.decode("latin-1") for k, v in headers if k in _CONTEXT}
        return self._serving(name, self._propagator.extract(came, Context()), attributes)

    def rename(self, name: str) -> None:
        trace.get_current_span().update_name(name)

    def note(self, attributes: Attributes) -> None:
        trace.get_current_span().set_attributes(attributes)

    def failed(self, kind: str) -> None:
        span = trace.get_current_span()
        span.set_attribute(names.ERROR, kind)
        span.set_status(Status(StatusCode.ERROR))

    async def aclose(self) -> None:
        """Sends what is left, for :data:`LAST_S` at most: the SDK would go on trying for longer."""
        loop, over = asyncio.get_running_loop(), asyncio.Event()

        def end() -> None:
            self._provider.shutdown()
            with suppress(RuntimeError):  # the loop has not waited, and is closed
                loop.call_soon_threadsafe(over.set)

        # No thread of the loop's own: it would be waited for to the end.
        Thread(target=end, name="last-spans", daemon=True).start()
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_S):
                await over.wait()

    def _in(
        self,
        name: str,
        attributes: Attributes | None,
        kind: Kind = "internal",
        context: Context | None = None,
    ) -> AbstractContextManager[object]:
        # An error's message may hold what somebody wrote: only its kind is told, by ``failed``.
        return self._tracer.start_as_current_span(
            name,
            context,
            _KINDS[kind],
            attributes,
            record_exception=False,
            set_status_on_exception=False,
        )

    @contextmanager
    def _calling(self, name: str, attributes: Attributes | None) -> Generator[None]:
        with self._in(name, attributes, "client"):
            carrier: dict[str, str] = {}
            self._propagator.inject(carrier)
            token = OUTGOING.set(carrier)
            try:
                yield
            finally:
                OUTGOING.reset(token)

    @contextmanager
    def _serving(self, name: str, context: Context, attributes: Attributes) -> Generator[None]:
        with self._in(name, attributes, "server", context):
            found = trace.get_current_span().get_span_context()
            TRACE_ID.set(trace.format_trace_id(found.trace_id))
            yield
