"""Who can be asked right now: a snapshot of registry and profiles, and the engines behind it.

Requests read the snapshot, never the database: they go on while it is away.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from coterie.errors import (
    ContextLengthExceeded,
    EngineError,
    EngineUnavailable,
    EveryoneBusy,
    ExpertBusy,
    NoExpertAvailable,
    RequestError,
    UnknownModel,
)
from coterie.ports import Engine
from coterie.types import Expert, Question, Sampling, Usage
from orchestrator.engines.alpha_traces import trace_id
from orchestrator.engines.balanced import BalancedEngine
from orchestrator.engines.gate import Gate, GatedEngine
from orchestrator.engines.wire import TRACE
from orchestrator.inquiry import Inquiry
from orchestrator.needs import able, needs_of
from orchestrator.routing import Policy, Pool, warm
from orchestrator.spending import affordable
from skills.fused import completed
from skills.knowledge import Knowledge

POOLS = 16
"""Pools that are kept at a time."""
EMBEDDER = "coterie-embedder"
"""The encoder of questions, as an embedding model that anybody may ask."""
TEMPLATE_TOKENS = 16
"""Upper bound on the tokens a chat template adds per message (and once for the reply)."""


class Engines(Protocol):
    """Gives the engine of an expert; raises EngineUnavailable while it cannot be asked."""

    def engine(self, name: str) -> Engine: ...


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The registry's experts and what is known of them, as last read.

    ``descriptions``: unit vectors, (texts, d), of what experts are said to be good at, by name.
    """

    experts: Mapping[str, Expert] = field(default_factory=dict)
    knowledge: Knowledge = field(default_factory=Knowledge)
    descriptions: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        experts: Sequence[Expert],
        knowledge: Knowledge,
        descriptions: Mapping[str, NDArray[np.float32]] | None = None,
    ) -> Snapshot:
        return cls({e.name: e for e in completed(experts)}, knowledge, descriptions or {})

    def knows_as(self, other: Snapshot) -> bool:
        """Whether both rest on the very same knowledge and descriptions."""
        return self.knowledge is other.knowledge and self.descriptions is other.descriptions


