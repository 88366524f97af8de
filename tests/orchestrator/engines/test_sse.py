"""Server-sent events, however they are cut and ended."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.engines import sse
from orchestrator.engines.sse import SSEDecoder

lines = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=20)
datas = st.lists(lines, min_size=1, max_size=3).map("\n".join)
endings = st.sampled_from(["\n", "\r\n", "\r"])
noise = st.lists(st.sampled_from([": keep-alive", "event: x", "id: 7", "retry: 1", "odd"]))


@st.composite
def _streams(draw: st.DrawFn) -> tuple[list[str], bytes]:
    """Events, and a stream that carries them among comments and other fields."""
    ending = draw(endings)
    expected = draw(st.lists(datas, max_size=5))
    rows: list[str] = []
    for data in expected:
        rows += draw(noise)
        rows += [f"data: {line}" for line in data.split("\n")]
        rows.append("")
    return expected, "".join(row + ending for row in rows).encode()


def _cut(text: bytes, places: list[int]) -> list[bytes]:
    borders = [0, *sorted(place % (len(text) + 1) for place in places), len(text)]
    return [text[a:b] for a, b in itertools.pairwise(borders)]


def _decode(pieces: list[bytes]) -> list[str]:
    decoder = SSEDecoder()
    return [*(data for piece in pieces for data in decoder.feed(piece)), *decoder.close()]


@given(_streams(), st.lists(st.integers(0, 10_000), max_size=12))
def test_events_are_the_same_wherever_the_stream_is_cut(
    stream: tuple[list[str], bytes], places: list[int]
) -> None:
    expected, text = stream
    assert _decode(_cut(text, places)) == expected


@given(st.lists(st.binary(max_size=50), max_size=10))
def test_no_bytes_break_it(pieces: list[bytes]) -> None:
    assert _decode(pieces) == _decode([b"".join(pieces)])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"data:no space\n\n", ["no space"]),
        (b"data:  two\n\n", [" two"]),
        (b"\xef\xbb\xbfdata: bom\n\n", ["bom"]),
        (b": only a comment\n\n", []),
        (b"data\n\n", [""]),
        (b"data: a\r\ndata: b\r\n\r\n", ["a\nb"]),
        (b"data: unfinished", ["unfinished"]),
        (b"datax: other\n\n", []),
    ],
)
def test_the_specification_is_followed(text: bytes, expected: list[str]) -> None:
    assert _decode([text]) == expected
    assert _decode([text[i : i + 1] for i in range(len(text))]) == expected


def test_an_event_arrives_with_its_last_byte() -> None:
    decoder = SSEDecoder()
    assert decoder.feed(b"data: now\n") == []
    assert decoder.feed(b"\n") == ["now"]


def test_an_endless_event_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "MAX_EVENT_BYTES", 100)
    decoder = SSEDecoder()
    for _ in range(8):
        decoder.feed(b"data: 0123456789\n")
    with pytest.raises(ValueError, match="larger"):
        decoder.feed(b"data: 0123456789\n")
