"""The requests of an input file, as the task of a job.  Nothing is graded: nobody knows better."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

from coterie.errors import JobError
from coterie.types import Grade, Item
from orchestrator.batches.line import BadLine, Line, read_line
from orchestrator.batches.spool import Spool
from orchestrator.jobs.own_item import OwnItem
from orchestrator.protocol.models import AUTO

NAME = "batch"
"""The task of every job that answers a batch; its file says which."""


@dataclass(frozen=True, slots=True)
class RequestTask:
    """The lines of ``spool`` were checked before the job was made."""

    spool: Spool
    name: str = NAME
    secret: bool = False
    graded: bool = False

    def items(self, split: str, limit: int | None = None) -> Sequence[Item]:
        return Requests(self.spool)

    def grade(self, item: Item, output: str) -> Grade:
        return Grade(False, None)


@dataclass(frozen=True, slots=True)
class Requests(Sequence[Item]):
    """The items, read from disk whenever they are looked at: what is held is what is asked for."""

    spool: Spool

    def __len__(self) -> int:
        return len(self.spool)

    @overload
    def __getitem__(self, at: int) -> Item: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Item]: ...
    def __getitem__(self, at: int | slice) -> Item | Sequence[Item]:
        if isinstance(at, slice):
            return [self._item(i) for i in range(*at.indices(len(self)))]
        return self._item(range(len(self))[at])

    def _item(self, at: int) -> OwnItem:
        line = line_of(self.spool, at)
        model = line.request.model
        # Whether an expert of that name can be asked is the job's to say.
        return line.to_item(() if model.partition("/")[0] == AUTO else (model,))


def line_of(spool: Spool, at: int) -> Line:
    """A line that was found to be right."""
    try:
        return read_line(spool.read(at))
    except BadLine as error:
        raise JobError(
            f"line {spool.numbers[at]} is no request any more ({error}): start another batch"
        ) from None
