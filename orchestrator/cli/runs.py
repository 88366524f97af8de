"""Runs by name, and what is made of them: reports and comparisons."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli import show
from orchestrator.cli.options import the_settings
from orchestrator.settings import Settings

if TYPE_CHECKING:
    from evals.results import RunResult

PAGE = "report.html"

RunName = Annotated[str, typer.Argument(help="A job's id, or a report's folder or file.")]
Out = Annotated[Path | None, typer.Option(help="Folder that a page and JSON go to.")]


def compare(
    runs: Annotated[list[str], typer.Argument(help="Two or more: job ids, or report folders.")],
    out: Out = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")] = False,
) -> None:
    """Compare runs on the questions they share: each against the first."""
    from evals.compare import compare as compared
    from evals.report.comparison_page import comparison_text
    from evals.report.document import comparison_document
    from evals.report.writing import write_comparison

    found = compared(*load_runs(the_settings(), runs))
    if out is not None:
        write_comparison(found, out)
    if as_json:
        show.as_json(comparison_document(found))
    else:
        typer.echo(comparison_text(found))


def report(
    id: RunName,
    out: Annotated[Path, typer.Option(help="Folder that the report goes to.")],
    beside: Annotated[
        list[str] | None, typer.Option(help="A run to draw beside this one; repeatable.")
    ] = None,
    validation: Annotated[
        str | None, typer.Option(help="The run that the best single expert is chosen by.")
    ] = None,
) -> None:
    """Write the report of a job that is done."""
    settings = the_settings()
    run, *others = load_runs(settings, [id, *(beside or ())])
    best_by = load_runs(settings, [validation])[0] if validation else None
    write(run, out, others, best_by)
    show.console.print(f"report: {out / PAGE}", markup=False, soft_wrap=True)


def write(
    run: RunResult, out: Path, others: Sequence[RunResult], validation: RunResult | None
) -> None:
    """Writes the report's files into ``out``."""
    from evals.report.writing import write_report

    write_report(run, out, others=others, validation=validation)


def load_runs(settings: Settings, names: Sequence[str]) -> list[RunResult]:
    """The runs called so: a folder or file that is there, else the job of that id."""
    from evals.report.reading import read_run

    if not names:
        return []
    here = {name: read_run(Path(name)) for name in names if Path(name).exists()}
    ids = [name for name in names if name not in here]
    stored = asyncio.run(_stored(settings, ids)) if ids else {}
    return [here.get(name) or stored[name] for name in names]


async def _stored(settings: Settings, ids: Sequence[str]) -> dict[str, RunResult]:
    from coterie.db import Database
    from orchestrator import schema
    from orchestrator.jobs.item_store import ItemStore
    from orchestrator.jobs.outcome import check_done, result_of
    from orchestrator.jobs.seal import Seal
    from orchestrator.jobs.store import JobStore

    await schema.ensure(settings.database_url)
    database = Database(settings.database_url)
    try:
        jobs = JobStore(database)
        items = ItemStore(database, Seal(settings.seal_key_file, settings.seal_key))
        found = {}
        for id in ids:
            job = await jobs.get(id)
            check_done(job)
            found[id] = await result_of(job, items.results)
        return found
    finally:
        await database.close()
