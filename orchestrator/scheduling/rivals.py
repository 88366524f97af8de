"""How others serve the same requests on the same GPUs, and what nobody can beat.

*First in, first out* is what llama-swap and Ollama do: requests in the order in which they come;
those for a loaded model are batched as long as they follow each other; the next one for another
model waits until there is room for that, made by whoever was used least recently.
*One at a time* is the sequential way of the Symbolic-MoE paper: each question loads what it needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from orchestrator.scheduling.cluster import Cluster, EngineFigures, Gpu, Node
from orchestrator.scheduling.eviction import Eviction
from orchestrator.scheduling.machine import Machine
from orchestrator.scheduling.policy import Policy
from orchestrator.scheduling.residency import Tier
from orchestrator.scheduling.simulate import GpuUse, Outcome, World, simulate
from orchestrator.scheduling.steps import Move, Run, Step, Wait
from orchestrator.scheduling.workload import Request


def without_sleep(cluster: Cluster) -> Cluster:
    """The same cluster where models are loaded and unloaded, as llama-swap and the paper do."""
    return replace(cluster, engines=tuple(replace(e, sleeps=False) for e in cluster.engines))


def first_in_first_out(world: World, machine: Machine) -> Step:
    """The oldest request on the engine that has it; else on the GPU that is least in use."""
    head = world.waiting.head()
    if head is None:
        return Wait()
    engine = world.cluster.hosts[head.expert]
    holders = [m for m in world.machines if engine in m.here() and _up(m, engine)]
    if holders:
        return _on(machine, engine, head) if machine in holders else Wait()
    able = [m for m in world.machines if m.processes[engine].figures.gpu_gb <= m.gpu.memory_gb]
    if machine is not min(able, key=lambda m: _use(m, engine), default=None):
        return Wait()
    return _make_way(world, machine, machine.processes[engine].figures)


def one_at_a_time(cluster: Cluster, requests: Sequence[Request]) -> Outcome:
    """Questions are dealt out to the GPUs in turn; each GPU answers one request after another."""
    parts = []
    for index, gpu in enumerate(cluster.gpus):
        mine = [r for r in requests if r.question % len(cluster.gpus) == index]
        alone = replace(cluster, gpus=(gpu,), nodes=_share_of(cluster, gpu))
        parts.append(simulate(alone, mine, _one))
    return _joined(parts)


def _one(world: World, machine: Machine) -> Step:
    head = world.waiting.head()
    if head is None or any(p.running for p in machine.here().values()):
        return Wait()
    engine = world.cluster.hosts[head.expert]
    if _up(machine, engine):
        return _on(machine, engine, head)
    return _make_way(world, machine, machine.processes[engine].figures)


def _up(machine: Machine, engine: str) -> bool:
    process = machine.processes[engine]
    return Tier.AWAKE in (process.moving or process.tier, process.moving)


def _on(machine: Machine, engine: str, head: Request) -> Step:
    process = machine.processes[engine]
    if process.moving is not None or process.running >= process.figures.concurrency:
        return Wait()
    return Run(engine, head.expert, 1, head.online)


def _use(machine: Machine, engine: str) -> tuple[bool, bool, int, float, str]:
    """Which GPU is to take a model: one that is at it, that has it asleep, the least used."""
    here = machine.here()
    moving = any(p.moving is not None for p in here.values())
    running = sum(p.running for p in here.values())
    used = max((p.answered_s for p in here.values()), default=0.0)
    return (not moving, engine not in here, running, used, machine.gpu.name)


def _make_way(world: World, machine: Machine, target: EngineFigures) -> Step:
    """Room for the engine, then the engine; the least recently used make it, when idle."""
    situation = world.situation(machine)
    if situation.moving:
        return Wait()
    eviction = Eviction(situation, (), Policy())
    victims = eviction.victims(target, ())
    if victims is None or any(situation.residents[name].busy for name in victims):
        return Wait()
    if victims:
        return eviction.move(victims[0], target, victims)
    return Move(target.name, Tier.AWAKE)


def _share_of(cluster: Cluster, gpu: Gpu) -> tuple[Node, ...]:
    """The GPU's node, with the part of host memory that is this GPU's."""
    beside = sum(1 for other in cluster.gpus if other.node == gpu.node)
    return tuple(
        replace(n, host_gb=n.host_gb / beside) for n in cluster.nodes if n.name == gpu.node
    )


def _joined(parts: Sequence[Outcome]) -> Outcome:
    makespan = max(part.makespan_s for part in parts)
    return Outcome(
        makespan_s=makespan,
        loads=sum(part.loads for part in parts),
        cold_loads=sum(part.cold_loads for part in parts),
        use={
            name: _scaled(use, part.makespan_s / makespan if makespan else 0.0)
            for part in parts
            for name, use in part.use.items()
        },
        plan=tuple(sorted((e for p in parts for e in p.plan), key=lambda e: (e.at_s, e.gpu))),
        begun_s={id: at for part in parts for id, at in part.begun_s.items()},
        done_s={id: at for part in parts for id, at in part.done_s.items()},
    )


def _scaled(use: GpuUse, by: float) -> GpuUse:
    return GpuUse(use.useful * by, use.generating * by, use.loading * by)
