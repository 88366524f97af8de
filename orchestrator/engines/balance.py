"""Which replica takes a call: a pure choice.

Least load wins.  Among those that have about as little, the one that had this conversation's
beginning last time, as it has that in its prefix cache.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

from coterie.types import Question, as_jsonable

FULL_KV = 0.9
"""The share of KV cache in use from which on an engine soon has to make requests wait."""
KV_WEIGHT = 8.0
"""How many requests an entirely full KV cache counts as."""
ABOUT = 0.25
"""Loads that are higher than the least by no more than this share of it are about the same."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How a replica stands.

    ``own`` calls of this process are in flight there, and ``others`` run or wait besides, as its
    metrics said last; ``kv_usage`` is in [0, 1].  It is ``ready`` unless it was found ailing, or
    asked to be left alone.
    """

    url: str
    own: int = 0
    others: float = 0.0
    kv_usage: float = 0.0
    ready: bool = True

    @property
    def load(self) -> float:
        """What it has to do, in requests."""
        over = max(0.0, self.kv_usage - FULL_KV) / (1.0 - FULL_KV)
        return self.own + self.others + KV_WEIGHT * over


def choose(standings: Sequence[Standing], prefix: bytes) -> int:
    """The index of the replica to ask, of one or more; those not ready only where none is."""
    ready = [i for i, standing in enumerate(standings) if standing.ready]
    loads = {i: standings[i].load for i in ready or range(len(standings))}
    most = min(loads.values()) * (1.0 + ABOUT)
    tied = [i for i, load in loads.items() if load <= most]
    return max(tied, key=lambda i: _affinity(prefix, standings[i].url)) if tied[1:] else tied[0]


def prefix_of(question: Question) -> bytes:
    """What stays the same from turn to turn: everything up to the first thing a user said."""
    turns = []
    for message in question.messages:
        turns.append(as_jsonable(message.as_dict()))
        if message.role == "user":
            break
    return json.dumps(turns, sort_keys=True, default=str).encode("utf-8", "replace")


def _affinity(prefix: bytes, url: str) -> bytes:
    """Rendezvous hashing: who comes or goes moves only its own share of the conversations."""
    return blake2b(
        prefix, digest_size=8, key=blake2b(url.encode(), digest_size=16).digest()
    ).digest()
