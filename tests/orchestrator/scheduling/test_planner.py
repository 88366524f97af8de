"""Single decisions: what next_step says of one situation."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.scheduling.cluster import EngineFigures, Gpu
from orchestrator.scheduling.planner import next_step
from orchestrator.scheduling.policy import Policy
from orchestrator.scheduling.residency import Tier
from orchestrator.scheduling.situation import Demand, Resident, Situation, gpu_gb
from orchestrator.scheduling.steps import Move, Run, Wait

AWAKE = Resident(Tier.AWAKE)
GPU = Gpu("g", 80)
A, B, C = (EngineFigures(n, gpu_gb=36, asleep_gb=16) for n in ("a", "b", "c"))


def now(**fields: object) -> Situation:
    return replace(Situation(GPU, (A, B, C), host_gb=64), **fields)  # type: ignore[arg-type]


@st.composite
def situations(draw: st.DrawFn) -> Situation:
    """Any state that a GPU can be in: nothing over memory, at most one move."""
    engines = tuple(
        EngineFigures(
            f"e{i}",
            gpu_gb=draw(st.sampled_from([10.0, 36.0, 60.0])),
            asleep_gb=16.0,
            residue_gb=draw(st.sampled_from([0.0, 1.0])),
            concurrency=4,
            sleeps=draw(st.booleans()),
        )
        for i in range(draw(st.integers(1, 6)))
    )
    residents: dict[str, Resident] = {}
    for engine in engines:
        tiers = list(Tier) if engine.sleeps else [Tier.STOPPED, Tier.AWAKE]
        tier = draw(st.sampled_from(tiers))
        running = draw(st.integers(0, 4)) if tier is Tier.AWAKE else 0
        resident = Resident(tier, running, idle_s=draw(st.sampled_from([0.0, 5.0, 500.0])))
        used = sum(gpu_gb(e, residents[e.name]) for e in engines if e.name in residents)
        if tier is not Tier.STOPPED and used + gpu_gb(engine, resident) <= GPU.memory_gb:
            residents[engine.name] = resident
    movable = [n for n, r in residents.items() if not r.running and r.tier is Tier.AWAKE]
    if movable and draw(st.booleans()):
        residents[movable[0]] = replace(residents[movable[0]], moving=Tier.STOPPED)
    sleepers = sum(16.0 for r in residents.values() if r.tier is Tier.ASLEEP_1)
    demand = tuple(
        Demand(
            engine.name,
            draw(st.integers(0, 9)),
            waited_s=draw(st.sampled_from([0.0, 10.0, 2000.0])),
            online=online,
            bound_s=30.0 if online else float("inf"),
        )
        for engine in engines
        for online in (False, True)
        if draw(st.booleans())
    )
    host_gb = sleepers + draw(st.sampled_from([0.0, 10.0, 40.0]))
    return Situation(GPU, engines, residents, demand, host_gb)


@given(situations())
@settings(max_examples=400, deadline=None)
def test_no_step_is_impossible(situation: Situation) -> None:
    step = next_step(situation)
    known, residents = situation.figures(), situation.residents
    if isinstance(step, Run):
        at = residents[step.engine]
        waiting = sum(
            d.units for d in situation.demand if (d.expert, d.online) == (step.expert, step.online)
        )
        assert at.serves
        assert 1 <= step.units <= min(waiting, known[step.engine].concurrency - at.running)
    if isinstance(step, Move):
        moved = residents.get(step.engine, Resident(Tier.STOPPED))
        assert not moved.busy
        assert not situation.moving
        assert moved.tier is not step.tier
        if step.tier is Tier.AWAKE:
            figures = known[step.engine]
            assert figures.gpu_gb <= situation.gpu_free_gb() + gpu_gb(figures, moved) + 1e-6
        if step.tier is Tier.ASLEEP_1:
            assert situation.host_free_gb() + 1e-6 >= known[step.engine].asleep_gb
        if step.tier in (Tier.ASLEEP_1, Tier.ASLEEP_2):
            assert known[step.engine].sleeps


@given(situations())
@settings(max_examples=200, deadline=None)
def test_equal_situations_get_equal_steps_in_whatever_order_they_are_listed(
    situation: Situation,
) -> None:
    other = replace(
        situation,
        engines=situation.engines[::-1],
        demand=situation.demand[::-1],
        residents=dict(reversed(list(situation.residents.items()))),
    )
    assert next_step(other) == next_step(situation) == next_step(situation)


def test_an_idle_gpu_has_nothing_to_do() -> None:
    assert next_step(now()) == Wait(None)
    assert next_step(now(residents={"a": AWAKE})) == Wait(None)


def test_an_engine_that_is_awake_is_fed_before_another_is_loaded() -> None:
    demand = (Demand("a", 100), Demand("b", 100))
    assert next_step(now(residents={"b": AWAKE}, demand=demand)) == Run("b", "b", 64)


def test_adapters_share_their_bases_engine() -> None:
    base = EngineFigures("base", gpu_gb=36, adapters=("law", "tax"))
    demand = (Demand("tax", 3, waited_s=1), Demand("law", 3, waited_s=2))
    situation = Situation(GPU, (base,), demand=demand)
    assert next_step(situation) == Move("base", Tier.AWAKE)
    up = replace(situation, residents={"base": AWAKE})
    assert next_step(up) == Run("base", "law", 3)


def test_the_next_engine_is_prefetched_when_the_first_is_nearly_done_and_not_before() -> None:
    full = {"a": Resident(Tier.AWAKE, running=64)}
    early = next_step(now(residents=full, demand=(Demand("a", 2000), Demand("b", 9))))
    assert early == Wait(None)
    late = next_step(now(residents=full, demand=(Demand("a", 100), Demand("b", 9))))
    assert late == Move("b", Tier.AWAKE)


def test_only_one_engine_is_prefetched() -> None:
    residents = {"a": Resident(Tier.AWAKE, running=64), "b": AWAKE}
    small = tuple(replace(e, gpu_gb=20) for e in (A, B, C))
    demand = (Demand("a", 5), Demand("b", 9), Demand("c", 9))
    situation = now(engines=small, residents=residents, demand=demand)
    assert isinstance(next_step(situation), Wait)


def test_who_is_needed_last_makes_room() -> None:
    residents = {"a": AWAKE, "b": replace(AWAKE, idle_s=100)}
    wanted = (Demand("c", 5),)
    assert next_step(now(residents=residents, demand=wanted)) == Move("b", Tier.ASLEEP_1)
    often = {**residents, "b": replace(residents["b"], rate_s=1.0), "a": replace(AWAKE, idle_s=50)}
    assert next_step(now(residents=often, demand=wanted)) == Move("a", Tier.ASLEEP_1)


def test_the_evicted_goes_where_it_costs_least() -> None:
    def leaves(host_gb: float, idle_s: float, **figures: float) -> object:
        big = replace(A, gpu_gb=60, **figures)  # type: ignore[arg-type]
        return next_step(
            now(
                engines=(big, B),
                residents={"a": replace(AWAKE, idle_s=idle_s)},
                demand=(Demand("b", 5),),
                host_gb=host_gb,
            )
        )

    assert leaves(64, 0) == Move("a", Tier.ASLEEP_1)
    assert leaves(8, 0) == Move("a", Tier.ASLEEP_2)
    assert leaves(64, 1e9, stop_s=0.1) == Move("a", Tier.STOPPED)
    assert leaves(64, 0, residue_gb=50.0) == Move("a", Tier.STOPPED)


def test_a_sleeper_gives_its_host_memory_to_one_that_is_needed_sooner() -> None:
    residents = {
        "a": replace(AWAKE, idle_s=1.0),
        "b": Resident(Tier.ASLEEP_1, idle_s=1e6),
    }
    big = replace(C, gpu_gb=60)
    situation = now(
        engines=(A, B, big), residents=residents, demand=(Demand("c", 5),), host_gb=16.0
    )
    assert next_step(situation) == Move("b", Tier.STOPPED)


def test_batch_work_holds_its_engine_until_online_work_presses() -> None:
    residents = {"a": Resident(Tier.AWAKE, running=10, drain_s=20), "b": Resident(Tier.ASLEEP_1)}
    whole = tuple(replace(e, gpu_gb=70) for e in (A, B))

    def step(waited_s: float) -> object:
        online = Demand("b", 1, waited_s=waited_s, online=True, bound_s=60)
        return next_step(now(engines=whole, residents=residents, demand=(Demand("a", 500), online)))

    assert step(30) == Run("a", "a", 54)
    assert step(40) == Wait(None)  # a drains: 60 − 40 s leave no more than draining and waking


def test_an_engine_that_lives_elsewhere_is_left_alone_unless_helping_pays() -> None:
    elsewhere = now(demand=(Demand("a", 1000),), held=frozenset({"a"}))
    assert next_step(elsewhere) == Wait(None)
    assert next_step(elsewhere, Policy(help=True)) == Move("a", Tier.AWAKE)
    little = replace(elsewhere, demand=(Demand("a", 10),))
    assert next_step(little, Policy(help=True)) == Wait(None)


def test_what_was_placed_here_comes_before_others_work() -> None:
    demand = (Demand("a", 10), Demand("b", 10))
    assert next_step(now(demand=demand, assigned=frozenset("b"))) == Move("b", Tier.AWAKE)
    rest = (Demand("a", 10),)
    assert next_step(now(demand=rest, assigned=frozenset("b"))) == Move("a", Tier.AWAKE)
