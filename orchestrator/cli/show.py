"""Tables and records for people, on the terminal.  Model output is shown as text, never markup."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Column, Table

console = Console()
errors = Console(stderr=True)

Record = Mapping[str, Any]

LEAST_SHOWN = 2.0
"""Graded answers below which a skill is left out of the table."""

MOST_COLUMNS = 10
"""More experts than this have a row each, not a column."""


def as_json(value: Any) -> None:
    """For machines."""
    print(json.dumps(value, ensure_ascii=False, indent=2))


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    # A name that is cut short cannot be typed: long words are folded instead.
    headers = [Column(name, overflow="fold") for name in columns]
    grid = Table(*headers, title=title, title_justify="left", box=SIMPLE, pad_edge=False)
    for row in rows:
        grid.add_row(*(escape(cell) for cell in row))
    console.print(grid)


@contextmanager
def waiting(
    what: str, *, every_s: float = 10.0, on: Console = console
) -> Iterator[Callable[[str], None]]:
    """A spinner on a terminal; a line every ``every_s`` where output goes to a file."""
    if on.is_terminal:
        with on.status(what) as line:
            yield lambda text: line.update(f"{what}: {escape(text)}")
        return
    on.print(f"{what} ...")
    last = time.monotonic()

    def tell(text: str) -> None:
        nonlocal last
        if time.monotonic() - last >= every_s:
            on.print(f"{what}: {text}", markup=False)
            last = time.monotonic()

    yield tell


@contextmanager
def bars(what: str) -> Iterator[Callable[[str, int, int], None]]:
    """A bar for every name that is told with ``done`` and ``total``; lines where no one watches."""
    if not console.is_terminal:
        with waiting(what) as tell:
            counts: dict[str, tuple[int, int]] = {}

            def count(name: str, done: int, total: int) -> None:
                counts[name] = (done, total)
                all_done, all_of = (sum(column) for column in zip(*counts.values(), strict=True))
                tell(f"{all_done} of {all_of}")

            yield count
        return
    columns = (
        TextColumn(f"{what} {{task.description}}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as progress:
        ids: dict[str, TaskID] = {}

        def draw(name: str, done: int, total: int) -> None:
            if name not in ids:
                ids[name] = progress.add_task(name, total=total)
            progress.update(ids[name], completed=done)

        yield draw


def experts(body: Record) -> None:
    rows = [
        (
            e["name"],
            e["kind"],
            _made_of(e),
            _state(e),
            e["source"],
            e["description"],
        )
        for e in body["experts"]
    ]
    table("Experts", ("name", "kind", "model", "state", "source", "description"), rows)


def _made_of(expert: Record) -> str:
    if fusion := expert.get("fusion"):
        small = [f["name"] or f["expert"] or f["adapter"] or f["model"] for f in fusion["experts"]]
        return f"{fusion['mode']['kind']} of {', '.join((fusion['large'], *small))}"
    return f"{expert['model']} on {expert['base']}" if expert["base"] else str(expert["model"])


def _state(expert: Record) -> str:
    if not expert["enabled"]:
        return "draining" if expert.get("draining") else "disabled"
    state = "ok" if expert["healthy"] else f"down: {expert['detail']}"
    return state if expert["recruit"] else f"{state}, by name alone"


def route(record: Record) -> None:
    """Why these experts."""
    skills = ", ".join(f"{s['skill']} {s['weight']:.2f}" for s in record["skills"]) or "none"
    console.print(f"[bold]skills[/]    {escape(skills)}")
    console.print(f"[bold]chosen[/]    {escape(', '.join(record['chosen']))}")
    console.print(f"[bold]because[/]   {escape(record['reason'])}")
    if record["snapshot"]:
        console.print(f"[bold]snapshot[/]  {escape(record['snapshot'])}")
    rows = [
        (c["expert"], f"{c['score']:.2f} ± {c['sd']:.2f}", c["reason"])
        for c in record["candidates"]
    ]
    table("Candidates", ("expert", "expected success", "from"), rows)


def profiles(body: Record) -> None:
    found = body["profiles"]
    if not found:
        console.print("no profiles yet: `coterie skills profile` makes them")
        return
    if len(found) > MOST_COLUMNS:
        _standings(found)
        return
    measured = {s for p in found for s, e in p["skills"].items() if e["n"] >= LEAST_SHOWN}
    rows = [_profile_row("overall", [p["overall"] for p in found])]
    rows += [_profile_row(s, [p["skills"].get(s) for p in found]) for s in sorted(measured)]
    columns = ("skill", "n", *(p["expert"] for p in found))
    table("Probability of success, ± sd, after n graded answers", columns, rows)
    hidden = {s for p in found for s in p["skills"]} - measured
    if hidden:
        console.print(f"{len(hidden)} skills with n < {LEAST_SHOWN:g} are not shown", style="dim")


def _standings(found: Sequence[Record]) -> None:
    """A row for each expert, the best first, where a column each would not fit."""
    ranked = sorted(found, key=lambda p: (-p["overall"]["mean"], p["expert"]))
    rows = [
        (p["expert"], f"{p['overall']['n']:.0f}", _estimate(p["overall"]), _strengths(p))
        for p in ranked
    ]
    columns = ("expert", "n", "overall", "best at")
    table("Probability of success, ± sd, after n graded answers", columns, rows)
    console.print("--expert E or --skill S shows more", style="dim")


def _strengths(profile: Record) -> str:
    measured = [(s, e) for s, e in profile["skills"].items() if e["n"] >= LEAST_SHOWN]
    best = sorted(measured, key=lambda pair: (-pair[1]["mean"], pair[0]))[:3]
    return ", ".join(f"{skill} {_estimate(e)}" for skill, e in best)


def _profile_row(label: str, estimates: Sequence[Record | None]) -> tuple[str, ...]:
    n = max((e["n"] for e in estimates if e), default=0)
    return (label, f"{n:.0f}", *(_estimate(e) if e else "–" for e in estimates))


def _estimate(estimate: Record) -> str:
    # Without the leading zeros six experts fit into 80 columns.
    return f"{estimate['mean']:.2f}±{estimate['sd']:.2f}".replace("0.", ".")
