"""The α of fused answers: what an engine wrote while it answered, read once and removed.

An engine writes into ``HOME/fusion/traces/LARGE/REQUEST.NONCE.EXPERT.jsonl``
(:mod:`aggregator.fusion.trace`), a line a step.  Only an engine on this machine can be read of.
"""

from __future__ import annotations

import contextlib
import json
import math
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

MOST_STEPS = 1024
"""Steps of one answer that are told; the rest are counted."""

_MOST_BYTES = 1024 * 1024
_MOST_FILES = 32


@dataclass(frozen=True, slots=True)
class AlphaTrace:
    """The α of one answer: ``steps`` by token, each with the α of every small expert.

    ``left_out`` is how many steps more there were; ``problem`` says why there is none.
    """

    expert: str
    steps: Sequence[Mapping[str, float | None]] = ()
    left_out: int = 0
    problem: str = ""


def traces_folder(home: Path) -> Path:
    """Where the engines under ``home`` write, each into a folder of its own."""
    return home / "fusion" / "traces"


def trace_id(request: str, expert: str) -> str:
    """What a new answer of ``expert`` to ``request`` is traced under."""
    return f"{request}.{secrets.token_hex(4)}.{expert}"


@dataclass(frozen=True, slots=True)
class AlphaTraces:
    """The traces under ``folder``."""

    folder: Path

    def take(self, request: str) -> list[AlphaTrace]:
        """Every trace of ``request``, oldest first, and removes them.  ``request`` is hexadecimal.

        A trace that cannot be read is there with the reason: none is worth failing a request.
        """
        if not request.isalnum():
            return []
        found = sorted(self.folder.glob(f"*/{request}.*.jsonl"), key=_written)
        traces = [_read(path) for path in found[:_MOST_FILES]]
        for path in found:
            with contextlib.suppress(OSError):
                path.unlink()
        return traces


def _written(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _read(path: Path) -> AlphaTrace:
    expert = path.stem.split(".", 2)[2]
    try:
        with path.open("rb") as opened:
            lines = opened.read(_MOST_BYTES).split(b"\n")[:-1]  # what follows the last is not whole
        steps = dict(_step(line) for line in lines)  # a step there again was computed anew
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return AlphaTrace(expert, problem=f"its trace cannot be read: {error}")
    told = [steps[number] for number in sorted(steps)]
    return AlphaTrace(expert, told[:MOST_STEPS], max(0, len(told) - MOST_STEPS))


def _step(line: bytes) -> tuple[int, dict[str, float | None]]:
    found = json.loads(line)
    alpha = {str(name): float(value) for name, value in found["alpha"].items()}
    # A why-record is JSON, which knows no NaN.
    told = {name: round(a, 4) if math.isfinite(a) else None for name, a in alpha.items()}
    return int(found["step"]), told
