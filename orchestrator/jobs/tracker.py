"""Counts how far a job is, from what its runner sees."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from coterie.ports import Clock
from evals.results import ItemResult
from orchestrator.deliberation import AGGREGATE, ANSWER
from orchestrator.jobs.ground import Tally
from orchestrator.jobs.progress import ExpertProgress, JobProgress, StageProgress
from orchestrator.jobs.unit_store import Left
from orchestrator.keys.budget import Spent

WINDOW_S = 15.0
"""Over how long the tokens a second are averaged."""


@dataclass(slots=True)
class Heard:
    """Replies of one expert in one role."""

    done: int = 0
    failed: int = 0
    reused: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float = 0.0

    def add(self, other: Heard) -> None:
        """Counts ``other`` too."""
        self.done += other.done
        self.failed += other.failed
        self.reused += other.reused
        self.prompt_tokens += other.prompt_tokens
        self.completion_tokens += other.completion_tokens
        self.cost_usd += other.cost_usd


By = tuple[str, str]
"""An expert and its role."""


@dataclass(slots=True)
class Outstanding:
    """A batch that the job waits for: ``wanted`` of its units were open when it was asked for.

    ``tokens`` are those its other units had when it was first looked at, and last.
    """

    by: By
    page: int
    wanted: int
    open: int
    tokens: int | None = None


@dataclass(slots=True)
class Tracker:
    """The counts of one job, whose id is ``id``; what is right is told only where it is graded."""

    id: str
    items: int
    tally: Tally
    clock: Clock
    annotated: int = 0
    routed: int = 0
    finished: int = 0
    correct: int = 0
    graded: bool = True
    parked: int = 0
    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    waiting: dict[str, Outstanding] = field(default_factory=dict)
    unserved: Mapping[str, str] = field(default_factory=dict)
    _final: defaultdict[By, Heard] = field(default_factory=lambda: defaultdict(Heard))
    _pages: dict[int, Mapping[By, Heard]] = field(default_factory=dict)
    _made: list[tuple[float, int]] = field(default_factory=list)
    _began: tuple[float, int] | None = None
    _loads_before: Counter[str] = field(default_factory=Counter)
    _load_s: float = 0.0
    _stirred: dict[str, float] = field(default_factory=dict)

    def resume(self, progress: JobProgress | None) -> None:
        """Counts on from what an earlier run of the job came to."""
        if progress:
            for stage, seconds in progress.seconds.items():
                self.seconds[stage] += seconds
            self._load_s += self.seconds.pop("load", 0.0)
            self._loads_before.update(progress.loads)
        self._loads_before.subtract(self.tally.loads)  # those of the jobs before
        self._load_s -= self.tally.load_s

    def finish(self, results: Iterable[ItemResult]) -> None:
        """These items have their results."""
        for result in results:
            self.finished += 1
            self.correct += result.correct
            self.parked += result.error is not None
            for call in result.calls:
                made = 0 if call.reused else 1
                self._final[call.expert, call.role].add(
                    Heard(
                        done=1,
                        reused=call.reused,
                        prompt_tokens=made * call.prompt_tokens,
                        completion_tokens=made * call.completion_tokens,
                        cost_usd=made * call.cost_usd,
                    )
                )

    def swept(self, page: int, heard: Mapping[By, Heard], failed: Mapping[By, int]) -> None:
        """What the unfinished items of a page have heard, and who failed items that finished."""
        self._pages[page] = heard
        for by, n in failed.items():
            self._final[by].failed += n

    @property
    def spent(self) -> Spent:
        """What was made for this job took, as far as it was heard."""
        heard = self._heard().values()
        tokens = sum(h.prompt_tokens + h.completion_tokens for h in heard)
        return Spent(math.fsum(h.cost_usd for h in heard), tokens)

    def open(self) -> list[str]:
        """The batches with open units; of the others there is nothing more to hear."""
        return [id for id, batch in self.waiting.items() if batch.open]

    def polled(self, left: Mapping[str, Left]) -> None:
        """How the open batches stand; one that nobody knows is closed."""
        made, now = 0, self.clock.monotonic()
        for id in self.open():
            batch, found = self.waiting[id], left.get(id)
            was, batch.open = batch.open, found.open if found else 0
            if batch.open != was:
                self._stirred[batch.by[0]] = now
            if found:
                made += found.completion_tokens - (batch.tokens or 0) if batch.tokens else 0
                batch.tokens = found.completion_tokens
        self._made = [(at, n) for at, n in self._made if now - at < WINDOW_S] + [(now, made)]

    def idle_s(self) -> dict[str, float]:
        """For how long nothing came of each expert's open units."""
        now, experts = self.clock.monotonic(), {b.by[0] for b in self.waiting.values() if b.open}
        self._stirred = {name: self._stirred.get(name, now) for name in experts}
        return {name: now - since for name, since in self._stirred.items()}

    def closed(self) -> set[int]:
        """Takes the pages with no open unit away from those that are waited for."""
        open_pages = {b.page for b in self.waiting.values() if b.open}
        pages = {b.page for b in self.waiting.values()} - open_pages
        self.waiting = {id: b for id, b in self.waiting.items() if b.page not in pages}
        return pages

    def progress(self, state: str, error: str | None = None) -> JobProgress:
        """All of it as one value."""
        experts, roles = self._experts(), self._roles()
        return JobProgress(
            self.id,
            state,
            items=self.items,
            finished=self.finished,
            correct=self.correct if self.graded else None,
            parked=self.parked,
            stages={
                "annotate": StageProgress(self.annotated, self.items),
                "route": StageProgress(self.routed, self.items),
                "answer": roles[ANSWER],
                "aggregate": roles[AGGREGATE],
                "grade": StageProgress(self.finished, self.items),
            },
            experts=experts,
            tokens_per_s=self._tokens_per_s(),
            left_s=self._left_s(roles),
            seconds={name: round(s, 3) for name, s in self._seconds().items()},
            loads=self._loads(),
            error=error,
            unserved=self._unserved(),
        )

    def _unserved(self) -> dict[str, str]:
        """Of experts that are still waited for."""
        waited = {b.by[0] for b in self.waiting.values() if b.open}
        return {name: told for name, told in self.unserved.items() if name in waited}

    def _seconds(self) -> dict[str, float]:
        """By stage; what was spent loading is told apart where anybody told of it."""
        loading = self._load_s + self.tally.load_s
        return {**self.seconds, "load": loading} if loading > 0 else dict(self.seconds)

    def _loads(self) -> dict[str, int]:
        names = {*self._loads_before, *self.tally.loads}
        found = {n: self._loads_before[n] + self.tally.loads[n] for n in sorted(names)}
        return {name: n for name, n in found.items() if n > 0}

    def _heard(self) -> dict[By, Heard]:
        total: defaultdict[By, Heard] = defaultdict(Heard)
        for part in (self._final, *self._pages.values()):
            for by, heard in part.items():
                total[by].add(heard)
        return total

    def _experts(self) -> dict[str, ExpertProgress]:
        found: defaultdict[str, Heard] = defaultdict(Heard)
        for (expert, _), heard in self._heard().items():
            found[expert].add(heard)
        wanted, done = Counter[str](), Counter[str]()
        for b in self.waiting.values():
            wanted[b.by[0]] += b.wanted
            done[b.by[0]] += b.wanted - b.open
        return {
            name: ExpertProgress(
                found[name].done + found[name].failed + done[name],
                found[name].done + found[name].failed + wanted[name],
                found[name].failed,
                found[name].reused,
                found[name].prompt_tokens,
                found[name].completion_tokens,
                found[name].cost_usd,
            )
            for name in sorted({*found, *wanted})
        }

    def _roles(self) -> dict[str, StageProgress]:
        done, total = Counter[str](), Counter[str]()
        for (_, role), heard in self._heard().items():
            done[role] += heard.done + heard.failed
            total[role] += heard.done + heard.failed
        for b in self.waiting.values():
            done[b.by[1]] += b.wanted - b.open
            total[b.by[1]] += b.wanted
        return {role: StageProgress(done[role], total[role]) for role in (ANSWER, AGGREGATE)}

    def _tokens_per_s(self) -> float:
        if len(self._made) < 2:
            return 0.0
        span = self._made[-1][0] - self._made[0][0]
        return sum(n for _, n in self._made[1:]) / span if span > 0 else 0.0

    def _left_s(self, roles: Mapping[str, StageProgress]) -> float | None:
        done = sum(stage.done for stage in roles.values())
        left = sum(stage.total - stage.done for stage in roles.values())
        now = self.clock.monotonic()
        if self._began is None:
            self._began = now, done
        began, before = self._began
        return (now - began) / (done - before) * left if done > before and left else None
