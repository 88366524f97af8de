r"""Reads the answer out of a model's reply, and says how sure the reading is.

A reading is one of three kinds: *stated* in the form that was asked for ("the answer is (B)",
``\boxed{B}``, "#### 18"), *named* in a form of the model's own ("Answer: B", a reply that is
nothing but the letter), or *guessed* (one option in its own words, "(B)" as the last word, the
first of several letters; the last line's last number).
A capital somewhere in prose is never an answer: "A" and "I" are words.

Nothing here raises, whatever the text, and the time is linear in its length: no pattern repeats
without a bound.  Refuses to know what is right.  Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import TypeAlias

from coterie.types import Reading
from evals.numbers import NUMBER, canonical_number
from evals.plain import plain_text

Read: TypeAlias = tuple[str | None, Reading]
"""The answer in canonical form, and how it was read; None where nothing was."""

NOTHING: Read = (None, Reading.NOTHING)

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
MAX_CHARS = 100_000
"""Only so much of a reply's end is read."""
MAX_STATED = 200
"""A stated answer is read this far."""
SHORT_WORDS = 12
"""A reply of one line and at most so many words is taken for the answer itself."""

_NEXT_QUESTION = re.compile(
    r"\n[\s*#]{0,8}(?:(?:Question|Q)\b ?[\d*]{0,6}:"
    r"|Now,[^\n]{0,80}(?:\banswers\b|\bquestions\b|答案))"
)
"""Where a reply goes on to questions nobody asked, or sums up those of the worked examples (seen
of one recorded model; docs/tasks.md says how much hangs on it)."""
_IS = r"(?:is|are|was|will be|would be|should be|must be)"
_STATES = re.compile(rf"\b(?i:answer)(?:[\s*]{{1,4}}(?i:choice|option))?[\s*]{{1,4}}{_IS}\b")
_NAMES = re.compile(
    r"\b(?i:answer)[\"'*_ ]{0,4}[:=]"
    rf"|\b(?i:correct|right|best)[\s*]{{1,4}}(?i:option|choice|one|statement)[\s*]{{1,4}}{_IS}\b"
)
_HASHES = re.compile(r"####(?!#)")
_OPTION_IS_RIGHT = (
    r"\b(?i:option|choice|answer)[\s*]{{1,4}}[(*\[]{{0,3}}([{letters}])[)*\]]{{0,3}}[:.]?\s{{1,3}}"
    r"(?i:is|must be)\s{{1,3}}(?:(?i:the|most|indeed|therefore)\s{{1,3}}){{0,2}}"
    r"(?i:correct|right|best|answer)\b"
)
_OPENING = (
    r"[\s*_$`\"'‘“:({{\[\\]{{0,12}}"
    r"(?:(?i:option|choice|letter)\b[\s*_$`\"'({{\[\\]{{1,6}})?"
    r"(?:\\?(?:text|textbf|mathrm|mathbf|boxed|bf|rm)\b\s?[\s({{*]{{0,4}}){{0,3}}"
)
# A letter that goes on ("Any", "C6H12", "A-level", "I'm") is a word, and so is a bare "A" or "I"
# before a word, unless that word gives a reason.
_LETTER = (
    r"([{letters}])(?![\w'’]|[-–]\w)"
    r"(?!(?<=[^(\[{{*][AI]) +(?!because\b|since\b|as\b|due\b|and\b|or\b|for\b|with\b|which\b|"
    r"based\b|given\b|by\b|in\b)[a-z])"
)


_WHOLE = r"\W{{0,8}}(?:(?i:option|choice)\s{{1,3}})?\W{{0,4}}([{letters}])(?:\W{{0,8}}$|[).:]\s)"
_AT_THE_END = (
    r"\b(?i:is|are|be|option|choice|therefore|or)[\s*:,]{{1,4}}\(([{letters}])\)[\s.*$]{{0,8}}$"
)
"""The last words: "the closest is (B)."."""

