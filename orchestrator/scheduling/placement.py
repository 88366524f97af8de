"""Which GPU loads which engine: a small integer program, and a rule of thumb beside it.

With x_eg = 1 where engine e is loaded on GPU g, y_eg ≥ 0 the part of its work done there, w_e the
seconds its work takes with a GPU to itself, l_eg the seconds until it is awake there:

    minimise    T + ε Σ x_eg                              ties go to fewer loads
    subject to  Σ_g y_eg = 1                              all work is done
                y_eg ≤ x_eg                               where the engine is loaded
                x_eg = 0                                  where it does not fit
                T ≥ Σ_e (l_eg x_eg + w_e y_eg)            every g: loading and generating in turn

Where a GPU holds any two of the engines, loading hides behind generating, and the last row becomes
two:  T ≥ Σ_e l_eg x_eg  and  T ≥ min_e l_eg + Σ_e w_e y_eg.  Work is split over GPUs (0 < y < 1)
where that pays for the second load.

The program is solved with HiGHS.  Where it is too large, or not solved in `NODES` nodes or
`LIMIT_S` seconds, longest processing time first (Graham 1969) places the engines, and the largest
on the last GPU to finish is split as long as that helps; of two solutions the better is taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orchestrator.scheduling.cluster import Cluster
from orchestrator.scheduling.residency import Tier
from orchestrator.scheduling.situation import Demand

LARGEST = 300
"""Pairs of engine and GPU above which the program is not tried."""
NODES = 2_000
LIMIT_S = 5.0
"""A stop for slow machines: it is `NODES` that makes equal inputs give equal placements."""
GAP = 0.01
EPSILON_S = 1e-3

Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """``work_s``: (e); ``load_s``: (e, g), infinite where it does not fit; ``overlaps``: (g)."""

    engines: tuple[str, ...]
    gpus: tuple[str, ...]
    work_s: Matrix
    load_s: Matrix
    overlaps: NDArray[np.bool_]

    def finish_s(self, part: Matrix) -> Matrix:
        """(g) when each GPU is done, if ``part``: (e, g) of the work is done there."""
        loaded = part > 0
        loading = np.where(loaded, self.load_s, 0.0).sum(axis=0)
        first = np.where(loaded, self.load_s, np.inf).min(axis=0, initial=np.inf)
        work = self.work_s @ part
        both = np.maximum(loading, work + np.where(np.isfinite(first), first, 0.0))
        return np.where(self.overlaps, both, loading + work)


@dataclass(frozen=True, slots=True)
class Placement:
    """``parts``: by GPU, the part of each engine's work that is placed there; all above 0."""

    parts: Mapping[str, Mapping[str, float]]
    makespan_s: float
    solved: bool
    """By the program; False: by the rule of thumb."""

    def assigned(self) -> dict[str, frozenset[str]]:
        """The engines of each GPU, as :class:`Situation` takes them."""
        return {gpu: frozenset(parts) for gpu, parts in self.parts.items()}


def place(
    cluster: Cluster,
    demand: tuple[Demand, ...],
    tiers: Mapping[str, Mapping[str, Tier]] | None = None,
) -> Placement:
    """Places the engines that have work; ``tiers``: by GPU, where engines are now."""
    job = _job(cluster, demand, tiers or {})
    part = _longest_first(job)
    solved = _solve(job) if job.load_s.size <= LARGEST else None
    better = solved is not None and job.finish_s(solved).max() <= job.finish_s(part).max()
    chosen = solved if better and solved is not None else part
    parts = {
        gpu: {e: float(chosen[i, g]) for i, e in enumerate(job.engines) if chosen[i, g] > 0}
        for g, gpu in enumerate(job.gpus)
    }
    return Placement(parts, float(job.finish_s(chosen).max(initial=0.0)), better)


def _job(
    cluster: Cluster, demand: tuple[Demand, ...], tiers: Mapping[str, Mapping[str, Tier]]
) -> Job:
    tokens: dict[str, float] = {}
    units: dict[str, int] = {}
    for d in demand:
        host = cluster.hosts[d.expert]
        tokens[host] = tokens.get(host, 0.0) + d.units * d.tokens
        units[host] = units.get(host, 0) + d.units
    engines = sorted((e for e in cluster.engines if e.name in tokens), key=lambda e: e.name)
    load_s = np.full((len(engines), len(cluster.gpus)), np.inf)
    for i, engine in enumerate(engines):
        for g, gpu in enumerate(cluster.gpus):
            if engine.gpu_gb <= gpu.memory_gb:
                tier = tiers.get(gpu.name, {}).get(engine.name, Tier.STOPPED)
                load_s[i, g] = engine.up_s(tier)
    largest = sum(sorted(e.gpu_gb for e in engines)[-2:])
    return Job(
        engines=tuple(e.name for e in engines),
        gpus=tuple(gpu.name for gpu in cluster.gpus),
        work_s=np.array([tokens[e.name] / e.rate(units[e.name]) for e in engines]),
        load_s=load_s,
        overlaps=np.array([largest <= gpu.memory_gb for gpu in cluster.gpus]),
    )


