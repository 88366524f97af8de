"""Finds why-records: those that pass some filters, newest first, a page at a time.

Each filter that is set has an index of its own in the order of time.  The one with the fewest
entries leads; the others are looked up for what it finds.  However many they are, a page looks at
``LOOK`` entries at most, and says where it stopped: the next page goes on there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, func, select, true, union
from sqlalchemy.ext.asyncio import AsyncSession

from coterie.db import Database
from orchestrator.traces.bands import AGREEMENT, COST_USD, LATENCY_MS
from orchestrator.traces.facts import Record
from orchestrator.traces.feedback import feedback_body
from orchestrator.traces.feedback_store import feedback_of
from orchestrator.traces.filters import Filters
from orchestrator.traces.moments import first_moment
from orchestrator.traces.tables import (
    FeedbackRow,
    HeadRow,
    RouteExpertRow,
    RouteRow,
    RouteSkillRow,
)

LOOK = 5_000
"""Entries of an index that one page looks at."""
PROBE = 1_000
"""Entries up to which indexes are compared: whichever has fewer leads."""
COUNTED = 10_000
"""Entries that are counted."""


@dataclass(frozen=True, slots=True)
class Page:
    """Records, newest first.

    ``cursor`` is where the next page begins, None after the last.  A page with a cursor may hold
    fewer records than were asked for, even none: so few pass among those it looked at.
    """

    records: tuple[Record, ...]
    cursor: int | None


@dataclass(frozen=True, slots=True)
class Count:
    """``number`` records, or, where it is not ``exact``, at least so many."""

    number: int
    exact: bool


@dataclass(frozen=True, slots=True)
class _Lead:
    """An index: the entries that match any of ``anyof`` have their moments in ``moment``.

    ``holds`` says the same of a record's head.
    """

    name: str
    moment: Any
    anyof: tuple[ColumnElement[bool], ...]
    holds: ColumnElement[bool]


class RecordStore:
    """The why-records, as they are looked for."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(self, filters: Filters, *, limit: int = 50, cursor: int | None = None) -> Page:
        """The newest ``limit`` records that pass, from ``cursor`` on."""
        async with self._database.read() as session:
            lead = await _fewest(session, filters, cursor)
            look = LOOK if _others(filters, lead) else limit + 1
            window = _window(lead, filters, look, cursor)
            query = _passing(window, filters, lead).limit(limit + 1)
            found = (await session.execute(query)).all()
            more = len(found) > limit
            after = found[limit].moment if more else await _end_of(session, window, look)
            records = await _records(session, [row.id for row in found[:limit]])
        return Page(tuple(records), after)

    async def count(self, filters: Filters) -> Count:
        """How many records pass; at most ``COUNTED`` are looked at."""
        async with self._database.read() as session:
            lead = await _fewest(session, filters, None)
            window = _window(lead, filters, COUNTED + 1, None)
            seen = await session.scalar(select(func.count()).select_from(window.subquery())) or 0
            number = min(seen, COUNTED)
            if _others(filters, lead):
                passing = _passing(window, filters, lead).order_by(None).subquery()
                number = await session.scalar(select(func.count()).select_from(passing)) or 0
        return Count(number, exact=seen <= COUNTED)


# --- which index leads --------------------------------------------------------------------------


def _leads(f: Filters) -> list[_Lead]:
    """The indexes that hold all that passes."""
    return [*_beside(f), *_of_head(f), *_banded(f)] or [_EVERYTHING]


_EVERYTHING = _Lead("everything", HeadRow.moment, (true(),), true())


def _beside(f: Filters) -> list[_Lead]:
    found = []
    if f.skill is not None:
        skill = RouteSkillRow.skill == f.skill
        found.append(_elsewhere("skill", RouteSkillRow.moment, (skill,), skill))
    if f.expert is not None:
        part, parts = RouteExpertRow.part, f.as_expert.parts
        expert: Any = RouteExpertRow.expert == f.expert
        as_each = tuple(expert & (part == p) for p in parts)
        in_any = expert & part.in_(parts)
        found.append(_elsewhere("expert", RouteExpertRow.moment, as_each, in_any))
    if f.feedback:
        verdict = FeedbackRow.verdict
        each = tuple(verdict == v for v in f.feedback)
        found.append(_elsewhere("feedback", FeedbackRow.moment, each, verdict.in_(f.feedback)))
    return found


def _elsewhere(
    name: str, moment: Any, anyof: tuple[ColumnElement[bool], ...], holds: ColumnElement[bool]
) -> _Lead:
    there = select(moment).where(moment == HeadRow.moment, holds).exists()
    return _Lead(name, moment, anyof, there)


