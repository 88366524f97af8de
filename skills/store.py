"""Keeps experts, graded answers and estimates in the database; speaks domain types only."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Select, delete, false, select, true
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from coterie.db import Database, upsert, utcnow
from coterie.errors import DuplicateExpert, UnknownExpert
from coterie.types import (
    OVERALL,
    Estimate,
    Expert,
    ExpertKind,
    ExpertSource,
    GradedAnswer,
    Profile,
    Sampling,
    SkillWeight,
    Usage,
    as_jsonable,
)
from skills.tables import EstimateRow, ExpertRow, GradedAnswerRow


class ExpertStore:
    """The experts, one row each."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list(self, *, enabled_only: bool = False) -> tuple[Expert, ...]:
        """Every expert, or every one that may be asked, by name."""
        query = select(ExpertRow).order_by(ExpertRow.name)
        if enabled_only:
            query = query.where(ExpertRow.enabled.is_(true()), ExpertRow.switched_off.is_(false()))
        async with self._database.read() as session:
            return tuple(_expert(row) for row in await session.scalars(query))

    async def get(self, name: str) -> Expert:
        """The expert called ``name``; raises :class:`UnknownExpert`."""
        async with self._database.read() as session:
            return _expert(await _row(session, name))

    async def add(self, expert: Expert) -> None:
        """Keeps a new expert; raises :class:`DuplicateExpert`."""
        row = ExpertRow(**_columns(expert), switched_off=False)
        try:
            async with self._database.transaction() as session:
                session.add(row)
        except IntegrityError:
            raise DuplicateExpert(
                f"an expert named {expert.name!r} is registered already; "
                "update that one, or choose another name"
            ) from None

    async def replace(self, expert: Expert) -> None:
        """Overwrites the expert of that name, a veto included; raises :class:`UnknownExpert`."""
        async with self._database.transaction() as session:
            row = await _row(session, expert.name)
            for column, value in _columns(expert).items():
                setattr(row, column, value)
            row.switched_off = False

    async def set_enabled(self, name: str, enabled: bool) -> None:
        """Lifts or lays an administrator's veto; raises :class:`UnknownExpert`."""
        async with self._database.transaction() as session:
            row = await _row(session, name)
            row.switched_off = not enabled
            row.enabled = row.enabled or enabled

    async def remove(self, name: str) -> None:
        """Forgets an expert, its answers and its estimates; raises :class:`UnknownExpert`."""
        async with self._database.transaction() as session:
            row = await _row(session, name)
            await session.execute(delete(ExpertRow).where(ExpertRow.name == row.name))

    async def switched_off(self) -> frozenset[str]:
        """The names of the experts an administrator has vetoed."""
        query = select(ExpertRow.name).where(ExpertRow.switched_off.is_(true()))
        async with self._database.read() as session:
            return frozenset(await session.scalars(query))

    async def sync(self, put: Sequence[Expert], remove: Collection[str]) -> None:
        """Puts and removes in one transaction.  Vetoes stay; two services may do it at once."""
        now = utcnow()
        rows = [
            {**_columns(e), "switched_off": False, "created_at": now, "updated_at": now}
            for e in put
        ]
        async with self._database.transaction() as session:
            await session.execute(delete(ExpertRow).where(ExpertRow.name.in_(remove)))
            await upsert(
                session, ExpertRow, rows, key=["name"], keep=["switched_off", "created_at"]
            )


