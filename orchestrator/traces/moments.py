"""The order of why-records: one number each, by time.  Pure.

A moment is the microsecond a record was made in, and below it 12 bits of its id, so that two of one
microsecond have two.  It is what records are sorted, paged and joined by: 8 bytes instead of a time
and an id.
"""

from __future__ import annotations

import zlib
from datetime import UTC, datetime, timedelta

BITS = 12
LAST = (1 << 63) - 1
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def moment_of(created_at: datetime, id: str) -> int:
    """The moment of the record ``id``; another one's only by bad luck."""
    return first_moment(created_at) | zlib.crc32(id.encode("utf-8", "replace")) % (1 << BITS)


def first_moment(at: datetime) -> int:
    """The lowest moment that is not before ``at``; of those a database can keep the nearest."""
    moment = ((at - EPOCH) // MICROSECOND) << BITS
    return max(-LAST, min(LAST, moment))


def time_of(moment: int) -> datetime:
    """When that was, in UTC."""
    return EPOCH + (moment >> BITS) * MICROSECOND
