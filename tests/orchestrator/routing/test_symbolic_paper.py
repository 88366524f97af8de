"""The published algorithm, by the paper's own numbers."""

from collections import Counter

import numpy as np
import pytest

from coterie.types import SkillWeight
from orchestrator.routing import Policy, Pool, Query, load_router
from orchestrator.routing.symbolic_paper import sums
from skills.knowledge import Knowledge
from tests.orchestrator.routing.routing_worlds import (
    SQL,
    expert,
    memory,
    pool,
    profile,
    profiles_of,
)

router = load_router("symbolic-paper")


def remembering(**competence: tuple[float, float, float]) -> Pool:
    remembered = memory(competence, 300)
    known = Knowledge.of(profiles_of(remembered), memory=remembered)
    return Pool([expert(name) for name in competence], known)


def test_a_profile_is_a_sum_of_plus_and_minus_one_per_skill() -> None:
    found = remembering(a=(0.9, 0.6, 0.5), b=(0.6, 0.8, 0.5))
    published = sums(found)
    kept = found.knowledge.memory
    assert kept is not None
    for skill, row in published.rows.items():
        asked = [i for i, s in enumerate(kept.skills) if s[0].skill == skill]
        assert published.score[row] == pytest.approx((2 * kept.correct[asked] - 1).sum(axis=0))
    totals = published.score.sum(axis=0)
    assert published.share == pytest.approx(totals / totals.sum())


def test_where_totals_differ_in_sign_the_best_has_the_greatest_share() -> None:
    found = sums(remembering(good=(0.8, 0.8, 0.8), poor=(0.2, 0.2, 0.2), bad=(0.1, 0.1, 0.1)))
    assert found.share == pytest.approx(found.share.clip(0))
    assert found.share.sum() == pytest.approx(1.0)
    assert list(np.argsort(found.share)) == [0, 2, 1]  # bad, poor, good, by name


def test_every_skill_of_the_question_counts_once_whatever_its_weight() -> None:
    found = remembering(a=(0.9, 0.2, 0.5), b=(0.6, 0.8, 0.9))
    query = Query((SkillWeight("law", 0.9, 0.5), SkillWeight("sql", 0.1, 0.3)), "q")
    published = sums(found)
    wanted = published.share * (
        published.score[published.rows["law"]] + published.score[published.rows["sql"]]
    )
    candidates = {c.expert: c for c in router.route(query, found, Policy()).candidates}
    assert [candidates[n].score for n in found.names] == pytest.approx(wanted)


def test_draws_follow_the_softmax() -> None:
    group = pool(
        profile("a", 0.6, sql=0.56), profile("b", 0.6, sql=0.54), profile("c", 0.6, sql=0.52)
    )
    weights = np.array([c.score for c in router.route(SQL, group, Policy()).candidates])
    odds = np.exp(weights / 0.5) / np.exp(weights / 0.5).sum()
    drawn = Counter(router.route(SQL, group, Policy(seed=s, k=1)).chosen[0] for s in range(3000))
    assert [drawn[n] / 3000 for n in "abc"] == pytest.approx(odds, abs=0.03)


def test_the_same_seed_and_question_draw_the_same_and_others_do_not() -> None:
    group = pool(*[profile(n, 0.5, sql=0.5) for n in "abcdef"])
    assert router.route(SQL, group, Policy(seed=3)) == router.route(SQL, group, Policy(seed=3))
    assert len({router.route(SQL, group, Policy(seed=s)).chosen for s in range(30)}) > 5
    asked = {router.route(Query(SQL.skills, str(i)), group, Policy()).chosen for i in range(30)}
    assert len(asked) > 5


def test_an_expert_drawn_twice_is_asked_once_and_its_draws_are_told() -> None:
    group = remembering(star=(1.0, 1.0, 1.0), b=(0.5, 0.5, 0.5))
    found = router.route(SQL, group, Policy())
    assert found.chosen == ("star",)
    assert "star × 3" in found.reason
    assert "drawn 3 times" in found.candidates[0].reason


def test_without_any_graded_skill_everyone_is_drawn_alike_and_it_is_said() -> None:
    group = pool(*[profile(n, 0.6, sql=0.9) for n in "abc"])
    found = router.route(Query((SkillWeight("poetry", 1.0, 0.4),), "q"), group, Policy())
    assert "everyone alike" in found.reason


def test_where_no_weight_is_positive_the_least_negative_are_preferred() -> None:
    group = remembering(bad=(0.3, 0.3, 0.3), worse=(0.05, 0.05, 0.05))
    found = router.route(SQL, group, Policy())
    assert found.chosen == ("bad",)
    assert "no weight is positive" in found.reason


def test_rare_recruits_are_trimmed_from_a_batch_and_replaced() -> None:
    group = pool(
        *[profile(n, 0.6, sql=p) for n, p in zip("abcd", (0.58, 0.58, 0.58, 0.5), strict=True)]
    )
    queries = [Query(SQL.skills, str(i)) for i in range(400)]
    policy = Policy(k=2)
    before = Counter(e for q in queries for e in router.route(q, group, policy).chosen)
    rare = [e for e, n in before.items() if n < 0.1 * len(queries)]
    planned = router.plan(queries, group, Policy(k=2, trim=0.1))
    after = Counter(e for route in planned for e in route.chosen)
    assert rare == ["d"]
    assert "d" not in after
    assert all("trimmed from the batch: d" in route.reason for route in planned)
    assert sum(after.values()) >= sum(before.values()) - before["d"]


def test_trimming_leaves_enough_to_recruit() -> None:
    group = pool(*[profile(f"e{i:02d}", 0.5, sql=0.5) for i in range(64)])
    planned = router.plan([Query(SQL.skills, str(i)) for i in range(40)], group, Policy(trim=0.9))
    assert len({e for route in planned for e in route.chosen}) == 3


def test_one_question_is_no_batch() -> None:
    group = pool(profile("a", 0.6, sql=0.6), profile("b", 0.6, sql=0.6))
    assert "no batch to trim" in router.route(SQL, group, Policy()).reason
