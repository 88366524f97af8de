"""Tries on a real GPU what can only be imitated elsewhere: sleep, wake, adapters at run time.

It works through the same residency that workers use, so that what passes is what they do.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from coterie.errors import CoterieError
from coterie.types import Expert, ExpertKind, Question, Sampling
from orchestrator.engines.residency import NodeResidency
from orchestrator.scheduling.residency import Tier

BASE = "gpu-check"
ADAPTER = "gpu-check-adapter"
QUESTIONS = (
    "What is the capital of France?",
    "Name three prime numbers above ten.",
    "Write one sentence about the sea.",
    "Which is heavier, a litre of water or a litre of oil, and why?",
)
_GREEDY = Sampling(temperature=0.0, max_tokens=48, seed=0)
_LONG = Sampling(temperature=0.0, max_tokens=512, seed=0, extra={"ignore_eos": True})


class Outcome(StrEnum):
    """How a check ended."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: ``seconds`` is what it took, ``detail`` what was seen or why it was not done."""

    name: str
    outcome: Outcome
    detail: str
    seconds: float = 0.0


@dataclass(slots=True)
class Check:
    """The checks of one base model, in order; what was found is in ``findings``.

    ``adapter`` is the folder of a LoRA adapter for the model, None to skip what needs one.
    ``timer`` gives seconds, ``memory_mib`` the GPU memory in use, None where nobody can say.
    """

    residency: NodeResidency
    model: str
    adapter: str | None = None
    engine_args: dict[str, str | int | float | bool] = field(default_factory=dict)
    timer: Callable[[], float] = time.monotonic
    memory_mib: Callable[[], float | None] = lambda: None
    findings: list[Finding] = field(default_factory=list)

    async def run(self) -> Sequence[Finding]:
        """All checks; one that fails does not keep the others from being tried."""
        await self._check("cold start", self._start())
        if self.findings[-1].outcome is Outcome.PASSED:
            for level in (Tier.ASLEEP_1, Tier.ASLEEP_2):
                await self._check(f"sleep and wake, level {_level(level)}", self._nap(level))
            await self._check("a sleep waits for running answers", self._sleep_while_busy())
            await self._adapters()
        skipped = "not built yet"
        self.findings.append(Finding("fusion on the v2 runner", Outcome.SKIPPED, skipped))
        return self.findings

    async def _check(self, name: str, work: Awaitable[str]) -> None:
        started_s = self.timer()
        try:
            outcome, detail = Outcome.PASSED, await work
        except CoterieError as error:
            outcome, detail = Outcome.FAILED, str(error)
        self.findings.append(Finding(name, outcome, detail, self.timer() - started_s))

    async def _start(self) -> str:
        await self.residency.sync([self._base()])
        await self.residency.move(BASE, Tier.AWAKE)
        return f"{self.model} answers; {self._memory()}"

    async def _nap(self, level: Tier) -> str:
        before, held = await self._answers(BASE), self._memory()
        slept_s = await self._timed(level)
        _demand(self.residency.tiers()[BASE] is level, "it is not asleep")
        asleep = self._memory()
        woken_s = await self._timed(Tier.AWAKE)
        after = await self._answers(BASE)
        _demand(before == after, f"it said {before!r} before and {after!r} after")
        told = f"the same {len(before)} answers before and after; asleep in {slept_s:.2f} s, "
        return told + f"awake in {woken_s:.2f} s; {held} awake, {asleep} asleep"

    async def _sleep_while_busy(self) -> str:
        question = Question.of(QUESTIONS[2])
        whole = await self.residency.engine(BASE).complete(question, _LONG)
        running = asyncio.create_task(self.residency.engine(BASE).complete(question, _LONG))
        await asyncio.sleep(0)  # the call is under way when the move begins
        await self.residency.move(BASE, Tier.ASLEEP_1)
        _demand(running.done(), "it fell asleep while it answered")
        _demand(running.result().text == whole.text, "the answer was cut short")
        await self.residency.move(BASE, Tier.AWAKE)
        return f"{whole.usage.completion_tokens} tokens were finished first"

    async def _adapters(self) -> None:
        if self.adapter is None:
            skipped = "no adapter; name one for this model with --adapter"
            self.findings.append(Finding("adapters at run time", Outcome.SKIPPED, skipped))
            return
        await self._check("adapters at run time", self._load_adapter(self.adapter))
        await self._check("an adapter after level 2", self._adapter_after_sleep())

    async def _load_adapter(self, folder: str) -> str:
        before = await self._answers(BASE)
        lora = Expert(ADAPTER, ExpertKind.LORA, "", base=BASE, adapter=folder)
        await self.residency.sync([self._base(), lora])
        _demand(self.residency.tiers()[BASE] is Tier.AWAKE, "the adapter took a restart")
        tuned = await self._answers(ADAPTER)
        _demand(tuned != before, "the adapter answers as its base does")
        _demand(await self._answers(BASE) == before, "the base answers otherwise beside it")
        return "loaded while the base ran; it answers otherwise than the base, the base as before"

    async def _adapter_after_sleep(self) -> str:
        before = await self._answers(ADAPTER)
        await self.residency.move(BASE, Tier.ASLEEP_2)
        await self.residency.move(BASE, Tier.AWAKE)
        after = await self._answers(ADAPTER)
        _demand(before == after, f"it said {before!r} before and {after!r} after")
        return "it answers as before"

    def _base(self) -> Expert:
        arguments = {"max_loras": 2, **self.engine_args} if self.adapter else self.engine_args
        return Expert(BASE, ExpertKind.VLLM, self.model, engine_args=arguments)

    async def _answers(self, expert: str) -> list[str]:
        """One at a time: what shares a batch may change a logit's last bit, and so a word."""
        engine = self.residency.engine(expert)
        asked = [await engine.complete(Question.of(text), _GREEDY) for text in QUESTIONS]
        return [completion.text for completion in asked]

    async def _timed(self, tier: Tier) -> float:
        started_s = self.timer()
        await self.residency.move(BASE, tier)
        return self.timer() - started_s

    def _memory(self) -> str:
        used = self.memory_mib()
        return "GPU memory unknown" if used is None else f"{used:.0f} MiB of GPU memory"


def _level(tier: Tier) -> int:
    return 1 if tier is Tier.ASLEEP_1 else 2


def _demand(true: bool, otherwise: str) -> None:
    if not true:
        raise CheckFailed(otherwise)


class CheckFailed(CoterieError):
    """A check saw what it should not."""
