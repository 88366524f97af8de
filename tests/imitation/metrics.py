"""``/metrics`` as vLLM writes it (v1/metrics/loggers.py), as far as it matters here."""

from __future__ import annotations

from tests.imitation.core import Core


def metrics_text(core: Core, model: str) -> str:
    """Prometheus's text format."""
    labels = f'engine="0",model_name="{model}"'
    states = {"awake": 0.0, "weights_offloaded": 0.0, "discard_all": 0.0}
    if core.sleep_metric[0]:
        states[core.sleep_metric[0]] = 1.0
    lines = [
        *_gauge("vllm:num_requests_running", "Number of requests in model execution batches."),
        f"vllm:num_requests_running{{{labels}}} {float(len(core.running))}",
        *_gauge("vllm:num_requests_waiting", "Number of requests waiting to be processed."),
        f"vllm:num_requests_waiting{{{labels}}} {float(len(core.waiting))}",
        *_gauge("vllm:num_requests_waiting_by_reason", "Number of waiting requests by reason."),
        f'vllm:num_requests_waiting_by_reason{{{labels},reason="capacity"}} '
        f"{float(len(core.waiting))}",
        *_gauge("vllm:engine_sleep_state", "Engine sleep state."),
        *(
            f'vllm:engine_sleep_state{{{labels},sleep_state="{state}"}} {value}'
            for state, value in states.items()
        ),
        *_gauge("vllm:kv_cache_usage_perc", "KV-cache usage. 1 means 100 percent usage."),
        f"vllm:kv_cache_usage_perc{{{labels}}} {core.kv_usage}",
        "# HELP vllm:num_preemptions_total Cumulative number of preemption from the engine.",
        "# TYPE vllm:num_preemptions_total counter",
        f"vllm:num_preemptions_total{{{labels}}} {float(core.seen.preemptions)}",
    ]
    return "\n".join(lines) + "\n"


def _gauge(name: str, about: str) -> tuple[str, str]:
    return f"# HELP {name} {about}", f"# TYPE {name} gauge"
