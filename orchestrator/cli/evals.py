"""`coterie eval`: does it work?  On recorded answers, or on new ones; no server is needed."""

from __future__ import annotations

import asyncio
import dataclasses
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from coterie.errors import ConfigurationError
from coterie.types import as_jsonable
from orchestrator.cli import eval_run, runs, show
from orchestrator.settings import Settings

eval_app = typer.Typer(
    no_args_is_help=True, help="Does it work: strategies on recorded answers, or on new ones."
)
eval_app.command("run")(eval_run.run)
eval_app.command("compare")(runs.compare)

NO_LIMIT = sys.maxsize


@eval_app.command("replay")
def replay(
    benchmark: Annotated[str, typer.Option(help="Which recorded benchmark.")],
    recorded: Annotated[
        Path | None, typer.Option(help="The folder of recorded answers (COTERIE_RECORDED).")
    ] = None,
    experts: Annotated[
        str | None, typer.Option(help="Comma-separated; everyone who answered if not given.")
    ] = None,
    strategy: Annotated[
        str, typer.Option(help="Comma-separated; auto: the best on the profile split; oracle.")
    ] = "auto",
    k: Annotated[
        int, typer.Option("--k", min=1, help="How many experts are asked first, at most.")
    ] = 3,
    max_calls: Annotated[
        int | None, typer.Option(min=1, help="How many are asked in all; no limit if not given.")
    ] = None,
    vote: Annotated[
        str | None, typer.Option(help="Each strategy's best on the profile split if not given.")
    ] = None,
    profile_split: Annotated[str, typer.Option(help="The questions to learn from.")] = "val",
    test_split: Annotated[str, typer.Option(help="The questions to answer.")] = "test",
    per_category_limit: Annotated[
        int | None, typer.Option(min=1, help="Profile on so many questions of each category.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of everything that is drawn.")] = 0,
    policy: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE, a further knob of the policy; repeatable.")
    ] = None,
    keywords: Annotated[
        Path | None, typer.Option(help="Recorded LLM keywords: skills come from these.")
    ] = None,
    experts_file: Annotated[
        Path | None, typer.Option(help="Prices, parameters, descriptions and skills from there.")
    ] = None,
    cache: Annotated[
        Path | None, typer.Option(help="Where embeddings are kept (COTERIE_HOME/cache).")
    ] = None,
    frontier: Annotated[
        Path | None, typer.Option(help="Draw accuracy against cost: FILE.svg or FILE.html.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")] = False,
) -> None:
    """Judge strategies and votes on recorded answers; nobody is asked."""
    from orchestrator.replay.cost import priced
    from orchestrator.replay.evaluate import Plan, evaluate
    from orchestrator.replay.picture import check_file, points_of, write_picture

    if frontier:
        check_file(frontier)
    settings = Settings.load()
    plan = Plan(
        strategies=_names(strategy),
        vote=vote,
        policy=_policy(k, max_calls or NO_LIMIT, seed, policy or ()),
        profile_split=profile_split,
        test_split=test_split,
        per_category=per_category_limit,
    )
    with _progress() as tell:
        material = _material(
            settings,
            _folder(recorded or settings.recorded),
            benchmark,
            _names(experts) if experts else None,
            keywords=keywords,
            experts_file=experts_file,
            cache=cache or settings.cache_dir / "embeddings",
            tell=tell,
        )
        report = evaluate(material, plan, tell)
    for note in report.notes:
        show.errors.print(note, markup=False, highlight=False)
    unit = "US$" if priced(material) else "10⁹ parameters × tokens"
    if frontier:
        title = f"{report.benchmark}: {report.n} questions, {len(report.experts)} experts"
        points = points_of(report)
        write_picture(frontier, points, title=title, cost=f"cost a question, {unit}")
    record = {name: value for name, value in as_jsonable(report).items() if name != "notes"}
    if as_json:
        show.as_json(record)
    else:
        _show(record, unit=unit)