def _of_head(f: Filters) -> list[_Lead]:
    wanted = (
        ("key", HeadRow.key, f.key),
        ("model", HeadRow.model, f.model),
        ("strategy", HeadRow.strategy, f.strategy),
    )
    found = [
        _Lead(name, HeadRow.moment, (column == value,), column == value)
        for name, column, value in wanted
        if value is not None
    ]
    if f.outcomes:
        each = tuple(HeadRow.outcome == o for o in f.outcomes)
        found.append(_Lead("outcome", HeadRow.moment, each, HeadRow.outcome.in_(f.outcomes)))
    return found


def _banded(f: Filters) -> list[_Lead]:
    found: list[tuple[Any, range, ColumnElement[bool]]] = []
    if (cost := f.cost_from) is not None:
        found.append((HeadRow.cost_band, COST_USD.least(cost), HeadRow.cost_usd >= cost))
    if (took := f.latency_from_ms) is not None:
        found.append((HeadRow.latency_band, LATENCY_MS.least(took), HeadRow.latency_ms >= took))
    if (agreed := f.agreement_below) is not None:
        bands = AGREEMENT.below(agreed)
        found.append((HeadRow.agreement_band, bands, HeadRow.agreement < agreed))
    return [
        _Lead(
            column.key, HeadRow.moment, tuple((column == band) & within for band in bands), within
        )
        for column, bands, within in found
    ]


async def _fewest(session: AsyncSession, filters: Filters, cursor: int | None) -> _Lead:
    """The index with the fewest entries in the time that is looked at."""
    leads = _leads(filters)
    if len(leads) == 1:
        return leads[0]
    counts = [
        select(func.count()).select_from(_window(lead, filters, PROBE, cursor).subquery())
        for lead in leads
    ]
    [found] = (await session.execute(select(*(c.scalar_subquery() for c in counts)))).all()
    return min(zip(found, range(len(leads)), leads, strict=True))[2]


# --- queries ------------------------------------------------------------------------------------


def _window(lead: _Lead, filters: Filters, look: int, cursor: int | None) -> Any:
    """The newest ``look`` moments of ``lead``, in the time that is looked at.

    Entries that match one condition are read in the order of time, never sorted; those of several
    are merged.
    """
    between = _between(lead.moment, filters, cursor)
    each = [
        select(lead.moment.label("moment"))
        .where(condition, *between)
        .order_by(lead.moment.desc())
        .limit(look)
        for condition in lead.anyof
    ]
    if len(each) == 1:
        return each[0]
    merged = union(*(select(one.subquery().c.moment) for one in each)).subquery()
    return select(merged.c.moment).order_by(merged.c.moment.desc()).limit(look)


def _between(moment: Any, filters: Filters, cursor: int | None) -> list[ColumnElement[bool]]:
    bounds = []
    if filters.since:
        bounds.append(moment >= first_moment(filters.since))
    if filters.until:
        bounds.append(moment < first_moment(filters.until))
    if cursor is not None:
        bounds.append(moment <= cursor)
    return bounds


def _passing(window: Any, filters: Filters, lead: _Lead) -> Select[Any]:
    """Moments and ids of what passes among ``window``, newest first."""
    seen = window.subquery("seen")
    head: tuple[Any, ...] = (HeadRow.moment, HeadRow.id)
    query = select(*head).join(seen, seen.c.moment == HeadRow.moment)
    return query.where(*_others(filters, lead)).order_by(seen.c.moment.desc())


def _others(filters: Filters, lead: _Lead) -> list[ColumnElement[bool]]:
    """What must hold besides what ``lead`` sees to."""
    return [other.holds for other in _leads(filters) if other.name != lead.name]


async def _end_of(session: AsyncSession, window: Any, look: int) -> int | None:
    """The moment below the oldest of a full window: what it did not look at."""
    seen = window.subquery()
    [(count, oldest)] = (await session.execute(select(func.count(), func.min(seen.c.moment)))).all()
    return oldest - 1 if count >= look else None


async def _records(session: AsyncSession, ids: Sequence[str]) -> list[Record]:
    """The records in the order of ``ids``, with the feedback on them."""
    if not ids:
        return []
    query = select(RouteRow.id, RouteRow.record).where(RouteRow.id.in_(ids))
    found = {row.id: row.record for row in await session.execute(query)}
    said = select(FeedbackRow).where(FeedbackRow.route.in_(ids))
    for row in await session.scalars(said):
        if row.route in found:
            found[row.route]["feedback"] = feedback_body(feedback_of(row))
    return [found[id] for id in ids if id in found]
