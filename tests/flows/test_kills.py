"""Kill anything at any time: after it is started again the job ends as if nothing had happened.

Real processes of the real commands, imitated engines; only the encoder is a light one.  Moments are
drawn by the round, whose number is the seed: ``pytest 'tests/flows/test_kills.py::NAME[7]'`` plays
one again, as far as processes let themselves be played again.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.flows.components import MortalPostgres
from tests.flows.stacks import AT_ONCE, PACE, QUESTIONS, Stack, in_turn

STRATEGIES = ("all", "adaptive", "symbolic")
PACES = {"adaptive": {**PACE, "step_s": 0.006}}
"""It asks one expert after the other."""
LONG = 24
ALONE = ("server", "ann", "bob", "cleo")
TOGETHER = ("server", "worker-1", "worker-2", "valkey", "postgres", "ann", "bob", "cleo")
ALONE_KILLS, TOGETHER_KILLS = 3, 4


def rounds(*short: int) -> list[Any]:
    """All of them; but for the ``short`` ones only in the long run.  A strategy is every third."""
    return [pytest.param(n, marks=[] if n in short else [pytest.mark.long]) for n in range(LONG)]


pytestmark = [pytest.mark.kills, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The results of each strategy where nobody is killed, from engines that take no time."""
    stack = Stack(tmp_path_factory.mktemp("undisturbed"), pace=AT_ONCE)
    try:
        stack.start()
        return {strategy: stack.finish(stack.submit(strategy)) for strategy in STRATEGIES}
    finally:
        stack.close()


@pytest.fixture(scope="module")
def mortal_postgres() -> Iterator[MortalPostgres]:
    server = MortalPostgres()
    try:
        server.start()
        yield server
    finally:
        server.clear_up()


@pytest.mark.parametrize("round_", rounds(0, 1))
def test_sqlite_and_one_process(tmp_path: Path, undisturbed: dict[str, Any], round_: int) -> None:
    stack = Stack(tmp_path, pace=pace_of(round_))
    try:
        stack.start()
        play(stack, undisturbed, "sqlite", round_, victims(ALONE, ALONE_KILLS)[round_])
    finally:
        stack.close()


@pytest.mark.parametrize("round_", rounds(1, 2))
def test_postgresql_valkey_and_two_workers(
    tmp_path: Path,
    undisturbed: dict[str, Any],
    mortal_postgres: MortalPostgres,
    mortal_valkey: Any,
    round_: int,
) -> None:
    mortal_postgres.wait_until_up()
    url = mortal_postgres.fresh(f"round-{round_}")
    stack = Stack(tmp_path, pace=pace_of(round_), DATABASE_URL=url, REDIS_URL=mortal_valkey.url)
    stack.add_worker("worker-1")
    stack.add_worker("worker-2")
    stack.mortals |= {"postgres": mortal_postgres, "valkey": mortal_valkey}
    try:
        stack.start()
        play(stack, undisturbed, "postgres", round_, victims(TOGETHER, TOGETHER_KILLS)[round_])
    finally:
        stack.close()


def victims(names: tuple[str, ...], most: int) -> list[list[str]]:
    return in_turn(names, LONG, most)


def strategy_of(round_: int) -> str:
    return STRATEGIES[round_ % len(STRATEGIES)]


def pace_of(round_: int) -> dict[str, Any]:
    return PACES.get(strategy_of(round_), PACE)


def play(
    stack: Stack, undisturbed: dict[str, Any], name: str, round_: int, killed: list[str]
) -> None:
    """One round: a job, and kills while it runs."""
    rng = random.Random(f"{name} {round_}")
    strategy = strategy_of(round_)
    told, began = [], time.monotonic()
    job = stack.submit(strategy)
    for victim in killed:
        stack.wait(rng.uniform(0.1, 1.2))
        stored = stack.stored()
        stack.kill(victim)
        told.append(f"{victim} at {time.monotonic() - began:.1f} s ({counted(stored)} stored)")
        stack.wait(rng.uniform(0.0, 0.6))
        stack.revive(victim)
        if rng.random() < 0.7:  # or the next one dies while this one starts
            stack.wait_for(victim)
    print(f"{name} {round_}, {strategy}: {', '.join(told)}", flush=True)
    found = stack.finish(job)
    took = time.monotonic() - began
    asked, twice = stack.asked(), stack.asked_twice()
    print(f"  {took:.1f} s, {len(asked)} asked, {twice} of them twice", flush=True)
    assert len(found) == QUESTIONS
    assert found == undisturbed[strategy], stack.logs()
    assert stack.asked_again() == [], stack.logs()
    assert set(stack.stored() or ()) == {one for _, one in asked}, "an answer was lost"


def counted(stored: dict[Any, float] | None) -> str:
    return "?" if stored is None else str(len(stored))
