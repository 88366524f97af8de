"""Puts the jobs of a process together from what the service is made of."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from coterie.db import Database
from coterie.outage import reaching
from coterie.ports import Task
from evals.tasks import load_task
from evals.tasks.options import TaskOptions
from orchestrator.descriptions import Descriptions, Embed
from orchestrator.jobs.ground import Ground, Paying, Publishing, Tally, nobody_pays
from orchestrator.jobs.item_store import ItemStore
from orchestrator.jobs.job import Job, JobSpec
from orchestrator.jobs.life import Life
from orchestrator.jobs.seal import Seal
from orchestrator.jobs.service import JobService
from orchestrator.jobs.store import JobStore
from orchestrator.jobs.unit_store import UnitStore
from orchestrator.roster import Roster
from orchestrator.routing import Policy
from orchestrator.settings import Settings
from skills.archive import Archive
from skills.infer import SkillInference
from skills.knowledge import Knowledge

LoadTask = Callable[[JobSpec], Awaitable[Task]]


def job_service(
    settings: Settings,
    database: Database,
    roster: Roster,
    inference: SkillInference,
    archive: Archive,
    policy: Policy,
    embed: Embed | None,
    units: UnitStore,
    queue: Publishing,
    tally: Tally,
    work: Callable[[], Coroutine[Any, Any, None]] | None = None,
    special: Mapping[str, LoadTask] | None = None,
    purse: Callable[[Job], Awaitable[Paying | None]] | None = None,
) -> JobService:
    """The jobs; work goes to ``queue``, and ``work`` does it where nobody else would.

    ``special`` are tasks that are no benchmarks, by name; ``purse`` gives what a job pays with.
    """
    seal = Seal(settings.seal_key_file, settings.seal_key)
    ground = Ground(
        JobStore(database),
        ItemStore(database, seal),
        units,
        queue,
        inference,
        policy,
        lambda: roster.snapshot.experts,
        _knowledge(roster, archive),
        # Its own: the roster's would be embedded anew whenever a job takes fewer experts.
        Descriptions(embed).of,
        partial(_load, settings, special or {}),
        tally,
        embed=embed,
        purse=purse or nobody_pays,
    )
    return JobService(
        ground, work, side_by_side=settings.jobs_side_by_side, life=Life(settings.lives_dir)
    )


async def _load(settings: Settings, special: Mapping[str, LoadTask], spec: JobSpec) -> Task:
    if spec.task in special:
        return await special[spec.task](spec)
    return await asyncio.to_thread(task_of, settings, spec)


def task_of(settings: Settings, spec: JobSpec) -> Task:
    """The task of a job, the same whenever it is resumed: its options are part of its name."""
    path = Path(spec.file) if spec.file else None
    return load_task(spec.task, TaskOptions(path=path, folder=settings.benchmarks))


def _knowledge(roster: Roster, archive: Archive) -> Callable[[str | None], Awaitable[Knowledge]]:
    @reaching
    async def knowledge(name: str | None) -> Knowledge:
        known = roster.snapshot.knowledge  # with all that was derived from it
        if name is None or name == known.name:
            return known
        return await archive.load(name) if name else Knowledge()

    return knowledge
