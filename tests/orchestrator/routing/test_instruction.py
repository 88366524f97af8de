"""Experts nobody graded are judged by what they are said to be good at."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.routing import Policy, Pool, Query, load_router
from orchestrator.routing.instruction import HIGH, LOW, guesses
from skills.knowledge import Knowledge
from tests.orchestrator.routing.routing_worlds import SQL, expert, profile

router = load_router("instruction")
KNOWN = (profile("a", 0.5, sql=0.6), profile("b", 0.5, sql=0.3))


def chance_of_new(cosine: float | None) -> float:
    return {c.expert: c.success for c in route_with(cosine).candidates}["new"]


def route_with(cosine: float | None) -> object:
    question = np.array([1.0, 0.0], dtype=np.float32)
    described = {}
    if cosine is not None:
        described["new"] = np.array([cosine, (1 - cosine**2) ** 0.5], dtype=np.float32)
    pool = Pool([expert(n) for n in ("a", "b", "new")], Knowledge.of(KNOWN), descriptions=described)
    return router.route(Query(SQL.skills, "q", question), pool, Policy())


def test_an_adapter_described_as_just_this_is_asked_first() -> None:
    found = route_with(0.6)
    assert found.candidates[0].expert == "new"
    assert "like the question at 0.60" in found.candidates[0].reason


def test_up_to_the_decisive_likeness_the_best_measured_expert_leads() -> None:
    assert chance_of_new(HIGH - 0.01) <= 0.6
    assert route_with(HIGH - 0.01).candidates[0].expert == "a"


def test_an_adapter_for_something_else_is_under_the_mean() -> None:
    assert chance_of_new(0.0) == pytest.approx(0.3)
    assert 0.3 < chance_of_new(LOW / 2) < 0.45


def test_without_anything_to_compare_the_mean_stands() -> None:
    assert chance_of_new(None) == pytest.approx(0.45)
    assert "nothing to compare" in {c.expert: c.reason for c in route_with(None).candidates}["new"]


def test_measured_experts_keep_their_chances() -> None:
    found = {c.expert: c.success for c in route_with(0.6).candidates}
    assert (found["a"], found["b"]) == pytest.approx((0.6, 0.3))


def test_where_nobody_is_profiled_descriptions_decide() -> None:
    question = np.array([1.0, 0.0], dtype=np.float32)
    described = {
        "law": np.array([0.1, 0.995], dtype=np.float32),
        "sql": np.array([0.5, 0.866], dtype=np.float32),
    }
    pool = Pool([expert("law"), expert("sql")], Knowledge(), descriptions=described)
    found = router.route(Query(SQL.skills, "q", question), pool, Policy())
    assert found.chosen == ("sql",)


@given(
    st.lists(st.floats(0, 1), min_size=0, max_size=4),
    st.lists(st.floats(-1, 1), min_size=2, max_size=6),
)
def test_the_more_alike_the_likelier_and_never_out_of_bounds(
    known: list[float], cosines: list[float]
) -> None:
    likeness = np.array([*[np.nan] * len(known), *sorted(cosines)])
    fresh = np.isnan(likeness) == False  # noqa: E712
    success = np.array([*known, *[0.5] * len(cosines)])
    found = guesses(success, fresh, likeness)
    assert found[: len(known)] == pytest.approx(known)
    guessed = found[len(known) :]
    assert (np.diff(guessed) >= -1e-12).all()
    assert ((guessed >= -1e-12) & (guessed <= 1 + 1e-12)).all()
    best = max(known) if known else 0.75
    assert (guessed[np.array(sorted(cosines)) < HIGH] <= best + 1e-12).all()


# --- adapters that were made up -------------------------------------------------------------------

FRENCH, CATS, NEITHER = np.eye(3, dtype=np.float32)


def mixed(*parts: tuple[float, np.ndarray]) -> np.ndarray:
    found = np.sum([weight * vector for weight, vector in parts], axis=0)
    return np.asarray(found / np.linalg.norm(found), dtype=np.float32)


def asked(instruction: np.ndarray | None, **adapters: np.ndarray) -> dict[str, float]:
    """The chances of adapters at "Translate into French", about a cat that takes much room."""
    prompt = mixed((0.3, FRENCH), (0.6, CATS), (0.7, NEITHER))
    known = Knowledge.of(KNOWN)
    pool = Pool([expert(n) for n in ("a", "b", *adapters)], known, descriptions=adapters)
    query = Query(SQL.skills, "q", prompt, instruction=instruction)
    return {c.expert: c.success for c in router.route(query, pool, Policy()).candidates}


def test_what_is_asked_for_counts_where_the_content_hides_it() -> None:
    translator = {"translator": FRENCH[None]}
    blind, seeing = asked(None, **translator), asked(FRENCH, **translator)
    assert blind["translator"] < 0.6 < seeing["translator"]


def test_an_instruction_that_says_nothing_takes_nothing_away() -> None:
    zoologist = {"zoologist": CATS[None]}
    assert asked(-CATS, **zoologist) == asked(None, **zoologist)


def test_examples_speak_for_an_adapter_that_is_poorly_described() -> None:
    alone = asked(FRENCH, terse=NEITHER[None])["terse"]
    shown = asked(FRENCH, terse=np.stack([NEITHER, FRENCH, mixed((1, FRENCH), (0.2, CATS))]))
    assert shown["terse"] > alone


def test_one_lucky_example_does_not_decide() -> None:
    lucky = np.stack([mixed((-1, FRENCH), (0.1, CATS)), FRENCH])
    steady = np.stack([FRENCH, FRENCH])
    assert asked(FRENCH, one=lucky)["one"] < asked(FRENCH, one=steady)["one"]
