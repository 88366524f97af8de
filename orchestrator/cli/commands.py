"""Every command.  Most ask a server; those that serve, evaluate, plan or import need none."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from coterie.errors import CoterieError
from orchestrator.background import Background
from orchestrator.cli import show
from orchestrator.cli.aggregator import aggregator_app
from orchestrator.cli.bring_up import bring_up
from orchestrator.cli.doctor import doctor
from orchestrator.cli.evals import eval_app
from orchestrator.cli.gpu_check import gpu_check
from orchestrator.cli.jobs import jobs_app
from orchestrator.cli.keys import keys_app
from orchestrator.cli.options import AsJson, ConfigFile, the_client, the_settings
from orchestrator.cli.plan import plan
from orchestrator.cli.skills import skills_app
from orchestrator.cli.worker import worker
from orchestrator.client import Client

app = typer.Typer(no_args_is_help=True, help="One endpoint over a coterie of expert LLMs.")
experts_app = typer.Typer(no_args_is_help=True, help="The expert registry.")
db_app = typer.Typer(no_args_is_help=True, help="The database.")
app.add_typer(experts_app, name="experts")
app.add_typer(skills_app, name="skills")
app.add_typer(aggregator_app, name="aggregator")
app.add_typer(db_app, name="db")
app.add_typer(eval_app, name="eval")
app.add_typer(jobs_app, name="jobs")
app.add_typer(keys_app, name="keys")
app.command()(plan)
app.command("gpu-check")(gpu_check)
app.command()(doctor)
app.command("worker")(worker)

Model = Annotated[str, typer.Option(help="coterie, coterie/STRATEGY, or an expert's name.")]


def run() -> None:
    """Runs the command line."""
    try:
        app(standalone_mode=True)
    except CoterieError as error:
        show.errors.print(f"coterie: {error}", style="red", markup=False, highlight=False)
        sys.exit(1)


@app.command()
def serve(config: ConfigFile = None) -> None:
    """Serve the endpoint in the foreground, and the engines it manages with it."""
    from orchestrator import server  # takes a second to import: the other commands need not wait

    server.run(the_settings(config))


@app.command()
def up(
    config: ConfigFile = None,
    task: Annotated[str, typer.Option(help="What unprofiled experts are graded on.")] = "demo",
    limit: Annotated[
        int | None, typer.Option(help="How many validation questions, all if not given.")
    ] = None,
    questions: Annotated[
        Path | None, typer.Option(help="YAML file of questions to ask at the end.")
    ] = None,
) -> None:
    """Bring everything up in the background: database, engines, profiles, server."""
    bring_up(the_settings(config), task=task, limit=limit, questions=questions)


@app.command()
def down() -> None:
    """Stop the server in the background, and its engines; nothing else."""
    stopped = Background(the_settings()).stop(show.console.print)
    show.console.print("stopped" if stopped else "nothing was running")


@app.command()
def status(as_json: AsJson = False) -> None:
    """What runs, and how it is."""
    settings = the_settings()
    process = Background(settings).process()
    if process is None:
        show.console.print("not running: start it with `coterie up` or `make up`")
        raise typer.Exit(1)
    readiness = Client.of(settings).readiness()
    if as_json:
        show.as_json({"pid": process.pid, "url": settings.url, **readiness})
        return
    show.console.print(f"{readiness['status']} at {settings.url} (process {process.pid})")
    show.console.print(f"database: {readiness['database']}", markup=False)
    rows = list(readiness["experts"].items())
    show.table("Experts", ("name", "state"), rows)


@app.command()
def chat(
    prompt: Annotated[list[str] | None, typer.Argument(help="One question; none: talk.")] = None,
    model: Model = "coterie",
) -> None:
    """Ask one question, or talk."""
    client = the_client()
    history: list[dict[str, str]] = []
    if prompt:
        _turn(client, model, history, " ".join(prompt))
        return
    while True:
        try:
            text = show.console.input("[bold]you[/] ")
        except (EOFError, KeyboardInterrupt):
            return
        if text.strip():
            _turn(client, model, history, text)


def _turn(client: Client, model: str, history: list[dict[str, str]], text: str) -> None:
    history.append({"role": "user", "content": text})
    told: list[str] = []
    id = ""
    for chunk in client.stream({"model": model, "messages": history}):
        if "headers" in chunk:
            id = chunk["headers"]["x-request-id"]
        elif "error" in chunk:
            raise CoterieError(chunk["error"]["message"])
        elif chunk["choices"] and (piece := chunk["choices"][0]["delta"].get("content")):
            told.append(piece)
            show.console.print(piece, end="", markup=False, highlight=False)
    history.append({"role": "assistant", "content": "".join(told)})
    why = _why(client, id)
    show.console.print(f"\n  — {why}", style="dim", markup=False, highlight=False)


def _why(client: Client, id: str) -> str:
    try:
        record = client.get(f"/v1/routes/{id}")
    except CoterieError as error:
        return str(error)
    return f"{', '.join(a['expert'] for a in record['answers'])}: {record['reason']}"


@app.command()
def route(
    prompt: Annotated[str, typer.Argument(help="The question.")],
    model: Model = "coterie",
    as_json: AsJson = False,
) -> None:
    """Decide who would be asked, and say why; nobody is asked."""
    body = {"model": model, "messages": [{"role": "user", "content": prompt}]}
    record = the_client().post("/v1/routes", body)
    if as_json:
        show.as_json(record)
    else:
        show.route(record)


# --- experts ------------------------------------------------------------------------------------


@experts_app.command("list")
def list_experts(as_json: AsJson = False) -> None:
    """Every expert and its state."""
    body = the_client().get("/admin/experts")
    if as_json:
        show.as_json(body)
    else:
        show.experts(body)


@experts_app.command("add")
def add_expert(
    file: Annotated[
        Path | None, typer.Option("--file", help="YAML file with one expert's entry.")
    ] = None,
    name: Annotated[str | None, typer.Option()] = None,
    kind: Annotated[
        str, typer.Option(help="openai, vllm or lora; a fusion needs --file.")
    ] = "openai",
    model: Annotated[str | None, typer.Option(help="Model id at the endpoint, or weights.")] = None,
    endpoint: Annotated[str | None, typer.Option(help="Base URL of an OpenAI server.")] = None,
    base: Annotated[str | None, typer.Option(help="The base expert of a lora.")] = None,
    adapter: Annotated[str | None, typer.Option(help="The adapter's folder.")] = None,
    api_key_env: Annotated[
        str | None, typer.Option(help="Name of the variable that holds the endpoint's key.")
    ] = None,
    context_length: Annotated[int | None, typer.Option(help="In tokens.")] = None,
    description: Annotated[str, typer.Option()] = "",
    capability: Annotated[
        list[str] | None,
        typer.Option(help="What it can do beyond text, such as tools; the option again for more."),
    ] = None,
    no_verify: Annotated[bool, typer.Option(help="Do not try the endpoint first.")] = False,
) -> None:
    """Register an expert, from options or from a file."""
    entry = _read_entry(file) if file else {}
    options = {
        "name": name,
        "kind": kind if not file else entry.get("kind", kind),
        "model": model,
        "endpoint": endpoint,
        "base": base,
        "adapter": adapter,
        "api_key_env": api_key_env,
        "context_length": context_length,
        "description": description or None,
        "capabilities": capability or None,
    }
    entry |= {key: value for key, value in options.items() if value is not None}
    verify = "false" if no_verify else "true"
    added = the_client().post(f"/admin/experts?verify={verify}", entry)
    show.console.print(f"added {added['name']}; `coterie skills profile {added['name']}` grades it")


def _read_entry(file: Path) -> dict[str, Any]:
    try:
        entry = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise CoterieError(f"cannot read an expert from {str(file)!r}: {error}") from error
    if not isinstance(entry, dict):
        raise CoterieError(f"{str(file)!r} must hold one expert's entry: a mapping")
    return entry


@experts_app.command("test")
def try_expert(name: str, as_json: AsJson = False) -> None:
    """Ask one expert a short question for real."""
    result = the_client().post(f"/admin/experts/{name}/test")
    if as_json:
        show.as_json(result)
    elif result["ok"]:
        show.console.print(f"ok in {result['latency_ms']} ms: {result['text']!r}", markup=False)
    if not result["ok"]:
        raise CoterieError(f"expert {name!r} does not answer: {result['error']}")


@experts_app.command("remove")
def remove_expert(name: str) -> None:
    """Forget an expert that was added here, its answers and its profile."""
    the_client().delete(f"/admin/experts/{name}")
    show.console.print(f"{name} is removed")


@experts_app.command("enable")
def enable_expert(name: str) -> None:
    """Let an expert be asked."""
    the_client().post(f"/admin/experts/{name}/enable")
    show.console.print(f"{name} is enabled")


@experts_app.command("disable")
def disable_expert(name: str) -> None:
    """Keep an expert from being asked; its profile stays."""
    the_client().post(f"/admin/experts/{name}/disable")
    show.console.print(f"{name} is disabled")


@experts_app.command("drain")
def drain_expert(name: str) -> None:
    """Disable an expert, and let it end what it answers now."""
    the_client().post(f"/admin/experts/{name}/drain")
    show.console.print(f"{name} gets no new requests")


# --- database ------------------------------------------------------------------------------------


@db_app.command("upgrade")
def db_upgrade() -> None:
    """Bring the database to the newest revision."""
    from orchestrator import schema

    revision = asyncio.run(schema.upgrade(the_settings().database_url))
    show.console.print(f"the database is at revision {revision}")
