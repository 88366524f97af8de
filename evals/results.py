"""What came of a run: one result an item, and what the run was.  Frozen; reports read nothing else.

No text of a question or an answer is kept here: a report can be shown to anybody.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from coterie.types import JSON


@dataclass(frozen=True, slots=True)
class Call:
    """One completion that was used for an item.

    ``role`` is "answer" or "aggregate"; ``correct`` whether this expert's own answer was right,
    None for an aggregation or where it was not graded; ``reused``: it was stored before this run,
    and its price was not paid again.  Dollars, seconds.
    """

    expert: str
    role: str = "answer"
    correct: bool | None = None
    extracted: str | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float = 0.0
    latency_s: float = 0.0
    reused: bool = False


@dataclass(frozen=True, slots=True)
class ItemResult:
    """How one item went.

    ``expected`` is the probability of success the route foretold, ``agreement`` what the vote gave
    its answer, both in [0, 1]; ``error`` says why there is no answer (it was parked).
    """

    item: str
    category: str
    correct: bool
    extracted: str | None
    leader: str | None = None
    expected: float | None = None
    agreement: float | None = None
    calls: tuple[Call, ...] = ()
    error: str | None = None


@dataclass(frozen=True, slots=True)
class RunInfo:
    """What was run.

    ``settings`` is everything that shaped it (sampling, seeds, policy, shots, snapshot ...),
    ``versions`` of what ran it, ``seconds`` where the time went, by stage (load,
    generate, ...); times are ISO 8601, UTC.
    """

    id: str
    task: str
    split: str
    strategy: str
    experts: tuple[str, ...]
    seed: int = 0
    settings: Mapping[str, JSON] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    loads: Mapping[str, int] = field(default_factory=dict)
    started: str = ""
    finished: str | None = None


@dataclass(frozen=True, slots=True)
class RunResult:
    """A run and its results, in the task's order."""

    info: RunInfo
    items: tuple[ItemResult, ...]