# --- the program --------------------------------------------------------------------------------


def _solve(job: Job) -> Matrix | None:
    """(e, g) the parts; None if it is not solved within the limits."""
    from scipy.optimize import Bounds, milp

    e, g = job.load_s.shape
    n = e * g
    if n == 0 or g == 1:
        return None
    fits = np.isfinite(job.load_s).ravel().astype(float)
    load = np.where(np.isfinite(job.load_s), job.load_s, 0.0)
    found = milp(
        np.concatenate([np.full(n, EPSILON_S), np.zeros(n), [1.0]]),
        integrality=np.concatenate([np.ones(n), np.zeros(n + 1)]),
        bounds=Bounds(0, np.concatenate([fits, fits, [np.inf]])),
        constraints=[*_all_is_done(e, g), *_in_time(job, load)],
        options={"time_limit": LIMIT_S, "node_limit": NODES, "mip_rel_gap": GAP},
    )
    if found.x is None or found.status != 0:
        return None
    part = np.where(found.x[:n].reshape(e, g) > 0.5, found.x[n : 2 * n].reshape(e, g), 0.0)
    part = np.where(part < 1e-6, 0.0, part)
    return np.asarray(part / part.sum(axis=1, keepdims=True))


def _all_is_done(e: int, g: int) -> list[object]:
    """Every engine's parts add up to 1, and lie where it is loaded."""
    from scipy.optimize import LinearConstraint
    from scipy.sparse import csr_array, eye_array, hstack, kron

    n = e * g
    sums = hstack([csr_array((e, n)), kron(eye_array(e), np.ones((1, g))), csr_array((e, 1))])
    where = hstack([-eye_array(n), eye_array(n), csr_array((n, 1))])
    return [LinearConstraint(sums, 1, 1), LinearConstraint(where, -np.inf, 0)]


def _in_time(job: Job, load: Matrix) -> list[object]:
    """No GPU is done later than T."""
    from scipy.optimize import LinearConstraint

    e, g = load.shape
    rows, most = [], []
    for gpu in range(g):
        on = np.arange(gpu, e * g, g)
        loading, work = np.zeros(2 * e * g + 1), np.zeros(2 * e * g + 1)
        loading[on], work[e * g + on] = load[:, gpu], job.work_s
        loading[-1] = work[-1] = -1.0
        if job.overlaps[gpu]:
            rows += [loading, work]
            most += [0.0, -float(job.load_s[:, gpu].min())]
        else:
            both = loading + work
            both[-1] = -1.0
            rows.append(both)
            most.append(0.0)
    return [LinearConstraint(np.array(rows), -np.inf, np.array(most))]


# --- the rule of thumb --------------------------------------------------------------------------


def _longest_first(job: Job) -> Matrix:
    """(e, g): the longest engine first, each to the GPU that is done with it soonest."""
    e, g = job.load_s.shape
    part = np.zeros((e, g))
    shortest = np.where(np.isfinite(job.load_s), job.load_s, np.inf).min(axis=1, initial=np.inf)
    for engine in np.argsort(-(shortest + job.work_s), kind="stable"):
        part[engine, _soonest(job, part, int(engine))] = 1.0
    for _ in range(e * g):
        better = _split(job, part)
        if better is None:
            break
        part = better
    return part


def _soonest(job: Job, part: Matrix, engine: int) -> int:
    times = []
    for gpu in range(part.shape[1]):
        tried = part.copy()
        tried[engine, gpu] = 1.0
        fits = np.isfinite(job.load_s[engine, gpu])
        times.append(float(job.finish_s(tried)[gpu]) if fits else np.inf)
    return int(np.argmin(times))


def _split(job: Job, part: Matrix) -> Matrix | None:
    """The largest piece on the last GPU, shared with the first one done; None if no gain."""
    finish = job.finish_s(part)
    last = int(finish.argmax())
    engine = int((part[:, last] * job.work_s).argmax())
    free = np.where(np.isfinite(job.load_s[engine]) & (part[engine] == 0), finish, np.inf)
    other = int(free.argmin())
    if not np.isfinite(free[other]) or job.work_s[engine] <= 0:
        return None
    spare = finish[last] - finish[other] - job.load_s[engine, other]
    moved = min(spare / 2 / job.work_s[engine], part[engine, last] / 2)
    if moved <= 0:
        return None
    tried = part.copy()
    tried[engine, last] -= moved
    tried[engine, other] += moved
    return tried if job.finish_s(tried).max() < finish.max() - 1e-6 else None
