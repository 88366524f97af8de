"""`coterie plan`: what the scheduler would do with a described cluster; nothing is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from coterie.types import as_jsonable
from orchestrator.cli import show
from orchestrator.cli.options import AsJson

if TYPE_CHECKING:
    from orchestrator.scheduling.comparison import Comparison, Row
    from orchestrator.scheduling.simulate import Entry


def plan(
    file: Annotated[
        Path, typer.Option("--simulate", help="YAML or JSON file that describes a cluster.")
    ],
    steps: Annotated[bool, typer.Option("--steps", help="Print every load of the plan.")] = False,
    as_json: AsJson = False,
) -> None:
    """Simulate a cluster under Coterie's scheduler, beside other ways to serve it."""
    from orchestrator.scheduling.comparison import compare
    from orchestrator.scheduling.description import read_scenario

    scenario = read_scenario(file)
    found = compare(scenario)
    if as_json:
        show.as_json({"assumptions": list(scenario.assumptions), **_record(found)})
        return
    _show(scenario.name, found)
    if steps:
        rows = [_step(entry) for entry in found.plan.plan if hasattr(entry.step, "tier")]
        show.table(f"Moves of {found.best!r}", ("at s", "GPU", "engine", "to"), rows)
    show.console.print("A simulation. Its figures are assumptions:")
    for assumption in scenario.assumptions:
        show.console.print(f"  {assumption}", markup=False, highlight=False)


def _show(name: str, found: Comparison) -> None:
    columns = ["", "makespan s", "×", "loads", "cold", "full"]
    online = any(row.mean_wait_s is not None for row in found.rows)
    columns += ["wait s", "p95 s", "late"] if online else []
    rows = [_cells(row, online) for row in found.rows]
    least = min(row.makespan_s for row in found.rows if row.factor == 1.0)
    share = f"{found.bound_s / least:.2f}" if least else ""
    bound = ["lower bound", f"{found.bound_s:,.0f}", share]
    rows.append([*bound, *[""] * (len(columns) - len(bound))])
    show.table(f"{name}: {found.requests:,} answers", columns, rows)
    gpus = "  ".join(
        f"{gpu} {use.useful:.0%} full, {use.loading:.0%} loading"
        for gpu, use in found.plan.use.items()
    )
    show.console.print(f"{found.best}: {gpus}", markup=False, highlight=False)


def _cells(row: Row, online: bool) -> list[str]:
    cells = [row.name, f"{row.makespan_s:,.0f}", f"{row.factor:.2f}", str(row.loads)]
    cells += [str(row.cold_loads), f"{sum(row.useful.values()) / len(row.useful):.0%}"]
    if online:
        cells += [f"{row.mean_wait_s or 0:.1f}", f"{row.p95_wait_s or 0:.1f}", str(row.late)]
    return cells


def _step(entry: Entry) -> list[str]:
    step: Any = entry.step
    return [f"{entry.at_s:,.1f}", entry.gpu, step.engine, step.tier.name.lower().replace("_", " ")]


def _record(found: Comparison) -> dict[str, Any]:
    return {
        "rows": as_jsonable(found.rows),
        "lower_bound_s": found.bound_s,
        "requests": found.requests,
        "best": found.best,
        "placement": as_jsonable(found.placement),
        "plan": [_line(entry) for entry in found.plan.plan],
    }


def _line(entry: Entry) -> dict[str, Any]:
    """One step, with what it is."""
    what = {"step": type(entry.step).__name__.lower()}
    step = {name: value for name, value in as_jsonable(entry.step).items() if name != "tier"}
    tier = getattr(entry.step, "tier", None)
    to = {} if tier is None else {"tier": tier.name.lower()}
    return {"at_s": entry.at_s, "gpu": entry.gpu, **what, **step, **to}
