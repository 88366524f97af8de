"""Which expert holds a conversation."""

from dataclasses import replace
from typing import Any

import pytest

from coterie.types import Message, Question
from orchestrator.graph import Coterie, Services
from orchestrator.holders import Holders
from orchestrator.routing import Policy


def talk(*turns: str) -> Question:
    """A conversation whose turns alternate between user and assistant."""
    roles = ("user", "assistant")
    return Question(tuple(Message(roles[i % 2], text) for i, text in enumerate(turns)))


def test_the_next_turn_finds_who_answered_the_last() -> None:
    holders = Holders()
    holders.keep(talk("Hello?"), "a", "Hello!")
    assert holders.of(talk("Hello?", "Hello!", "And now?")) == "a"
    assert holders.of(talk("Hello?", "Hello! ", "White space changes nothing")) == "a"


def test_another_conversation_is_nobodys() -> None:
    holders = Holders()
    holders.keep(talk("Hello?"), "a", "Hello!")
    assert holders.of(talk("Hello?")) is None
    assert holders.of(talk("Hello?", "Good day!", "And now?")) is None
    assert holders.of(talk("Hi?", "Hello!", "And now?")) is None


def test_a_tools_result_goes_to_who_called_it() -> None:
    holders = Holders()
    holders.keep(talk("Weather?"), "a", "")
    back = (*talk("Weather?", "").messages, Message("tool", "sunny"))
    assert holders.of(Question(back)) == "a"


def test_only_the_most_recent_conversations_are_remembered() -> None:
    holders = Holders(2)
    for i in range(3):
        holders.keep(talk(f"q{i}"), f"e{i}", "yes")
    asked = [holders.of(talk(f"q{i}", "yes", "more")) for i in range(3)]
    assert asked == [None, "e1", "e2"]


def test_a_conversation_that_goes_on_is_not_forgotten_first() -> None:
    holders = Holders(2)
    holders.keep(talk("q0"), "e0", "yes")
    holders.keep(talk("q1"), "e1", "yes")
    assert holders.of(talk("q0", "yes", "more")) == "e0"
    holders.keep(talk("q2"), "e2", "yes")
    assert holders.of(talk("q0", "yes", "more")) == "e0"
    assert holders.of(talk("q1", "yes", "more")) is None


# --- in the graph -------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
async def test_a_conversation_stays_with_the_expert_that_answered_it(
    kit: Any, stream: bool
) -> None:
    engines = [kit.engine("a", "Hello!"), kit.engine("b", "Hello!")]
    roster = kit.roster(engines, {"a": 0.95, "b": 0.94})
    graph = Coterie(Services(kit.inference(), roster, Policy()))

    async def asked(question: Question, **fields: Any) -> str:
        inquiry = replace(kit.inquiry(**fields), question=question, stream=stream)
        if not stream:
            return str((await graph.run(inquiry)).answer.expert)
        events = [event async for event in graph.stream(inquiry)]
        return str(events[-1].outcome.answer.expert)

    assert await asked(talk("Hello?")) == "a"
    assert await asked(talk("Hello?"), expert="b") == "b"
    assert await asked(talk("Hello?", "Hello!", "Go on")) == "b"
    assert await asked(talk("Something else?")) == "a"