class Roster:
    """The experts that can be asked, with what is known of them."""

    def __init__(self, engines: Engines, snapshot: Snapshot | None = None) -> None:
        self._engines = engines
        self._pools: OrderedDict[tuple[str, ...], tuple[Pool, Snapshot]] = OrderedDict()
        self._apart_pools: OrderedDict[tuple[str, ...], tuple[Pool, Snapshot]] = OrderedDict()
        self._in_flight: Counter[str] = Counter()
        self._gates: defaultdict[str, Gate] = defaultdict(Gate)
        self._warm: dict[tuple[str, ...], Knowledge] = {}
        self.snapshot = snapshot or Snapshot()

    @property
    def enabled(self) -> tuple[Expert, ...]:
        """The enabled experts that answer questions, by name."""
        return tuple(e for e in self._enabled if e.chats)

    @property
    def embedders(self) -> tuple[Expert, ...]:
        """The enabled embedding models, by name."""
        return tuple(e for e in self._enabled if not e.chats)

    @property
    def _enabled(self) -> Iterator[Expert]:
        return (e for _, e in sorted(self.snapshot.experts.items()) if e.enabled)

    @property
    def recruited(self) -> tuple[Expert, ...]:
        """Those of them that routing may choose, by name."""
        return tuple(e for e in self.enabled if e.recruited)

    async def warm(self, policy: Policy, restricted: Iterable[Collection[str]] = ()) -> None:
        """Derives what decisions rest on, if there is new knowledge, before a request needs it.

        So it does for the experts of each of ``restricted``, which some keys may ask alone.
        """
        knowledge, everyone = self.snapshot.knowledge, self.recruited
        pools = [everyone, *(tuple(e for e in everyone if e.name in r) for r in restricted)]
        by_names = {tuple(e.name for e in experts): experts for experts in pools if experts}
        for names, experts in list(by_names.items())[:POOLS]:
            if self._warm.get(names) is not knowledge:
                await asyncio.to_thread(warm, Pool(experts, knowledge), policy)
                self._warm[names] = knowledge
        self._warm = {names: k for names, k in self._warm.items() if k is knowledge}

    def expert(self, name: str) -> Expert:
        """The enabled expert called ``name``; an embedding model is none."""
        self.check_chats(name)
        expert = self.snapshot.experts.get(name)
        if expert is None or not expert.enabled:
            state = "is disabled" if expert else "is not registered"
            raise UnknownModel(
                f"expert {name!r} {state}: GET /v1/models lists what can be asked", param="model"
            )
        return expert

    def check_chats(self, name: str) -> None:
        """Raises :class:`RequestError` where ``name`` is an embedding model's."""
        known = self.snapshot.experts.get(name)
        if not known.chats if known else name == EMBEDDER:
            raise RequestError(
                f"{name!r} is an embedding model, which answers nothing: send its texts to "
                "/v1/embeddings, or name another model",
                param="model",
            )

    def engine(self, name: str) -> GatedEngine:
        """The engine of an expert, its calls counted at the expert's gate.

        Raises EngineUnavailable while it is starting, down or drained.
        """
        engine, gate = self._engines.engine, self._gates[name]
        engine(name)
        if gate.reason:
            raise EngineUnavailable(name, gate.reason)
        return GatedEngine(name, gate, lambda: engine(name))

    def gate(self, name: str) -> Gate:
        """Counts the calls to an expert, a job's too, and can keep new ones out."""
        return self._gates[name]

    def sampling(self, name: str, inquiry: Inquiry) -> Sampling:
        """The caller's settings over the expert's own defaults."""
        expert = self.snapshot.experts.get(name)
        if expert is None:
            return inquiry.sampling
        chosen = inquiry.sampling.over(expert.defaults)
        if not (inquiry.trace and expert.fusion):
            return chosen
        return replace(chosen, extra={**chosen.extra, TRACE: trace_id(inquiry.id, name)})

    def cost_usd(self, name: str, usage: Usage) -> float:
        """What ``usage`` costs with an expert; nothing with one that is gone meanwhile."""
        expert = self.snapshot.experts.get(name)
        return expert.cost_usd(usage) if expert else 0.0

    @contextmanager
    def answering(self, name: str) -> Iterator[None]:
        """Counts a request that the expert is answering: routing sees who is busy."""
        self._in_flight[name] += 1
        try:
            yield
        finally:
            self._in_flight[name] -= 1
            if not self._in_flight[name]:
                del self._in_flight[name]

    async def pool(self, inquiry: Inquiry) -> Pool:
        """Every recruited expert whose engine can be asked, that is capable of what the request
        needs, and whose context holds the question.

        The pool of a request that names its experts, or needs what not all are capable of, has
        knowledge of its own, and nothing is ready that decisions rest on.
        """
        candidates = self._candidates(inquiry)
        needs = needs_of(inquiry.question, inquiry.sampling)
        capable = able(candidates, needs) if needs else candidates
        reachable, reasons = self._reachable(capable)
        if not reachable:
            raise _nobody(reasons)
        fitting = [e for e in reachable if await self._fits(e, inquiry)]
        if not fitting:
            longest = max(e.context_length or 0 for e in reachable)
            raise ContextLengthExceeded(
                f"the conversation and max_tokens exceed the longest context of any expert "
                f"({longest} tokens): shorten the messages or lower max_tokens",
                param="messages",
            )
        budget_usd = inquiry.wishes.budget_usd
        if budget_usd is not None:
            fitting = affordable(fitting, inquiry.question, inquiry.sampling, budget_usd)
        if inquiry.wishes.narrows or len(capable) < len(candidates):
            return self._apart(fitting)
        return self._pool(fitting)

    def _candidates(self, inquiry: Inquiry) -> Sequence[Expert]:
        """Who may be chosen for the inquiry, reachable or not."""
        named = inquiry.wishes.experts
        experts = [e for e in self.enabled if e.name in named] if named else self.recruited
        if not experts:
            raise NoExpertAvailable(
                "no expert is enabled that may be recruited: add one with `coterie experts add`, "
                "enable one with `coterie experts enable NAME`, or ask one by its name"
            )
        if not inquiry.experts:
            return experts
        allowed = [e for e in experts if e.name in inquiry.experts]
        if not allowed:
            raise NoExpertAvailable(
                f"none of the experts that this key may ask ({', '.join(inquiry.experts)}) is "
                "enabled: enable one, or let the key ask others"
            )
        return allowed

    def _apart(self, experts: Sequence[Expert]) -> Pool:
        """A pool that is no other request's business: what is derived for it displaces nothing."""
        snapshot, names = self.snapshot, tuple(e.name for e in experts)
        pool, of = self._apart_pools.pop(names, (None, snapshot))
        if pool is None or not snapshot.knows_as(of) or pool.experts != tuple(experts):
            knowledge = snapshot.knowledge.apart()
            pool = Pool(experts, knowledge, descriptions=snapshot.descriptions)
        self._apart_pools[names] = pool, snapshot
        if len(self._apart_pools) > POOLS:
            self._apart_pools.popitem(last=False)
        return pool.under(self._in_flight) if self._in_flight else pool

    def _pool(self, experts: Sequence[Expert]) -> Pool:
        """The pool of ``experts``: an earlier one again where they and what is known are the same.

        What is derived from a pool is derived once, not at every request; keys that may ask
        different experts have pools of their own.
        """
        snapshot, names = self.snapshot, tuple(e.name for e in experts)
        pool, of = self._pools.get(names, (None, snapshot))
        if pool is None or not snapshot.knows_as(of) or pool.experts != tuple(experts):
            pool = Pool(experts, snapshot.knowledge, descriptions=snapshot.descriptions)
            self._pools[names] = pool, snapshot
            if len(self._pools) > POOLS:
                self._pools.popitem(last=False)
        return pool.under(self._in_flight) if self._in_flight else pool

    def _reachable(
        self, experts: Sequence[Expert]
    ) -> tuple[Sequence[Expert], Sequence[EngineError]]:
        """Who of ``experts`` would take a call now, and why the others would not."""
        found: list[Expert] = []
        reasons: list[EngineError] = []
        for expert in experts:
            try:
                engine = self._engines.engine(expert.name)
            except EngineError as error:
                reasons.append(error)
                continue
            refusal = engine.refusal() if isinstance(engine, BalancedEngine) else None
            if refusal:
                reasons.append(refusal)
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


def _nobody(reasons: Sequence[EngineError]) -> NoExpertAvailable:
    """What the caller is told where nobody takes a call."""
    waits = [e.retry_after_s for e in reasons if isinstance(e, EngineUnavailable)]
    wait_s = min((max(1.0, wait_s) for wait_s in waits if wait_s), default=10.0)
    told = f"no enabled expert can be asked now ({'; '.join(map(str, reasons))}): try again shortly"
    if all(isinstance(error, ExpertBusy) for error in reasons):
        return EveryoneBusy(f"{told}, or raise the limits of an expert", retry_after_s=wait_s)
    told += ", `coterie experts list` shows their state"
    return NoExpertAvailable(told, retry_after_s=wait_s)


def most_tokens(question: Question) -> int:
    """An upper bound on the prompt's tokens, for byte-level tokenizers."""
    size = sum(len(str(m.as_dict()).encode()) for m in question.messages)
    return size + TEMPLATE_TOKENS * (len(question.messages) + 1)
