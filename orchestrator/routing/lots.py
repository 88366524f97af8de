"""Lots that fall the same way for the same seed and question, on every machine."""

from __future__ import annotations

import hashlib
import random

from orchestrator.routing.query import Query


def lots(strategy: str, seed: int, query: Query) -> random.Random:
    """The source of chance of one decision: of the seed, the strategy and the question's text."""
    digest = hashlib.sha256(repr((seed, strategy, query.text, query.skills)).encode()).digest()
    return random.Random(int.from_bytes(digest[:8]))
