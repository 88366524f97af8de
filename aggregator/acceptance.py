"""Whether an answer can stand: it says something, and it has the form that is wanted.

Pure.  What is wanted comes from the request (``response_format``) and from how the experts' own
answers were read (:mod:`aggregator.extract`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from aggregator.extract import canonical_answer, options_of
from aggregator.schema import breach
from coterie.reasoning import without_reasoning
from coterie.types import JSON, Completion

PAYLOADS = ("tool_calls", "function_call", "refusal", "audio")
"""Fields of an assistant's message that are an answer without any text."""

_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e[-+]?\d+)?")


def says_something(completion: Completion, *, with_reasoning: bool = False) -> bool:
    """Whether it says anything; its reasoning counts only ``with_reasoning``."""
    text = completion.text
    said = text.strip() if with_reasoning else without_reasoning(text)
    return bool(said) or _carries(completion)


def _carries(completion: Completion) -> bool:
    return any(completion.message.get(name) for name in PAYLOADS)


@dataclass(frozen=True, slots=True)
class Form:
    """What an answer must be; with nothing set, any words will do.

    ``reading`` is "choice" or "number" where the answers to ``question`` were read as such.
    ``json`` wants a JSON object, or a value that keeps ``schema`` where there is one.
    """

    question: str = ""
    reading: str = ""
    json: bool = False
    schema: JSON = None

    @property
    def wanted(self) -> bool:
        """Whether there is anything to keep."""
        return self.json or bool(self.reading)

    def lapse(self, completion: Completion) -> str | None:
        """How the answer misses the form; None where it keeps it.

        Who calls a tool, or refuses, is bound by no form.
        """
        if _carries(completion):
            return None
        if self.json and (told := self._not_json(completion.text)):
            return told
        return self._not_read(completion.text) if self.reading else None

    def _not_json(self, text: str) -> str | None:
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            return "it is not valid JSON"
        if self.schema is not None:
            broken = breach(self.schema, value)
            return f"it breaks the JSON schema at {broken}" if broken else None
        return None if isinstance(value, dict) else "it is no JSON object"

    def _not_read(self, text: str) -> str | None:
        answer = canonical_answer(self.question, text)
        if self.reading == "choice":
            return "it names none of the options" if answer is None else None
        is_number = answer is not None and _NUMBER.fullmatch(answer)
        return None if is_number else "no number can be read out of it"


ANY_FORM = Form()


def form_of(question: str, answers: Iterable[str], response_format: JSON) -> Form:
    """The form of an answer to ``question`` where others were read as ``answers``.

    A choice where one of the options was read, a number where nothing but numbers were;
    ``response_format`` is OpenAI's field.  A format that is not known asks for nothing.
    """
    wanted = response_format if isinstance(response_format, Mapping) else {}
    kind, described = wanted.get("type"), wanted.get("json_schema")
    if kind in ("json_object", "json_schema"):
        schema = described.get("schema") if isinstance(described, Mapping) else None
        return Form(json=True, schema=schema if kind == "json_schema" else None)
    return Form(question, _reading(question, tuple(answers)))


def _reading(question: str, answers: tuple[str, ...]) -> str:
    if not answers:
        return ""
    if options_of(question):
        return "choice"
    return "number" if all(_NUMBER.fullmatch(a) for a in answers) else ""