class ProfileStore:
    """Graded answers, and the estimates made of them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def save_answers(self, answers: Sequence[GradedAnswer], run: str = "") -> None:
        """Keeps ``answers``; one to the same item by the same expert is overwritten.

        ``run`` says which profiling run they come from.
        """
        now = utcnow()
        rows = [{**_answer_columns(a), "run": run, "created_at": now} for a in answers]
        try:
            async with self._database.transaction() as session:
                await upsert(session, GradedAnswerRow, rows, key=["expert", "task", "item"])
        except IntegrityError:
            raise _not_registered({a.expert for a in answers}) from None

    async def answers(
        self, expert: str | None = None, task: str | None = None
    ) -> list[GradedAnswer]:
        """The graded answers, of one expert or one task where given."""
        query = select(GradedAnswerRow).order_by(
            GradedAnswerRow.expert, GradedAnswerRow.task, GradedAnswerRow.item
        )
        async with self._database.read() as session:
            return [_answer(row) for row in await session.scalars(_narrow(query, expert, task))]

    async def answered_items(self, expert: str, task: str) -> set[str]:
        """The items of ``task`` that ``expert`` was graded on: a resumed run leaves them out."""
        query = _narrow(select(GradedAnswerRow.item), expert, task)
        async with self._database.read() as session:
            return set(await session.scalars(query))

    async def save_profiles(self, profiles: Sequence[Profile]) -> None:
        """Replaces what is known of each of these experts."""
        rows = [row for profile in profiles for row in _estimate_columns(profile)]
        names = {profile.expert for profile in profiles}
        try:
            async with self._database.transaction() as session:
                await session.execute(delete(EstimateRow).where(EstimateRow.expert.in_(names)))
                await upsert(session, EstimateRow, rows, key=["expert", "skill"])
        except IntegrityError:
            raise _not_registered(names) from None

    async def profiles(self) -> list[Profile]:
        """Every expert that was profiled, by name."""
        query = select(EstimateRow).order_by(EstimateRow.expert, EstimateRow.skill)
        found: dict[str, dict[str, Estimate]] = {}
        async with self._database.read() as session:
            for row in await session.scalars(query):
                skills = found.setdefault(row.expert, {})
                skills[row.skill] = Estimate(mean=row.mean, sd=row.sd, n=row.n)
        return [
            Profile(expert, overall=skills.pop(OVERALL), skills=skills)
            for expert, skills in found.items()
        ]


# --- rows and domain types ----------------------------------------------------------------------


async def _row(session: AsyncSession, name: str) -> ExpertRow:
    row = await session.get(ExpertRow, name)
    if row is None:
        known = list(await session.scalars(select(ExpertRow.name).order_by(ExpertRow.name)))
        raise UnknownExpert(
            f"no expert is named {name!r}; registered are {', '.join(map(repr, known)) or 'none'}"
        )
    return row


def _columns(expert: Expert) -> dict[str, Any]:
    columns: dict[str, Any] = as_jsonable(expert)
    return {**columns, "kind": expert.kind.value, "source": expert.source.value}


def _expert(row: ExpertRow) -> Expert:
    return Expert(
        name=row.name,
        kind=ExpertKind(row.kind),
        model=row.model,
        endpoint=row.endpoint,
        base=row.base,
        adapter=row.adapter,
        description=row.description,
        context_length=row.context_length,
        total_params_b=row.total_params_b,
        active_params_b=row.active_params_b,
        prompt_price=row.prompt_price,
        completion_price=row.completion_price,
        api_key_env=row.api_key_env,
        defaults=Sampling(**{**row.defaults, "stop": tuple(row.defaults["stop"])}),
        engine_args=row.engine_args,
        tags=tuple(row.tags),
        enabled=row.enabled and not row.switched_off,
        source=ExpertSource(row.source),
    )


def _narrow(query: Select[Any], expert: str | None, task: str | None) -> Select[Any]:
    if expert is not None:
        query = query.where(GradedAnswerRow.expert == expert)
    if task is not None:
        query = query.where(GradedAnswerRow.task == task)
    return query


def _answer_columns(answer: GradedAnswer) -> dict[str, Any]:
    return {
        "expert": answer.expert,
        "task": answer.task,
        "item": answer.item,
        "skills": as_jsonable(answer.skills),
        "output": answer.output,
        "extracted": answer.extracted,
        "correct": answer.correct,
        "prompt_tokens": answer.usage.prompt_tokens,
        "completion_tokens": answer.usage.completion_tokens,
        "latency_s": answer.latency_s,
    }


def _answer(row: GradedAnswerRow) -> GradedAnswer:
    return GradedAnswer(
        expert=row.expert,
        task=row.task,
        item=row.item,
        skills=tuple(SkillWeight(**weight) for weight in row.skills),
        output=row.output,
        extracted=row.extracted,
        correct=row.correct,
        usage=Usage(row.prompt_tokens, row.completion_tokens),
        latency_s=row.latency_s,
    )


def _estimate_columns(profile: Profile) -> list[dict[str, Any]]:
    now = utcnow()
    estimates = {OVERALL: profile.overall, **profile.skills}
    return [
        {
            "expert": profile.expert,
            "skill": skill,
            "mean": estimate.mean,
            "sd": estimate.sd,
            "n": estimate.n,
            "updated_at": now,
        }
        for skill, estimate in estimates.items()
    ]


def _not_registered(names: Collection[str]) -> UnknownExpert:
    return UnknownExpert(
        f"of {', '.join(map(repr, sorted(names)))} at least one is not registered (any more), "
        "so nothing was kept; register it and run again"
    )
