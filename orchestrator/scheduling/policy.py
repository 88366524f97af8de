"""The scheduler's knobs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Policy:
    """All times in seconds."""

    patience_s: float = 600.0
    """Work keeps its engine loaded against other work that has waited up to so much longer."""
    prefetch: float = 2.0
    """The next engine is loaded when what the loaded ones have left takes no longer than so many
    times its loading; earlier would only keep it from another GPU."""
    help: bool = False
    """An engine that another GPU holds may be loaded here too, when that pays."""
