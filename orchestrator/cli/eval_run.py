"""`coterie eval run`: a task put to a strategy in this process, against the configured experts."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlencode

import typer

from coterie.errors import ConfigurationError, CoterieError
from orchestrator.cli import show, show_jobs
from orchestrator.cli.options import ConfigFile, listed, the_settings
from orchestrator.cli.runs import PAGE, load_runs, write
from orchestrator.settings import Settings


def run(
    task: Annotated[str, typer.Option(help="Which task; its options may follow a '?'.")],
    strategy: Annotated[
        str, typer.Option(help="One of routing's strategies, or expert:NAME.")
    ] = "auto",
    split: Annotated[str, typer.Option(help="Which of its questions.")] = "test",
    limit: Annotated[int | None, typer.Option(min=1, help="The first so many.")] = None,
    experts: Annotated[
        list[str] | None, typer.Option(help="Several: a,b or the option again; all if none.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of everything that is drawn.")] = 0,
    vote: Annotated[str | None, typer.Option(help="Instead of the snapshot's choice.")] = None,
    shots: Annotated[
        int | None, typer.Option(min=0, help="Worked examples; the task's own number if not given.")
    ] = None,
    temperature: Annotated[float, typer.Option(min=0, max=2)] = 0.0,
    max_tokens: Annotated[
        int | None, typer.Option(min=1, help="Of one answer; each expert's default if not given.")
    ] = None,
    policy: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE, a knob of the policy; repeatable.")
    ] = None,
    file: Annotated[Path | None, typer.Option(help="The questions' file.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder that a report goes to.")] = None,
    beside: Annotated[
        list[str] | None, typer.Option(help="A run to draw beside this one; repeatable.")
    ] = None,
    validation: Annotated[
        str | None, typer.Option(help="The run that the best single expert is chosen by.")
    ] = None,
    config: ConfigFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")] = False,
) -> None:
    """Run a task; one of the same options that is unfinished goes on where it stopped."""
    from coterie.types import Sampling, as_jsonable
    from orchestrator.jobs.job import JobSpec

    settings = the_settings(config)
    others = load_runs(settings, beside or ())  # what is wrong with them is told before, not after
    best_by = load_runs(settings, [validation])[0] if validation else None

    spec = JobSpec(
        task if shots is None else _with(task, shots=shots),
        strategy,
        split,
        tuple(listed(experts)),
        limit,
        seed,
        vote,
        str(file.expanduser().absolute()) if file else None,
        Sampling(temperature, max_tokens=max_tokens),
        _knobs(policy or ()),
    )
    try:
        job, result = asyncio.run(_run(settings, spec))
    except KeyboardInterrupt:
        raise CoterieError("stopped: the same command goes on where it stopped") from None
    if out is not None:
        write(result, out, others, best_by)
    if as_json:
        show.as_json(as_jsonable(result))
    else:
        show_jobs.outcome(job, result)
        if out is not None:
            show.console.print(f"report: {out / PAGE}", markup=False, soft_wrap=True)


async def _run(settings: Settings, spec: Any) -> tuple[Any, Any]:
    from orchestrator.bootstrap import build
    from orchestrator.jobs.outcome import result_of

    if settings.redis_url and not settings.keyword_expert:
        # Workers have the engines: this process would only start them a second time.
        settings = settings.model_copy(update={"engine_slots": 0})
    async with build(settings) as parts:
        with show_jobs.watching(f"{spec.task} by {spec.strategy}") as tell:
            job = await parts.jobs.run(spec, tell)
        if job.state != "done":
            raise CoterieError(f"job {job.id} {job.state}: {job.error or 'it was cancelled'}")
        return job, await result_of(job, parts.jobs.results)


def _with(task: str, **options: int) -> str:
    return f"{task}{'&' if '?' in task else '?'}{urlencode(options)}"


def _knobs(policy: Sequence[str]) -> dict[str, Any]:
    found = {}
    for knob in policy:
        name, _, value = knob.partition("=")
        try:
            found[name] = float(value) if "." in value or "e" in value else int(value)
        except ValueError:
            raise ConfigurationError(f"--policy {knob!r}: {value!r} is not a number") from None
    return found
