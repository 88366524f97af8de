"""Who calls is known from memory, and what changed elsewhere within seconds."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from coterie.errors import AccessDenied, KeyRefused, StoreUnavailable
from orchestrator.keys.key import ADMIN_FILE, ANONYMOUS, CHAT_FILE, Role
from orchestrator.keys.ring import LOOK_S


async def test_a_key_is_known_by_its_text_alone(world: Any) -> None:
    ring = world.ring()
    made, secret = await ring.create(world.key("ada", Role.JOBS, contents="none"))
    found = await ring.identify(secret)
    assert (found.id, found.name, found.role, found.contents) == (made.id, "ada", Role.JOBS, "none")
    assert found.key == made
    with pytest.raises(AccessDenied, match="not known"):
        await ring.identify(secret[:-1] + ("a" if secret[-1] != "a" else "b"))


async def test_nothing_that_is_kept_or_shown_tells_the_key(world: Any) -> None:
    ring = world.ring()
    made, secret = await ring.create(world.key())
    assert len(secret) >= 4 + 22  # 128 bits and more
    rest = secret[len(made.prefix) :]
    assert rest not in repr(world.shelf) + repr(made) + repr(ring.list())
    with pytest.raises(AccessDenied) as refused:
        await ring.identify(f"{secret}x")
    assert rest not in str(refused.value)


async def test_keys_in_files_need_no_database(world: Any) -> None:
    world.shelf.away = True
    ring = world.ring()
    assert (await ring.identify("a" * 20)).id == ADMIN_FILE
    assert (await ring.identify("c" * 20)).id == CHAT_FILE
    assert (await ring.caller(ADMIN_FILE)).role is Role.ADMIN


async def test_no_key_is_needed_where_none_is_required(world: Any) -> None:
    world.require_key = False
    ring = world.ring()
    assert (await ring.identify(None)).id == ANONYMOUS
    assert (await ring.identify("none")).id == ANONYMOUS  # what clients send that must send one
    with pytest.raises(AccessDenied):
        await ring.identify("ctr_" + "x" * 32)  # but whoever has a key is told that it is no good


@pytest.mark.parametrize("token", [None, "", "none", "b" * 20, "é", "\udcff"])
async def test_what_is_no_key_is_refused_where_one_is_required(world: Any, token: Any) -> None:
    with pytest.raises(AccessDenied):
        await world.ring().identify(token)


async def test_a_key_that_expired_or_was_revoked_is_refused(world: Any) -> None:
    ring = world.ring()
    soon = world.times.now + timedelta(seconds=10)
    made, secret = await ring.create(world.key(expires_at=soon))
    assert await ring.identify(secret)
    world.times.go(10)
    with pytest.raises(KeyRefused, match="expired"):
        await ring.identify(secret)
    with pytest.raises(KeyRefused, match="expired"):
        await ring.caller(made.id)
    await ring.change(replace(made, expires_at=None))
    assert await ring.caller(made.id)


async def test_a_key_revoked_in_another_process_is_refused_after_the_next_look(world: Any) -> None:
    here, there = world.ring(), world.ring()
    made, secret = await there.create(world.key())
    assert (await here.identify(secret)).id == made.id  # never seen here: looked up
    await there.change(replace(made, revoked_at=world.times.now))
    await here.refresh()
    with pytest.raises(KeyRefused, match="revoked"):
        await here.identify(secret)


async def test_known_keys_go_on_working_while_the_database_is_away(world: Any) -> None:
    ring, elsewhere = world.ring(), world.ring()
    _, known = await ring.create(world.key("known"))
    _, new = await elsewhere.create(world.key("new"))
    world.shelf.away = True
    assert (await ring.identify(known)).name == "known"
    with pytest.raises(StoreUnavailable, match="never seen by this server"):
        await ring.identify(new)
    with pytest.raises(StoreUnavailable):
        await ring.identify(new)  # not called unknown the second time
    world.shelf.away = False
    assert (await ring.identify(new)).name == "new"


async def test_guessing_does_not_cost_a_look_each(world: Any) -> None:
    ring = world.ring()
    await ring.create(world.key())
    reads = world.shelf.reads
    for i in range(50):
        with pytest.raises(AccessDenied):
            await ring.identify(f"ctr_{i:032}")
    assert world.shelf.reads == reads  # nothing has changed: not read again
    _, secret = await world.ring().create(world.key())
    with pytest.raises(AccessDenied):
        await ring.identify(secret)
    world.times.go(LOOK_S)
    assert await ring.identify(secret)


async def test_when_a_key_was_used_is_written_behind(world: Any) -> None:
    ring = world.ring()
    made, secret = await ring.create(world.key())
    await ring.identify(secret)
    assert ring.get(made.id).last_used_at == world.times.now
    assert world.shelf.last_used == {}
    world.shelf.away = True
    with pytest.raises(StoreUnavailable):
        await ring.write_used()
    world.shelf.away = False
    await ring.write_used()
    assert world.shelf.last_used == {made.id: world.times.now}
