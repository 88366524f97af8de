"""`coterie doctor`: looks at everything, and says what to do."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import asdict

import typer

from orchestrator.cli import show
from orchestrator.cli.options import AsJson, ConfigFile
from orchestrator.doctor.finding import Finding, Verdict
from orchestrator.settings import environment

_COLOURS = {Verdict.OK: "green", Verdict.WARN: "yellow", Verdict.FAIL: "red"}


def doctor(config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Check configuration, database, Redis, experts, GPU, versions; exits with 1 if any fails."""
    from orchestrator.doctor.examination import examine  # the other commands need not wait for it

    found = asyncio.run(examine(environment(), config))
    counted = Counter(finding.verdict for finding in found)
    if as_json:
        show.as_json({"ok": not counted[Verdict.FAIL], "findings": [asdict(f) for f in found]})
    else:
        for finding in found:
            _tell(finding)
        told = ", ".join(f"{counted[verdict]} {verdict}" for verdict in Verdict)
        show.console.print(told, markup=False, highlight=False)
    raise typer.Exit(1 if counted[Verdict.FAIL] else 0)


def _tell(finding: Finding) -> None:
    line = f"{finding.verdict:4}  {finding.subject}: {finding.seen}"
    if finding.remedy:
        line += f" -> {finding.remedy}"
    # One line a check, whatever its length: the terminal folds it, grep finds it.
    show.console.print(
        " ".join(line.split("\n")),
        style=_COLOURS[finding.verdict],
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
