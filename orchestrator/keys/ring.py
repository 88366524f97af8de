"""The keys at hand: whoever calls is known from memory, also while the database is away.

::

    identify ──token──> by prefix, compared by hash ──> Caller
        └── not there ──> looked for in the database, a few times a second at most

Every key is kept in memory and looked at again every ``EVERY_S``, so that one that was revoked in
another process is refused here within seconds.  While the database is away, those that are known go
on working.  When keys were last used is written behind, never by a request.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol

from coterie.db import utcnow
from coterie.errors import AccessDenied, StoreUnavailable, UnknownKey
from coterie.ports import Clock
from orchestrator.access import Access
from orchestrator.keys.key import (
    ADMIN_FILE,
    ANONYMOUS,
    ANYONE,
    CHAT_FILE,
    COMMAND_LINE,
    KEY_ID,
    ApiKey,
    Caller,
    Role,
)
from orchestrator.keys.secret import digest_of, is_ours, new_secret, prefix_of, same
from orchestrator.keys.store import Held

log = logging.getLogger(__name__)

EVERY_S = 2.0
"""How often it is looked whether keys have changed elsewhere."""
USED_EVERY_S = 30.0
"""How often it is written when keys were last used."""
LOOK_S = 0.25
"""How often the database is asked at most for keys that nobody here knows."""

_FILES = {
    CHAT_FILE: Caller(CHAT_FILE, "the chat key file", Role.CHAT),
    ADMIN_FILE: Caller(ADMIN_FILE, "the admin key file", Role.ADMIN),
}


@dataclass(frozen=True, slots=True)
class _Known:
    """The keys as last read."""

    by_id: Mapping[str, ApiKey] = field(default_factory=dict)
    by_prefix: Mapping[str, Sequence[Held]] = field(default_factory=dict)

    @classmethod
    def of(cls, held: Sequence[Held]) -> _Known:
        by_prefix: defaultdict[str, list[Held]] = defaultdict(list)
        for one in held:
            by_prefix[one.key.prefix].append(one)
        return cls({one.key.id: one.key for one in held}, by_prefix)

    def find(self, token: str) -> ApiKey | None:
        digest = digest_of(token)
        # All are compared, so that the time taken does not tell which one came near.
        found = [h for h in self.by_prefix.get(prefix_of(token), ()) if same(h.digest, digest)]
        return found[0].key if found else None


class Store(Protocol):
    """Where the keys are kept; see :class:`orchestrator.keys.store.KeyStore`."""

    async def add(self, key: ApiKey, digest: str) -> None: ...

    async def all(self) -> list[Held]: ...

    async def state(self) -> tuple[int, int]: ...

    async def replace(self, key: ApiKey) -> ApiKey: ...

    async def revoke(self, id: str, at: datetime) -> ApiKey: ...

    async def used(self, last: Mapping[str, datetime]) -> None: ...


class KeyRing:
    """Tells who calls, and makes, changes and revokes keys."""

    def __init__(
        self,
        access: Access,
        store: Store,
        clock: Clock,
        *,
        now: Callable[[], datetime] = utcnow,
    ) -> None:
        self._access = access
        self._store = store
        self._clock = clock
        self._now = now
        self._known = _Known()
        self._state: tuple[int, int] | None = None
        self._looked = float("-inf")
        self._looking = asyncio.Lock()
        self._used: dict[str, datetime] = {}

    # --- who calls ------------------------------------------------------------------------------

    async def identify(self, token: str | None) -> Caller:
        """Whoever calls with ``token``.

        Raises:
            AccessDenied: no key where one is required, or none that is known; it was revoked or has
                expired.
            StoreUnavailable: it may be a key that was made elsewhere, and the database is away.
        """
        if token is not None:
            if file := self._access.file_of(token):
                return _FILES[file]
            if is_ours(token):
                return self._caller(await self._find(token))
        if self._access.require_key:
            raise AccessDenied(
                "this server needs a key: send 'Authorization: Bearer KEY' with an API key, or the "
                "key from the server's chat.key file"
                if token is None
                else "the key is not known here: it is none of this server's API keys or key files"
            )
        return ANYONE

    async def caller(self, id: str) -> Caller:
        """The caller of that id, as far as it may still call.

        Raises :class:`AccessDenied` as :meth:`identify` does; ``StoreUnavailable`` likewise.
        """
        if id in _FILES:
            return _FILES[id]
        if id == ANONYMOUS and not self._access.require_key:
            return ANYONE
        return self._caller(await self.known(id))

    async def owner(self, id: str) -> Caller:
        """Whoever made a job or a batch that goes on by itself; raises as :meth:`caller` does.

        One without a key of his own may go on whatever is required by now.
        """
        if id in ("", ANONYMOUS, COMMAND_LINE, *_FILES):
            return ANYONE
        key = await self.known(id)
        key.check(self._now())
        return Caller.of(key)

    async def known(self, id: str) -> ApiKey:
        """The key of that id, whether or not it may still be used; looked for where it is not known
        here.  Raises AccessDenied and StoreUnavailable."""
        if id not in self._known.by_id:
            await self._look(f"key {id!r}")
        key = self._known.by_id.get(id)
        if key is None:
            raise AccessDenied(f"the key {id!r} is not known here")
        return key

    def _caller(self, key: ApiKey) -> Caller:
        now = self._now()
        key.check(now)
        self._used[key.id] = now
        return Caller.of(key)

    async def _find(self, token: str) -> ApiKey:
        found = self._known.find(token)
        if found is None:
            await self._look(f"the key {prefix_of(token)}…")
            found = self._known.find(token)
        if found is None:
            raise AccessDenied(f"the key {prefix_of(token)}… is not known here: ask for another")
        return found

    async def _look(self, what: str) -> None:
        """Reads the keys anew, but not more often than a guesser could be made to pay for."""
        async with self._looking:
            if self._clock.monotonic() - self._looked < LOOK_S:
                return
            self._looked = self._clock.monotonic()
            try:
                await self.refresh()
            except StoreUnavailable as error:
                self._looked = float("-inf")  # a key that may be there must not be called unknown
                raise StoreUnavailable(
                    f"{what} was never seen by this server, and cannot be looked up, as {error}; "
                    "keys that it has seen go on working"
                ) from error

    # --- keeping up -----------------------------------------------------------------------------

    async def refresh(self) -> None:
        """Reads the keys, if any has changed; raises :class:`StoreUnavailable`."""
        state = await self._store.state()
        if state != self._state:
            self._known = _Known.of(await self._store.all())
            self._state = state

    async def keep_fresh(self, every_s: float = EVERY_S) -> None:
        """Refreshes for ever, and writes when keys were last used."""
        written = self._clock.monotonic()
        while True:
            await asyncio.sleep(every_s)
            try:
                await self.refresh()
                if self._clock.monotonic() - written >= USED_EVERY_S:
                    written = self._clock.monotonic()
                    await self.write_used()
            except Exception as error:
                log.warning("keys not refreshed, those known go on working: %s", error)

    async def write_used(self) -> None:
        """Keeps when keys were last used; raises :class:`StoreUnavailable`."""
        used, self._used = self._used, {}
        if not used:
            return
        try:
            await self._store.used(used)
        except StoreUnavailable:
            self._used = {**used, **self._used}
            raise

    async def aclose(self) -> None:
        """Writes when keys were last used, if the database takes it now."""
        with suppress(Exception):
            async with asyncio.timeout(2.0):
                await self.write_used()

    # --- making and changing --------------------------------------------------------------------

    def list(self) -> list[ApiKey]:
        """Every key as last read, the newest first, those that are revoked too."""
        used = self._used
        return [
            replace(k, last_used_at=used.get(k.id, k.last_used_at))
            for k in self._known.by_id.values()
        ]

    def get(self, id: str) -> ApiKey:
        """The key of that id as last read; raises :class:`UnknownKey`."""
        found = self._known.by_id.get(id)
        if found is None:
            raise UnknownKey(f"no key {id!r}: `coterie keys list` shows those there are")
        return replace(found, last_used_at=self._used.get(id, found.last_used_at))

    async def create(self, key: ApiKey) -> tuple[ApiKey, str]:
        """Makes a key that may do what ``key`` says; returns it with its text, which is shown
        once and kept nowhere."""
        secret = new_secret()
        made = replace(key, id=f"{KEY_ID}{uuid.uuid4().hex[:16]}", prefix=prefix_of(secret))
        await self._store.add(made, digest_of(secret))
        await self.refresh()
        return made, secret

    async def change(self, key: ApiKey) -> ApiKey:
        """Lets a key do what ``key`` says from now on; raises :class:`UnknownKey`."""
        changed = await self._store.replace(key)
        await self.refresh()
        return changed

    async def revoke(self, id: str) -> ApiKey:
        """Revokes a key for good; raises :class:`UnknownKey`."""
        revoked = await self._store.revoke(id, self._now())
        await self.refresh()
        return revoked
