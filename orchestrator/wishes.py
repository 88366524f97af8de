"""What a request decides for itself, over what the server is set to.  Frozen, pure."""

from __future__ import annotations

from dataclasses import dataclass

from coterie.types import JSON, as_jsonable


@dataclass(frozen=True, slots=True)
class Wishes:
    """``strategy`` goes before the model's.  ``k``: how many experts are asked at most;
    ``experts``: the only ones that may be, where any are named, those among them that are not
    recruited too; ``budget_usd``: what all calls may cost together.  ``vote`` names the vote that
    judges; ``writes``: whether one answer is written of many (None: as the snapshot says), and
    ``writer`` is the expert that does.  ``explain``: the response tells how it came about.
    ``conversation`` is the caller's name for it.  ``alone``: one expert answers, and keeps the
    conversation while a tool is called.
    """

    strategy: str | None = None
    k: int | None = None
    experts: tuple[str, ...] = ()
    budget_usd: float | None = None
    vote: str | None = None
    writes: bool | None = None
    writer: str | None = None
    explain: bool = False
    conversation: str = ""
    alone: bool = False

    @property
    def narrows(self) -> bool:
        """Whether fewer may be chosen than otherwise."""
        return bool(self.experts) or self.budget_usd is not None

    @property
    def most(self) -> int | None:
        """How many may be asked; None: as many as the policy says."""
        return 1 if self.alone else self.k


NO_WISHES = Wishes()

_TOLD = ("strategy", "k", "experts", "budget_usd", "vote", "writes", "writer", "alone")


def told(wishes: Wishes) -> dict[str, JSON]:
    """What of the wishes bears on who is asked and what is made of it, as JSON."""
    found = {name: as_jsonable(getattr(wishes, name)) for name in _TOLD}
    return {name: value for name, value in found.items() if value not in (None, [], False)}
