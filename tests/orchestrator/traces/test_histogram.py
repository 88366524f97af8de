"""Percentiles of a histogram lie in the bin that holds them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.traces.bands import AGREEMENT, COST_USD, LATENCY_MS, Bands
from orchestrator.traces.histogram import LATENCIES_MS, bin_of, percentile


@given(st.lists(st.floats(0, 60_000), min_size=1, max_size=50), st.floats(0.01, 1))
def test_a_percentile_lies_in_the_bin_of_the_true_one(values: list[float], share: float) -> None:
    counts = [0] * (len(LATENCIES_MS) + 1)
    for value in values:
        counts[bin_of(value, LATENCIES_MS)] += 1
    rank = next(n for n in range(1, len(values) + 1) if n >= share * len(values))
    true = bin_of(sorted(values)[rank - 1], LATENCIES_MS)
    found = percentile(counts, LATENCIES_MS, share)
    assert found is not None
    assert (LATENCIES_MS[true - 1] if true else 0) <= found <= LATENCIES_MS[true]


def test_nothing_has_no_percentile_and_what_is_above_all_has_the_last_bound() -> None:
    nothing = [0] * (len(LATENCIES_MS) + 1)
    assert percentile(nothing, LATENCIES_MS, 0.5) is None
    assert percentile([*nothing[:-1], 3], LATENCIES_MS, 0.5) == LATENCIES_MS[-1]


@given(st.sampled_from([AGREEMENT, COST_USD, LATENCY_MS]), st.floats(0, 1e7), st.floats(0, 1e7))
def test_bands_hold_all_that_is_wanted(bands: Bands, value: float, wanted: float) -> None:
    if value >= wanted:
        assert bands.of(value) in bands.least(wanted)
    else:
        assert bands.of(value) in bands.below(wanted)
