"""How loaded a vLLM engine is, read from its ``/metrics``.  Pure; asking is ``control``'s business.

The names are vLLM's (v1/metrics/loggers.py); an engine with several cores has a sample for each.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

RUNNING = "vllm:num_requests_running"
WAITING = "vllm:num_requests_waiting"
KV_USAGE = "vllm:kv_cache_usage_perc"


@dataclass(frozen=True, slots=True)
class LoadSignal:
    """Requests in the engine's batch, requests that wait to be, and the share of KV cache in use.

    ``kv_usage`` is in [0, 1], the fullest core's.
    """

    running: int
    waiting: int
    kv_usage: float


def read_load(text: str) -> LoadSignal:
    """The load in ``text``, in Prometheus's format.

    Raises:
        ValueError: a metric is missing, or the text cannot be read.
    """
    running, waiting, usage = (list(_samples(text, name)) for name in (RUNNING, WAITING, KV_USAGE))
    if not (running and waiting and usage):
        raise ValueError(f"the metrics lack {RUNNING}, {WAITING} or {KV_USAGE}")
    return LoadSignal(round(sum(running)), round(sum(waiting)), max(usage))


def _samples(text: str, name: str) -> Iterator[float]:
    """The values of ``name``: its lines alone are parsed, as vLLM's histograms fill hundreds."""
    lines = (line for line in text.splitlines() if line.startswith((f"{name}{{", f"{name} ")))
    for family in text_string_to_metric_families("\n".join(lines) + "\n"):
        yield from (sample.value for sample in family.samples)
