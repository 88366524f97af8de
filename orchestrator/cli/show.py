"""Tables and records for people, on the terminal.  Model output is shown as text, never markup."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from coterie.types import OVERALL

console = Console()
errors = Console(stderr=True)

Record = Mapping[str, Any]


def as_json(value: Any) -> None:
    """For machines."""
    print(json.dumps(value, ensure_ascii=False, indent=2))


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    grid = Table(*columns, title=title, title_justify="left")
    for row in rows:
        grid.add_row(*(escape(cell) for cell in row))
    console.print(grid)


def experts(body: Record) -> None:
    rows = [
        (
            e["name"],
            e["kind"],
            e["model"] if not e["base"] else f"{e['model']} on {e['base']}",
            _state(e),
            e["source"],
            e["description"],
        )
        for e in body["experts"]
    ]
    table("Experts", ("name", "kind", "model", "state", "source", "description"), rows)


def _state(expert: Record) -> str:
    if not expert["enabled"]:
        return "disabled"
    return "ok" if expert["healthy"] else f"down: {expert['detail']}"


def route(record: Record) -> None:
    """Why these experts."""
    skills = ", ".join(f"{s['skill']} {s['weight']:.2f}" for s in record["skills"]) or "none"
    console.print(f"[bold]skills[/]    {escape(skills)}")
    console.print(f"[bold]chosen[/]    {escape(', '.join(record['chosen']))}")
    console.print(f"[bold]because[/]   {escape(record['reason'])}")
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
    skills = sorted({s for p in found for s, e in p["skills"].items() if s != OVERALL and e["n"]})
    rows = []
    for skill in (OVERALL, *skills):
        estimates = [p["overall"] if skill == OVERALL else p["skills"].get(skill) for p in found]
        label = "overall" if skill == OVERALL else skill
        rows.append((label, *(_estimate(e) for e in estimates)))
    columns = ("skill", *(p["expert"] for p in found))
    table("Probability of success (± sd; n graded answers)", columns, rows)


def _estimate(estimate: Record | None) -> str:
    if estimate is None:
        return "–"
    return f"{estimate['mean']:.2f} ± {estimate['sd']:.2f} ({estimate['n']:.0f})"
