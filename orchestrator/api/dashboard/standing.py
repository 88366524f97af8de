"""How one expert stands: its state in a word, where it runs, and what it does.  Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from coterie.types import Estimate, Expert, ExpertKind, ExpertSource, Health
from orchestrator.engines.managed import ProcessInfo
from orchestrator.scheduling.work import WorkerState
from orchestrator.traces.traffic import Calls
from skills.knowledge import Knowledge


@dataclass(frozen=True, slots=True)
class State:
    """A ``word``, how it is to be taken (good, bad, busy, idle), and more of it."""

    word: str
    kind: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is known around experts: their health, processes, workers, calls, and who drains."""

    experts: Mapping[str, Expert]
    knowledge: Knowledge
    health: Mapping[str, Health] = field(default_factory=dict)
    processes: Sequence[object] = ()
    workers: Sequence[WorkerState] = ()
    draining: Collection[str] = ()
    running: Mapping[str, int] = field(default_factory=dict)
    calls: Mapping[str, Sequence[Calls]] = field(default_factory=dict)

    def process(self, expert: str) -> ProcessInfo | None:
        """The engine of this server that serves ``expert``."""
        found = (p for p in self.processes if isinstance(p, ProcessInfo))
        return next((p for p in found if expert in p.serves), None)


@dataclass(frozen=True, slots=True)
class Standing:
    """How ``expert`` stands.

    ``success`` is None where it was never graded; calls, costs (US dollars) and latency
    (milliseconds, the median) are of the time that is looked at.
    """

    expert: Expert
    state: State
    where: str
    running: int
    success: Estimate | None
    calls: int
    cost_usd: float
    latency_ms: float | None

    @property
    def name(self) -> str:
        return self.expert.name

    @property
    def declared(self) -> bool:
        return self.expert.source is ExpertSource.DECLARED


def standing(expert: Expert, around: Surroundings) -> Standing:
    """How the expert stands."""
    name = expert.name
    profile = around.knowledge.profiles.get(name)
    calls = around.calls.get(name, ())
    answers = next((c for c in calls if c.role == "answer"), None)
    return Standing(
        expert,
        state_of(expert, around),
        where_of(expert, around),
        around.running.get(name, 0),
        profile.overall if profile and profile.overall.n > 0 else None,
        sum(c.calls for c in calls),
        sum(c.cost_usd for c in calls),
        answers.latency_at(0.5) if answers else None,
    )


def state_of(expert: Expert, around: Surroundings) -> State:
    """Whether it can be asked."""
    if expert.name in around.draining:
        return State("draining", "busy", "no new requests; its engine ends with its last call")
    if not expert.enabled:
        return State("disabled", "idle")
    health, process = around.health.get(expert.name), around.process(expert.name)
    if health is None:
        return State("asking", "busy", "it has not said yet how it is")
    if health.ok:
        return State("asleep" if "comes up" in health.detail else "up", "good", health.detail)
    if process and process.state in ("starting", "preparing the model"):
        return State("starting", "busy", health.detail)
    return State("down", "bad", health.detail)


def where_of(expert: Expert, around: Surroundings) -> str:
    """Where it is resident."""
    host = around.experts.get(expert.host)
    if (
        not expert.chats
        or expert.kind is ExpertKind.OPENAI
        or (host and host.kind is ExpertKind.OPENAI)
    ):
        first, *others = (host or expert).servers or (None,)
        return f"at {server_of(first)}" + (f" and {len(others)} more" if others else "")
    places = [w.name for w in around.workers if expert.name in w.resident]
    process = around.process(expert.name)
    if process and process.pid is not None:
        places.insert(0, "this server")
    engine = "" if expert.host == expert.name else f", in the engine of {expert.host}"
    return (", ".join(dict.fromkeys(places)) or "not loaded") + engine


def server_of(endpoint: str | None) -> str:
    """Host and port of an endpoint."""
    try:
        return urlsplit(endpoint or "").netloc or "no address"
    except ValueError:
        return "no address"
