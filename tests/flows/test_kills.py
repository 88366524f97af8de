"""Kill anything at any time: after it is started again the job ends as if nothing had happened.

Real processes of the real commands, imitated engines.  Moments and victims are drawn by the round,
whose number is the seed: ``pytest -k 'sqlite and 7'`` plays a round again, as far as processes let
themselves be played again.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.flows.components import MortalPostgres
from tests.flows.stacks import QUESTIONS, Ledger, Stack, shuffled_for_ever

STRATEGIES = ("all", "adaptive", "symbolic")
SHORT, LONG = 3, 24
ALONE = ("server", "ann", "bob", "cleo")
TOGETHER = ("server", "worker-1", "worker-2", "valkey", "postgres", "ann", "bob", "cleo")
ALONE_KILLS, TOGETHER_KILLS = 3, 4
ROUNDS = [pytest.param(n, marks=[pytest.mark.long] if n >= SHORT else []) for n in range(LONG)]

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The results of each strategy where nobody is killed, from engines that take no time."""
    stack = Stack(tmp_path_factory.mktemp("undisturbed"), pace={"least_words": 4, "most_words": 12})
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


@pytest.mark.parametrize("round_", ROUNDS)
def test_sqlite_and_one_process(tmp_path: Path, undisturbed: dict[str, Any], round_: int) -> None:
    stack = Stack(tmp_path)
    try:
        stack.start()
        play(stack, undisturbed, "sqlite", round_, victims(ALONE, ALONE_KILLS)[round_])
    finally:
        stack.close()


@pytest.mark.parametrize("round_", ROUNDS)
def test_postgresql_valkey_and_two_workers(
    tmp_path: Path,
    undisturbed: dict[str, Any],
    mortal_postgres: MortalPostgres,
    mortal_valkey: Any,
    round_: int,
) -> None:
    mortal_postgres.wait_until_up()
    url = mortal_postgres.fresh(f"round-{round_}")
    stack = Stack(tmp_path, DATABASE_URL=url, REDIS_URL=mortal_valkey.url)
    stack.add_worker("worker-1")
    stack.add_worker("worker-2")
    stack.mortals |= {"postgres": mortal_postgres, "valkey": mortal_valkey}
    try:
        stack.start()
        play(stack, undisturbed, "postgres", round_, victims(TOGETHER, TOGETHER_KILLS)[round_])
    finally:
        stack.close()


def victims(names: tuple[str, ...], most: int) -> list[list[str]]:
    return shuffled_for_ever(names, LONG, most)


def play(
    stack: Stack, undisturbed: dict[str, Any], name: str, round_: int, killed: list[str]
) -> None:
    """One round: a job, and kills while it runs."""
    rng = random.Random(f"{name} {round_}")
    strategy = STRATEGIES[round_ % len(STRATEGIES)]
    ledger, told, began = Ledger(stack), [], time.monotonic()
    job = stack.submit(strategy)
    for victim in killed:
        stack.wait(rng.uniform(0.1, 1.5))
        stored = ledger.note()
        stack.kill(victim)
        told.append(f"{victim} at {time.monotonic() - began:.1f} s ({stored} stored)")
        stack.wait(rng.uniform(0.0, 0.6))
        stack.revive(victim)
    print(f"{name} {round_}, {strategy}: {', '.join(told)}", flush=True)
    found = stack.finish(job)
    took = time.monotonic() - began
    asked = stack.asked()
    print(f"  {took:.1f} s, {len(asked)} asked, {ledger.twice()} of them twice", flush=True)
    assert len(found) == QUESTIONS
    assert found == undisturbed[strategy], stack.logs()
    assert ledger.asked_again() == [], stack.logs()
    assert stack.stored() == set(asked), "an answer was lost"
