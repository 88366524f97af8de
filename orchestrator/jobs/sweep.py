"""Takes the unfinished items of one page as far as the stored completions carry them.

What is finished gets its result; what is missing becomes units.  Nothing in between is kept: the
next sweep finds it out again.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from coterie.errors import JobError
from coterie.ports import Task
from coterie.types import Completion, Item
from evals.results import ItemResult
from orchestrator.deliberation import Ask, Missing, Settled
from orchestrator.jobs.docket import Docket
from orchestrator.jobs.ground import Ground, Paying
from orchestrator.jobs.item_store import ROUTED, Ending, StoredItem
from orchestrator.jobs.job import Job
from orchestrator.jobs.terms import Terms
from orchestrator.jobs.tracker import By, Heard, Outstanding
from orchestrator.jobs.unit_store import Kept, Request
from orchestrator.keys.budget import Spent
from orchestrator.scheduling.patience import Patience


@dataclass(slots=True)
class Swept:
    """What a sweep came to: ``results`` of items that are finished, the batches ``waiting``, and
    what was heard so far by items that are not finished; ``later``: some are to be asked once there
    is money for them."""

    results: dict[int, ItemResult] = field(default_factory=dict)
    waiting: dict[str, Outstanding] = field(default_factory=dict)
    heard: Mapping[By, Heard] = field(default_factory=dict)
    failed: Counter[By] = field(default_factory=Counter)
    later: bool = False


@dataclass(frozen=True, slots=True)
class Sweeper:
    """Sweeps pages of ``page`` positions of one job."""

    ground: Ground
    job: Job
    terms: Terms
    task: Task
    items: Sequence[Item]
    page: int
    patiently: Patience
    purse: Paying | None = None

    async def sweep(self, number: int) -> Swept:
        """The page ``number`` as far as it goes now; its results are kept."""
        start = number * self.page
        stored = await self._stored(start)
        dockets = await asyncio.to_thread(self._dockets, start, stored)
        replies: dict[str, Kept] = {}
        swept = Swept()
        while dockets:
            settled = await self._settle(dockets, replies)
            swept.results |= settled
            if self.purse:
                self.purse.count(spent_of(settled.values()), settled)
            swept.failed.update(_failed(d for d in dockets if isinstance(d.state, Settled)))
            dockets = [d for d in dockets if isinstance(d.state, Missing)]
            dockets = await self._afford(dockets, swept)
            swept.waiting = await self._register(number, dockets)
            if swept.waiting:
                break
            # What was missing came between two looks: look again.
        swept.heard = _heard(dockets, replies, self.job)
        return swept

    async def settle(self, number: int) -> None:
        """Keeps the results of those items of a page whose replies are all there; asks nobody."""
        start = number * self.page
        stored = await self._stored(start)
        await self._settle(await asyncio.to_thread(self._dockets, start, stored), {})

    async def _settle(
        self, dockets: Sequence[Docket], replies: dict[str, Kept]
    ) -> dict[int, ItemResult]:
        await self._advance(dockets, replies)
        endings = await asyncio.to_thread(self._endings, dockets, replies)
        await self.patiently(lambda: self.ground.items.finish(self.job.id, endings))
        return {position: ending.result for position, ending in endings.items()}

    async def _afford(self, dockets: list[Docket], swept: Swept) -> list[Docket]:
        """Those whose key can pay for them; of the others it is told that it cannot."""
        purse = self.purse
        if purse is None:
            return dockets
        most = await asyncio.to_thread(lambda: {d.position: d.most() for d in dockets})
        admitted = await self.patiently(lambda: purse.admit(most))
        refused, swept.later = admitted.refused, bool(admitted.later)
        if refused:
            endings = {
                d.position: d.refused(refused[d.position]) for d in dockets if d.position in refused
            }
            await self.patiently(lambda: self.ground.items.finish(self.job.id, endings))
            swept.results |= {position: ending.result for position, ending in endings.items()}
        out = {*refused, *admitted.later}
        return [d for d in dockets if d.position not in out]

    async def _stored(self, start: int) -> list[StoredItem]:
        items, secret = self.ground.items, self.terms.secret
        return await self.patiently(
            lambda: items.items(self.job.id, start, start + self.page, ROUTED, secret=secret)
        )

    def _dockets(self, start: int, stored: Sequence[StoredItem]) -> list[Docket]:
        items = self.items[start : start + self.page]
        for s in stored:
            if s.position - start >= len(items) or items[s.position - start].id != s.item:
                raise JobError(
                    f"task {self.task.name!r} has other questions than when the job began (at "
                    f"{s.position} there was {s.item!r}): start another job"
                )
        return [Docket.of(self.terms, items[s.position - start], s) for s in stored]

    async def _advance(self, dockets: Sequence[Docket], replies: dict[str, Kept]) -> None:
        """Advances each until a reply is missing that is not stored."""
        wanted = await asyncio.to_thread(_first, dockets)
        going = list(dockets)
        while going:
            found = await self._replies(sorted(wanted - replies.keys()))
            replies |= found
            await asyncio.to_thread(_advance, going, replies)
            asked = {id(d): {r.unit.key for r in d.missing()} for d in going}
            going = [d for d in going if asked[id(d)] - wanted]
            wanted |= {key for d in going for key in asked[id(d)]}

    async def _replies(self, keys: Sequence[str]) -> dict[str, Kept]:
        retry_before = self.job.retry_before
        return await self.patiently(lambda: self.ground.units.replies(keys, retry_before))

    def _endings(self, dockets: Iterable[Docket], replies: Mapping[str, Kept]) -> dict[int, Ending]:
        """What came of those that are settled.  Blocks."""
        settled = [d for d in dockets if isinstance(d.state, Settled)]
        began = self.job.created_at
        return {
            d.position: Ending(d.result(self.task, replies, began), d.answer(), d.refusal())
            for d in settled
        }

    async def _register(self, number: int, dockets: Sequence[Docket]) -> dict[str, Outstanding]:
        """Makes units of what is missing; the batches that still have some of them open."""
        wanted: dict[str, Request] = {r.unit.key: r for d in dockets for r in d.missing()}
        roles = {d.request(a).unit.key: a.role for d in dockets for a in _asks(d)}
        units, before = self.ground.units, self.job.retry_before
        found = await self.patiently(lambda: units.register(list(wanted.values()), before))
        waiting: dict[str, Outstanding] = {}
        for key, (expert, batch) in found.items():
            known = waiting.setdefault(batch, Outstanding((expert, roles[key]), number, 0, 0))
            known.wanted += 1
            known.open += 1
        return waiting


def spent_of(results: Iterable[ItemResult]) -> Spent:
    """What calls took that were made for these results, and not stored before."""
    made = [call for result in results for call in result.calls if not call.reused]
    tokens = sum(c.prompt_tokens + c.completion_tokens for c in made)
    return Spent(math.fsum(c.cost_usd for c in made), tokens)


def _first(dockets: Iterable[Docket]) -> set[str]:
    """The keys of what the routes ask for.  Blocks: whole prompts are hashed."""
    return {r.unit.key for d in dockets for r in d.first()}


def _advance(dockets: Iterable[Docket], replies: Mapping[str, Kept]) -> None:
    for docket in dockets:
        docket.advance(replies)


def _asks(docket: Docket) -> tuple[Ask, ...]:
    return docket.state.asks if isinstance(docket.state, Missing) else ()


def _failed(dockets: Iterable[Docket]) -> Counter[By]:
    """Who failed the finished items: their results tell of completions alone."""
    return Counter(
        (ask.expert, ask.role)
        for docket in dockets
        if isinstance(docket.state, Settled)
        for ask, reply in docket.state.heard
        if not isinstance(reply, Completion)
    )


def _heard(dockets: Iterable[Docket], replies: Mapping[str, Kept], job: Job) -> Mapping[By, Heard]:
    """What unfinished items have heard so far."""
    found: defaultdict[By, Heard] = defaultdict(Heard)
    for docket in dockets:
        for ask, reply in docket.state.heard if docket.state else ():
            if not isinstance(reply, Completion):
                found[ask.expert, ask.role].add(Heard(failed=1))
                continue
            reused = replies[docket.request(ask).unit.key].at < job.created_at
            usage, expert = reply.usage, docket.terms.experts[ask.expert]
            found[ask.expert, ask.role].add(
                Heard(done=1, reused=1)
                if reused
                else Heard(
                    1,
                    prompt_tokens=usage.prompt_tokens,
                    completion_tokens=usage.completion_tokens,
                    cost_usd=expert.cost_usd(usage),
                )
            )
    return found
