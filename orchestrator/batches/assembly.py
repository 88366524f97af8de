"""Writes the files of a batch that is over, a page at a time, from what the job has stored.

Nothing else is needed: it is begun anew as often as it is cut short.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from coterie.errors import StoreUnavailable
from coterie.types import Usage
from orchestrator.batches.batch import Batch, Counts, Problem
from orchestrator.batches.file_store import FileStore, FileWriter
from orchestrator.batches.output import answered, refused, unanswered
from orchestrator.batches.request_task import line_of
from orchestrator.batches.spool import Spool
from orchestrator.batches.stored_file import BATCH_OUTPUT, KEPT, new_file
from orchestrator.jobs.item_store import Ending
from orchestrator.jobs.service import JobService
from orchestrator.jobs.unit_store import Kept

PAGE = 256


@dataclass(slots=True)
class Page:
    """What some of the requests came to, as lines of both files."""

    output: bytearray = field(default_factory=bytearray)
    errors: bytearray = field(default_factory=bytearray)
    completed: int = 0
    failed: int = 0
    usage: Usage = field(default_factory=Usage)


class Assembly:
    """The output of ``batch``; ``left`` is told of requests that were never finished."""

    def __init__(
        self,
        batch: Batch,
        spool: Spool,
        jobs: JobService,
        files: FileStore,
        left: Problem,
        now: datetime,
    ) -> None:
        keep = timedelta(seconds=batch.output_ttl_s) if batch.output_ttl_s else KEPT
        self._batch, self._spool, self._jobs, self._left = batch, spool, jobs, left
        self._writers = tuple(
            FileWriter(
                files, new_file(f"{batch.id}_{what}.jsonl", BATCH_OUTPUT, now, keep, batch.key)
            )
            for what in ("output", "error")
        )

    @property
    def sizes(self) -> Mapping[str, int]:
        """The files that there are, in bytes; nobody sees them before the batch has ended."""
        return {w.id: w.size for w in self._writers if w.id}

    async def run(self, still_mine: Callable[[], Awaitable[None]]) -> Batch:
        """Writes both files; returns the batch with all that it says of them."""
        total = Page()
        for start in range(0, len(self._spool), PAGE):
            await still_mine()
            page = await self._page(start, min(start + PAGE, len(self._spool)))
            for writer, lines in zip(self._writers, (page.output, page.errors), strict=True):
                await writer.write(bytes(lines))
            total.completed += page.completed
            total.failed += page.failed
            total.usage += page.usage
        for writer in self._writers:
            await writer.flush()
        output, errors = (writer.id for writer in self._writers)
        counts = Counts(len(self._spool), total.completed, total.failed)
        return replace(
            self._batch, counts=counts, usage=total.usage, output_file=output, error_file=errors
        )

    async def discard(self) -> None:
        """Forgets the files, if the database is there to be told so."""
        with suppress(StoreUnavailable):
            for writer in self._writers:
                await writer.discard()

    async def _page(self, start: int, stop: int) -> Page:
        endings = await self._jobs.endings(self._batch.job, start, stop)
        keys = sorted({e.answer for e in endings.values() if e.answer})
        kept = await self._jobs.completions(keys)
        return await asyncio.to_thread(self._lines, range(start, stop), endings, kept)

    def _lines(self, part: range, endings: Mapping[int, Ending], kept: Mapping[str, Kept]) -> Page:
        page, id = Page(), self._batch.id
        for at in part:
            line, ending = line_of(self._spool, at), endings.get(at)
            found = answered(id, line, ending, kept) if ending else None
            if found:
                page.output += found.text
                page.completed += 1
                page.usage += found.usage
                continue
            told = refused(id, line, ending) if ending else unanswered(id, line, self._left)
            page.errors += told
            page.failed += 1
        return page
