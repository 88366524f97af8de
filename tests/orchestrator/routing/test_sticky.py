"""Conversations stay with their expert while it is about as good as any."""

from dataclasses import replace

from orchestrator.routing import OFFERED, Policy, load_router, stay
from orchestrator.routing.sticky import MARGIN
from tests.orchestrator.routing.routing_worlds import SQL, pool, profile

GROUP = pool(
    profile("best", 0.5, sql=0.95),
    profile("close", 0.5, sql=0.95 - MARGIN / 2),
    profile("far", 0.5, sql=0.95 - 2 * MARGIN),
)


def stayed(holder: str | None, policy: Policy | None = None) -> tuple[str, ...]:
    query = replace(SQL, holder=holder)
    policy = policy or Policy()
    route = load_router("symbolic").route(query, GROUP, policy)
    return stay(route, query, GROUP, policy).chosen


def test_a_conversation_stays_with_an_expert_about_as_good_as_the_best() -> None:
    assert stayed("close") == ("close",)


def test_it_moves_on_when_another_is_clearly_better_now() -> None:
    assert stayed("far") == ("best",)


def test_a_holder_that_is_gone_holds_nothing() -> None:
    assert stayed("gone") == ("best",)
    assert stayed(None) == ("best",)


def test_the_holder_takes_a_place_among_the_recruits_and_the_reason_says_so() -> None:
    group = pool(
        *[profile(n, 0.5, sql=p) for n, p in zip("abcd", (0.6, 0.6, 0.6, 0.58), strict=True)]
    )
    query = replace(SQL, holder="d")
    route = load_router("symbolic").route(query, group, Policy(first=2))
    found = stay(route, query, group, Policy(first=2))
    assert found.chosen == ("d", "a")
    assert found.reserve == ("b", "c")
    assert "d goes on with the conversation" in found.reason


def test_a_holder_already_chosen_only_comes_first() -> None:
    group = pool(*[profile(n, 0.5, sql=0.6) for n in "abc"])
    query = replace(SQL, holder="b")
    route = load_router("symbolic").route(query, group, Policy())
    assert stay(route, query, group, Policy()).chosen == ("b", "a", "c")


def test_baselines_are_left_as_they_are() -> None:
    staying = {name for name in OFFERED if load_router(name).stays}
    assert {"symbolic", "cascade", "adaptive", "instruction", "auto"} <= staying
    assert not staying & {"best-single", "random", "static-mix", "all", "symbolic-paper"}