_SEVERAL = r"[)*\]$ ]{{0,4}},? ?(?:(?:or|and|&|/) ?)?\(?[{letters}](?![\w'’])"
"""Behind a letter: a further one, so that no single option was stated."""


def read_choice(output: str, choices: Sequence[str]) -> Read:
    """The letter of one of ``choices``."""
    patterns = _letter_patterns(min(len(choices), len(LETTERS)))
    return _first(_parts(output), lambda part: _choice(part, choices, patterns))


def read_number(output: str) -> Read:
    """A number: see :func:`evals.numbers.canonical_number` for its form."""
    return _first(_parts(output), _number)


def read_text(output: str) -> Read:
    """A few words, without case, punctuation around them and a leading article."""
    return _first(_parts(output), _text)


# --- the parts of a reply that are read ---------------------------------------------------------


def answer_part(output: str) -> str:
    """``output`` without its reasoning trace; nothing where the trace does not end."""
    output = output[-MAX_CHARS:]
    _, closed, after = output.rpartition("</think>")
    if closed:
        return after
    return "" if output.lstrip().startswith("<think>") else output


def _parts(output: str) -> Iterator[str]:
    """What comes before the model asks itself a further question; then, all of it."""
    text = answer_part(output).strip()
    following = _NEXT_QUESTION.search(text)
    if following:
        yield text[: following.start()].strip()
    yield text


def _first(parts: Iterator[str], read: Callable[[str], Read]) -> Read:
    """The first part's answer, unless nothing but a guess was read there and more elsewhere."""
    found = [read(part) for part in parts]
    sure = (f for f in found if f[1] in (Reading.STATED, Reading.NAMED))
    return next(sure, next((f for f in found if f[0] is not None), NOTHING))


# --- letters ------------------------------------------------------------------------------------


@cache
def _letter_patterns(count: int) -> tuple[re.Pattern[str], ...]:
    """A letter after a cue, as a whole line, in "option B is correct"; several; at the end."""
    letters = LETTERS[: max(count, 1)]
    opening, letter = _OPENING.format(), _LETTER.format(letters=letters)
    return (
        re.compile(opening + letter),
        re.compile(_WHOLE.format(letters=letters)),
        re.compile(_OPTION_IS_RIGHT.format(letters=letters)),
        re.compile(_SEVERAL.format(letters=letters)),
        re.compile(_AT_THE_END.format(letters=letters)),
    )


def _choice(text: str, choices: Sequence[str], patterns: tuple[re.Pattern[str], ...]) -> Read:
    after, whole, is_right, several, at_the_end = patterns

    def cued(cue: re.Pattern[str], *, single: bool = True) -> Iterator[tuple[int, str]]:
        for found in cue.finditer(text):
            letter = after.match(text, found.end())
            if letter and single != bool(several.match(text, letter.end())):
                yield found.start(), letter[1]

    def boxed() -> Iterator[tuple[int, str]]:
        for at, content in _boxes(text):
            if letter := whole.match(_bare(content)):
                yield at, letter[1]

    # The last statement counts: models correct themselves.
    if stated := max((*cued(_STATES), *boxed()), default=None):
        return stated[1], Reading.STATED
    right = ((found.start(), found[1]) for found in is_right.finditer(text))
    if named := max((*cued(_NAMES), *right), default=None):
        return named[1], Reading.NAMED
    if letter := _alone(text, choices, whole):
        return letter, Reading.NAMED
    if several_stated := max(cued(_STATES, single=False), default=None):
        return several_stated[1], Reading.GUESSED
    if ending := at_the_end.search(text[-MAX_STATED:]):
        return ending[1], Reading.GUESSED
    return _in_words(text, choices)


