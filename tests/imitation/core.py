"""vLLM's engine core, imitated: a scheduler, memory that sleeps, weights that can be lost.

An imitation.  It behaves as vLLM 0.32's source says (files below are relative to the ``vllm``
package); no model runs.  Knows nothing of HTTP.

==========================  =====================================================================
v1/engine/core.py           pausing: new requests are kept, not refused, until the engine wakes;
                            ``abort`` ends those that run, ``wait`` lets them finish, ``keep``
                            freezes them; sleeping at level 1 or 2 resets the caches; a partial
                            wake leaves the scheduler paused; ``is_sleeping`` is true from the
                            moment of the pause on
v1/executor/abstract.py     the tags weights and kv_cache; sleeping twice does nothing; waking a
                            tag that does not sleep does nothing
device_allocator/*          level 2 drops the weights: until they are reloaded it talks gibberish
v1/core/block_pool.py       a prefix cache is not reset while a request runs
v1/core/kv_cache_utils.py   blocks are cached under the adapter's name and path
v1/worker/cpu_worker.py     on CPU sleep pauses the scheduler and touches no memory
==========================  =====================================================================
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from enum import IntEnum

from tests.imitation.answers import gibberish

BLOCK_TOKENS = 16
TAGS = frozenset({"weights", "kv_cache"})


class EngineDead(Exception):
    """v1/engine/exceptions.py: EngineDeadError."""

    def __init__(self) -> None:
        super().__init__(
            "EngineCore encountered an issue. See stack trace (above) for the root cause."
        )


class CallFailed(Exception):
    """v1/engine/core.py, ``_invoke_utility_method``: what a caller learns of a failed call."""

    def __init__(self, method: str, reason: str) -> None:
        super().__init__(f"Call to {method} method failed: {reason}")


class Pause(IntEnum):
    """v1/core/sched/interface.py: PauseState."""

    UNPAUSED = 0
    PAUSED_NEW = 1
    PAUSED_ALL = 2


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast the imitated machine is; all in seconds but ``seats`` and ``kv_tokens``.

    One step gives every running request a token and takes ``step_s`` + ``sequence_s`` for each of
    them: batching pays as it does on real machines.  ``seats`` is --max-num-seqs.
    """

    step_s: float = 0.0
    sequence_s: float = 0.0
    prefill_token_s: float = 0.0
    seats: int = 256
    kv_tokens: int = 65_536
    sleep_s: float = 0.0
    wake_s: float = 0.0
    reload_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Adapter:
    """A LoRA adapter that the engine holds."""

    name: str
    path: str
    rank: int


@dataclass(eq=False)
class Request:
    """One request in the engine; ``answer`` is what it would say, token by token."""

    prompt: tuple[str, ...]
    answer: tuple[str, ...]
    finish_reason: str
    adapter: Adapter | None = None
    made: int = 0
    tainted: bool = False
    tokens: asyncio.Queue[str | EngineDead | None] = field(default_factory=asyncio.Queue)
    finished: str | None = None

    @property
    def kv_tokens(self) -> int:
        return len(self.prompt) + self.made

    def blocks(self) -> Iterable[tuple[object, ...]]:
        """The keys of the prompt's whole blocks."""
        owner = (self.adapter.name, self.adapter.path) if self.adapter else ()
        for end in range(BLOCK_TOKENS, len(self.prompt) + 1, BLOCK_TOKENS):
            yield (owner, self.prompt[:end])


@dataclass
class Seen:
    """What happened to the engine, for tests: requests, and what was done to it while busy."""

    requests: int = 0
    finished: int = 0
    aborted: int = 0
    gibberish_tokens: int = 0
    slept_while_busy: int = 0
    preemptions: int = 0
    cache_hits: int = 0
    calls: dict[str, int] = field(default_factory=dict)


