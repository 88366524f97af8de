"""An item that says itself how it is asked; the rest are asked as their job says."""

from __future__ import annotations

from dataclasses import dataclass, field

from coterie.types import Item, Sampling


@dataclass(frozen=True, slots=True)
class OwnItem(Item):
    """Whom ``strategy`` chooses is asked, or ``expert`` by name, with the item's own sampling.

    Each is routed by itself, as a live question is.
    """

    strategy: str = "auto"
    expert: str | None = None
    sampling: Sampling = field(default_factory=Sampling)
