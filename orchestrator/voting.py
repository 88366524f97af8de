"""Which vote judges a question: the one the snapshot chose for the strategy, as it was fitted."""

from __future__ import annotations

import logging

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
