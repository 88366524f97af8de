"""Runs beside each other."""

from __future__ import annotations

import dataclasses

import pytest

from coterie.errors import ConfigurationError
from evals.compare import Change, compare, flat, run_names
from evals.report.comparison_page import comparison_text
from evals.results import Call, ItemResult, RunInfo, RunResult


def a_run(
    id: str, *right: bool, first: int = 0, strategy: str = "s", cost: float = 0.0
) -> RunResult:
    items = tuple(
        ItemResult(
            f"q{i + first}",
            "even" if (i + first) % 2 == 0 else "odd",
            good,
            "A",
            calls=(Call("ann", cost_usd=cost, completion_tokens=10),),
        )
        for i, good in enumerate(right)
    )
    return RunResult(RunInfo(id, "t", "test", strategy, ("ann",)), items)


A = a_run("a", True, True, False, False, strategy="one")
B = a_run("b", True, True, True, True, first=1, strategy="two")


def test_a_task_is_the_same_however_it_is_written() -> None:
    one, two = (
        RunResult(dataclasses.replace(run.info, task=task), run.items)
        for run, task in ((A, "mmlu-pro"), (B, "mmlu_pro"))
    )
    assert compare(one, two).n == 3
    other = RunResult(dataclasses.replace(B.info, task="gpqa-main"), B.items)
    with pytest.raises(ConfigurationError, match="of the task 'gpqa-main'"):
        compare(one, other)


def test_only_what_both_answered_counts() -> None:
    found = compare(A, B)
    assert found.n == 3
    first, second = found.sides
    assert (first.name, first.accuracy.correct, first.elsewhere) == ("one", 1, 1)
    assert (second.name, second.accuracy.correct, second.elsewhere) == ("two", 3, 1)
    (pair,) = found.pairs
    assert pair.difference.mean == pytest.approx(2 / 3)
    assert (pair.mcnemar.only_a, pair.mcnemar.only_b) == (2, 0)
    # Two that differ, both the same way: 2 · 1/4.
    assert pair.mcnemar.p == pytest.approx(0.5)
    assert [(c.category, c.first.n, c.difference.mean) for c in pair.categories] == [
        ("odd", 2, 0.5),
        ("even", 1, 1.0),
    ]


def test_a_run_does_not_differ_from_itself() -> None:
    (pair,) = compare(A, A).pairs
    assert (pair.difference.mean, pair.difference.low, pair.mcnemar.p) == (0, 0, 1)
    assert (pair.first, pair.second) == ("one (a)", "one (a) #2")


def test_costs_are_in_one_unit() -> None:
    dear = a_run("b", True, True, True, True, strategy="two", cost=0.5)
    found = compare(A, dear)
    assert found.pairs[0].cost == 0.5
    assert compare(A, B).pairs[0].cost == 0


def test_more_than_two_are_compared_with_the_first() -> None:
    found = compare(A, B, dataclasses.replace(A, info=dataclasses.replace(A.info, id="c")))
    assert [(p.first, p.second) for p in found.pairs] == [
        ("one (a)", "two"),
        ("one (a)", "one (c)"),
    ]
    assert found.n == 3


def test_what_was_not_the_same_is_said() -> None:
    def with_settings(run: RunResult, **settings: object) -> RunResult:
        info = dataclasses.replace(run.info, settings=settings, strategy="s")  # type: ignore[arg-type]
        return dataclasses.replace(run, info=info)

    a = with_settings(A, policy={"k": 3, "first": 1}, shots=5)
    b = with_settings(B, policy={"k": 1, "first": 1}, shots=5, extra=True)
    assert compare(a, b).changes == (
        Change("settings.policy.k", (3, 1)),
        Change("settings.extra", (None, True)),
    )


@pytest.mark.parametrize(
    ("runs", "says"),
    [
        ((A,), "needs two runs"),
        ((A, dataclasses.replace(B, info=dataclasses.replace(B.info, task="u"))), "the task 'u'"),
        ((A, dataclasses.replace(B, info=dataclasses.replace(B.info, split="v"))), "the split 'v'"),
        ((A, a_run("far", True, first=100)), "no question in common"),
        ((A, a_run("none")), "no question in common"),
        ((A, dataclasses.replace(B, items=B.items * 2)), "more than once"),
    ],
)
def test_what_cannot_be_compared_is_refused(runs: tuple[RunResult, ...], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        compare(*runs)


def test_names_tell_runs_apart() -> None:
    infos = [RunInfo(id, "t", "s", strategy, ()) for id, strategy in ("1x", "2y", "3x", "1x")]
    assert run_names(infos) == ("x (1)", "y", "x (3)", "x (1) #2")


def test_settings_become_flat() -> None:
    assert flat({"a": {"b": {"c": 1}, "d": {}}, "e": [1]}) == {"a.b.c": 1, "a.d": {}, "e": [1]}


def test_the_terminal_says_it_in_words() -> None:
    text = comparison_text(compare(A, B))
    assert "two is 66.7 points more accurate than one" in text
    assert "This may be chance." in text
