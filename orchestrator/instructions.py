"""What a prompt asks for, apart from what it asks it about: its task instruction.

"Translate into French: the cat sleeps" is like an adapter that translates, and a little like one
that knows cats; its instruction is like the first alone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from coterie.types import Question
from orchestrator.descriptions import Embed
from orchestrator.routing.instruction import Instruction

LONGEST = 400
"""Characters: of a longer instruction the beginning is compared, where the task is named."""

_LABELLED = re.compile(
    r"^\W*(?:task|instructions?|your task)\W*:\s*(\S.*?)(?=\n\s*\n|\n\W*\w+\W*:|\Z)",
    re.IGNORECASE | re.MULTILINE | re.DOTALL,
)
_LED = re.compile(r"^([^\n:]{12,200}):(?=\s)\s*\S")
_SENTENCE = re.compile(r"^(.{12,}?[.!?])\s+\S", re.DOTALL)


def instruction_of(question: Question) -> str:
    """The system message; else what the prompt labels as its task; else its first part.

    That is what stands before the first colon of the first line, its first paragraph, or its first
    sentence.  Nothing where the prompt is of one piece.
    """
    system = [m.text.strip() for m in question.messages if m.role in ("system", "developer")]
    found = next((text for text in reversed(system) if text), "") or _within(question.text.strip())
    return found[:LONGEST].strip()


async def instruction_vectors(
    asked: Sequence[tuple[Question, str]], embed: Embed | None
) -> list[NDArray[np.float32] | None]:
    """The unit vector, (d,), of what each question asks for.

    ``asked`` has each question's strategy too: only one compares instructions, and for the others
    there is None, as where nothing is asked for, or cannot be embedded.
    """
    found: list[NDArray[np.float32] | None] = [None] * len(asked)
    if embed is None:
        return found
    texts = [instruction_of(q) if s == Instruction.name else "" for q, s in asked]
    at = [i for i, text in enumerate(texts) if text]
    if at:
        for i, vector in zip(at, await embed([texts[i] for i in at]), strict=True):
            found[i] = np.asarray(vector)
    return found


def _within(text: str) -> str:
    if labelled := _LABELLED.search(text):
        return labelled[1]
    if led := _LED.match(text):
        return led[1]
    first, _, rest = text.partition("\n\n")
    if rest.strip():
        return first
    sentence = _SENTENCE.match(text)
    return sentence[1] if sentence else ""
