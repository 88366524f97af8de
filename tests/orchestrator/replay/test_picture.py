"""Accuracy against cost, drawn."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coterie.errors import ConfigurationError
from orchestrator.replay.evaluate import Plan, evaluate
from orchestrator.replay.material import Material
from orchestrator.replay.picture import (
    Point,
    check_file,
    frontier,
    points_of,
    specification,
    write_picture,
)

shares = st.floats(0, 1)
made = st.lists(st.tuples(st.floats(0.1, 100), shares), min_size=1, max_size=12)


def points(pairs: list[tuple[float, float]]) -> list[Point]:
    return [Point(f"s{i}", f"s{i}", c, a, a, a) for i, (c, a) in enumerate(pairs)]


@given(made)
def test_nothing_is_as_good_for_less_than_the_frontier(pairs: list[tuple[float, float]]) -> None:
    given_points = points(pairs)
    best = frontier(given_points)
    for point in given_points:
        beaten = any(p.cost <= point.cost and p.accuracy >= point.accuracy for p in best)
        assert beaten
    assert [p.cost for p in best] == sorted({p.cost for p in best})
    assert [p.accuracy for p in best] == sorted({p.accuracy for p in best})


def test_a_replay_is_drawn_with_its_best_single_expert(material: Material) -> None:
    report = evaluate(material, Plan(("symbolic", "best-single"), "weighted"))
    found = points_of(report)
    assert [p.strategy for p in found] == ["symbolic", "best-single", "best expert"]
    drawn = specification(found, "made up", "cost")
    told = [value["told"] for value in drawn["data"]["values"]]
    assert told[2].startswith(report.best_single.expert)


@pytest.mark.parametrize("name", ["a.svg", "a.html"])
def test_a_picture_stands_by_itself(tmp_path: Path, name: str) -> None:
    pytest.importorskip("vl_convert", reason="needs coterie[report]")
    write_picture(tmp_path / name, points([(1, 0.4), (2, 0.5)]), title="a < b", cost="US$")
    text = (tmp_path / name).read_text()
    assert "<svg" in text
    assert "US$" in text
    assert "<script" not in text
    assert ("<title>a &lt; b</title>" in text) == name.endswith(".html")


def test_what_cannot_be_drawn_is_told_before_anything_is_measured(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"end its name in \.svg or \.html"):
        check_file(tmp_path / "picture.png")
    with pytest.raises(ConfigurationError, match="nothing to draw"):
        write_picture(tmp_path / "a.svg", [], title="", cost="")
