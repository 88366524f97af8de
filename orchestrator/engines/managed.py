"""A vLLM engine of our own: prepared, started, probed until it is healthy, and stopped.

What it runs comes from ``vllm``, the child's life from ``process``.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from coterie.errors import CoterieError, EngineTimeout, EngineUnavailable
from coterie.ports import Clock
from orchestrator.engines.control import VllmControl
from orchestrator.engines.failures import TRANSPORT_ERRORS
from orchestrator.engines.fusion_arguments import EngineFusion
from orchestrator.engines.http import Client
from orchestrator.engines.process import Command, ManagedProcess, ProcessState
from orchestrator.engines.restart import RestartPolicy
from orchestrator.engines.vllm import (
    HOST,
    VllmSpec,
    build_command,
    read_adapter,
)

Progress = Callable[[str, str], None]
"""Told an engine's name and what it is doing, for a person to read."""

_PROBE_TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True)
class ManagedSettings:
    """What the engines of one fleet share.

    ``home`` is the folder for logs, run records and converted models; ``python`` an interpreter
    that has vLLM; ``environ`` what the child's environment is drawn from.  ``starting_poll_s`` is
    the pause between two looks at an engine that starts, ``healthy_poll_s`` at one that is well.
    ``on_gpu``: vLLM runs on a GPU, where engines can sleep and take adapters while they run.
    """

    home: Path
    python: str
    environ: Mapping[str, str]
    restart: RestartPolicy = field(default_factory=RestartPolicy)
    grace_s: float = 10.0
    starting_poll_s: float = 0.25
    healthy_poll_s: float = 5.0
    on_gpu: bool = False


@dataclass(frozen=True, slots=True)
class ProcessInfo:
    """One managed engine, to be shown: ``detail`` says what is the matter where it is not ready."""

    name: str
    state: str
    pid: int | None
    port: int | None
    restarts: int
    log_path: str
    serves: tuple[str, ...]
    detail: str


