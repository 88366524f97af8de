"""Passes read every position once, in order, and none is too large."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aggregator.fusion.feeds import PASS, PIECE, Stretch, passes

WIDTHS = st.one_of(st.just(1), st.integers(1, 40), st.integers(1, 3 * PIECE))


@given(st.lists(st.tuples(st.integers(0, 50), WIDTHS), max_size=12))
def test_every_position_is_read_once_and_in_order(rows: list[tuple[int, int]]) -> None:
    stretches = [Stretch(i, i, start, start + width) for i, (start, width) in enumerate(rows)]
    read = {i: start for i, (start, _) in enumerate(rows)}
    ended = set()
    for batch in passes(stretches):
        assert [s.slot for s in batch] == sorted({s.slot for s in batch})
        widest = max(s.width for s in batch)
        assert widest <= PIECE
        assert len(batch) * widest <= PASS or widest == 1
        for s in batch:
            assert read[s.feed] == s.start
            read[s.feed] = s.stop
            ended |= {s.feed} if s.last else set()
    assert read == {i: start + width for i, (start, width) in enumerate(rows)}
    assert ended == set(read)


def test_single_tokens_go_together_apart_from_prompts() -> None:
    rows = [Stretch(0, 3, 9, 10), Stretch(1, 0, 0, 5), Stretch(2, 1, 4, 5), Stretch(3, 2, 0, 7)]
    first, second = passes(rows)
    assert [s.feed for s in first] == [2, 0]
    assert [s.feed for s in second] == [1, 3]
