"""Fitting texts into room."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aggregator.fitting import LEAST, fitted, how_many

SIZES = st.lists(st.integers(0, 2000), min_size=1, max_size=6)


def text_of(size: int) -> str:
    return "".join(chr(97 + i % 26) for i in range(size))


@given(SIZES, st.integers(0, 5000))
def test_all_fit_and_what_fits_is_whole(sizes: list[int], room: int) -> None:
    texts = [text_of(n) for n in sizes]
    shown = fitted(texts, room, len)
    assert sum(len(s.text) for s in shown) <= max(room, sum(min(n, LEAST) for n in sizes))
    if sum(sizes) <= room:
        assert [s.text for s in shown] == texts
    for text, fit in zip(texts, shown, strict=True):
        assert (fit.missing == 0) == (fit.text == text)


def test_the_short_leave_their_room_to_the_long() -> None:
    short, long = fitted([text_of(100), text_of(3000)], 1000, len)
    assert short.text == text_of(100)
    assert 850 <= len(long.text) <= 900


def test_a_long_text_keeps_its_beginning_and_more_of_its_end() -> None:
    text = text_of(5000)
    [cut] = fitted([text], 500, len)
    head, _, tail = cut.text.partition("\n[…")
    assert text.startswith(head)
    kept = tail.partition("…]\n")[2]
    assert text.endswith(kept)
    assert len(kept) > 2 * len(head) > 0
    assert cut.missing == 5000 - len(head) - len(kept)


def test_how_many_have_room_for_what_is_worth_showing() -> None:
    texts = [text_of(1000)] * 5
    assert how_many(texts, 10_000, len, 10) == 5
    assert how_many(texts, 3 * (LEAST + 10), len, 10) == 3
    assert how_many(texts, 0, len, 10) == 1


def test_no_more_is_counted_of_a_huge_text_than_is_needed() -> None:
    counted = []

    def count(text: str) -> int:
        counted.append(len(text))
        return len(text)

    fitted([text_of(1_000_000)], 300, count)
    assert sum(n for n in counted if n < 1_000_000) < 20_000