class ManagedVllm:
    """The engine of one base expert, its adapters and its fusions."""

    def __init__(
        self,
        spec: VllmSpec,
        settings: ManagedSettings,
        client: Client,
        clock: Clock,
    ) -> None:
        self.spec = spec
        self.processor: str | None = None
        """The logits processor that fuses in it; None where none does, or it was never started."""
        self._settings = settings
        self._client = client
        self._clock = clock
        self._port: int | None = None
        self._ready_pid: int | None = None
        self._prepared: Callable[[int], Command] | None = None
        self._failure: str | None = None
        self._started_s = clock.monotonic()
        self._task: asyncio.Task[None] | None = None
        file = quote(spec.name, safe="")
        self._process = ManagedProcess(
            spec.name,
            self._next_command,
            log_path=settings.home / "logs" / f"{file}.log",
            record_path=settings.home / "run" / f"{file}.json",
            clock=clock,
            policy=settings.restart,
            grace_s=settings.grace_s,
        )

    @property
    def ready(self) -> bool:
        """Whether it takes requests; false as soon as its process has died."""
        return self._ready_pid is not None and self._ready_pid == self._process.pid

    @property
    def pid(self) -> int | None:
        """Its process's id while there is one, healthy or not."""
        return self._process.pid

    @property
    def control(self) -> VllmControl:
        """What it can be told; raises EngineUnavailable while it is not ready."""
        return VllmControl(self.spec.name, self.base_url, self._client)

    @property
    def base_url(self) -> str:
        """Where it listens.

        Raises:
            EngineUnavailable: it is not ready; the message says what it is doing.
        """
        if not self.ready:
            raise EngineUnavailable(self.spec.name, self.why_not_ready(), retry_after_s=5.0)
        return f"http://{HOST}:{self._port}"

    def start(self) -> None:
        """Begins to start it, which takes seconds to minutes; returns at once."""
        self._started_s = self._clock.monotonic()
        self._failure = self._prepared = None
        self._task = asyncio.create_task(self._run(), name=f"vllm {self.spec.name}")

    async def stop(self) -> None:
        """Ends it; returns when none of its processes is left."""
        self._ready_pid = None
        task, self._task = self._task, None
        try:
            if task:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        finally:
            await self._process.stop()

    async def adopt(self, spec: VllmSpec) -> bool:
        """Makes it the engine of ``spec`` where that takes no other process; false: it takes one.

        So it is for one that does not run, and for one on a GPU that is awake and only gets, or
        loses, adapters: vLLM takes them while it answers.
        """
        if self._task is None:
            self.spec = spec
            return True
        if not (self._settings.on_gpu and self.ready and spec.differs_in_adapters_alone(self.spec)):
            return False
        try:
            await self._exchange_adapters(spec)
        except CoterieError:
            return False  # a rank too large, LoRA not enabled: a new process has what it takes
        self.spec = spec
        self._prepared = await asyncio.to_thread(self._prepare)
        return True

    async def _exchange_adapters(self, spec: VllmSpec) -> None:
        control = self.control
        if await control.is_sleeping():
            raise EngineUnavailable(spec.name, "it sleeps, and its memory with it")
        for name in sorted(spec.adapters.keys() - self.spec.adapters.keys()):
            adapter = await asyncio.to_thread(read_adapter, name, spec.adapters[name])
            await control.load_adapter(name, adapter.path)
        for name in sorted(self.spec.adapters.keys() - spec.adapters.keys()):
            await control.unload_adapter(name)

    async def wait_ready(self, timeout_s: float, on_progress: Progress | None = None) -> None:
        """Returns once it takes requests.

        Raises:
            EngineUnavailable: it died or cannot be started; the message quotes its log.
            EngineTimeout: it is not ready after ``timeout_s``; it goes on starting.
        """
        deadline_s = self._clock.monotonic() + timeout_s
        deaths, told = self._process.deaths, ""
        while not self.ready:
            self._check_hope(deaths)
            if self._clock.monotonic() >= deadline_s:
                raise self._too_slow(timeout_s)
            if on_progress and told != (told := self._doing()):
                on_progress(self.spec.name, told)
            await asyncio.sleep(min(self._settings.starting_poll_s, timeout_s))
        if on_progress:
            on_progress(self.spec.name, "ready")

    def describe(self) -> ProcessInfo:
        """Its state, for people."""
        return ProcessInfo(
            name=self.spec.name,
            state="ready" if self.ready else self._doing(),
            pid=self._process.pid,
            port=self._port,
            restarts=self._process.restarts,
            log_path=str(self._process.log_path),
            serves=(self.spec.name, *self.spec.adapters, *self.spec.fusions),
            detail="" if self.ready else self.why_not_ready(),
        )

    async def _run(self) -> None:
        try:
            self._prepared = await asyncio.to_thread(self._prepare)
            await self._process.start()
        except Exception as error:  # this task's only witness is whoever asks for the state
            self._failure = str(error) if isinstance(error, CoterieError) else repr(error)
            return
        while True:
            await self._probe()
            settings = self._settings
            await asyncio.sleep(settings.healthy_poll_s if self.ready else settings.starting_poll_s)

    def _prepare(self) -> Callable[[int], Command]:
        """Finds the weights and reads the adapters, which may take long: it runs in a thread."""
        from orchestrator.engines.weights import resolve_model

        spec, settings = self.spec, self._settings
        model = resolve_model(spec.model, settings.home / "models")
        adapters = [read_adapter(name, folder) for name, folder in spec.adapters.items()]
        fusion = self._prepare_fusion(model) if spec.fusions else None
        self.processor = fusion.runner.processor if fusion else None

        def command(port: int) -> Command:
            return build_command(
                spec,
                model=model,
                adapters=adapters,
                port=port,
                python=settings.python,
                environ=settings.environ,
                on_gpu=settings.on_gpu,
                fusion=fusion,
            )

        command(0)  # what is wrong with the arguments shows now, not at some later restart
        return command

    def _prepare_fusion(self, model: str) -> EngineFusion:
        from orchestrator.engines.fusion_start import prepare_fusion

        spec, settings = self.spec, self._settings
        return prepare_fusion(
            spec, model, home=settings.home, python=settings.python, environ=settings.environ
        )

    def _next_command(self) -> Command:
        assert self._prepared, "a process is started only after it was prepared"
        self._ready_pid = None
        self._port = _free_port()
        return self._prepared(self._port)

    async def _probe(self) -> None:
        pid = self._process.pid
        well = await self._says_it_is_well() if pid is not None else False
        if well is not None:
            self._ready_pid = pid if well else None
        if self.ready:
            self._process.mark_healthy()

    async def _says_it_is_well(self) -> bool | None:
        """None: no answer in time, which proves nothing, as a busy engine is slow to answer."""
        try:
            async with asyncio.timeout(_PROBE_TIMEOUT_S):
                response = await self._client.get(f"http://{HOST}:{self._port}/health")
        except TimeoutError:
            return None
        except TRANSPORT_ERRORS:
            return False
        return response.is_success

    def _check_hope(self, deaths: int) -> None:
        process = self._process
        hopeless = self._failure or process.state is ProcessState.FAILED or process.deaths > deaths
        if hopeless:
            raise EngineUnavailable(self.spec.name, self.why_not_ready())

    def _too_slow(self, timeout_s: float) -> EngineTimeout:
        return EngineTimeout(
            self.spec.name,
            f"its engine is not ready after {timeout_s:g} s ({self._doing()}); wait longer, or "
            f"read {self._process.log_path}",
        )

    def _doing(self) -> str:
        if self._failure:
            return "failed"
        if self._prepared is None:
            return "preparing the model"
        state = self._process.state
        return state.value if state is not ProcessState.RUNNING else "starting"

    def why_not_ready(self) -> str:
        if self._failure:
            return f"its engine cannot be started: {self._failure}"
        if self._process.error:
            return f"its engine is {self._doing()}: {self._process.error}"
        waited_s = self._clock.monotonic() - self._started_s
        return f"its engine is {self._doing()} ({waited_s:.0f} s so far); ask again shortly"


def _free_port() -> int:
    with socket.socket() as opened:
        opened.bind((HOST, 0))
        return int(opened.getsockname()[1])
