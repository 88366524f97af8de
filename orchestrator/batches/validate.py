"""Looks through an input file before anything is paid for, and says what is wrong on which line."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field, replace

from orchestrator.batches.batch import Problem
from orchestrator.batches.line import MOST_BYTES, BadLine, check_model, read_line
from orchestrator.batches.spool import Spool
from orchestrator.keys.key import ANYONE, Caller

PAGE = 256
MOST_PROBLEMS = 100
"""What is told of one file at most."""


@dataclass(slots=True)
class Findings:
    """What was found so far.

    ``experts`` are asked by name; ``routed``: strategies choose for some requests.
    """

    problems: list[Problem] = field(default_factory=list)
    experts: set[str] = field(default_factory=set)
    routed: bool = False
    _seen: dict[bytes, int] = field(default_factory=dict)

    def check(self, spool: Spool, at: int, experts: Collection[str], who: Caller = ANYONE) -> None:
        """Looks at one line."""
        number = spool.numbers[at]
        try:
            if spool.length(at) > MOST_BYTES:
                raise BadLine("line_too_long", f"the line is longer than {MOST_BYTES} bytes")
            line = read_line(spool.read(at))
            self._check_id(line.custom_id, number)
            named = check_model(line, experts, who)
        except BadLine as error:
            self.problems.append(replace(error.problem, line=number))
            return
        if named is None:
            self.routed = True
        else:
            self.experts.add(named)

    def _check_id(self, custom_id: str, number: int) -> None:
        first = self._seen.setdefault(hashlib.sha256(custom_id.encode()).digest(), number)
        if first != number:
            raise BadLine(
                "duplicate_custom_id",
                f"custom_id {custom_id!r} is that of line {first} already",
                "custom_id",
            )


async def validate(
    spool: Spool,
    experts: Collection[str],
    still_mine: Callable[[], Awaitable[None]],
    who: Caller = ANYONE,
) -> Findings:
    """What is wrong with the file, or what it asks for on behalf of ``who``; ``still_mine`` is
    awaited now and then."""
    found = Findings()
    if not len(spool):
        found.problems.append(Problem("empty_file", "the file has no requests in it"))
    for start in range(0, len(spool), PAGE):
        await still_mine()
        part = range(start, min(start + PAGE, len(spool)))
        await asyncio.to_thread(_page, found, spool, part, experts, who)
        if len(found.problems) >= MOST_PROBLEMS:
            del found.problems[MOST_PROBLEMS:]
            break
    return found


def _page(
    found: Findings, spool: Spool, part: range, experts: Collection[str], who: Caller
) -> None:
    for at in part:
        found.check(spool, at, experts, who)
