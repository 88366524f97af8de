"""Drawings are taken apart and put together from what is allowed."""

from __future__ import annotations

import pytest

from evals.report.svg import BadDrawing, embeddable

HEAD = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">'


def shown(inner: str) -> str:
    return embeddable(f"{HEAD}{inner}</svg>", prefix="p-", label="a plot", kind="plot")


@pytest.mark.parametrize(
    "nasty",
    [
        "<script>alert(1)</script>",
        "<foreignObject><b>x</b></foreignObject>",
        '<image href="https://example.org/x.png"/>',
        '<a xlink:href="javascript:alert(1)"><path d="M0,0"/></a>',
        "<style>*{fill:url(https://example.org)}</style>",
        '<use xlink:href="#x"/>',
        '<animate attributeName="href"/>',
    ],
)
def test_what_is_not_allowed_is_dropped_with_what_it_holds(nasty: str) -> None:
    assert shown(nasty) == shown("")


def test_attributes_are_allowed_one_by_one() -> None:
    found = shown('<path d="M0,0" onclick="x" style="y" fill="url(https://example.org)" href="z"/>')
    assert '<path d="M0,0" />' in found


def test_references_stay_inside_their_drawing() -> None:
    found = shown('<g clip-path="url(#c1)"/><clipPath id="c1"/><g clip-path="url(https://x)"/>')
    assert found.count("url(#p-c1)") == 1
    assert 'id="p-c1"' in found
    assert "https" not in found


def test_marks_say_what_they_are() -> None:
    found = shown('<path role="graphics-symbol" aria-label="a &lt; b" d="M0,0"/>')
    assert 'class="mark"' in found
    assert "<title>a &lt; b</title>" in found


@pytest.mark.parametrize("text", ["", "<svg", "<html/>", "<svg>&nbsp;</svg>"])
def test_what_is_no_drawing_is_refused(text: str) -> None:
    with pytest.raises(BadDrawing):
        embeddable(text, prefix="p-", label="a plot", kind="plot")
