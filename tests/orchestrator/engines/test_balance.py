"""Which replica takes a call."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from coterie.types import Message, Question
from orchestrator.engines.balance import Standing, choose, prefix_of

URLS = [f"http://10.0.0.{i}:8000" for i in range(6)]


def standings(*loads: int) -> list[Standing]:
    return [Standing(url, own) for url, own in zip(URLS, loads, strict=False)]


@given(st.lists(st.integers(0, 50), min_size=1, max_size=6), st.binary(max_size=8))
def test_nobody_is_chosen_who_has_much_more_to_do_than_another(
    loads: list[int], prefix: bytes
) -> None:
    chosen = loads[choose(standings(*loads), prefix)]
    assert chosen <= 1.25 * min(loads)


def test_what_others_ask_and_a_full_cache_count_like_calls() -> None:
    assert choose([Standing("a", own=3), Standing("b", own=0, others=9)], b"") == 0
    assert choose([Standing("a", own=3), Standing("b", own=0, kv_usage=0.99)], b"") == 0
    assert choose([Standing("a", own=3), Standing("b", own=0, kv_usage=0.5)], b"") == 1


@given(st.lists(st.booleans(), min_size=1, max_size=6), st.binary(max_size=8))
def test_one_that_ails_is_asked_only_where_all_do(ready: list[bool], prefix: bytes) -> None:
    found = [Standing(url, own=9 * ok, ready=ok) for url, ok in zip(URLS, ready, strict=False)]
    assert found[choose(found, prefix)].ready == any(ready)


def test_a_conversation_stays_where_its_beginning_is_cached() -> None:
    first = Question((Message("system", "Be brief."), Message("user", "Who?")))
    later = Question((*first.messages, Message("assistant", "Me."), Message("user", "Why?")))
    assert prefix_of(first) == prefix_of(later)
    assert prefix_of(first) != prefix_of(Question.of("Where?"))


def test_conversations_spread_and_only_those_of_a_server_that_goes_move() -> None:
    prefixes = [str(i).encode() for i in range(600)]
    before = {p: URLS[choose(standings(0, 0, 0, 0), p)] for p in prefixes}
    assert min(Counter(before.values()).values()) > 100
    after = {p: URLS[choose(standings(0, 0, 0), p)] for p in prefixes}
    assert all(after[p] == before[p] for p in prefixes if before[p] != URLS[3])
