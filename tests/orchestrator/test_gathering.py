"""Pieces of a streamed answer, put together as they came."""

from __future__ import annotations

from coterie.types import Chunk, Usage
from orchestrator.gathering import Gathering, as_delta

END = Chunk("", "stop", Usage(5, 2))


def test_what_cannot_be_seen_is_held_back_until_something_can() -> None:
    answer = Gathering("e")
    blank, word = Chunk("\n "), Chunk("so")
    assert answer.add(blank) == ()
    assert not answer.seen
    assert list(answer.add(word)) == [blank, word]
    assert answer.seen
    assert list(answer.add(Chunk(" it is"))) == [Chunk(" it is")]


def test_the_end_is_kept_until_it_is_asked_for() -> None:
    answer = Gathering("e")
    answer.add(Chunk("so"))
    assert answer.add(END) == ()
    assert list(answer.rest()) == [END]
    whole = answer.completion(1.0)
    assert (whole.text, whole.finish_reason, whole.usage) == ("so", "stop", Usage(5, 2))


def test_a_call_of_a_tool_is_seen_and_its_pieces_are_joined() -> None:
    answer = Gathering("e")
    head = {"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": ""}}
    for part in (
        {"tool_calls": [head]},
        {"tool_calls": [{"index": 0, "id": "c1", "function": {"arguments": '{"a":'}}]},
        {"tool_calls": [{"index": 1, "id": "c2", "function": {"name": "g", "arguments": "{}"}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": " 1}"}}]},
    ):
        assert answer.add(Chunk(delta=part))
    assert answer.seen
    first, second = answer.completion(0.0).message["tool_calls"]
    assert first["id"] == "c1"
    assert first["function"] == {"name": "f", "arguments": '{"a": 1}'}
    assert second["function"] == {"name": "g", "arguments": "{}"}


def test_texts_beside_the_answer_are_continued() -> None:
    answer = Gathering("e")
    answer.add(Chunk(delta={"reasoning_content": "let me "}))
    answer.add(Chunk(delta={"reasoning_content": "see"}))
    assert answer.completion(0.0).message["reasoning_content"] == "let me see"


def test_a_whole_message_goes_out_as_a_delta() -> None:
    calls = [{"id": "c1", "type": "function"}, {"id": "c2", "type": "function"}]
    message = {"role": "assistant", "content": "x", "refusal": None, "tool_calls": calls}
    assert as_delta(message) == {"tool_calls": [{"index": i, **c} for i, c in enumerate(calls)]}


def test_log_probabilities_are_gathered_with_their_text() -> None:
    answer = Gathering("e")
    for word in ("so", " it"):
        answer.add(Chunk(word, logprobs={"content": [{"token": word}], "refusal": None}))
    answer.add(END)
    whole = answer.completion(0.0)
    assert whole.logprobs == {"content": [{"token": "so"}, {"token": " it"}]}
    assert Gathering("e").completion(0.0).logprobs is None


def test_further_choices_go_out_and_are_not_mixed_with_the_first() -> None:
    answer = Gathering("e")
    other = [Chunk("no", index=1), Chunk("", "stop", index=1)]
    assert list(answer.add(Chunk("so"))) == [Chunk("so")]
    assert [list(answer.add(chunk)) for chunk in other] == [[chunk] for chunk in other]
    assert answer.add(END) == ()
    assert answer.choices == {0, 1}
    assert answer.completion(0.0).text == "so"
