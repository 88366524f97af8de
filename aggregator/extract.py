"""Reads the short answer out of a completion, so that answers can be compared.

Votes need a canonical form: "42", "42." and "so 12 + 30 = 42" are one answer.  Whatever has no
such form (prose, a poem) is None, and is never compared letter by letter.  Pure.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache

from coterie.types import Reading

THINKING = re.compile(r"^.*?</think>", re.DOTALL)
BOXED = re.compile(r"\\boxed\{([^{}]+)\}")
STATED = re.compile(r"answer(?:\s+is|:)[\s*]*(.+?)[*\s]*(?:\.\s|\.?$|\n)", re.IGNORECASE)
OPTION = re.compile(r"^\s*\(?([A-Z])[).:]\s+(\S.*)", re.MULTILINE)
LETTER = re.compile(r"^\W*\(?([A-Z])\)?(?:[).:\s].*)?$", re.DOTALL)
NUMBER = re.compile(r"[-+]?\d[\d,]*(?:\.\d+)?(?:[eE][-+]?\d+)?")
FENCE = re.compile(r"```(\w*)\n(.*?)```", re.DOTALL)
SHORT_WORDS = 12
LATELY = 2048
"""How many answers that were read are kept: each is read for every vote it has a part in."""


def options_of(question: str) -> tuple[str, ...]:
    """The letters of a multiple-choice question's options ("A. ..." or "(A) ..."), in order.

    Fewer than two consecutive letters from A on are not a choice.
    """
    return tuple(_options(question))


def choices_of(question: str) -> tuple[str, ...]:
    """The first lines of the same options' texts."""
    return tuple(_options(question).values())


@lru_cache(maxsize=512)
def _options(question: str) -> dict[str, str]:
    """Letter and text of each option; nothing where the letters are no choice."""
    found: dict[str, str] = {}
    for letter, text in OPTION.findall(question):
        found.setdefault(letter, text.strip())
    expected = list("ABCDEFGHIJKLMNOPQRSTUVWXYZ"[: len(found)])
    return found if len(found) >= 2 and list(found) == expected else {}


@lru_cache(maxsize=LATELY)
def read_answer(question: str, completion: str) -> tuple[str | None, Reading]:
    """The answer of ``completion`` in a form that equal answers share, and how it was read.

    None for prose.
    """
    text = THINKING.sub("", completion).strip()
    if options := options_of(question):
        return _choice(text, options)
    if (structured := _structured(text)) is not None:
        return structured, Reading.STATED
    if stated := _last(BOXED, text) or _last(STATED, text):
        return _read(_plain(stated, stated=True), Reading.STATED)
    return _read(_plain(text, stated=False), Reading.NAMED)


def canonical_answer(question: str, completion: str) -> str | None:
    """The answer alone."""
    return read_answer(question, completion)[0]


def _read(answer: str | None, reading: Reading) -> tuple[str | None, Reading]:
    return answer, reading if answer is not None else Reading.NOTHING


def _choice(text: str, options: tuple[str, ...]) -> tuple[str | None, Reading]:
    # Never "any capital in the prose": that reads "A" and "I" as answers.
    stated = [(_last(pattern, text), Reading.STATED) for pattern in (BOXED, STATED)]
    for source, reading in (*stated, (text, Reading.NAMED)):
        match = LETTER.match(source) if source else None
        if match and match[1] in options:
            return match[1], reading
    return None, Reading.NOTHING


def _structured(text: str) -> str | None:
    """JSON and SQL, with white space and key order taken out."""
    fences = FENCE.findall(text)
    body = fences[-1][1].strip() if fences else text
    if body[:1] in "{[" and body:
        try:
            return json.dumps(json.loads(body), sort_keys=True, ensure_ascii=False)
        except ValueError:
            return None
    if re.match(r"(select|with|insert|update|delete)\b", body, re.IGNORECASE):
        return re.sub(r"\s+", " ", body).rstrip("; ").lower()
    return None


def _plain(text: str, *, stated: bool) -> str | None:
    """A number, or a few words; None for prose."""
    words = text.split()
    if not words or (len(words) > SHORT_WORDS and not stated) or "\n\n" in text:
        return None
    after = text.rsplit("=", 1)[-1].strip()
    numbers = NUMBER.findall(after)
    if len(numbers) == 1 and len(after.split()) <= 3:
        return _number(numbers[0])
    return " ".join(re.findall(r"[\w:%./+-]+", after.casefold())).strip(" .") or None


def _number(text: str) -> str:
    value = float(text.replace(",", ""))
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)


def _last(pattern: re.Pattern[str], text: str) -> str | None:
    found = pattern.findall(text)
    return str(found[-1]).strip() if found else None
