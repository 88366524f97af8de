"""What asking an expert takes, and what a policy makes of it."""

import numpy as np
import pytest

from coterie.types import Effort, Estimate, Profile
from orchestrator.routing import Policy, Pool, Query
from orchestrator.routing.base import rank
from orchestrator.routing.costs import DOLLARS_PER_BILLION, costs_of
from skills.knowledge import Knowledge
from tests.orchestrator.routing.routing_worlds import expert, memory, profile


def measured(name: str, rate: float, **effort: float) -> Profile:
    known = {"prompt_tokens": None, "completion_tokens": None, "latency_s": None, **effort}
    return Profile(name, Estimate(rate, 0.05, 50), effort=Effort(n=50, **known))  # type: ignore[arg-type]


def test_with_prices_a_cost_is_in_dollars() -> None:
    experts = [expert("a", prompt_price=1.0, completion_price=3.0)]
    known = Knowledge.of([measured("a", 0.5, prompt_tokens=200, completion_tokens=100)])
    found = costs_of(experts, known)
    assert found.unit == "usd"
    assert found.expected == pytest.approx([(200 * 1.0 + 100 * 3.0) / 1e6])


def test_without_prices_a_cost_is_work() -> None:
    experts = [
        expert("a", total_params_b=47.0, active_params_b=13.0),
        expert("b", total_params_b=8),
    ]
    known = Knowledge.of(
        [measured("a", 0.5, completion_tokens=100), measured("b", 0.4, completion_tokens=50)]
    )
    found = costs_of(experts, known)
    assert found.unit == "work"
    assert found.expected == pytest.approx([1300.0, 400.0])
    assert found.relative == pytest.approx([1.0, 400 / 1300])


def test_in_a_mixed_pool_prices_stand_for_parameters() -> None:
    experts = [expert("api", completion_price=0.7), expert("own", active_params_b=8.0)]
    known = Knowledge.of([measured(n, 0.5, completion_tokens=10) for n in ("api", "own")])
    found = costs_of(experts, known)
    assert found.unit == "work"
    assert found.expected == pytest.approx([0.7 / DOLLARS_PER_BILLION * 10, 80.0])


def test_lengths_come_from_memory_where_no_profile_has_them() -> None:
    remembered = memory({"a": (0.5, 0.5, 0.5), "b": (0.5, 0.5, 0.5)})
    remembered.tokens[:, 1] = 30.0
    remembered.tokens[:45, 1] = np.nan
    known = Knowledge.of([profile("a", 0.6), profile("b", 0.5)], memory=remembered)
    experts = [expert("a", active_params_b=1.0), expert("b", active_params_b=1.0)]
    assert costs_of(experts, known).expected == pytest.approx([10.0, 30.0])


def test_who_was_never_measured_is_as_long_winded_as_the_others() -> None:
    experts = [expert(n, active_params_b=2.0) for n in ("a", "b", "new")]
    known = Knowledge.of(
        [measured("a", 0.5, completion_tokens=10), measured("b", 0.4, completion_tokens=30)]
    )
    assert costs_of(experts, known).expected == pytest.approx([20.0, 60.0, 40.0])


def test_nothing_known_is_one_apiece() -> None:
    found = costs_of([expert("a"), expert("b")], Knowledge())
    assert found.expected == pytest.approx([1.0, 1.0])
    assert found.relative == pytest.approx([1.0, 1.0])


# --- in a ranking -------------------------------------------------------------------------------


def two(**load: int) -> Pool:
    experts = [expert("big", active_params_b=70.0), expert("small", active_params_b=7.0)]
    known = [measured("big", 0.7, latency_s=5.0), measured("small", 0.65, latency_s=1.0)]
    return Pool(experts, Knowledge.of(known), load=load)


def test_accuracy_alone_prefers_the_better() -> None:
    assert rank(Query(), two(), Policy()).names == ("big", "small")


def test_a_cost_weight_buys_the_cheaper_and_says_what_it_saves() -> None:
    found = rank(Query(), two(), Policy(cost_weight=0.1))
    assert found.names == ("small", "big")
    assert found[1].score == pytest.approx(0.7 - 0.1)
    assert found[1].success == pytest.approx(0.7)
    assert "costs 1.00 of the best single expert" in found[1].reason


def test_a_latency_bound_puts_the_slow_last_and_says_so() -> None:
    found = rank(Query(), two(), Policy(latency_s=2.0))
    assert found.names == ("small", "big")
    assert found.askable == ("small",)
    assert "over 2 s" in found[1].reason


def test_when_everybody_is_too_slow_the_bound_is_moot() -> None:
    assert rank(Query(), two(), Policy(latency_s=0.1)).askable == ("big", "small")


def test_equals_are_told_apart_by_load() -> None:
    known = Knowledge.of(profile(n, 0.5) for n in "ab")
    idle = Pool([expert("a"), expert("b")], known)
    busy = idle.under({"a": 3})
    assert rank(Query(), idle).names == ("a", "b")
    assert rank(Query(), busy).names == ("b", "a")
    assert "3 requests in flight" in rank(Query(), busy)[1].reason


def test_load_never_outweighs_a_difference_in_competence() -> None:
    assert rank(Query(), two(big=100)).names == ("big", "small")


def test_what_is_derived_from_a_pool_outlives_a_change_of_load() -> None:
    pool = two()
    assert pool.under({"big": 1}).table is pool.table
    assert pool.under({"big": 1}).costs is pool.costs
