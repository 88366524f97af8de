"""What a request asks of a fusing engine, and whether it can have it.

A request asks through vLLM's ``vllm_xargs``: ``fusion`` names one of the engine's fusions,
``fusion_trace`` the file that the α of each step are written to.  Pure, and without torch.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aggregator.fusion.configuration import FusionConfiguration
from coterie.errors import RequestError

FUSION = "fusion"
TRACE = "fusion_trace"

_TRACE_ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}")
"""No separator and no leading dot: the name of a file in one folder, and of no other."""


@dataclass(frozen=True, slots=True)
class Ask:
    """The fusion a request wants, and the name of its trace if it wants one."""

    fusion: str
    trace: str | None = None


def ask_of(extra_args: Mapping[str, Any] | None) -> Ask | None:
    """What ``extra_args`` ask for; ``None`` for a request that is not to be fused.

    Raises RequestError where the fields are not what they should be.
    """
    given = extra_args or {}
    fusion, trace = given.get(FUSION), given.get(TRACE)
    if fusion is None and trace is None:
        return None
    if not isinstance(fusion, str):
        raise RequestError(
            f"{FUSION!r} must be the name of a fusion, not {fusion!r}", param="vllm_xargs"
        )
    if trace is not None and not (isinstance(trace, str) and _TRACE_ID.fullmatch(trace)):
        raise RequestError(
            f"{TRACE!r} {trace!r} cannot be the name of a trace: use letters, digits and . _ -,"
            " at most 128 of them, no dot first",
            param="vllm_xargs",
        )
    return Ask(fusion, trace)


def check_ask(ask: Ask, configuration: FusionConfiguration, *, answers: int = 1) -> None:
    """Refuses what this engine cannot do; ``answers`` is how many the request wants (its ``n``).

    Raises RequestError with the reason.
    """
    if ask.fusion not in configuration.fusions:
        raise RequestError(
            f"fusion {ask.fusion!r} is not known to this engine; it has"
            f" {', '.join(map(repr, sorted(configuration.fusions)))}",
            param="vllm_xargs",
        )
    if ask.trace is None:
        return
    if configuration.traces is None:
        raise RequestError(
            f"{TRACE!r} is asked for, but this engine keeps no traces: give it a folder as"
            " 'traces' in its fusion block, or ask without",
            param="vllm_xargs",
        )
    if answers > 1:
        raise RequestError(
            f"{TRACE!r} names one file, but {answers} answers are asked for: ask for one",
            param="vllm_xargs",
        )