class Core:
    """The engine.  ``on_gpu``: whether sleep moves memory; on CPU it only pauses.

    ``failing`` maps the name of a call to how often it is yet to fail; ``dies_on`` is a text whose
    request kills the engine halfway through its answer.
    """

    def __init__(
        self, pace: Pace, *, on_gpu: bool = True, max_lora_rank: int | None = None
    ) -> None:
        self.pace = pace
        self.on_gpu = on_gpu
        self.max_lora_rank = max_lora_rank
        self.pause = Pause.UNPAUSED
        self.sleeping: set[str] = set()
        self.weights_sound = True
        self.dead = asyncio.Event()
        self.running: list[Request] = []
        self.waiting: deque[Request] = deque()
        self.failing: dict[str, int] = {}
        self.dies_on: str | None = None
        self.seen = Seen()
        self.sleep_metric = ("awake", 0)
        self._cache: dict[tuple[object, ...], bool] = {}
        self._work = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._loop: asyncio.Task[None] | None = None

    # --- requests -------------------------------------------------------------------------------

    def submit(self, request: Request) -> None:
        """Queues the request; also while the engine sleeps: it is served when it wakes."""
        if self.dead.is_set():
            raise EngineDead
        if self._loop is None:
            self._loop = asyncio.create_task(self._run(), name="imitated engine core")
        self.seen.requests += 1
        self.waiting.append(request)
        self._idle.clear()
        self._work.set()

    async def tokens(self, request: Request) -> AsyncIterator[str]:
        """The answer as it is made; leaving it early aborts the request, as vLLM does."""
        try:
            while (token := await request.tokens.get()) is not None:
                if isinstance(token, EngineDead):
                    raise token
                yield token
        finally:
            if request.finished is None:
                self._finish(request, "abort")

    @property
    def kv_usage(self) -> float:
        return min(1.0, sum(r.kv_tokens for r in self.running) / self.pace.kv_tokens)

    @property
    def busy(self) -> bool:
        return bool(self.running or self.waiting)

    # --- sleeping (v1/engine/core.py: pause_scheduler, sleep, wake_up, is_sleeping) ---------------

    @property
    def is_sleeping(self) -> bool:
        return self.pause is not Pause.UNPAUSED or bool(self.sleeping)

    async def sleep(self, level: int, mode: str) -> None:
        self._call("sleep")
        self.seen.slept_while_busy += bool(self.running)
        if mode == "abort":
            for request in [*self.running, *self.waiting]:
                self._finish(request, "abort")
        self.pause = Pause.PAUSED_ALL if mode == "keep" else Pause.PAUSED_NEW
        if mode == "wait":
            await self._drained()
        if level >= 1:
            self._preempt_all()
            self._cache.clear()
            await self._put_to_sleep(level)
        # v1/metrics/loggers.py, record_sleep_state: it says the level asked for, even where the
        # executor was asleep already at another.
        states = {1: "weights_offloaded", 2: "discard_all"}
        self.sleep_metric = (states.get(level, ""), level)

    async def _put_to_sleep(self, level: int) -> None:
        if "weights" in self.sleeping:
            return  # abstract.py: "Executor is already sleeping."
        await asyncio.sleep(self.pace.sleep_s)
        try:
            self._may_fail("sleep", "Memory usage increased after sleeping.")
        except CallFailed:
            # v1/worker/gpu_worker.py checks after the memory is given back; the executor then does
            # not know that anything sleeps, and a wake resumes without the weights.
            self.weights_sound = not self.on_gpu
            raise
        self.sleeping = set(TAGS)
        if level == 2 and self.on_gpu:
            self.weights_sound = False

    async def wake_up(self, tags: list[str] | None) -> bool:
        """Whether it is fully awake."""
        self._call("wake_up")
        tags = [tag for tag in tags if tag != "scheduling"] if tags is not None else None
        if (tags is None or tags) and self.sleeping and set(tags or ()) <= self.sleeping:
            await asyncio.sleep(self.pace.wake_s)
            self._may_fail("wake_up", "CUDA Error: out of memory at cumem_allocator.cpp:145")
            self.sleeping -= set(tags or self.sleeping)
        if self.sleeping:
            return False
        self.sleep_metric = ("awake", 0)
        self.pause = Pause.UNPAUSED
        self._work.set()
        return True

    async def collective_rpc(self, method: str) -> list[object]:
        self._call("collective_rpc")
        if method != "reload_weights":
            raise CallFailed("collective_rpc", f"Method {method!r} is not implemented.")
        if self.on_gpu and "weights" in self.sleeping:
            # Inferred, not read: writing to memory that is not mapped is an illegal access, after
            # which the process's CUDA context is of no use.
            self.die()
            raise EngineDead
        await asyncio.sleep(self.pace.reload_s)
        self._may_fail("collective_rpc", "[Errno 5] Input/output error: 'model.safetensors'")
        self.weights_sound = True
        return [None]

    def reset_prefix_cache(self, *, reset_running: bool = False) -> bool:
        self._call("reset_prefix_cache")
        if reset_running:
            self._preempt_all()
        if self.running:
            return False  # block_pool.py: some blocks are not freed yet
        self._may_fail("reset_prefix_cache", "scheduler is gone")
        self._cache.clear()
        return True

    def add_lora(self, adapter: Adapter) -> None:
        self._call("add_lora")
        if self.max_lora_rank is None:
            # v1/worker/lora_model_runner_mixin.py
            reason = "LoRA is not enabled. Use --enable-lora to enable LoRA."
            raise CallFailed("add_lora", reason)
        if adapter.rank > self.max_lora_rank:
            # lora/peft_helper.py
            reason = f"LoRA rank {adapter.rank} is greater than max_lora_rank {self.max_lora_rank}."
            raise CallFailed("add_lora", reason)
        self._may_fail("add_lora", "CUDA out of memory.")

    def die(self) -> None:
        """The engine process is gone; whoever waits for it learns so."""
        self.dead.set()
        for request in [*self.running, *self.waiting]:
            request.finished = "dead"
            request.tokens.put_nowait(EngineDead())
        self.running.clear()
        self.waiting.clear()
        self._idle.set()
        if self._loop and self._loop is not asyncio.current_task():
            self._loop.cancel()

    # --- the loop -------------------------------------------------------------------------------

    async def _run(self) -> None:
        while not self.dead.is_set():
            await self._work.wait()
            self._admit()
            if not self.running or self.pause is Pause.PAUSED_ALL or self.sleeping:
                self._work.clear()
                continue
            await asyncio.sleep(self.pace.step_s + self.pace.sequence_s * len(self.running))
            self._make_room()
            for request in list(self.running):
                self._step(request)

    def _admit(self) -> None:
        if self.pause is not Pause.UNPAUSED:
            return
        while self.waiting and len(self.running) < self.pace.seats:
            room = self.pace.kv_tokens - sum(r.kv_tokens for r in self.running)
            if self.running and self.waiting[0].kv_tokens >= room:
                return
            request = self.waiting.popleft()
            self._prefill(request)
            self.running.append(request)

    def _prefill(self, request: Request) -> None:
        for block in request.blocks():
            if block in self._cache:
                self.seen.cache_hits += 1
                request.tainted |= not self._cache[block]
            else:
                self._cache[block] = self.weights_sound and not request.tainted

    def _make_room(self) -> None:
        """v1/core/sched/scheduler.py: who came last gives way where the KV cache is full."""
        while len(self.running) > 1 and self.kv_usage >= 1.0:
            self.waiting.appendleft(self.running.pop())
            self.seen.preemptions += 1

    def _step(self, request: Request) -> None:
        if self._is_deadly(request) and request.made >= len(request.answer) // 2:
            self.die()
            return
        sound = self.weights_sound and not request.tainted
        self.seen.gibberish_tokens += not sound
        token = request.answer[request.made] if sound else gibberish(request.made)
        request.made += 1
        request.tokens.put_nowait(token)
        if request.made == len(request.answer):
            self._finish(request, request.finish_reason)

    def _is_deadly(self, request: Request) -> bool:
        return bool(self.dies_on) and str(self.dies_on) in " ".join(request.prompt)

    def _finish(self, request: Request, reason: str) -> None:
        if request in self.running:
            self.running.remove(request)
        if request in self.waiting:
            self.waiting.remove(request)
        request.finished = reason
        request.tokens.put_nowait(None)
        self.seen.finished += reason != "abort"
        self.seen.aborted += reason == "abort"
        if not self.running:
            self._idle.set()

    def _preempt_all(self) -> None:
        while self.running:
            self.waiting.appendleft(self.running.pop())

    async def _drained(self) -> None:
        """Those that run finish; those that wait have not begun and stay where they are."""
        while self.running:
            self._idle.clear()
            await self._idle.wait()

    def _call(self, name: str) -> None:
        if self.dead.is_set():
            raise EngineDead
        self.seen.calls[name] = self.seen.calls.get(name, 0) + 1

    def _may_fail(self, name: str, reason: str) -> None:
        if self.failing.get(name, 0) > 0:
            self.failing[name] -= 1
            raise CallFailed(name, reason)