def _names(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    if not names:
        raise ConfigurationError(f"{text!r} names nothing: write names, separated by commas")
    return names


def _folder(folder: Path | None) -> Path:
    if folder is None:
        raise ConfigurationError(
            "no recording to replay: name its folder with --recorded, or set COTERIE_RECORDED"
        )
    return folder


def _policy(first: int, most: int, seed: int, knobs: Sequence[str]) -> Any:
    """The policy of these options, with whatever else ``knobs`` turn."""
    from orchestrator.routing import Policy

    policy = Policy(first=first, most=most, k=first, seed=seed)
    known = {f.name: getattr(policy, f.name) for f in dataclasses.fields(policy)}
    turnable = {n: v for n, v in known.items() if n not in ("first", "most", "k", "seed")}
    for knob in knobs:
        name, _, value = knob.partition("=")
        if name not in turnable:
            raise ConfigurationError(
                f"--policy {knob!r}: there is no {name!r}; known are {', '.join(turnable)}"
            )
        change: dict[str, Any] = {name: _read(value, turnable[name], knob)}
        policy = dataclasses.replace(policy, **change)
    return policy


def _read(value: str, default: object, knob: str) -> float:
    try:
        return int(value) if isinstance(default, int) else float(value)
    except ValueError:
        raise ConfigurationError(f"--policy {knob!r}: {value!r} is not a number") from None


def _material(
    settings: Settings,
    folder: Path,
    benchmark: str,
    experts: Sequence[str] | None,
    *,
    keywords: Path | None,
    experts_file: Path | None,
    cache: Path,
    tell: Callable[[str], None],
) -> Any:
    """The recording, read and understood as the service would."""
    from evals.recorded import load_recording
    from orchestrator.experts_file import ExpertsFile, load_experts
    from orchestrator.replay.embeddings import KeptEncoder
    from orchestrator.replay.keywords import load_keywords
    from orchestrator.replay.material import study
    from skills.encoder import load_encoder
    from skills.infer import EmbeddingInference
    from skills.taxonomy import DEFAULT_TAXONOMY

    known = load_experts(experts_file, settings.environ) if experts_file else ExpertsFile()
    said = load_keywords(keywords) if keywords else None
    recording = load_recording(folder, benchmark=benchmark, experts=experts)
    encoder = KeptEncoder(
        load_encoder(settings.embedding_model, settings.cache_dir),
        settings.embedding_model,
        cache,
        lambda done, total: tell(f"{done} of {total} texts embedded"),
    )
    inference = EmbeddingInference(known.skills or DEFAULT_TAXONOMY, encoder)
    return study(recording, inference, experts=known.experts, keywords=said)


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """Tells on standard error what is being done: standard output is the result's."""
    with show.waiting("replay", on=show.errors) as tell:
        yield tell


def _show(report: show.Record, *, unit: str) -> None:
    best = report["best_single"]
    rows = [
        (
            r["strategy"],
            r["vote"] or "–",
            _share(r["accuracy"], r["ci95"]),
            _share(r["vs_best_single"]["delta"], r["vs_best_single"]["ci95"], "+"),
            f"{r['mean_calls']:.2f}",
            _amount(r["mean_cost"]),
        )
        for r in report["results"]
    ]
    columns = ("strategy", "vote", "accuracy", "vs best single", "calls", "cost")
    show.table(f"{report['benchmark']}, {report['n']} questions", columns, rows)
    show.console.print(
        f"best single: {best['expert']} {_share(best['accuracy'], best['ci95'])}, "
        f"cost {_amount(best['mean_cost'])}\n"
        f"any expert right: {report['oracle']:.3f}\n"
        f"{len(report['experts'])} experts, profiled on {report['profile_n']} questions; "
        f"cost a question in {unit}",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


def _share(value: float, ci95: Sequence[float], sign: str = "") -> str:
    low, high = ci95
    # Without the leading zeros a row fits into 80 columns.
    return f"{value:{sign}.3f} [{low:.3f} {high:.3f}]".replace("0.", ".")


def _amount(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


@eval_app.command("record")
def record(
    folder: Annotated[Path, typer.Argument(help="A new folder.")],
    task: Annotated[str, typer.Option(help="Whose stored answers are written.")] = "demo",
    texts: Annotated[bool, typer.Option(help="The experts' whole outputs too.")] = False,
) -> None:
    """Write a recording of the graded answers that profiling has stored."""
    from evals.tasks import load_task
    from evals.tasks.options import TaskOptions
    from orchestrator.replay.record import record as write

    settings = Settings.load()
    loaded = load_task(task, TaskOptions(folder=settings.benchmarks))
    answers, experts = asyncio.run(_stored(settings.database_url, loaded.name))
    asked, given = write(folder, loaded, answers, experts, texts=texts)
    show.console.print(f"{given} answers to {asked} questions are in {folder}", markup=False)


@eval_app.command("tasks")
def tasks(
    folder: Annotated[
        Path | None, typer.Option(help="A folder of benchmarks' files (COTERIE_BENCHMARKS).")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")] = False,
) -> None:
    """List the tasks: their splits, how many questions where a file is at hand, and whence."""
    from evals.tasks import TASKS, local_sizes
    from evals.tasks.options import TaskOptions

    options = TaskOptions(folder=folder or Settings.load().benchmarks)
    sizes = {name: local_sizes(name, options) for name in TASKS}
    if as_json:
        listed = [{"task": n, "splits": sizes[n], "from": TASKS[n].origin} for n in TASKS]
        show.as_json({"tasks": listed})
        return
    rows = [(name, _sizes(sizes[name]), TASKS[name].origin) for name in TASKS]
    show.table("tasks", ("task", "questions", "from"), rows)
    show.console.print(
        "– is fetched from the Hugging Face hub when it is used; your own: file:PATH "
        "(docs/tasks.md)",
        markup=False,
        highlight=False,
    )


def _sizes(splits: Mapping[str, int | None]) -> str:
    return ", ".join(f"{name} {'–' if n is None else n}" for name, n in splits.items())


async def _stored(database_url: str, task: str) -> tuple[Any, Any]:
    from coterie.db import Database
    from skills.answer_store import AnswerStore
    from skills.expert_store import ExpertStore

    database = Database(database_url)
    try:
        answers = await AnswerStore(database).answers(task=task)
        return answers, await ExpertStore(database).list()
    finally:
        await database.close()
