"""One training conversation: a user's prompt and the short answer an expert should give."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Sample:
    """A user turn and the assistant turn that answers it."""

    prompt: str
    answer: str

    def messages(self) -> list[dict[str, str]]:
        """The conversation in OpenAI's form."""
        return [
            {"role": "user", "content": self.prompt},
            {"role": "assistant", "content": self.answer},
        ]


Generator: TypeAlias = Callable[[Random], Sample]
"""Draws one sample; the same state of the generator gives the same sample."""


def casual(rng: Random, text: str) -> str:
    """``text`` as it is, or now and then as somebody types it in a hurry."""
    roll = rng.random()
    if roll < 0.12:
        text = text[:1].lower() + text[1:]
    if roll < 0.06:
        text = text.removesuffix("?").removesuffix(".")
    return text
