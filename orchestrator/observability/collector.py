"""Which tracer the environment asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from coterie.errors import ConfigurationError
from orchestrator.observability.tracing import NoTracing, Tracing

ENDPOINT: Final = "OTEL_EXPORTER_OTLP_ENDPOINT"
TRACES_ENDPOINT: Final = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"


def tracing_of(environ: Mapping[str, str]) -> Tracing:
    """One that sends to the collector that OpenTelemetry's variables name; else none at all.

    Raises:
        ConfigurationError: a collector is named, but OpenTelemetry is not installed, or it is to be
            reached in another way than HTTP.
    """
    endpoint = _endpoint(environ)
    if endpoint is None or environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return NoTracing()
    for variable in ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"):
        if (protocol := environ.get(variable) or "http/protobuf") != "http/protobuf":
            raise ConfigurationError(
                f"{variable}={protocol!r}: traces go over http/protobuf alone; leave it out, and "
                "name the collector's HTTP port (4318)"
            )
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        from orchestrator.observability.otel import OtelTracing
    except ImportError as error:
        raise ConfigurationError(
            f"{ENDPOINT} is set, and OpenTelemetry is not installed ({error.name} is missing): "
            "`pip install 'coterie[otel]'`, or leave it out"
        ) from error
    exporter = OTLPSpanExporter(endpoint=endpoint)
    service = environ.get("OTEL_SERVICE_NAME") or "coterie"
    return OtelTracing(BatchSpanProcessor(exporter), service=service)


def _endpoint(environ: Mapping[str, str]) -> str | None:
    if exact := environ.get(TRACES_ENDPOINT):
        return exact
    base = environ.get(ENDPOINT)
    return f"{base.rstrip('/')}/v1/traces" if base else None
