"""Draws charts as SVG, with Vega (vl-convert) in a process of its own.

It runs a JavaScript engine: what that takes of memory is given back when its process ends, and if
it dies of a chart, only the picture is missing.  Nothing is fetched: all data are in the charts.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ADVICE = "pip install 'coterie[report]'"


class DrawingFailed(RuntimeError):
    """There are no pictures; the message says why, and what to do."""


def draw(specs: Sequence[Mapping[str, Any]], *, timeout_s: float = 120.0) -> list[str]:
    """An SVG document for each specification; raises :class:`DrawingFailed`."""
    if not specs:
        return []
    if find_spec("vl_convert") is None:
        raise DrawingFailed(f"plots need vl-convert: {ADVICE}")
    # By its path, and with nothing of the working directory: that may have an "evals" of its own.
    command = [sys.executable, "-P", str(Path(__file__).with_name("vega.py"))]
    try:
        done = subprocess.run(  # noqa: S603 - our own module
            command, input=json.dumps(list(specs)).encode(), capture_output=True,
            timeout=timeout_s, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DrawingFailed(f"plots could not be drawn: {error}") from error
    if done.returncode:
        told = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["no message"]
        raise DrawingFailed(f"plots could not be drawn (exit status {done.returncode}): {told[0]}")
    drawn: list[str] = json.loads(done.stdout)
    return drawn
