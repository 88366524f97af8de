"""`coterie skills`: profiling, snapshots, synonyms, and importing recorded answers."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from coterie.errors import RequestError
from orchestrator.cli import show, show_skills
from orchestrator.cli.bring_up import watch_profiling
from orchestrator.cli.options import AsJson, ConfigFile, listed, the_client, the_settings

skills_app = typer.Typer(no_args_is_help=True, help="Skill profiles.")
synonyms_app = typer.Typer(no_args_is_help=True, help="Which keywords are read as which skill.")
skills_app.add_typer(synonyms_app, name="synonyms")

Experts = Annotated[
    list[str] | None, typer.Option("--experts", help="Several: a,b or the option again.")
]
SnapshotName = Annotated[
    str | None, typer.Option("--name", help="What the snapshot is called; its time if not given.")
]


@skills_app.command("profile")
def profile(
    names: Annotated[
        list[str] | None, typer.Argument(help="Experts; all recruited if none.")
    ] = None,
    benchmark: Annotated[
        str, typer.Option("--benchmark", "--task", help="The task to grade on.")
    ] = "demo",
    split: Annotated[str, typer.Option(help="Its questions; never those you test on.")] = "val",
    experts: Experts = None,
    limit: Annotated[int | None, typer.Option(min=1, help="How many questions.")] = None,
    name: SnapshotName = None,
    aggregation: Annotated[
        bool,
        typer.Option("--aggregation", help="Grade them at making one answer of stored ones."),
    ] = False,
) -> None:
    """Grade experts on a task's questions, and make a snapshot of all that is known then.

    What was answered before is not asked again: a run that was cut short goes on where it stopped.
    """
    client = the_client()
    body = {
        "task": benchmark,
        "experts": listed([*(names or ()), *(experts or ())]),
        "split": split,
        "limit": limit,
        "name": name,
        "aggregation": aggregation,
    }
    client.post("/admin/profiles", body)
    started = time.monotonic()
    watch_profiling(client)
    show.console.print(f"profiled in {time.monotonic() - started:.0f} s")
    found = client.get("/admin/profiles")
    show.console.print(f"snapshot {found['profiling']['snapshot']} is active", markup=False)
    show.profiles(found)


@skills_app.command("show")
def show_profiles(
    expert: Annotated[str | None, typer.Option(help="This expert's skills alone.")] = None,
    skill: Annotated[str | None, typer.Option(help="Everybody at this skill alone.")] = None,
    as_json: AsJson = False,
) -> None:
    """Every expert's measured skills, of the active snapshot."""
    body = show_skills.narrowed(the_client().get("/admin/profiles"), expert, skill)
    if as_json:
        show.as_json(body)
    elif expert:
        show_skills.expert(body["profiles"][0])
    elif skill:
        show_skills.skill(body["profiles"], skill)
    else:
        show.profiles(body)


@skills_app.command("import")
def import_recorded(
    recorded: Annotated[
        Path, typer.Option("--recorded", help="Folder of recorded answers (docs/replay.md).")
    ],
    benchmark: Annotated[
        list[str] | None, typer.Option("--benchmark", help="Of these; of all if not given.")
    ] = None,
    experts: Experts = None,
    split: Annotated[str, typer.Option(help="Questions; never those you test on.")] = "val",
    register: Annotated[
        bool, typer.Option("--register", help="Register recorded models as disabled experts.")
    ] = False,
    name: SnapshotName = None,
    config: ConfigFile = None,
) -> None:
    """Take recorded answers for graded ones, straight into the database, and make a snapshot.

    A running server uses it within seconds.
    """
    from orchestrator.importing import ImportPlan, run_import

    plan = ImportPlan(
        recorded, tuple(listed(benchmark)), tuple(listed(experts)), split, register, name
    )
    with show.bars("importing") as tell:
        done = asyncio.run(run_import(the_settings(config), plan, tell))
    if done.registered:
        show.console.print(f"registered, disabled: {', '.join(done.registered)}", markup=False)
    show.console.print(
        f"{done.answers} graded answers to {done.questions} questions; snapshot "
        f"{done.snapshot.name} rests on {done.snapshot.answers} and is active",
        markup=False,
    )


# --- snapshots ----------------------------------------------------------------------------------


@skills_app.command("snapshots")
def list_snapshots(as_json: AsJson = False) -> None:
    """Every snapshot of the profiles, the newest first."""
    body = the_client().get("/admin/snapshots")
    if as_json:
        show.as_json(body)
    else:
        show_skills.snapshots(body)


@skills_app.command("rollback")
def rollback(
    name: Annotated[
        str | None, typer.Argument(help="The snapshot; the active one's parent if not given.")
    ] = None,
) -> None:
    """Route by an earlier snapshot again."""
    client = the_client()
    name = name or _parent(client.get("/admin/snapshots"))
    activated = client.post(f"/admin/snapshots/{name}/activate")
    show.console.print(
        f"snapshot {activated['name']} is active: {activated['answers']} graded answers",
        markup=False,
    )


def _parent(body: dict[str, Any]) -> str:
    """The parent of the active snapshot, which must still be there."""
    found = {s["name"]: s for s in body["snapshots"]}
    if body["active"] is None:
        raise RequestError("no snapshot is active yet: `coterie skills profile` makes one")
    parent = found[body["active"]]["parent"]
    if parent not in found:
        told = f"its parent {parent!r} was removed" if parent else "it is the first"
        raise RequestError(
            f"snapshot {body['active']!r} has nothing to go back to: {told}; "
            "name one of `coterie skills snapshots`"
        )
    return str(parent)


# --- synonyms -----------------------------------------------------------------------------------


@synonyms_app.command("list")
def list_synonyms(as_json: AsJson = False) -> None:
    """Every merge that holds, and who decided it."""
    body = the_client().get("/admin/synonyms")
    if as_json:
        show.as_json(body)
    else:
        show_skills.synonyms(body)


@synonyms_app.command("suggest")
def suggest_synonyms(
    threshold: Annotated[float, typer.Option(help="Least similarity, 0 to 1.")] = 0.8,
    as_json: AsJson = False,
) -> None:
    """Keywords an LLM named that are nearly a skill; `merge` takes one over."""
    body = the_client().get(f"/admin/synonyms/suggestions?threshold={threshold}")
    if as_json:
        show.as_json(body)
    else:
        show_skills.suggestions(body)


@synonyms_app.command("merge")
def merge_synonym(keyword: str, skill: str) -> None:
    """Read KEYWORD as SKILL from now on."""
    the_client().post("/admin/synonyms/merge", {"keyword": keyword, "skill": skill})
    show.console.print(f"{keyword!r} is read as {skill!r}", markup=False)


@synonyms_app.command("split")
def split_synonym(keyword: str) -> None:
    """Take the merge of KEYWORD back."""
    the_client().post("/admin/synonyms/split", {"keyword": keyword})
    show.console.print(f"{keyword!r} is read as itself", markup=False)
