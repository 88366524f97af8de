"""`coterie aggregator`: who makes one answer of many best."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlencode

import typer

from orchestrator.cli import show
from orchestrator.cli.bring_up import watch_profiling
from orchestrator.cli.options import AsJson, listed, the_client
from orchestrator.cli.show import Record

aggregator_app = typer.Typer(no_args_is_help=True, help="Making one answer of many.")


@aggregator_app.command("bench")
def bench(
    task: Annotated[
        str, typer.Option("--task", "--benchmark", help="The task whose stored answers are shown.")
    ] = "demo",
    split: Annotated[str, typer.Option(help="Its questions; never those you test on.")] = "val",
    experts: Annotated[
        list[str] | None,
        typer.Option(help="Candidates: a,b or the option again; all recruited if none."),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="How many trials.")] = None,
    skills: Annotated[
        list[str] | None, typer.Option(help="Trials about these alone: a,b or the option again.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Draws which answers are shown.")] = 0,
    stored: Annotated[
        bool, typer.Option("--stored", help="Ask nobody: show how those stand who were asked.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show experts stored answers, some right and some wrong, and grade what they make of them.

    What was asked before is not asked again. The grades make a new snapshot, by which syntheses
    are given to whoever aggregates best.
    """
    client, about = the_client(), listed(skills)
    if not stored:
        body = {"task": task, "split": split, "experts": listed(experts), "limit": limit}
        client.post("/admin/profiles", {**body, "seed": seed, "skills": about, "aggregation": True})
        watch_profiling(client)
    query: dict[str, Any] = {"task": task, "split": split, "seed": seed, "skill": about}
    if limit is not None:
        query["limit"] = limit
    found = client.get(f"/admin/aggregation?{urlencode(query, doseq=True)}")
    if as_json:
        show.as_json(found)
    else:
        standings(found)


def standings(body: Record) -> None:
    """The table: experts first, then the rules that they must beat."""
    columns = ("", "n", "right", "some shown right", "none", "all", "answering", "– the vote")
    rows = [_row(s) for s in (*body["experts"], *body["rules"])]
    title = f"Aggregation, {body['task']} {body['split']}: {body['trials']} trials"
    show.table(title, columns, rows)
    if not body["experts"]:
        show.console.print("no expert was asked these trials yet")


def _row(standing: Record) -> tuple[str, ...]:
    gain = standing["gain"]
    told = f"{gain['mean']:+.2f} [{gain['low']:+.2f}, {gain['high']:+.2f}]" if gain else "–"
    shares = (standing[k] for k in ("mixed", "none_right", "all_right", "answering"))
    return (
        standing["name"],
        f"{standing['all']['n']}",
        _rate(standing["all"]),
        *map(_rate, shares),
        told,
    )


def _rate(rate: Record | None) -> str:
    if not rate or not rate["n"]:
        return "–"
    return f"{rate['mean']:.2f} [{rate['low']:.2f}, {rate['high']:.2f}]"
