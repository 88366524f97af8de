"""A stored file on this machine's disk, by line, for as long as somebody reads it.

The copy has no name: nothing is left of it when its reader is gone, however that ends.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import weakref
from array import array
from pathlib import Path

from orchestrator.batches.batch import Problem
from orchestrator.batches.file_store import FileStore

MOST_LINES = 50_000
"""Requests in one file."""


class TooManyLines(Exception):
    """The file has more requests than one may have."""

    problem = Problem("too_many_requests", f"the file has more than {MOST_LINES} requests")


class Spool:
    """The lines of a file that are not blank; many threads may read them at once.

    ``numbers`` is each line's own in the file, from 1.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            self._file = os.dup(file.fileno())
        self._close = weakref.finalize(self, os.close, self._file)
        self._starts, self._stops = array("Q"), array("Q")
        self.numbers = array("Q")
        self._at, self._line, self._blank, self._number = 0, 0, True, 1

    @classmethod
    async def of(cls, files: FileStore, id: str, folder: Path) -> Spool:
        """The file called ``id``; raises UnknownFile, and :class:`TooManyLines`."""
        spool = cls(folder)
        async for body in files.contents(id):
            await asyncio.to_thread(spool._add, body)
        spool._end(spool._at)
        return spool

    def __len__(self) -> int:
        return len(self._starts)

    def length(self, at: int) -> int:
        """How many bytes a line has."""
        return self._stops[at] - self._starts[at]

    def read(self, at: int) -> bytes:
        """A line, without its end.  Blocks."""
        return os.pread(self._file, self.length(at), self._starts[at])

    def close(self) -> None:
        """Gives the disk space back; so does forgetting the spool."""
        self._close()

    def _add(self, body: bytes) -> None:
        self._write(body)
        start = 0
        while (end := body.find(b"\n", start)) >= 0:
            self._blank = self._blank and not body[start:end].strip()
            self._end(self._at + end)
            self._line, self._blank = self._at + end + 1, True
            self._number += 1
            start = end + 1
        self._blank = self._blank and not body[start:].strip()
        self._at += len(body)

    def _write(self, body: bytes) -> None:
        left = memoryview(body)
        while left:
            left = left[os.write(self._file, left) :]

    def _end(self, stop: int) -> None:
        """The line ends before ``stop``."""
        if not self._blank:
            self._starts.append(self._line)
            self._stops.append(stop)
            self.numbers.append(self._number)
        if len(self._starts) > MOST_LINES or self._number > 2 * MOST_LINES:
            raise TooManyLines
