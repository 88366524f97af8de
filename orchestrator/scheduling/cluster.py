"""What engines take and give, and where they can live: figures, measured or assumed."""

from __future__ import annotations

from dataclasses import dataclass, field

from orchestrator.scheduling.residency import Tier


@dataclass(frozen=True, slots=True)
class EngineFigures:
    """One engine: a base model and the adapters and fusions it serves, which share all of this.

    Memory in GB, times in seconds.  An engine that cannot ``sleep`` (on a CPU) is awake or stopped.
    """

    name: str
    gpu_gb: float
    """GPU memory while awake: weights, small models of its fusions among them, activations and the
    KV cache it was given."""
    adapters: tuple[str, ...] = ()
    """The other experts that it serves; the first is itself."""
    asleep_gb: float = 0.0
    """Host memory at level 1: the weights."""
    residue_gb: float = 0.0
    """GPU memory that a sleeping process keeps: its CUDA context and graphs, and small models."""
    load_s: float = 60.0
    """From stopped to awake."""
    wake_1_s: float = 3.0
    wake_2_s: float = 10.0
    sleep_s: float = 1.0
    """From awake to either level of sleep."""
    stop_s: float = 3.0
    tokens_s: float = 1000.0
    """Tokens a second, all requests together, when ``concurrency`` of them run."""
    alone_tokens_s: float = 50.0
    """Tokens a second of one request that runs alone."""
    concurrency: int = 64
    """How many requests it answers at once, at most."""
    sleeps: bool = True

    @property
    def experts(self) -> tuple[str, ...]:
        """Everyone it answers for, itself first."""
        return (self.name, *self.adapters)

    def up_s(self, tier: Tier) -> float:
        """From ``tier`` until it takes requests."""
        return (self.load_s, self.wake_2_s, self.wake_1_s, 0.0)[tier]

    def down_s(self, tier: Tier) -> float:
        """From awake to ``tier``."""
        return (self.stop_s, self.sleep_s, self.sleep_s, 0.0)[tier]

    def rate(self, running: int) -> float:
        """Tokens a second in all when ``running`` requests run: n·a / (1 + (n − 1)·σ).

        Amdahl's form, through one request alone and a full batch.  vLLM on a CPU, measured at
        26 tokens/s alone and 531 at 128 requests, gives 419 at 32; the formula says 364.
        """
        n, full = min(running, self.concurrency), self.concurrency
        if full == 1:
            return self.tokens_s * n
        sigma = max(0.0, (full * self.alone_tokens_s / self.tokens_s - 1) / (full - 1))
        scale = self.tokens_s * (1 + (full - 1) * sigma) / full
        return n * scale / (1 + (n - 1) * sigma)


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU, or what takes its place; an engine lives on one of them."""

    name: str
    memory_gb: float
    node: str = "node"


@dataclass(frozen=True, slots=True)
class Node:
    """One machine: ``host_gb`` of its memory are for the weights of engines asleep at level 1."""

    name: str = "node"
    host_gb: float = 0.0


@dataclass(frozen=True, slots=True)
class Cluster:
    """Everything there is to plan with."""

    engines: tuple[EngineFigures, ...]
    gpus: tuple[Gpu, ...]
    nodes: tuple[Node, ...] = (Node(),)
    hosts: dict[str, str] = field(init=False, repr=False, compare=False)
    """The engine of each expert."""

    def __post_init__(self) -> None:
        hosts = {expert: e.name for e in self.engines for expert in e.experts}
        object.__setattr__(self, "hosts", hosts)
