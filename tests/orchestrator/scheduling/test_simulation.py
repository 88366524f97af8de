"""Invariants of the planner, over drawn clusters: the same next_step that workers call."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.scheduling.bound import lower_bound_s
from orchestrator.scheduling.cluster import Cluster, EngineFigures, Gpu, Node
from orchestrator.scheduling.machine import Machine
from orchestrator.scheduling.placement import place
from orchestrator.scheduling.policy import Policy
from orchestrator.scheduling.residency import Tier
from orchestrator.scheduling.rivals import first_in_first_out, one_at_a_time, without_sleep
from orchestrator.scheduling.simulate import Outcome, World, ours, simulate
from orchestrator.scheduling.steps import Move, Step
from orchestrator.scheduling.workload import Request, Waiting

TOKENS = 300.0
times = st.floats(0.5, 60).map(lambda s: round(s, 1))


def engines_loaded(outcome: Outcome) -> list[str]:
    """The engines that were brought up, in order."""
    steps = (entry.step for entry in outcome.plan)
    return [s.engine for s in steps if isinstance(s, Move) and s.tier is Tier.AWAKE]


@st.composite
def engines(draw: st.DrawFn, most: int = 6) -> tuple[EngineFigures, ...]:
    return tuple(
        EngineFigures(
            name=f"e{i}",
            gpu_gb=draw(st.sampled_from([8.0, 20.0, 36.0, 50.0, 80.0])),
            adapters=draw(st.sampled_from([(), (f"e{i}-lora",)])),
            asleep_gb=draw(st.sampled_from([4.0, 16.0])),
            residue_gb=draw(st.sampled_from([0.0, 0.7])),
            load_s=draw(times),
            wake_1_s=1.0,
            wake_2_s=3.0,
            sleep_s=0.5,
            stop_s=2.0,
            tokens_s=1000.0,
            alone_tokens_s=200.0,
            concurrency=draw(st.sampled_from([8, 16])),
            sleeps=draw(st.booleans()),
        )
        for i in range(draw(st.integers(1, most)))
    )


@st.composite
def clusters(draw: st.DrawFn, most_gpus: int = 3) -> Cluster:
    gpus = tuple(Gpu(f"g{i}", 80) for i in range(draw(st.integers(1, most_gpus))))
    return Cluster(draw(engines()), gpus, (Node(host_gb=draw(st.sampled_from([0.0, 20.0, 64.0]))),))


@st.composite
def batches(draw: st.DrawFn, cluster: Cluster) -> tuple[Request, ...]:
    experts = draw(st.lists(st.sampled_from(sorted(cluster.hosts)), max_size=40))
    lengths = st.floats(1, TOKENS)
    return tuple(Request(i, e, draw(lengths), question=i // 3) for i, e in enumerate(experts))


@st.composite
def batch_work(draw: st.DrawFn, most_gpus: int = 3) -> tuple[Cluster, tuple[Request, ...]]:
    cluster = draw(clusters(most_gpus))
    return cluster, draw(batches(cluster))


@st.composite
def mixed_work(draw: st.DrawFn, most_gpus: int = 1) -> tuple[Cluster, tuple[Request, ...]]:
    """A batch, and online requests: at most four of each expert, so that they fit an engine."""
    cluster, batch = draw(batch_work(most_gpus))
    online = []
    for expert in sorted(cluster.hosts):
        for at_s in draw(st.lists(st.floats(0, 300), max_size=4)):
            bound_s = draw(st.sampled_from([0.0, 30.0, 120.0]))
            online.append((at_s, expert, bound_s))
    extra = [
        Request(len(batch) + i, expert, TOKENS, at_s, True, bound_s)
        for i, (at_s, expert, bound_s) in enumerate(sorted(online))
    ]
    return cluster, (*batch, *extra)


def distinct(cluster: Cluster, requests: tuple[Request, ...]) -> set[str]:
    return {cluster.hosts[r.expert] for r in requests}


def all_served_once(outcome: Outcome, requests: tuple[Request, ...]) -> bool:
    ids = {r.id for r in requests}
    return set(outcome.begun_s) == ids == set(outcome.done_s)


@given(mixed_work(most_gpus=3))
@settings(max_examples=60, deadline=None)
def test_everything_is_served_once_and_no_impossible_step_is_taken(
    work: tuple[Cluster, tuple[Request, ...]],
) -> None:
    """The simulated machine refuses a move of a busy engine, and more memory than there is."""
    cluster, requests = work
    outcome = simulate(cluster, requests, ours())
    assert all_served_once(outcome, requests)
    begun = Counter(id for id in outcome.begun_s)
    assert set(begun.values()) <= {1}


@given(mixed_work(most_gpus=2))
@settings(max_examples=40, deadline=None)
def test_sleepers_never_take_more_host_memory_than_there_is(
    work: tuple[Cluster, tuple[Request, ...]],
) -> None:
    cluster, requests = work
    decide = ours()

    def watched(world: World, machine: Machine) -> Step:
        assert sum(m.host_gb() for m in world.machines) <= cluster.nodes[0].host_gb + 1e-6
        return decide(world, machine)

    simulate(cluster, requests, watched)


@given(batch_work(most_gpus=1))
@settings(max_examples=60, deadline=None)
def test_a_batch_on_one_gpu_loads_each_engine_once_and_never_more_than_first_in_first_out(
    work: tuple[Cluster, tuple[Request, ...]],
) -> None:
    cluster, requests = work
    outcome = simulate(cluster, requests, ours())
    assert sorted(engines_loaded(outcome)) == sorted(distinct(cluster, requests))
    assert outcome.loads <= simulate(cluster, requests, first_in_first_out).loads


@given(batch_work())
@settings(max_examples=40, deadline=None)
def test_a_batch_that_is_not_split_loads_each_engine_once_on_any_number_of_gpus(
    work: tuple[Cluster, tuple[Request, ...]],
) -> None:
    cluster, requests = work
    outcome = simulate(cluster, requests, ours(policy=Policy(help=False)))
    assert sorted(engines_loaded(outcome)) == sorted(distinct(cluster, requests))


@given(batch_work())
@settings(max_examples=60, deadline=None)
def test_nobody_beats_the_lower_bound(work: tuple[Cluster, tuple[Request, ...]]) -> None:
    cluster, requests = work
    least = lower_bound_s(cluster, requests) - 1e-3
    waiting = Waiting()
    for request in requests:
        waiting.add(request)
    placed = place(cluster, waiting.demand(0.0)).assigned()
    assert simulate(cluster, requests, ours()).makespan_s >= least
    assert simulate(cluster, requests, ours(placed)).makespan_s >= least
    assert simulate(cluster, requests, first_in_first_out).makespan_s >= least
    assert one_at_a_time(without_sleep(cluster), requests).makespan_s >= least


@given(mixed_work())
@settings(max_examples=60, deadline=None)
def test_nobody_starves(work: tuple[Cluster, tuple[Request, ...]]) -> None:
    """An online request is begun within its bound and one turn for everyone ahead; docs say why."""
    cluster, requests = work
    outcome = simulate(cluster, requests, ours())
    turn_s = a_turn_s(cluster)
    streams = {cluster.hosts[r.expert] for r in requests if r.online}
    for request in requests:
        if request.online:
            waited_s = outcome.begun_s[request.id] - request.arrives_s
            assert waited_s <= request.bound_s + len(streams) * turn_s + 1e-3


def a_turn_s(cluster: Cluster) -> float:
    """A move under way, a turn, a drain, everyone's leaving, a load: what nobody can hurry."""
    load_s = max(e.load_s for e in cluster.engines)
    down_s = sum(e.stop_s for e in cluster.engines)
    slowest = min(e.rate(e.concurrency) / e.concurrency for e in cluster.engines)
    drain_s = TOKENS / slowest * len(cluster.engines)
    return 3 * load_s + drain_s + down_s


