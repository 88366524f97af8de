"""What a router sees of a question."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from coterie.types import SkillWeight


@dataclass(frozen=True, slots=True)
class Query:
    """What a router sees of a question.

    ``vector``: its unit embedding, (d,), where one was made; ``options``: how many answers there
    are to choose from, 0 for an open question; ``holder``: the expert that answered the turn
    before, where the conversation has one; ``instruction``: the unit embedding of what it asks for,
    apart from what about, where that was looked for; ``called``: it is the result of a tool that
    the holder called.
    """

    skills: tuple[SkillWeight, ...] = ()
    text: str = ""
    vector: NDArray[np.float32] | None = field(default=None, compare=False, repr=False)
    options: int = 0
    holder: str | None = None
    instruction: NDArray[np.float32] | None = field(default=None, compare=False, repr=False)
    called: bool = False
