"""Recorded answers, read from a file and found again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coterie.errors import ConfigurationError, EngineRejected
from coterie.types import Message, Question, Sampling, Usage
from orchestrator.engines.replay import RecordedAnswer, ReplayEngine, question_key

ANY = Sampling()


def _write(path: Path, *rows: object) -> Path:
    path.write_text("\n\n".join(json.dumps(row) for row in rows))
    return path


async def test_answers_are_found_by_text_and_by_conversation(tmp_path: Path) -> None:
    long = Question((Message("user", "hi"), Message("assistant", "yo"), Message("user", "bye")))
    counts = {"prompt_tokens": 4, "completion_tokens": 2}
    path = _write(
        tmp_path / "answers.jsonl",
        {"question": "bye", "text": "see you", **counts},
        {"key": question_key(long), "text": "so long", "finish_reason": "length", **counts},
    )
    engine = ReplayEngine.from_jsonl("law", path)
    assert (await engine.complete(Question.of("bye"), ANY)).text == "see you"
    got = await engine.complete(long, ANY)
    assert (got.text, got.finish_reason, got.usage) == ("so long", "length", Usage(4, 2))


async def test_an_unrecorded_question_is_refused() -> None:
    with pytest.raises(EngineRejected, match="'who'") as caught:
        await ReplayEngine("law", {}).complete(Question.of("who"), ANY)
    assert caught.value.code == "not_recorded"


@pytest.mark.parametrize("row", [{}, [], {"question": "q"}, {"question": "q", "text": "t"}])
def test_a_bad_line_is_named(tmp_path: Path, row: object) -> None:
    good = {"question": "q", "text": "t", "prompt_tokens": 1, "completion_tokens": 1}
    with pytest.raises(ConfigurationError, match="line 3"):
        ReplayEngine.from_jsonl("law", _write(tmp_path / "answers.jsonl", good, row))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"nowhere\.jsonl"):
        ReplayEngine.from_jsonl("law", tmp_path / "nowhere.jsonl")


@given(st.text())
async def test_streaming_loses_nothing(text: str) -> None:
    engine = ReplayEngine("law", {"q": RecordedAnswer(text, Usage(1, 1))})
    chunks = [chunk async for chunk in engine.stream(Question.of("q"), ANY)]
    assert "".join(chunk.text for chunk in chunks) == text
