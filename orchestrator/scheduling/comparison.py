"""A scenario served by the planner and by its rivals, side by side."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from orchestrator.scheduling.bound import lower_bound_s
from orchestrator.scheduling.description import Scenario
from orchestrator.scheduling.placement import Placement, place
from orchestrator.scheduling.rivals import first_in_first_out, one_at_a_time, without_sleep
from orchestrator.scheduling.simulate import Outcome, ours, simulate
from orchestrator.scheduling.workload import Waiting


@dataclass(frozen=True, slots=True)
class Row:
    """One way to serve it.  Waits are those of online requests, in seconds; None: there are none.

    ``factor``: how many times as long as ours it takes.
    """

    name: str
    makespan_s: float
    factor: float
    loads: int
    cold_loads: int
    useful: Mapping[str, float]
    generating: Mapping[str, float]
    loading: Mapping[str, float]
    mean_wait_s: float | None
    p95_wait_s: float | None
    late: int
    """Online requests that were begun after their bound."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """``best``: the name of our fastest row, whose plan is ``plan``."""

    rows: tuple[Row, ...]
    bound_s: float
    questions: int
    requests: int
    best: str
    plan: Outcome
    placement: Placement | None


def compare(scenario: Scenario) -> Comparison:
    """Simulates them all."""
    placement = _placement(scenario)
    mine = dict(_ours(scenario, placement))
    best = min(mine, key=lambda name: mine[name].makespan_s)
    outcomes = {**mine, **{name: run() for name, run in _rivals(scenario).items()}}
    least = mine[best].makespan_s
    rows = tuple(_row(scenario, name, outcome, least) for name, outcome in outcomes.items())
    return Comparison(
        rows=rows,
        bound_s=lower_bound_s(scenario.cluster, scenario.requests),
        questions=len({(r.online, r.question) for r in scenario.requests}),
        requests=len(scenario.requests),
        best=best,
        plan=mine[best],
        placement=placement,
    )


def _placement(scenario: Scenario) -> Placement | None:
    """Of the batch, which is known at the start; None on one GPU."""
    if len(scenario.cluster.gpus) == 1:
        return None
    waiting = Waiting()
    for request in scenario.requests:
        if request.arrives_s == 0:
            waiting.add(request)
    return place(scenario.cluster, waiting.demand(0.0))


def _ours(scenario: Scenario, placement: Placement | None) -> Iterator[tuple[str, Outcome]]:
    cluster, requests = scenario.cluster, scenario.requests
    if placement is not None:
        yield "coterie, placed", simulate(cluster, requests, ours(placement.assigned()))
    yield "coterie", simulate(cluster, requests, ours())
    yield "coterie, no sleep", simulate(without_sleep(cluster), requests, ours())


def _rivals(scenario: Scenario) -> dict[str, Callable[[], Outcome]]:
    cluster, requests = scenario.cluster, scenario.requests
    cold = without_sleep(cluster)
    return {
        "first in, first out": lambda: simulate(cold, requests, first_in_first_out),
        "first in, first out, sleep": lambda: simulate(cluster, requests, first_in_first_out),
        "one at a time": lambda: one_at_a_time(cold, requests),
        "one at a time, sleep": lambda: one_at_a_time(cluster, requests),
    }


def _row(scenario: Scenario, name: str, outcome: Outcome, least_s: float) -> Row:
    waits = outcome.waits(scenario.requests)
    late = sum(
        outcome.begun_s[r.id] - r.arrives_s > r.bound_s for r in scenario.requests if r.online
    )
    return Row(
        name=name,
        makespan_s=outcome.makespan_s,
        factor=outcome.makespan_s / least_s if least_s else 1.0,
        loads=outcome.loads,
        cold_loads=outcome.cold_loads,
        useful={gpu: use.useful for gpu, use in outcome.use.items()},
        generating={gpu: use.generating for gpu, use in outcome.use.items()},
        loading={gpu: use.loading for gpu, use in outcome.use.items()},
        mean_wait_s=sum(waits) / len(waits) if waits else None,
        p95_wait_s=waits[math.ceil(0.95 * len(waits)) - 1] if waits else None,
        late=late,
    )
