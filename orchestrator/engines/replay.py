"""An expert that repeats answers recorded before: same words, same usage, no server.

For benchmarks that must repeat to the token, and for tests.  An unrecorded question is refused,
never invented.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from pathlib import Path

from coterie.errors import ConfigurationError, EngineRejected
from coterie.types import Chunk, Completion, Health, Question, Sampling, Usage, as_jsonable

NOT_RECORDED = "not_recorded"
"""The code of a question that was never recorded."""


@dataclass(frozen=True, slots=True)
class RecordedAnswer:
    """What an expert once answered; ``latency_s`` is what it took then."""

    text: str
    usage: Usage
    finish_reason: str = "stop"
    latency_s: float = 0.0


def question_key(question: Question) -> str:
    """A key for the whole conversation: the SHA-256 of its messages, in hexadecimal."""
    messages = [as_jsonable(message.as_dict()) for message in question.messages]
    return hashlib.sha256(json.dumps(messages, sort_keys=True).encode()).hexdigest()


class ReplayEngine:
    """The Engine port over ``answers``, by :func:`question_key` or by the last user turn's text.

    Sampling is ignored: there is one recorded answer, and it was drawn already.
    """

    def __init__(self, expert: str, answers: Mapping[str, RecordedAnswer]) -> None:
        self._expert = expert
        self._answers = answers

    @classmethod
    def from_jsonl(cls, expert: str, path: Path) -> ReplayEngine:
        """Reads one answer a line.

        A line has ``question`` (text) or ``key`` (see :func:`question_key`), ``text``,
        ``prompt_tokens`` and ``completion_tokens``; ``finish_reason`` and ``latency_s`` if known.

        Raises:
            ConfigurationError: the file cannot be read; the message names the line.
        """
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(
                f"cannot read recorded answers {str(path)!r}: {error}"
            ) from error
        numbered = ((number, line) for number, line in enumerate(lines, 1) if line.strip())
        return cls(expert, dict(_read_line(path, number, line) for number, line in numbered))

    async def complete(self, question: Question, sampling: Sampling) -> Completion:
        """The recorded answer, at once; ``latency_s`` is the recorded one."""
        answer = self._find(question)
        return Completion(
            expert=self._expert,
            text=answer.text,
            finish_reason=answer.finish_reason,
            usage=answer.usage,
            latency_s=answer.latency_s,
            message={"role": "assistant", "content": answer.text},
        )

    async def stream(self, question: Question, sampling: Sampling) -> AsyncGenerator[Chunk, None]:
        """The recorded answer word by word."""
        answer = self._find(question)
        for word in re.findall(r"\s*\S+|\s+$", answer.text):
            yield Chunk(word)
        yield Chunk("", answer.finish_reason, answer.usage)

    async def count_tokens(self, question: Question) -> int:
        """The prompt tokens recorded with the answer."""
        return self._find(question).usage.prompt_tokens

    async def health(self) -> Health:
        """Always well."""
        return Health(True)

    def _find(self, question: Question) -> RecordedAnswer:
        answer = self._answers.get(question_key(question)) or self._answers.get(question.text)
        if answer is None:
            raise EngineRejected(
                self._expert,
                f"no answer is recorded for {question.text[:80]!r}; "
                "record it first or ask an expert that is running",
                status=404,
                code=NOT_RECORDED,
            )
        return answer


def _read_line(path: Path, number: int, line: str) -> tuple[str, RecordedAnswer]:
    try:
        row = json.loads(line)
        answer = RecordedAnswer(
            text=str(row["text"]),
            usage=Usage(int(row["prompt_tokens"]), int(row["completion_tokens"])),
            finish_reason=str(row.get("finish_reason", "stop")),
            latency_s=float(row.get("latency_s", 0.0)),
        )
        return str(row["key"] if "key" in row else row["question"]), answer
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ConfigurationError(
            f"recorded answers {str(path)!r}, line {number}: {error!r}; each line is an object "
            "with question or key, text, prompt_tokens and completion_tokens"
        ) from error
