"""Requests that wait for an engine which is not up, beside batches, in virtual time."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coterie.errors import EngineUnavailable
from coterie.types import Question, Sampling
from orchestrator.scheduling.learned import Learned
from orchestrator.scheduling.lobby import Lobby, Party
from orchestrator.scheduling.planned import Planned
from orchestrator.workers.worker import Node, Worker
from tests.orchestrator.workers.virtual_time import LoopClock, run
from tests.orchestrator.workers.worker_world import Machines, Scene, units_of

BOUND_S = 60.0
LOAD_S = 30.0


@dataclass
class House:
    """One worker with room for ``slots`` engines, a queue, and a lobby to come in by."""

    batches: dict[str, int] = field(default_factory=dict)
    experts: str = "abcd"
    slots: int = 1
    broken: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        units = [u for expert, n in self.batches.items() for u in units_of(expert, n)]
        self.scene = Scene(units, {e: e for e in self.experts})
        self.machines = Machines(self.scene.hosts, load_s=LOAD_S, broken=self.broken)
        self.lobby = Lobby(self.scene.clock, most_s=1_000.0)
        self.learned = Learned(sleeps=False)
        node = Node(
            self.machines,
            lambda: sorted(self.experts),
            loaded=self.learned.loaded,
            lobby=self.lobby,
        )
        worker = Worker(
            "w",
            node,
            self.scene.queue,  # type: ignore[arg-type]
            self.scene.store,
            clock=self.scene.clock,
            planner=Planned.of_slots(self.slots, self.learned.figures, bound_s=BOUND_S),
        )
        self.scene.start(worker)

    async def ask(self, expert: str, text: str = "hello", *, online: bool = True) -> float:
        """Asks the expert; how many seconds it took until it was begun."""
        began_s = self.scene.clock.monotonic()
        async with self.lobby.seat(expert, online=online):
            waited_s = self.scene.clock.monotonic() - began_s
            await self.machines.engine(expert).complete(Question.of(text), Sampling())
        return waited_s

    async def close(self) -> None:
        await self.scene.end()
        assert self.machines.stopped_busy == []
        assert self.lobby.parties() == ()


def test_what_is_asked_comes_up_and_is_not_loaded_again_while_nobody_else_wants_its_place() -> None:
    async def story() -> None:
        house = House()
        first = await house.ask("a")
        others = [await house.ask("a", str(n)) for n in range(5)]
        assert LOAD_S <= first <= LOAD_S + 0.2
        assert max(others) < 0.2
        assert house.machines.loads == {"a": 1}
        await house.close()

    run(story())


def test_a_batch_in_the_only_slot_gives_way_to_an_online_request_within_its_bound() -> None:
    async def story() -> None:
        house = House({"a": 3_000})
        batch = asyncio.create_task(house.scene.until_settled())
        await asyncio.sleep(45)
        waited_s = await house.ask("b")
        assert waited_s <= BOUND_S + 2.0  # an answer of the batch that is under way
        await batch
        assert house.machines.loads == {"a": 2, "b": 1}
        assert set(house.scene.store.kept) == set(house.scene.store.units)
        await house.close()

    run(story())


def test_an_engine_that_is_up_answers_online_requests_beside_its_batch() -> None:
    async def story() -> None:
        house = House({"a": 2_000})
        batch = asyncio.create_task(house.scene.until_settled())
        await asyncio.sleep(LOAD_S + 10)
        waits = await asyncio.gather(*(house.ask("a", f"o{n}") for n in range(100)))
        assert max(waits) < 0.5
        await batch
        assert house.machines.loads == {"a": 1}
        await house.close()

    run(story())


def test_engines_that_are_both_asked_without_end_take_turns() -> None:
    async def story() -> None:
        house = House()
        waits: dict[str, list[float]] = {"a": [], "b": []}

        async def keep_asking(expert: str) -> None:
            for n in range(60):
                waits[expert].append(await house.ask(expert, str(n)))
                await asyncio.sleep(5)

        await asyncio.gather(keep_asking("a"), keep_asking("b"))
        longest = max(*waits["a"], *waits["b"])
        assert longest <= 2 * BOUND_S + LOAD_S + 5
        await house.close()

    run(story())


def test_patient_work_is_done_whole_at_one_load_an_expert() -> None:
    async def story() -> None:
        house = House()
        asks = [house.ask(e, f"{n}", online=False) for n in range(40) for e in "abcd"]
        await asyncio.gather(*asks)
        assert house.machines.loads == dict.fromkeys("abcd", 1)
        await house.close()

    run(story())


def test_who_leaves_is_not_waited_for() -> None:
    async def story() -> None:
        house = House()
        gone = asyncio.create_task(house.ask("a"))
        await asyncio.sleep(0.1)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        assert house.lobby.parties() == ()
        assert await house.ask("b") <= 2 * LOAD_S + 3
        await house.close()

    run(story())


def test_an_engine_that_does_not_start_turns_its_requests_away_with_the_reason() -> None:
    async def story() -> None:
        house = House(broken={"a"})
        with pytest.raises(EngineUnavailable, match=r"does not start: .*out of memory"):
            await house.ask("a")
        assert list(house.lobby.closed) == ["a"]
        assert await house.ask("b") <= LOAD_S + 3
        await house.close()

    run(story())


def test_nobody_waits_for_ever() -> None:
    async def story() -> None:
        lobby = Lobby(LoopClock(), most_s=10.0)
        with pytest.raises(EngineUnavailable, match="not up after 10 s"):
            async with lobby.seat("a"):
                raise AssertionError("nobody lets anybody in")
        assert lobby.parties() == ()

    run(story())


def test_the_lobby_tells_who_waits_and_since_when() -> None:
    async def story() -> None:
        lobby, heard = Lobby(LoopClock()), list[int]()
        lobby.notice = lambda: heard.append(1)

        async def wait(expert: str, *, online: bool) -> None:
            async with lobby.seat(expert, online=online):
                await asyncio.sleep(1)

        tasks = [asyncio.create_task(wait("a", online=True))]
        await asyncio.sleep(4)
        tasks += [asyncio.create_task(wait(e, online=o)) for e, o in (("a", True), ("a", False))]
        await asyncio.sleep(2)
        assert lobby.parties() == (Party("a", 2, 6.0), Party("a", 1, 2.0, online=False))
        assert lobby.admit("a", online=True) == 2
        assert lobby.inside("a") == 2
        assert lobby.parties() == (Party("a", 1, 2.0, online=False),)
        assert lobby.admit("a", online=False) == 1
        await asyncio.gather(*tasks)
        assert lobby.inside("a") == 0
        assert len(heard) == 6
        await asyncio.sleep(0)

    run(story())


@settings(max_examples=25, deadline=None)
@given(
    asked=st.lists(
        st.tuples(st.sampled_from("abc"), st.floats(0, 300), st.booleans(), st.booleans()),
        max_size=25,
    ),
    batches=st.dictionaries(st.sampled_from("abc"), st.integers(1, 120), max_size=3),
    slots=st.integers(1, 2),
)
def test_whatever_is_asked_is_answered_and_no_engine_is_moved_while_it_answers(
    asked: list[tuple[str, float, bool, bool]], batches: dict[str, int], slots: int
) -> None:
    async def story() -> None:
        house = House(batches, slots=slots)

        async def one(n: int, expert: str, at_s: float, online: bool, leaves: bool) -> bool:
            await asyncio.sleep(at_s)
            asking = house.ask(expert, f"online {n}", online=online)
            if not leaves:
                await asking
                return True
            task = asyncio.create_task(asking)
            await asyncio.sleep(at_s % 40)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            return False

        batch = asyncio.create_task(house.scene.until_settled())
        done = await asyncio.gather(*(one(n, *given) for n, given in enumerate(asked)))
        await batch
        assert sum(done) == sum(not leaves for *_, leaves in asked)
        assert all(house.lobby.inside(e) == 0 for e in "abc")
        assert set(house.scene.store.kept) == set(house.scene.store.units)
        await house.close()

    run(story(), at_most_s=20_000)