def _alone(text: str, choices: Sequence[str], whole: re.Pattern[str]) -> str | None:
    """The letter that is all of the first or the last line, its option's text aside."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    for line in dict.fromkeys((*lines[-1:], *(lines[:1] if len(lines) <= 2 else ()))):
        found = whole.match(line)
        if not found:
            continue
        rest = plain_text(line[found.end() :])
        if not rest or rest == plain_text(choices[LETTERS.index(found[1])]):
            return found[1]
    return None


def _in_words(text: str, choices: Sequence[str]) -> Read:
    """The one option whose text was given where a letter was asked for."""
    said = _said(text, (_STATES, _NAMES))
    fragments = [said] if said is not None else []
    if len(text.split()) <= SHORT_WORDS or any(plain_text(c) == plain_text(text) for c in choices):
        fragments.append(text)
    for fragment in map(plain_text, fragments):
        same = [i for i, choice in enumerate(choices) if plain_text(choice) == fragment]
        if fragment and len(same) == 1:
            return LETTERS[same[0]], Reading.GUESSED
    return NOTHING


# --- numbers and words --------------------------------------------------------------------------


def _number(text: str) -> Read:
    for fragment, reading in _fragments(text):
        if (number := _number_in(fragment, last=False)) is not None:
            return number, reading
    lines = [line for line in text.splitlines() if line.strip()]
    if lines and (number := _number_in(lines[-1][-2000:], last=True)) is not None:
        bare = len(lines) == 1 and len(lines[0].split()) <= 3
        return number, Reading.NAMED if bare else Reading.GUESSED
    return NOTHING


def _number_in(fragment: str, *, last: bool) -> str | None:
    """The number after the last "=", else the fragment's first or last one."""
    _, equals, solved = fragment.rpartition("=")
    if equals and (found := NUMBER.search(solved)):
        return canonical_number(found.group())
    numbers = [found.group() for found in NUMBER.finditer(fragment)]
    return canonical_number(numbers[-1 if last else 0]) if numbers else None


def _text(text: str) -> Read:
    for fragment, reading in _fragments(text):
        if plain := plain_text(fragment):
            return plain, reading
    if len(text.splitlines()) == 1 and len(text.split()) <= SHORT_WORDS:
        plain = plain_text(text)
        return (plain, Reading.NAMED) if plain else NOTHING
    return NOTHING


def _fragments(text: str) -> Iterator[tuple[str, Reading]]:
    """What is said to be the answer, the surest first."""
    boxes = [content for _, content in _boxes(text)]
    if boxes:
        yield boxes[-1], Reading.STATED
    cues = (_HASHES, Reading.STATED), (_STATES, Reading.STATED), (_NAMES, Reading.NAMED)
    for cue, reading in cues:
        if (said := _said(text, (cue,))) is not None:
            yield said, reading


def _said(text: str, cues: Sequence[re.Pattern[str]]) -> str | None:
    """What follows the last of the first cue that is there: to the sentence's or line's end."""
    for cue in cues:
        ends = [found.end() for found in cue.finditer(text)]
        if ends:
            rest = text[ends[-1] : ends[-1] + MAX_STATED].lstrip(" \t\n:*_").partition("\n")[0]
            return re.split(r"[.!?](?:\s|$)", rest, maxsplit=1)[0]
    return None


# --- TeX ----------------------------------------------------------------------------------------


def _boxes(text: str) -> Iterator[tuple[int, str]]:
    r"""Where each ``\boxed{...}`` begins, and what is in it, braces in it included."""
    for found in re.finditer(r"\\boxed\s?\{", text):
        depth, start = 1, found.end()
        for at in range(start, min(len(text), start + MAX_STATED)):
            depth += (text[at] == "{") - (text[at] == "}")
            if depth == 0:
                yield found.start(), text[start:at]
                break


def _bare(tex: str) -> str:
    r"""``tex`` without the commands that only change its look: ``\text{(B)}`` is "(B)"."""
    return re.sub(r"\\(?:text|textbf|mathrm|mathbf|bf|rm)\b|[{}$]", "", tex).strip()
