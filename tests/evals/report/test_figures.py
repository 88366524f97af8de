"""The figures of a report."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coterie.errors import ConfigurationError
from evals.report.baselines import Kind, System, mixture
from evals.report.figures import Report, report
from evals.results import Call, ItemResult, RunInfo, RunResult
from evals.spending import Unit

Graded = dict[str, tuple[str | None, bool]]
"""An expert's answer, and whether it was right."""


def run_of(
    *items: tuple[bool, Graded], id: str = "r", split: str = "test", **price: float
) -> RunResult:
    """A run whose items are (was it right, what did the experts say)."""
    experts = tuple(dict.fromkeys(name for _, graded in items for name in graded))
    made = tuple(
        ItemResult(
            f"{split}-q{i}",
            "c",
            right,
            "A",
            calls=tuple(
                Call(name, correct=good, extracted=said, cost_usd=price.get(name, 0.0))
                for name, (said, good) in graded.items()
            ),
        )
        for i, (right, graded) in enumerate(items)
    )
    return RunResult(RunInfo(id, "t", split, "s", experts), made)


def named(found: Report, name: str) -> System:
    return next(s for s in found.systems if s.name.startswith(name))


FOUR = (
    (True, {"ann": ("A", True), "bob": ("B", False), "cem": ("B", False)}),
    (True, {"ann": ("A", True), "bob": ("A", True), "cem": ("C", False)}),
    (False, {"ann": (None, False), "bob": ("B", False), "cem": (None, False)}),
    (True, {"ann": ("B", False), "bob": ("A", True), "cem": ("A", True)}),
)


def test_the_majority_is_who_most_agree_with() -> None:
    majority = named(report(run_of(*FOUR)), "majority")
    # B by two of three; A; B alone; A by two of three.
    assert (majority.accuracy.correct, majority.accuracy.n) == (2, 4)
    assert majority.versus is not None
    assert majority.versus.difference.mean == pytest.approx(0.25)
    assert majority.versus.mcnemar is not None
    assert (majority.versus.mcnemar.only_a, majority.versus.mcnemar.only_b) == (1, 0)
    assert majority.calls == 3


def test_ceiling_best_single_and_luck() -> None:
    found = report(run_of(*FOUR))
    assert named(found, "any expert right").accuracy.correct == 3
    assert named(found, "any expert right").kind is Kind.CEILING
    # ann and bob are right twice each: the first of them.
    assert named(found, "best single").name == "best single: ann"
    assert "flatters" in named(found, "best single").note
    lucky = named(found, "random expert")
    assert lucky.accuracy.correct == pytest.approx((1 + 2 + 0 + 2) / 3)
    assert lucky.versus is not None
    assert lucky.versus.mcnemar is None


def test_the_best_single_expert_is_chosen_on_other_questions_where_there_are_any() -> None:
    cem_is_best = run_of(*[(True, {"cem": ("A", True), "ann": ("B", False)})] * 3, split="val")
    found = report(run_of(*FOUR), validation=cem_is_best)
    assert named(found, "best single").name == "best single: cem"
    assert "val" in named(found, "best single").note
    assert not found.notes


def test_who_is_chosen_on_these_questions_is_said_to_be_flattered() -> None:
    run = run_of(*FOUR)
    assert "flattered" in report(run, validation=run).notes[0]


def test_an_expert_asked_about_some_questions_only_is_no_baseline() -> None:
    some = ((True, {"ann": ("A", True)}), *FOUR[:2])
    found = report(run_of(*some))
    assert [s.name for s in found.systems if s.kind is Kind.EXPERT] == ["ann"]
    assert not [s for s in found.systems if s.name.startswith(("majority", "any expert"))]


def test_answers_that_another_run_asked_for_make_baselines() -> None:
    mine = run_of(*((right, {"ann": graded["ann"]}) for right, graded in FOUR))
    mine = dataclasses.replace(
        mine, info=dataclasses.replace(mine.info, experts=("ann", "bob", "cem"))
    )
    assert not [s for s in report(mine).systems if s.name.startswith("majority")]
    found = report(mine, others=[run_of(*FOUR, id="everybody")])
    assert named(found, "majority").accuracy.correct == 2
    other = next(s for s in found.systems if s.kind is Kind.OTHER)
    assert other.versus is not None
    assert other.versus.difference.mean == 0


def test_dollars_then_tokens_then_calls() -> None:
    run = run_of(*FOUR)
    assert report(run).summary.unit is Unit.CALLS
    assert report(run).summary.cost == 3
    priced = report(run_of(*FOUR, ann=0.02, bob=0.01))
    assert priced.summary.unit is Unit.USD
    assert priced.summary.cost == pytest.approx(0.03)
    counted = dataclasses.replace(
        run,
        items=tuple(
            dataclasses.replace(
                item,
                calls=tuple(dataclasses.replace(c, completion_tokens=10) for c in item.calls),
            )
            for item in run.items
        ),
    )
    assert report(counted).summary.unit is Unit.TOKENS
    assert report(counted).summary.cost == 30


