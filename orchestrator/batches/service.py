"""Files and batches, as callers see them; and the clerk, who works behind their backs."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

from coterie.db import utcnow
from coterie.errors import BatchError, FileTooLarge, RequestError, StoreUnavailable, UnknownJob
from orchestrator.batches.batch import WINDOW_LENGTH, Batch, BatchState, Counts
from orchestrator.batches.clerk import Clerk
from orchestrator.batches.file_store import FileWriter
from orchestrator.batches.stored_file import BATCH, KEPT, MOST_BYTES, StoredFile, new_file

log = logging.getLogger(__name__)

LOOK_S = 1.0
"""How often batches are looked at."""
SWEEP_S = 600.0
"""How often expired files are looked for."""

CANCELLABLE = (BatchState.VALIDATING, BatchState.IN_PROGRESS)


class BatchService:
    """What the API calls.  Nothing happens to batches before :meth:`start`."""

    def __init__(self, clerk: Clerk, *, look_s: float = LOOK_S) -> None:
        self._clerk = clerk
        self._batches, self.files = clerk.batches, clerk.files
        self._look_s = look_s
        self._wake = asyncio.Event()
        self._working: asyncio.Task[None] | None = None

    # --- files ----------------------------------------------------------------------------------

    async def upload(
        self, name: str, body: AsyncIterator[bytes], keep: timedelta = KEPT, key: str = ""
    ) -> StoredFile:
        """Keeps an input file of the caller of id ``key``; raises :class:`FileTooLarge`, and
        nothing of it is kept then."""
        writer = FileWriter(self.files, new_file(name, BATCH, utcnow(), keep, key))
        try:
            async for part in body:
                if writer.size + len(part) > MOST_BYTES:
                    raise FileTooLarge(
                        f"the file is larger than {MOST_BYTES} bytes: split it", param="file"
                    )
                await writer.write(part)
            return await writer.close()
        except Exception:
            with suppress(StoreUnavailable):
                await writer.discard()
            raise

    async def delete_file(self, id: str) -> None:
        """Deletes a file; raises :class:`BatchError` for one that a batch still needs."""
        await self.files.get(id)
        if user := await self._batches.user_of(id):
            raise BatchError(f"batch {user!r} still needs file {id!r}: cancel it first, or wait")
        await self.files.remove(id)

    # --- batches --------------------------------------------------------------------------------

    async def create(
        self,
        input_file: str,
        metadata: Mapping[str, str] | None = None,
        output_ttl_s: int | None = None,
        key: str = "",
    ) -> Batch:
        """A new batch of the caller of id ``key``, whose file is looked through by and by."""
        file = await self.files.get(input_file)
        if file.purpose != BATCH:
            raise RequestError(
                f"file {input_file!r} is for {file.purpose!r}: upload one with purpose {BATCH!r}",
                param="input_file_id",
            )
        now = utcnow()
        batch = Batch(
            f"batch_{uuid.uuid4().hex}",
            input_file,
            now,
            now + WINDOW_LENGTH,
            metadata=metadata or {},
            output_ttl_s=output_ttl_s,
            key=key,
        )
        await self._batches.add(batch)
        self._wake.set()
        return batch

    async def get(self, id: str) -> Batch:
        """The batch called ``id``, as far as it is; raises UnknownBatch."""
        return await self._counted(await self._batches.get(id))

    async def list(
        self, limit: int, after: str | None = None, keys: Collection[str] | None = None
    ) -> list[Batch]:
        """The newest batches, newest first: those made before the one called ``after``; those made
        with one of ``keys`` alone."""
        return [await self._counted(b) for b in await self._batches.newest(limit, after, keys)]

    async def cancel(self, id: str) -> Batch:
        """Stops a batch; what was answered by then is in its output file.

        Raises :class:`BatchError` for one that is over, or about to be.
        """
        moved = await self._batches.move(id, CANCELLABLE, BatchState.CANCELLING, utcnow())
        batch = moved or await self._batches.get(id)
        if batch.state is not BatchState.CANCELLING:
            raise BatchError(f"batch {id!r} is {batch.state}: nothing is left to cancel")
        self._wake.set()
        return await self._counted(batch)

    async def _counted(self, batch: Batch) -> Batch:
        """With the counts of now, while its job is on."""
        if batch.state.is_over or batch.state is BatchState.VALIDATING:
            return batch
        try:
            progress = (await self._clerk.jobs.get(batch.job)).progress
        except UnknownJob:
            return batch
        if progress is None:
            return batch
        counts = Counts(batch.counts.total, progress.answered, progress.parked)
        return replace(batch, counts=counts)

    # --- working --------------------------------------------------------------------------------

    def start(self) -> None:
        """Begins to work on batches, and does not end."""
        if self._working is None:
            self._working = asyncio.create_task(self._work(), name="batches")

    async def aclose(self) -> None:
        """Stops; what was begun is gone on with by whoever comes next."""
        if self._working is not None:
            self._working.cancel()
            await asyncio.gather(self._working, return_exceptions=True)

    async def _work(self) -> None:
        swept = -SWEEP_S
        loop = asyncio.get_running_loop()
        while True:
            self._wake.clear()
            try:
                await self._clerk.round()
                if loop.time() - swept >= SWEEP_S:
                    await self.files.sweep(utcnow())
                    swept = loop.time()
            except StoreUnavailable as error:
                log.warning("batches wait: %s", error)
            except Exception:
                log.exception("batches could not be looked at")
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), self._look_s)
