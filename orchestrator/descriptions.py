"""What experts are said to be good at, as vectors: for experts that nobody graded yet."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from coterie.types import Expert

Embed = Callable[[Sequence[str]], Awaitable[NDArray[np.float32]]]
"""Unit vectors, (texts, d); off the event loop."""


class Descriptions:
    """Embeds experts' descriptions and examples; a text is embedded once, when it is new.

    Without ``embed`` there is nothing to compare questions to, and no expert has a vector.
    """

    def __init__(self, embed: Embed | None = None) -> None:
        self._embed = embed
        self._vectors: dict[str, NDArray[np.float32]] = {}
        self._last: tuple[Mapping[str, tuple[str, ...]], Mapping[str, NDArray[np.float32]]] = (
            {},
            {},
        )

    async def of(self, experts: Sequence[Expert]) -> Mapping[str, NDArray[np.float32]]:
        """The unit vectors, (texts, d), of every expert that says anything of itself, by name.

        While nothing changes it is the same mapping, so that what was made of it stays.
        """
        if self._embed is None:
            return {}
        texts = {e.name: said for e in experts if (said := texts_of(e))}
        if texts == self._last[0]:
            return self._last[1]
        wanted = {text for said in texts.values() for text in said}
        new = sorted(wanted - self._vectors.keys())
        made = dict(zip(new, await self._embed(new), strict=True)) if new else {}
        # What no expert says of itself any more is forgotten.
        known = {**self._vectors, **made}
        self._vectors = {text: known[text] for text in wanted}
        found = {name: np.stack([known[text] for text in said]) for name, said in texts.items()}
        self._last = texts, found
        return found


def texts_of(expert: Expert) -> tuple[str, ...]:
    """What questions are compared to: the expert's description, and prompts it was trained on."""
    examples = (example.strip() for example in expert.examples)
    return tuple(dict.fromkeys(text for text in (described(expert), *examples) if text))


def described(expert: Expert) -> str:
    """The expert's description and its tags."""
    parts = (expert.description.strip().rstrip("."), ", ".join(expert.tags))
    return ". ".join(part for part in parts if part)
