"""What no schedule can beat: a lower bound on the makespan of a batch.

On G GPUs, with w_e the seconds engine e needs in full batches and l_e its cheapest first load,
none of these can be undercut:

    work       min_e l_e + Σ w_e / G          nothing is generated before the first load is over
    loading    Σ l_e / G                      a GPU loads one engine at a time
    both       Σ (l_e + w_e) / G              where no GPU holds two engines: loads hide nowhere
    longest    max over requests of max(l_e, arrival) + tokens / alone_tokens_s
    one        max_e (l_e + w_e / G)          even if every GPU had it

They are optimistic: batches are always full, requests divide at will, and nobody waits for bounds.
Loading that hides behind generating is counted as free.
"""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.scheduling.cluster import Cluster, EngineFigures
from orchestrator.scheduling.workload import Request


def lower_bound_s(cluster: Cluster, requests: Sequence[Request]) -> float:
    """Seconds until all are done, at the very least; engines are stopped at first."""
    if not requests:
        return 0.0
    work = _work_s(cluster, requests)
    engines = [e for e in cluster.engines if e.name in work]
    gpus, loads = len(cluster.gpus), sum(e.load_s for e in engines)
    total = sum(work.values())
    return max(
        min(e.load_s for e in engines) + total / gpus,
        loads / gpus,
        0.0 if _any_two_fit(cluster, engines) else (loads + total) / gpus,
        *(e.load_s + work[e.name] / gpus for e in engines),
        *(_longest_s(cluster, request) for request in requests),
    )


def _work_s(cluster: Cluster, requests: Sequence[Request]) -> dict[str, float]:
    figures = {engine.name: engine for engine in cluster.engines}
    work: dict[str, float] = {}
    for request in requests:
        engine = figures[cluster.hosts[request.expert]]
        work[engine.name] = work.get(engine.name, 0.0) + request.tokens / engine.tokens_s
    return work


def _any_two_fit(cluster: Cluster, engines: Sequence[EngineFigures]) -> bool:
    smallest = sorted(e.gpu_gb for e in engines)[:2]
    return len(smallest) < 2 or sum(smallest) <= max(gpu.memory_gb for gpu in cluster.gpus)


def _longest_s(cluster: Cluster, request: Request) -> float:
    figures = next(e for e in cluster.engines if e.name == cluster.hosts[request.expert])
    return max(figures.load_s, request.arrives_s) + request.tokens / figures.rate(1)