@given(mixed_work(most_gpus=2), st.randoms())
@settings(max_examples=30, deadline=None)
def test_the_order_in_which_things_are_listed_changes_nothing(
    work: tuple[Cluster, tuple[Request, ...]], random: object
) -> None:
    cluster, requests = work
    shuffled = list(cluster.engines)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    once = simulate(cluster, requests, ours())
    again = simulate(replace(cluster, engines=tuple(shuffled)), requests, ours())
    assert again.plan == once.plan
    assert again.makespan_s == once.makespan_s


def test_work_that_keeps_coming_does_not_starve_a_batch() -> None:
    busy, patient = EngineFigures("busy", gpu_gb=80), EngineFigures("patient", gpu_gb=80)
    cluster = Cluster((busy, patient), (Gpu("g", 80),), (Node(host_gb=64),))
    stream = [Request(i, "busy", 500, i * 5.0) for i in range(600)]
    waits = Request(600, "patient", 500, 1.0)
    outcome = simulate(cluster, [*stream, waits], ours())
    assert outcome.begun_s[600] < Policy().patience_s + 200
    assert len(engines_loaded(outcome)) <= 3


def test_two_streams_that_overload_the_gpu_take_turns() -> None:
    """Both engines fill the GPU; each keeps its turn as long as its loading took."""
    pair = tuple(EngineFigures(n, gpu_gb=80, load_s=30, sleeps=False) for n in ("a", "b"))
    cluster = Cluster(pair, (Gpu("g", 80),))
    stream = [Request(i, "ab"[i % 2], 4000, i * 0.5, online=True, bound_s=1.0) for i in range(800)]
    outcome = simulate(cluster, stream, ours())
    generating = outcome.use["g"].generating
    assert len(engines_loaded(outcome)) < 40
    assert generating > 0.4


def test_the_next_engine_is_loaded_while_the_last_one_drains() -> None:
    pair = tuple(EngineFigures(n, gpu_gb=36, load_s=30) for n in ("a", "b"))
    cluster = Cluster(pair, (Gpu("g", 80),))
    requests = [Request(i, "ab"[i % 2], 1000) for i in range(400)]
    outcome = simulate(cluster, requests, ours())
    loads = [e.at_s for e in outcome.plan if isinstance(e.step, Move) and e.step.tier is Tier.AWAKE]
    assert loads[0] == 0
    assert loads[1] < max(outcome.done_s[r.id] for r in requests if r.expert == "a") - 30
    assert outcome.makespan_s < 1.15 * lower_bound_s(cluster, requests)
