"""Which vote judges a question, and when it is not believed: as the snapshot has it.

The vote is the one the snapshot chose for the strategy, as it was fitted.
"""

from __future__ import annotations

import logging
import math

from aggregator.base import Vote
from aggregator.learned import LearnedVote
from aggregator.vote import Weighted
from aggregator.votes import plain_vote
from coterie.errors import ConfigurationError
from orchestrator.routing import Pool
from skills.knowledge import Knowledge

log = logging.getLogger(__name__)


def vote_for(pool: Pool | None, strategy: str, wanted: str | None = None) -> Vote:
    """The vote for ``strategy``; ``weighted`` where none was chosen, or nobody else is asked.

    ``wanted`` names another one than the snapshot chose; see :func:`check_vote`.
    """
    if pool is None:
        return Weighted()
    knowledge = pool.knowledge
    choices = knowledge.choices
    name = wanted or choices.get(f"vote/{strategy}") or choices.get("vote") or Weighted.name
    return knowledge.once(("vote", name), lambda: _restored(knowledge, name))


def aggregate_under(knowledge: Knowledge, strategy: str) -> float:
    """The agreement under which answers that differ go to the aggregator.

    What the snapshot chose for the strategy (``aggregate/STRATEGY``), or for all others
    (``aggregate``); 0 where it chose nothing, or what is no number: then every vote stands.
    """
    choices = knowledge.choices
    chosen = choices.get(f"aggregate/{strategy}") or choices.get("aggregate")
    return _threshold(knowledge.name, chosen) if chosen else 0.0


def _threshold(snapshot: str, chosen: str) -> float:
    try:
        found = float(chosen)
    except ValueError:
        found = math.nan
    if math.isnan(found):
        log.error("snapshot %r: its choice %r for aggregating is no number", snapshot, chosen)
        return 0.0
    return found


def check_vote(name: str, knowledge: Knowledge) -> None:
    """Raises :class:`ConfigurationError` unless ``name`` can vote by this snapshot."""
    if name not in knowledge.fitted:
        plain_vote(name)


def _restored(knowledge: Knowledge, name: str) -> Vote:
    try:
        if name in knowledge.fitted:
            return LearnedVote.from_json(knowledge.fitted[name])
        return plain_vote(name)
    except (ConfigurationError, ValueError, KeyError, TypeError) as error:
        log.error("snapshot %r: its vote %r cannot be used: %r", knowledge.name, name, error)
        return Weighted()