def test_the_static_mix_costs_what_the_run_costs() -> None:
    dear = (True, {"ann": ("A", True), "bob": ("B", False)})
    run = run_of(dear, dear, ann=0.03, bob=0.01)
    # What is bought is one of the two, half of the time each.
    cheaper = tuple(
        dataclasses.replace(item, calls=(item.calls[i],)) for i, item in enumerate(run.items)
    )
    mine = dataclasses.replace(run, items=cheaper)
    mix = named(report(mine, others=[run]), "static mix")
    assert mix.cost == pytest.approx(0.02)
    assert mix.accuracy.mean == pytest.approx(0.5)
    assert "50% bob" in mix.note
    assert "50% ann" in mix.note


@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(0.1, 10)), min_size=1, max_size=6),
    st.floats(0.05, 12),
)
def test_no_mixture_within_the_budget_is_better(
    experts: list[tuple[float, float]], budget: float
) -> None:
    scores, costs = zip(*experts, strict=True)
    found = mixture(scores, costs, budget)
    affordable = [score for score, cost in experts if cost <= budget]
    if not affordable:
        assert found is None
        return
    assert found is not None
    one, two, share = found
    assert 0 <= share <= 1
    assert share * costs[one] + (1 - share) * costs[two] <= budget * (1 + 1e-9)
    reached = share * scores[one] + (1 - share) * scores[two]
    assert reached >= max(affordable) - 1e-9
    for weight in (0.25, 0.5, 0.75):
        for s1, c1 in experts:
            for s2, c2 in experts:
                if weight * c1 + (1 - weight) * c2 <= budget:
                    assert reached >= weight * s1 + (1 - weight) * s2 - 1e-9


def test_parked_items_count_as_wrong_and_are_not_held_against_what_was_foretold() -> None:
    good = ItemResult("a", "c", True, "A", expected=0.8, agreement=0.9)
    parked = ItemResult("b", "c", False, None, expected=0.8, error="its engine died")
    unread = ItemResult("d", "c", False, None, expected=0.8)
    found = report(RunResult(RunInfo("r", "t", "test", "s", ("ann",)), (good, parked, unread)))
    assert (found.summary.accuracy.correct, found.summary.accuracy.n) == (1, 3)
    assert (found.summary.parked, found.summary.unparsed) == (1, 1)
    assert found.expected is not None
    assert found.expected.n == 2
    assert found.agreement is not None
    assert found.agreement.n == 1
    assert [(p.item, p.error) for p in found.parked] == [("b", "its engine died")]


def test_what_an_expert_did() -> None:
    calls = (
        Call("ann", correct=True, extracted="A", completion_tokens=5, latency_s=2.0),
        Call("bob", correct=None, extracted=None, reused=True, latency_s=9.0),
        Call("bob", role="aggregate", completion_tokens=7, latency_s=4.0),
    )
    item = ItemResult("a", "c", True, "A", leader="ann", calls=calls)
    info = RunInfo("r", "t", "test", "s", ("ann", "bob", "cem"), loads={"bob": 2})
    ann, bob, cem = report(RunResult(info, (item,))).experts
    assert (ann.asked, ann.share, ann.led, ann.right.correct) == (1, 1.0, 1, 1)
    assert (bob.asked, bob.right.n, bob.unread, bob.aggregated, bob.reused) == (1, 0, 1, 1, 1)
    assert (bob.latency_s, bob.loads, bob.completion_tokens) == (4.0, 2, 7)
    assert (cem.asked, cem.latency_s) == (0, None)


def test_runs_of_something_else_are_refused() -> None:
    run, other = run_of(*FOUR), run_of(*FOUR, id="other", split="val")
    with pytest.raises(ConfigurationError, match="split 'val'"):
        report(run, others=[other])
    elsewhere = dataclasses.replace(run, info=dataclasses.replace(run.info, task="u"))
    with pytest.raises(ConfigurationError, match="task 'u'"):
        report(run, validation=elsewhere)


def test_an_item_twice_is_refused() -> None:
    run = run_of(*FOUR)
    with pytest.raises(ConfigurationError, match="more than once"):
        report(dataclasses.replace(run, items=(*run.items, run.items[0])))


def test_ten_thousand_items_take_seconds(make_run: Callable[..., RunResult]) -> None:
    run = make_run(10_000, experts=tuple(f"e{i}" for i in range(8)))
    start = time.perf_counter()
    found = report(run)
    assert time.perf_counter() - start < 10
    assert len([s for s in found.systems if s.kind is Kind.EXPERT]) == 8
