"""What an engine's metrics say of its load."""

from __future__ import annotations

import pytest

from orchestrator.engines.signals import LoadSignal, read_load

METRICS = """\
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="a \\"b\\""} 3.0
vllm:num_requests_running{engine="1",model_name="a"} 4.0
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{engine="0",model_name="a"} 2.0
vllm:num_requests_waiting_by_reason{engine="0",model_name="a",reason="capacity"} 2.0
vllm:kv_cache_usage_perc{engine="0",model_name="a"} 0.25
vllm:kv_cache_usage_perc{engine="1",model_name="a"} 0.75
vllm:time_to_first_token_seconds_bucket{le="0.001"} 7.0
"""


def test_cores_add_up_and_the_fullest_cache_counts() -> None:
    assert read_load(METRICS) == LoadSignal(running=7, waiting=2, kv_usage=0.75)


@pytest.mark.parametrize("text", ["", "nonsense", METRICS.replace("kv_cache", "gpu_cache")])
def test_what_is_not_vllms_is_told(text: str) -> None:
    with pytest.raises(ValueError, match="kv_cache_usage_perc"):
        read_load(text)


def test_a_value_that_is_no_number_is_told() -> None:
    with pytest.raises(ValueError):
        read_load(METRICS.replace("3.0", "three"))
