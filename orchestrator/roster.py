"""Who can be asked right now: a snapshot of registry and profiles, and the engines behind it.

Requests read the snapshot, never the database: they go on while it is away.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from coterie.errors import ContextLengthExceeded, EngineError, NoExpertAvailable, UnknownModel
from coterie.ports import Engine
from coterie.types import Expert, Question, Sampling
from orchestrator.inquiry import Inquiry
from orchestrator.routing import Pool
from skills.knowledge import Knowledge

TEMPLATE_TOKENS = 16
"""Upper bound on the tokens a chat template adds per message (and once for the reply)."""


class Engines(Protocol):
    """Gives the engine of an expert; raises EngineUnavailable while it cannot be asked."""

    def engine(self, name: str) -> Engine: ...


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The registry's experts and what is known of them, as last read."""

    experts: Mapping[str, Expert] = field(default_factory=dict)
    knowledge: Knowledge = field(default_factory=Knowledge)

    @classmethod
    def of(cls, experts: Sequence[Expert], knowledge: Knowledge) -> Snapshot:
        return cls({e.name: e for e in experts}, knowledge)


class Roster:
    """The experts that can be asked, with what is known of them."""

    def __init__(self, engines: Engines, snapshot: Snapshot | None = None) -> None:
        self._engines = engines
        self._last_pool: Pool | None = None
        self.snapshot = snapshot or Snapshot()

    @property
    def enabled(self) -> tuple[Expert, ...]:
        """The enabled experts, by name."""
        return tuple(e for _, e in sorted(self.snapshot.experts.items()) if e.enabled)

    def expert(self, name: str) -> Expert:
        """The enabled expert called ``name``."""
        expert = self.snapshot.experts.get(name)
        if expert is None or not expert.enabled:
            state = "is disabled" if expert else "is not registered"
            raise UnknownModel(
                f"expert {name!r} {state}: GET /v1/models lists what can be asked", param="model"
            )
        return expert

    def engine(self, name: str) -> Engine:
        """The engine of an expert; raises EngineUnavailable while it is starting or down."""
        return self._engines.engine(name)

    def sampling(self, name: str, inquiry: Inquiry) -> Sampling:
        """The caller's settings over the expert's own defaults."""
        expert = self.snapshot.experts.get(name)
        return inquiry.sampling.over(expert.defaults) if expert else inquiry.sampling

    async def pool(self, inquiry: Inquiry) -> Pool:
        """Every enabled expert whose engine can be asked and whose context holds the question."""
        if not self.enabled:
            raise NoExpertAvailable(
                "no expert is enabled: add one with `coterie experts add`, or enable one with "
                "`coterie experts enable NAME`"
            )
        reachable, reasons = self._reachable()
        if not reachable:
            raise NoExpertAvailable(
                f"no enabled expert can be asked now ({'; '.join(reasons)}): try again shortly, "
                "`coterie experts list` shows their state"
            )
        fitting = [e for e in reachable if await self._fits(e, inquiry)]
        if not fitting:
            longest = max(e.context_length or 0 for e in reachable)
            raise ContextLengthExceeded(
                f"the conversation and max_tokens exceed the longest context of any expert "
                f"({longest} tokens): shorten the messages or lower max_tokens",
                param="messages",
            )
        return self._pool(fitting)

    def _pool(self, experts: Sequence[Expert]) -> Pool:
        """The pool of ``experts``: the last one again where they and what is known are the same.

        What is derived from a pool is derived once, not at every request.
        """
        last = self._last_pool
        same = last is not None and last.knowledge is self.snapshot.knowledge
        if last is None or not same or last.experts != tuple(experts):
            self._last_pool = last = Pool(experts, self.snapshot.knowledge)
        return last

    def _reachable(self) -> tuple[list[Expert], list[str]]:
        found, reasons = [], []
        for expert in self.enabled:
            try:
                self._engines.engine(expert.name)
            except EngineError as error:
                reasons.append(str(error))
            else:
                found.append(expert)
        return found, reasons

    async def _fits(self, expert: Expert, inquiry: Inquiry) -> bool:
        if expert.context_length is None:
            return True
        room = expert.context_length - (self.sampling(expert.name, inquiry).max_tokens or 1)
        # A byte-level tokenizer never makes more tokens than bytes: most questions need no count.
        if most_tokens(inquiry.question) <= room:
            return True
        try:
            return await self._engines.engine(expert.name).count_tokens(inquiry.question) <= room
        except EngineError:
            return True  # asking it will tell, and a failure is replaced


def most_tokens(question: Question) -> int:
    """An upper bound on the prompt's tokens, for byte-level tokenizers."""
    size = sum(len(str(m.as_dict()).encode()) for m in question.messages)
    return size + TEMPLATE_TOKENS * (len(question.messages) + 1)
