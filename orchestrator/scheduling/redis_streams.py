"""The work queue that workers of several machines share: Redis Streams, or Valkey's.

What a method does, the server does in one step (``redis_scripts``), so that a process that dies
halfway leaves nothing half done.  A server that lost everything is filled again by whoever
publishes; one that is away is :class:`~coterie.errors.QueueUnavailable` after a few tries.
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Self

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import (
    AuthenticationError,
    ClusterDownError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)

from coterie.errors import ConfigurationError, QueueUnavailable
from coterie.types import as_jsonable
from orchestrator.scheduling import redis_scripts as scripts
from orchestrator.scheduling.in_process import TTL_S
from orchestrator.scheduling.told import WorkerTold
from orchestrator.scheduling.work import Batch, Claim, Depth, WorkerState

PREFIX = "coterie"
RETRIES = 3
TIMEOUT_S = 5.0
"""Longest silence of the server, and longest wait for a connection."""
AT_ONCE = 50
"""Batches published in one step: nobody else is served meanwhile."""

_PASSING = (OutOfMemoryError, ReadOnlyError, ClusterDownError, TryAgainError)
_PASSING_WORDS = ("MISCONF", "NOREPLICAS", "BUSY", "UNBLOCKED")
"""Errors of a server that cannot now; the other errors it answers with mean a wrong command."""


class RedisQueue:
    """The :class:`~orchestrator.scheduling.work.WorkQueue` behind ``REDIS_URL``."""

    def __init__(self, client: Redis, *, prefix: str = PREFIX, ttl_s: float = TTL_S) -> None:
        self._client = client
        self._keys = [f"{{{prefix}}}"]
        self._ttl_ms = round(ttl_s * 1000)
        self._scripts = {
            name: client.register_script(getattr(scripts, name))
            for name in vars(scripts)
            if name.isupper() and not name.startswith("_")
        }
        self._states: dict[str, str] = {}
        self._held: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
        self._doubtful: set[tuple[str, str]] = set()
        self._claiming = asyncio.Lock()
        self._heard: str | None = None

    @classmethod
    def from_url(
        cls, url: str, *, prefix: str = PREFIX, ttl_s: float = TTL_S, retries: int = RETRIES
    ) -> Self:
        """The queue at ``url``; connects at the first use.

        Raises:
            ConfigurationError: it is not a usable URL.
        """
        retry = Retry(ExponentialWithJitterBackoff(base=0.05, cap=1.0), retries)
        try:
            client = Redis.from_url(
                url,
                decode_responses=True,
                retry=retry,
                socket_timeout=TIMEOUT_S,
                socket_connect_timeout=TIMEOUT_S,
            )
        except (ValueError, TypeError):  # whose words may hold the password
            raise ConfigurationError(
                "REDIS_URL is not a usable URL; write redis://user:password@host:6379/0, with "
                "percent signs for what is special in a password"
            ) from None
        return cls(client, prefix=prefix, ttl_s=ttl_s)

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._client.aclose()

    # --- batches --------------------------------------------------------------------------------

    async def publish(self, batches: Sequence[Batch]) -> None:
        for start in range(0, len(batches), AT_ONCE):
            part = batches[start : start + AT_ONCE]
            arguments = ((b.expert, b.id, _body(b), b.lane) for b in part)
            await self._run("PUBLISH", *(a for one in arguments for a in one))

    async def claim(self, worker: str, expert: str) -> Claim | None:
        async with self._claiming:
            held = self._held[worker, expert]
            self._doubtful.add((worker, expert))
            found = await self._run("CLAIM", expert, *self._sign_of_life(worker), *held)
            self._doubtful.discard((worker, expert))
            if not found:
                return None
            entry, body, delivery = found
            held.add(entry)
        return Claim(_batch(expert, body), f"{worker}|{entry}", int(delivery))

    async def acknowledge(self, claim: Claim) -> None:
        worker, entry = _token(claim)
        await self._run("ACKNOWLEDGE", claim.batch.expert, entry, claim.batch.id)
        self._held[worker, claim.batch.expert].discard(entry)

    async def release(self, claim: Claim) -> None:
        worker, entry = _token(claim)
        await self._run("RELEASE", claim.batch.expert, entry, worker)
        self._held[worker, claim.batch.expert].discard(entry)

    async def depths(self) -> Mapping[str, Depth]:
        found = await self._run("DEPTHS")
        return {expert: Depth(length - claimed, claimed) for expert, length, claimed in found}

    # --- who serves whom ------------------------------------------------------------------------

    async def take_expert(self, worker: str, expert: str) -> bool:
        return bool(await self._run("TAKE", expert, *self._sign_of_life(worker)))

    async def give_expert(self, worker: str, expert: str) -> None:
        await self._run("GIVE", expert, worker)

    async def holders(self) -> Mapping[str, str]:
        flat = await self._run("HOLDERS")
        return dict(zip(flat[::2], flat[1::2], strict=True))

    async def beat(self, state: WorkerState) -> None:
        self._states[state.name] = json.dumps(as_jsonable(state))
        await self._run("BEAT", *self._sign_of_life(state.name))
        await self._settle(state.name)

    async def leave(self, worker: str) -> None:
        await self._run("LEAVE", worker)
        self._states.pop(worker, None)

    async def workers(self) -> Sequence[WorkerState]:
        return sorted(map(_state, await self._run("WORKERS")), key=lambda state: state.name)

    async def wait(self, timeout_s: float) -> None:
        if self._heard is None:  # whatever came before the first look at the bell is news
            self._heard = await self._last_ring()
            return
        bell = f"{self._keys[0]}:bell"
        slice_s = TIMEOUT_S / 2  # or the silence would be taken for the server's death
        for start_ms in range(0, max(1, round(timeout_s * 1000)), round(slice_s * 1000)):
            block_ms = max(1, min(round(slice_s * 1000), round(timeout_s * 1000) - start_ms))
            found = await _answer(self._client.xread({bell: self._heard}, block=block_ms))
            if found:
                self._heard = await self._last_ring()
                return

    async def _last_ring(self) -> str:
        found = await _answer(self._client.xrevrange(f"{self._keys[0]}:bell", count=1))
        return str(found[0][0]) if found else "0-0"

    async def _settle(self, worker: str) -> None:
        """Gives back what was claimed without the claim having reached the worker.

        While it lives nobody else would get it.
        """
        async with self._claiming:
            for pair in [pair for pair in self._doubtful if pair[0] == worker]:
                await self._run("SETTLE", pair[1], worker, *self._held[pair])
                self._doubtful.discard(pair)

    def _sign_of_life(self, worker: str) -> tuple[str, str, int]:
        state = self._states.get(worker) or json.dumps(as_jsonable(WorkerState(worker)))
        return worker, state, self._ttl_ms

    async def _run(self, name: str, *arguments: Any) -> Any:
        return await _answer(self._scripts[name](keys=self._keys, args=arguments))


async def _answer(command: Awaitable[Any]) -> Any:
    """What the server says to ``command``."""
    task = asyncio.current_task()
    cancelled = task.cancelling() if task else 0
    with _outages():
        found = await command
    # The client uses ``wait_for``; Python 3.11's forgets a cancellation that comes as what it waits
    # for is done.
    if task and task.cancelling() > cancelled:
        raise asyncio.CancelledError
    return found


@contextmanager
def _outages() -> Iterator[None]:
    """Raises :class:`QueueUnavailable` for a server that does not do its part."""
    try:
        yield
    except (AuthenticationError, NoPermissionError) as error:
        raise QueueUnavailable(
            f"the work queue refuses this client ({type(error).__name__}); check the user and the "
            "password in REDIS_URL and what that user may do"
        ) from None
    except (RedisError, OSError, asyncio.IncompleteReadError) as error:
        if isinstance(error, ResponseError) and not _passes(error):
            raise
        raise QueueUnavailable(
            f"the work queue does not answer: {error or type(error).__name__}; is the server in "
            "REDIS_URL running?"
        ) from None


def _passes(error: ResponseError) -> bool:
    return isinstance(error, _PASSING) or str(error).startswith(_PASSING_WORDS)


def _token(claim: Claim) -> tuple[str, str]:
    worker, _, entry = claim.token.rpartition("|")
    return worker, entry


def _body(batch: Batch) -> str:
    return json.dumps([batch.id, *batch.keys])


def _batch(expert: str, body: str) -> Batch:
    id, *keys = json.loads(body)
    return Batch(id, expert, tuple(keys))


def _state(text: str) -> WorkerState:
    known = json.loads(text)
    lists = {name: tuple(known[name]) for name in ("experts", "resident", "busy")}
    told = WorkerTold.of(known.get("told") or {})
    return WorkerState(known["name"], draining=known["draining"], told=told, **lists)
