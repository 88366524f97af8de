"""Completions are kept once, by their content, whoever brings them; on both databases."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from coterie.db import Database, utcnow
from coterie.errors import ConfigurationError, StoreUnavailable
from coterie.types import Completion, Failure, Question, Sampling, Usage
from orchestrator.jobs.keys import canonical, prompt_key, unit_key
from orchestrator.jobs.seal import Seal
from orchestrator.jobs.unit_store import BATCH, Request, UnitStore
from orchestrator.scheduling.work import Unit

EVER = utcnow() - timedelta(days=1000)


@pytest.fixture
def store(database: Database, tmp_path: Path) -> UnitStore:
    return UnitStore(database, Seal(tmp_path / "seal.key"), tries=2)


def request(text: str, expert: str = "adam", *, secret: bool = False, **sampling: int) -> Request:
    question = Question.of(text, system="be brief")
    prompt = prompt_key(question, secret=secret)
    drawn = Sampling(temperature=0.0, stop=("\n",), **sampling)  # type: ignore[arg-type]
    return Request(
        Unit(unit_key(expert, prompt, canonical(drawn)), expert, question, drawn), prompt
    )


def said(expert: str, text: str) -> Completion:
    message = {"role": "assistant", "content": text, "odd": "\x00\ud800"}
    return Completion(expert, text, "stop", Usage(7, 3), 0.25, message)


def failed(told: str, **fields: Any) -> Failure:
    return Failure("adam", told, 0.0, **fields)


async def test_a_unit_is_open_until_it_is_complete(store: UnitStore) -> None:
    one, two = request("one"), request("two")
    await store.register([one, two], EVER)
    keys = [two.unit.key, "nobody's", one.unit.key]
    assert await store.open(keys) == [two.unit, one.unit]
    await store.complete(one.unit.key, said("adam", "1"))
    assert await store.open(keys) == [two.unit]
    found = await store.replies(keys, EVER)
    assert {k: v.reply for k, v in found.items()} == {one.unit.key: said("adam", "1")}


async def test_the_first_completion_stays(store: UnitStore) -> None:
    one = request("one")
    key = one.unit.key
    await store.register([one], EVER)
    await asyncio.gather(
        store.complete(key, said("adam", "1")), store.complete(key, said("a", "2"))
    )
    await store.complete(key, said("adam", "3"))
    assert (await store.replies([key], EVER))[key].reply == said("adam", "1")


async def test_completions_that_come_together_are_all_kept(store: UnitStore) -> None:
    asked = [request(str(i)) for i in range(600)]
    await store.register(asked, EVER)
    await asyncio.gather(*(store.complete(r.unit.key, said("adam", "x")) for r in asked))
    assert await store.open([r.unit.key for r in asked]) == []


async def test_who_registers_a_unit_again_finds_its_batch(store: UnitStore) -> None:
    first = await store.register([request("one"), request("two"), request("one", "eve")], EVER)
    again = await store.register([request("two"), request("three")], EVER)
    key = request("two").unit.key
    assert again[key] == first[key]
    assert len({batch for _, batch in first.values()}) == 2
    assert {expert for expert, _ in first.values()} == {"adam", "eve"}
    for batch in await store.batches([batch for _, batch in first.values()]):
        assert {first[k] for k in batch.keys} == {(batch.expert, batch.id)}


async def test_batches_are_bounded(store: UnitStore) -> None:
    found = await store.register([request(str(i)) for i in range(2 * BATCH + 1)], EVER)
    ids = list({batch for _, batch in found.values()})
    assert sorted(len(b.keys) for b in await store.batches(ids)) == [1, BATCH, BATCH]


async def test_a_complete_unit_is_in_no_batch_that_is_left(store: UnitStore) -> None:
    one, two = request("one"), request("two")
    [batch] = {batch for _, batch in (await store.register([one, two], EVER)).values()}
    await store.complete(one.unit.key, said("adam", "1"))
    assert list(await store.register([one, two], EVER)) == [two.unit.key]
    left = (await store.left([batch]))[batch]
    assert (left.open, left.done, left.failed) == (1, 1, 0)
    assert (left.prompt_tokens, left.completion_tokens) == (7, 3)


async def test_the_last_try_parks_a_unit(store: UnitStore) -> None:
    one = request("one")
    key = one.unit.key
    await store.register([one], EVER)
    assert await store.fail(key, failed("no answer")) is False
    assert await store.open([key]) == [one.unit]
    assert await store.fail(key, failed("no answer again")) is True
    assert await store.fail(key, failed("and again")) is False
    assert await store.open([key]) == []
    assert (await store.replies([key], EVER))[key].reply == Failure("adam", "no answer again", 0.0)


async def test_what_kind_of_failure_it_was_is_kept(store: UnitStore) -> None:
    one = request("one")
    key = one.unit.key
    await store.register([one], EVER)
    told = failed("too long", rejected=True, code="context_length_exceeded", kind="rejected")
    told = replace(told, status=413)
    assert await store.fail(key, told, final=True)
    assert (await store.replies([key], EVER))[key].reply == told
    later = utcnow() + timedelta(seconds=1)
    await store.register([one], later)
    await store.fail(key, failed("no answer", kind="timeout"), final=True)
    assert (await store.replies([key], EVER))[key].reply == failed("no answer", kind="timeout")


async def test_what_a_server_calls_a_code_is_not_kept_of_a_secret(store: UnitStore) -> None:
    for code, kept in (("why_is_the_sky_blue", None), ("context_length_exceeded",) * 2):
        one = request(str(code), secret=True)
        await store.register([one], EVER)
        told = failed("no", rejected=True, code=code, kind="rejected", status=400)
        await store.fail(one.unit.key, told, final=True)
        reply = (await store.replies([one.unit.key], EVER))[one.unit.key].reply
        assert isinstance(reply, Failure)
        assert (reply.kind, reply.status, reply.code) == ("rejected", 400, kept)


async def test_what_was_parked_before_is_tried_again(store: UnitStore) -> None:
    one = request("one")
    key = one.unit.key
    await store.register([one], EVER)
    for _ in range(2):
        await store.fail(key, failed("no answer"))
    later = utcnow() + timedelta(seconds=1)
    assert await store.replies([key], later) == {}
    assert list(await store.register([one], later)) == [key]
    assert await store.open([key]) == [one.unit]
    assert await store.fail(key, failed("one more")) is False


async def test_a_late_completion_is_welcome(store: UnitStore) -> None:
    one = request("one")
    key = one.unit.key
    await store.register([one], EVER)
    for _ in range(2):
        await store.fail(key, failed("no answer"))
    await store.complete(key, said("adam", "at last"))
    assert (await store.replies([key], EVER))[key].reply == said("adam", "at last")


async def test_what_is_secret_is_sealed(store: UnitStore, database: Database) -> None:
    one = request("the secret question", secret=True)
    key = one.unit.key
    await store.register([one], EVER)
    assert await store.open([key]) == [one.unit]
    await store.fail(key, failed("could not read: the secret question"))
    await store.fail(key, failed("could not read: the secret question"))
    reply = (await store.replies([key], EVER))[key].reply
    assert isinstance(reply, Failure)
    assert "secret question" not in reply.error
    await store.complete(key, said("adam", "the secret answer"))
    assert (await store.replies([key], EVER))[key].reply == said("adam", "the secret answer")


async def test_another_key_opens_nothing(
    store: UnitStore, database: Database, tmp_path: Path
) -> None:
    one = request("the secret question", secret=True)
    await store.register([one], EVER)
    other = UnitStore(database, Seal(tmp_path / "other.key"))
    with pytest.raises(ConfigurationError, match="COTERIE_SEAL_KEY"):
        await other.open([one.unit.key])


@pytest.mark.parametrize("url", ["postgresql://x@127.0.0.1:1/x", "sqlite:////proc/none/x.sqlite"])
async def test_a_database_that_is_away_is_told(url: str, tmp_path: Path) -> None:
    database = Database(url)
    store = UnitStore(database, Seal(tmp_path / "seal.key"))
    one = request("one")
    with pytest.raises(StoreUnavailable):
        await store.register([one], EVER)
    with pytest.raises(StoreUnavailable):
        await store.complete(one.unit.key, said("adam", "1"))
    with pytest.raises(StoreUnavailable):
        await store.fail(one.unit.key, failed("x"))
    with pytest.raises(StoreUnavailable):
        await store.open([one.unit.key])
    await database.close()
