"""When a server is left alone, and when it is tried again."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.engines.breaker import Breaker, BreakerPolicy, Circuit

POLICY = BreakerPolicy(in_row=3, window=10, least=6, share=0.5, pause_s=1.0, most_s=4.0)


def made(
    outcomes: Sequence[bool] = (), now_s: float = 0.0, *, unreachable: bool = False
) -> Breaker:
    """A breaker that has seen these; true: the call succeeded."""
    breaker = Breaker(POLICY)
    for ok in outcomes:
        permit = breaker.begin(now_s)
        if ok:
            breaker.succeeded(permit)
        else:
            breaker.failed(permit, now_s, unreachable=unreachable)
    return breaker


def test_it_opens_after_failures_in_a_row() -> None:
    assert made([False] * 2).state(0) is Circuit.CLOSED
    assert made([False] * 2 + [True] + [False] * 2).state(0) is Circuit.CLOSED
    breaker = made([False] * 3)
    assert breaker.state(0) is Circuit.OPEN
    assert not breaker.admits(0.9)
    assert breaker.wait_s(0.25) == 0.75


def test_it_opens_when_too_large_a_share_fails() -> None:
    assert made([True, False] * 2).state(0) is Circuit.CLOSED
    assert made([True, False] * 3).state(0) is Circuit.OPEN
    assert made([True, True, False] * 20).state(0) is Circuit.CLOSED


def test_one_trial_closes_it_and_others_are_not_let_in_meanwhile() -> None:
    breaker = made([False] * 3)
    assert breaker.state(1.0) is Circuit.HALF_OPEN
    trial = breaker.begin(1.0)
    assert trial.trial
    assert not breaker.admits(1.0)
    assert breaker.wait_s(1.0) > 0
    breaker.succeeded(trial)
    assert breaker.state(1.0) is Circuit.CLOSED
    assert made([False] * 3).wait_s(0) == 1.0, "the pause begins anew"


def test_each_trial_that_fails_doubles_the_pause_up_to_a_bound() -> None:
    breaker, now_s, pauses = made([False] * 3), 0.0, []
    for _ in range(4):
        now_s += breaker.wait_s(now_s)
        breaker.failed(breaker.begin(now_s), now_s)
        pauses.append(breaker.wait_s(now_s))
    assert pauses == [2.0, 4.0, 4.0, 4.0]


def test_a_trial_whose_caller_goes_away_leaves_room_for_the_next() -> None:
    breaker = made([False] * 3)
    breaker.given_up(breaker.begin(1.0))
    assert breaker.admits(1.0)


def test_what_comes_of_calls_from_before_it_opened_counts_no_more() -> None:
    breaker = Breaker(POLICY)
    late = [breaker.begin(0) for _ in range(5)]
    for permit in late[:3]:
        breaker.failed(permit, 0)
    breaker.succeeded(late[3])
    breaker.failed(late[4], 0.5)
    assert breaker.wait_s(0.5) == 0.5


def test_a_server_that_was_away_is_tried_as_soon_as_it_is_found_up() -> None:
    breaker = made([False] * 3, unreachable=True)
    breaker.found_up(0.1)
    assert breaker.admits(0.1)
    failing = made([False] * 3)
    failing.found_up(0.1)
    assert not failing.admits(0.1), "its health says nothing about calls that failed"


def test_no_call_is_spent_on_a_server_that_is_found_down() -> None:
    breaker = made([False] * 3)
    breaker.found_down(0.9)
    assert not breaker.admits(1.5)
    assert breaker.admits(1.9)


@given(
    st.lists(
        st.tuples(st.sampled_from(["begin", "ok", "bad", "gone", "up", "down"]), st.floats(0, 3))
    )
)
def test_it_always_admits_again_in_time(events: list[tuple[str, float]]) -> None:
    breaker, now_s, permits = Breaker(POLICY), 0.0, []
    for event, passes_s in events:
        now_s += passes_s
        if event == "begin" and breaker.admits(now_s):
            permits.append(breaker.begin(now_s))
        elif event == "up":
            breaker.found_up(now_s)
        elif event == "down":
            breaker.found_down(now_s)
        elif permits and event in ("ok", "bad", "gone"):
            permit = permits.pop()
            if event == "ok":
                breaker.succeeded(permit)
            elif event == "bad":
                breaker.failed(permit, now_s)
            else:
                breaker.given_up(permit)
        assert (breaker.wait_s(now_s) == 0) == breaker.admits(now_s)
        assert breaker.wait_s(now_s) <= POLICY.most_s
    for permit in permits:
        breaker.given_up(permit)
    assert breaker.admits(now_s + POLICY.most_s)
