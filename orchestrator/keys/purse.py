"""What a job's or batch's key pays for its items: each is let in only while the budget holds it.

An item is let in before its first expert is asked, and what it may cost is held until it has its
result; what was spent by then is counted with the next items, in one transaction.  The total of the
job is what is told, so that a step that is taken twice is counted once.  Items that do not fit in
wait for others of the job to give back what they did not take; what does not fit in even then fails
with :class:`QuotaExceeded`, and a later resume tries it again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from coterie.db import utcnow
from coterie.errors import AccessDenied, CoterieError
from orchestrator.keys.budget import NOTHING, Spent
from orchestrator.keys.key import ApiKey
from orchestrator.keys.ledger_store import LedgerStore
from orchestrator.keys.meter import exceeded

HELD = timedelta(days=1)
"""How long what is held for a job counts that nobody goes on with: as long as a batch may take."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """Which items are not let in, by position: why those ``refused`` are, and which may be
    ``later``, once others of the same job have told what they really took."""

    refused: Mapping[int, CoterieError] = field(default_factory=dict)
    later: Collection[int] = ()


@dataclass(slots=True)
class Purse:
    """The money of the job called ``id``; ``key`` gives its key as it is now."""

    id: str
    key: Callable[[], ApiKey]
    ledger: LedgerStore
    now: Callable[[], datetime] = utcnow
    _total: Spent = NOTHING
    _held: dict[int, Spent] = field(default_factory=dict)

    def count(self, spent: Spent, finished: Collection[int]) -> None:
        """The items at these positions have their results, which took ``spent``."""
        self._total += spent
        for position in finished:
            self._held.pop(position, None)

    async def admit(self, wanted: Mapping[int, Spent]) -> Admitted:
        """Lets items in, by position, with what each may cost; those that are in already stay.

        Raises :class:`StoreUnavailable`.
        """
        new = {at: most for at, most in sorted(wanted.items()) if at not in self._held}
        key, now = self.key(), self.now()
        try:
            key.check(now)
        except AccessDenied as error:
            return Admitted(dict.fromkeys(new, error))
        budget, kept = key.budget, sum(self._held.values(), NOTHING)
        amounts = list(new.values()) if budget else []
        found = await self.ledger.hold(
            self.id, key.id, budget, amounts, now, HELD, kept=kept, total=self._total
        )
        if budget is None:
            self._held |= dict.fromkeys(new, NOTHING)
            return Admitted()
        fits = dict(zip(new, found.fits, strict=True))
        self._held |= {at: most for at, most in new.items() if fits[at]}
        left = {at: most for at, most in new.items() if not fits[at]}
        later = {
            at
            for at, most in left.items()
            if self._held and budget.fits(found.spent, NOTHING, most)
        }
        refused: dict[int, CoterieError] = {
            at: exceeded(key, budget, found.spent, found.held, most, now)
            for at, most in left.items()
            if at not in later
        }
        return Admitted(refused, later)

    async def close(self, total: Spent) -> None:
        """Nobody goes on with the job for now, which has taken ``total``: nothing is held."""
        self._total, self._held = total, {}
        key, now = self.key(), self.now()
        await self.ledger.hold(self.id, key.id, key.budget, [], now, HELD, total=total)
