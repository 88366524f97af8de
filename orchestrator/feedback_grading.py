"""What feedback on a request says of the experts that answered it.  Pure.

With the right answer, everyone's answer is graded as evaluation grades it: by the rule for a choice
where the question lists options, for a number, or for a few words.  Without one, or with prose that
nothing can be compared with, the verdict is about the expert whose answer went out, and those that
gave the same answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from aggregator.extract import choices_of, read_answer
from coterie.types import Grade, GradedAnswer, Item, Question, Reading, SkillWeight, Usage
from evals.extract import LETTERS, SHORT_WORDS, read_choice
from evals.numbers import canonical_number
from evals.plain import plain_text
from evals.tasks.question_task import grade_choice, grade_number, grade_text
from orchestrator.traces.facts import Record

TASK = "feedback"
"""What graded answers that come of feedback are kept under."""

Grader = Callable[[str], Grade]


def graded_by(record: Record, right: str | None, good: bool, item: str) -> list[GradedAnswer]:
    """The answers in ``record`` that ``right``, or that its answer was ``good``, tells of."""
    grader = grader_for(record.get("question") or "", right) if right else None
    grades = _by_right(record, grader) if grader else _by_verdict(record, good)
    return [_answer(record, answer, grade, item) for answer, grade in grades]


def grader_for(question: str, right: str) -> Grader | None:
    """What grades an answer to ``question``; None where ``right`` cannot be compared."""
    choices = choices_of(question)
    if choices:
        letter = _letter(right, choices)
        item = Item("", Question.of(question), letter or "", "", choices=choices)
        return (lambda output: grade_choice(item, output)) if letter else None
    if (number := canonical_number(right.strip())) is not None:
        asked = Item("", Question.of(question), number, "")
        return lambda output: grade_number(asked, output)
    if len(right.split()) <= SHORT_WORDS and "\n" not in right.strip():
        said = Item("", Question.of(question), right.strip(), "")
        return lambda output: grade_text(said, output)
    return None


def _letter(right: str, choices: tuple[str, ...]) -> str | None:
    """The option that is meant: by its letter, or in its own words."""
    for letter, choice in zip(LETTERS, choices, strict=False):
        if plain_text(choice) == plain_text(right):
            return letter
    return read_choice(right, choices)[0]


def _by_right(record: Record, grader: Grader) -> Iterator[tuple[Mapping[str, Any], Grade]]:
    for answer in record.get("answers", ()):
        if answer.get("text") is not None:  # words that were not kept cannot be graded
            yield answer, grader(answer["text"])


def _by_verdict(record: Record, good: bool) -> Iterator[tuple[Mapping[str, Any], Grade]]:
    """Of an answer that was written from all, nobody's own was judged."""
    if record.get("synthesis"):
        return
    expert = (record.get("answer") or {}).get("expert")
    groups = (record.get("votes") or {}).values()
    alike = next((g for g in groups if expert in g), [expert])
    for answer in record.get("answers", ()):
        if answer["expert"] in alike:
            question, text = record.get("question"), answer.get("text")
            nothing = (None, Reading.NOTHING)
            read, reading = read_answer(question, text) if question and text else nothing
            yield answer, Grade(good, read, reading)


def _answer(record: Record, answer: Mapping[str, Any], grade: Grade, item: str) -> GradedAnswer:
    return GradedAnswer(
        expert=str(answer["expert"]),
        task=TASK,
        item=item,
        skills=tuple(SkillWeight(**skill) for skill in record.get("skills", ())),
        output=answer.get("text") or "",
        extracted=grade.extracted,
        correct=grade.correct,
        usage=Usage(answer.get("prompt_tokens", 0), answer.get("completion_tokens", 0)),
        latency_s=answer.get("latency_ms", 0.0) / 1000,
        reading=grade.reading,
    )
