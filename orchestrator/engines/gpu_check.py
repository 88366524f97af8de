"""Tries on a real GPU what can only be imitated elsewhere: sleep, adapters at run time, fusion.

It works through the same residency that workers use, so that what passes is what they do.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path

from coterie.errors import CoterieError
from coterie.types import JSON, Expert, ExpertKind, FusionSpec, Question, Sampling, SmallModel
from orchestrator.engines.alpha_traces import AlphaTraces, trace_id, traces_folder
from orchestrator.engines.residency import NodeResidency
from orchestrator.engines.wire import TRACE
from orchestrator.scheduling.residency import Tier

BASE = "gpu-check"
ADAPTER = "gpu-check-adapter"
STILL, LIFTED = "gpu-check-still", "gpu-check-lifted"
SPOKEN_TO = "Answer every question in French, in capital letters only.\n\n"
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
    ``home`` is the node's folder, where traces of fused answers are.  ``timer`` gives seconds,
    ``memory_mib`` the GPU memory in use, None where nobody can say.
    """

    residency: NodeResidency
    model: str
    home: Path
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
            await self._check("fusion", self._fuse())
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

    async def _fuse(self) -> str:
        """The model is its own small base; the small expert is it again, spoken to before."""
        plain = await self._answers(BASE)
        await self.residency.sync([self._base(), self._fused(STILL, 0.0), self._fused(LIFTED, 1.0)])
        await self.residency.move(BASE, Tier.AWAKE)
        _demand(await self._answers(BASE) == plain, "unfused answers are others beside fusion")
        still, lifted = await self._answers(STILL), await self._answers(LIFTED)
        steps = self._steps(STILL) + self._steps(LIFTED)
        _demand(still == plain, f"with α = 0 it said {still!r}, without fusion {plain!r}")
        _demand(lifted != plain, "with α = 1 it answers as without fusion")
        by = self.residency.fleet.processes[BASE].processor
        return f"α = 0 changes nothing, α = 1 does; {steps} steps traced, by {by}"

    def _fused(self, name: str, alpha: float) -> Expert:
        base = SmallModel(self.model, name="base")
        lifted = SmallModel(self.model, prompt=SPOKEN_TO, name="spoken-to")
        mode: dict[str, JSON] = {"kind": "static", "alpha": alpha}
        return Expert(name, ExpertKind.FUSION, "", fusion=FusionSpec(BASE, base, (lifted,), mode))

    def _steps(self, expert: str) -> int:
        """How many steps of the expert's answers were traced, which must have its α."""
        wanted = 0.0 if expert == STILL else 1.0
        found = AlphaTraces(traces_folder(self.home)).take(_request_of(expert))
        _demand(bool(found), f"no step of {expert!r} was traced: its processor did not run")
        for trace in found:
            _demand(not trace.problem, trace.problem)
            for step in trace.steps:
                _demand(step == {"spoken-to": wanted}, f"a step of {expert!r} has the α {step!r}")
        return sum(len(trace.steps) + trace.left_out for trace in found)

    def _base(self) -> Expert:
        arguments = {"max_loras": 2, **self.engine_args} if self.adapter else self.engine_args
        return Expert(BASE, ExpertKind.VLLM, self.model, engine_args=arguments)

    async def _answers(self, expert: str) -> list[str]:
        """One at a time: what shares a batch may change a logit's last bit, and so a word."""
        engine, greedy = self.residency.engine(expert), _GREEDY
        found = []
        for text in QUESTIONS:
            if expert in (STILL, LIFTED):
                greedy = replace(_GREEDY, extra={TRACE: trace_id(_request_of(expert), expert)})
            found.append((await engine.complete(Question.of(text), greedy)).text)
        return found

    async def _timed(self, tier: Tier) -> float:
        started_s = self.timer()
        await self.residency.move(BASE, tier)
        return self.timer() - started_s

    def _memory(self) -> str:
        used = self.memory_mib()
        return "GPU memory unknown" if used is None else f"{used:.0f} MiB of GPU memory"


def _request_of(expert: str) -> str:
    """What the expert's answers are traced under."""
    return "".join(c for c in expert if c.isalnum())


def _level(tier: Tier) -> int:
    return 1 if tier is Tier.ASLEEP_1 else 2


def _demand(true: bool, otherwise: str) -> None:
    if not true:
        raise CheckFailed(otherwise)


class CheckFailed(CoterieError):
    """A check saw what it should not."""
