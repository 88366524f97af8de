"""The page: whole, harmless, and not empty when there is little to show."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import re
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from importlib.util import find_spec

import pytest

from evals.compare import compare
from evals.report import drawing
from evals.report.comparison_page import comparison_page, comparison_text
from evals.report.figures import report
from evals.report.page import report_page
from evals.results import Call, ItemResult, RunInfo, RunResult

Make = Callable[..., RunResult]

needs_plots = pytest.mark.skipif(
    find_spec("vl_convert") is None, reason="plots need vl-convert: pip install 'coterie[report]'"
)

NASTY = (
    "</script><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "]]><!--",
    "{{ 7 * 7 }}{% raw %}",
    "null\0\x1b[31mred\x07",
    "\u202egnp.exe",
    "datum.x' + alert(1) + '",
    "url(https://example.org/x)",
    "",
    " ",
    "a" * 5000,
    "naïve 🦊 日本語",
    "line\nbreak",
)

VOID = {"meta", "br", "img", "link", "input", "hr"}


class Page(HTMLParser):
    """What is on a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] not in (["script"], ["style"]):
            self.words.append(data)

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.tags)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def harmless(text: str) -> Page:
    """The page, checked: whole, without anything from elsewhere or anything that runs."""
    page = Page(text)
    assert page.open == []
    assert page.count("script") == 1
    assert page.count("style") == 1
    allowed = {
        "html", "head", "meta", "title", "style", "body", "main", "header", "section", "figure",
        "figcaption", "details", "summary", "div", "dl", "dt", "dd", "span", "small", "strong",
        "p", "h1", "h2", "bdi", "table", "thead", "tbody", "tr", "th", "td", "script",
        "svg", "g", "path", "line", "rect", "circle", "text", "tspan", "defs", "clippath",
    }  # fmt: skip
    assert {name for name, _ in page.tags} <= allowed
    for _, attributes in page.tags:
        for name, value in attributes.items():
            assert not name.startswith("on")
            assert name not in ("src", "href", "xlink:href", "style", "srcset", "action")
            if name not in ("aria-label", "content"):
                assert "url(" not in (value or "").replace("url(#", "")
    assert not re.search("[\0-\x08\x0b-\x1f\u202a-\u202e\u2066-\u2069]", text)
    return page


def nasty_run() -> RunResult:
    items = tuple(
        ItemResult(
            name,
            name,
            i % 2 == 0,
            name,
            leader=name,
            expected=0.5,
            agreement=0.7,
            calls=tuple(
                Call(e, correct=i % 3 == 0, extracted=name, cost_usd=0.001 * (j + 1))
                for j, e in enumerate(NASTY)
            ),
            error=name if i == 3 else None,
        )
        for i, name in enumerate(NASTY)
    )
    info = RunInfo(
        NASTY[0], NASTY[1], NASTY[5], NASTY[3], NASTY, settings={NASTY[0]: {NASTY[1]: NASTY[4]}},
        versions={NASTY[2]: NASTY[0]}, seconds=dict.fromkeys(NASTY, 1.0), loads={NASTY[0]: 1},
    )  # fmt: skip
    return RunResult(info, items)


@pytest.fixture(scope="module")
def nasty_page() -> str:
    return report_page(report(nasty_run()))


@pytest.fixture(scope="module")
def plain_page(make_run: Make) -> str:
    return report_page(report(make_run(60)))


def test_hostile_names_are_shown_as_text(nasty_page: str) -> None:
    page = harmless(nasty_page)
    assert "<script>alert(1)</script>" in page.text
    assert "{{ 7 * 7 }}" in page.text
    assert "日本語" in page.text


def test_the_policy_allows_the_pages_own_style_and_script_only(nasty_page: str) -> None:
    found = re.search('Content-Security-Policy" content="([^"]+)"', nasty_page)
    assert found is not None
    policy = found[1].replace("&#39;", "'")
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    for tag in ("style", "script"):
        body = re.search(f"<{tag}>(.*?)</{tag}>", nasty_page, re.DOTALL)
        assert body is not None
        digest = base64.b64encode(hashlib.sha256(body[1].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy


def test_no_page_needs_the_network(plain_page: str) -> None:
    harmless(plain_page)
    assert "http://" not in plain_page
    assert "https://" not in plain_page


@needs_plots
def test_every_figure_has_its_plots_and_a_table(plain_page: str) -> None:
    page = harmless(plain_page)
    # Five for pages and phones, two calibrations for both.
    assert page.count("figure") == 7
    assert page.count("svg") == 5 * 2 + 2
    # Each figure's, and how it was made.
    assert page.count("table") == 8
    marks = [a for _, a in page.tags if a.get("class") == "mark"]
    assert any("law: " in (a["aria-label"] or "") for a in marks)
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids))


def test_nothing_is_left_out_of_the_tables(plain_page: str) -> None:
    text = harmless(plain_page).text
    for said in (
        "best single",
        "majority of all",
        "McNemar p",
        "vllm",
        "0.32.0",
        "policy.k",
        "ann",
    ):
        assert said in text


@pytest.mark.parametrize("n", [0, 1])
def test_little_to_show(make_run: Make, n: int) -> None:
    text = harmless(report_page(report(make_run(n)))).text
    assert ("The run has no results" in text) == (n == 0)


def test_nothing_known_but_the_grades() -> None:
    items = (ItemResult("a", "", True, None), ItemResult("b", "", False, None))
    text = harmless(report_page(report(RunResult(RunInfo("r", "t", "", "s", ()), items)))).text
    assert "Right on 1 of 2 questions." in text
    assert "(none)" in text


def test_everything_parked() -> None:
    items = tuple(ItemResult(f"q{i}", "c", False, None, error="refused") for i in range(300))
    run = RunResult(RunInfo("r", "t", "test", "s", ("ann",)), items)
    text = harmless(report_page(report(run))).text
    assert "Every question was parked" in text
    assert "The first 200 are listed" in text


def test_without_plots_the_page_says_how_to_get_them(
    make_run: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drawing, "find_spec", lambda name: None)
    page = harmless(report_page(report(make_run(30))))
    assert page.count("svg") == 0
    assert "pip install 'coterie[report]'" in page.text
    assert all("open" in a for name, a in page.tags if name == "details")


@needs_plots
def test_a_drawing_that_fails_leaves_the_rest(
    make_run: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    page = harmless(report_page(report(make_run(30))))
    assert page.count("svg") == 0
    assert "No plots." in page.text


def test_very_many_categories_are_all_in_the_table(make_run: Make) -> None:
    run = make_run(400, categories=[f"c{i}" for i in range(100)])
    text = harmless(report_page(report(run))).text
    assert "The plot shows 40 of 100 categories, the table all." in text
    assert "c99" in text


def test_a_comparison_is_as_harmless(make_run: Make) -> None:
    run = nasty_run()
    other = dataclasses.replace(run, info=dataclasses.replace(run.info, strategy=NASTY[0]))
    found = compare(run, other)
    harmless(comparison_page(found))
    text = comparison_text(found)
    assert not re.search("[\0-\x09\x0b-\x1f\u202a-\u202e]", text)
    a, b = make_run(50), make_run(50, seed=1, strategy="cascade", id="run-2")
    page = harmless(comparison_page(compare(a, b)))
    assert "than symbolic" in page.text
