"""`coterie up`: from nothing to an answering endpoint, every long step with its progress.

Whatever fails, nothing that this run started is left behind.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psutil
import yaml

from coterie.errors import CoterieError
from orchestrator.background import Background
from orchestrator.cli import show
from orchestrator.cli.show import Record
from orchestrator.client import Client
from orchestrator.settings import Settings

POLL_S = 0.5


def bring_up(settings: Settings, *, task: str, limit: int | None, questions: Path | None) -> None:
    """Database, server, engines, profiles; then asks ``questions`` and shows the answers."""
    asked = read_questions(questions) if questions else []
    started = time.monotonic()
    background, client = Background(settings), Client.of(settings)
    from orchestrator import schema

    revision = asyncio.run(schema.upgrade(settings.database_url))
    show.console.print(f"database at revision {revision}")
    with _rolled_back(background):
        ensure_server(background, client, settings)
        client = Client.of(settings)  # its keys exist now
        profile_the_unprofiled(client, task, limit)
        ask(client, asked)
    took = time.monotonic() - started
    show.console.print(f"up in {took:.0f} s: {settings.url} (stop it with `coterie down`)")


@contextmanager
def _rolled_back(background: Background) -> Iterator[None]:
    """Stops a server that was started inside the block, when the block fails."""
    ours = background.process() is None
    try:
        yield
    except BaseException:
        if ours:
            background.stop(show.console.print)
        raise


def ensure_server(background: Background, client: Client, settings: Settings) -> None:
    """A server whose every enabled expert can be asked: the running one, or a new one."""
    process = background.process()
    if process is None:
        if client.ok("/health"):
            raise CoterieError(
                f"something else answers at {settings.url}: stop it, or set COTERIE_PORT"
            )
        process = background.start()
        show.console.print(f"server started (process {process.pid}), log in {background.log}")
    else:
        show.console.print(f"server runs already (process {process.pid})")
    wait_ready(background, client, process, settings.start_timeout_s)


def wait_ready(
    background: Background, client: Client, process: psutil.Process, timeout_s: float
) -> None:
    """Waits until every enabled expert is healthy; fails as soon as the server ends."""
    started = time.monotonic()
    with show.waiting("starting the engines") as tell:
        while not (ready := ready_experts(client)):
            background.check_alive(process)
            waited_s = time.monotonic() - started
            if waited_s > timeout_s:
                raise CoterieError(
                    f"not every expert was ready in {timeout_s:.0f} s (COTERIE_START_TIMEOUT_S); "
                    f"{background.log} ends:\n{background.tail()}"
                )
            tell(f"{waited_s:.0f} s")
            time.sleep(POLL_S)
    show.console.print(f"{len(ready)} experts are ready: {', '.join(ready)}")


def ready_experts(client: Client) -> list[str]:
    """The enabled experts, once every one of them can be asked; none until then.

    Raises:
        CoterieError: not every one ever will, as soon as that is known.
    """
    if not client.ok("/health"):
        return []
    experts = client.readiness()["experts"]
    if not experts:
        raise CoterieError(
            "no expert is enabled: declare one in the experts file, or `coterie experts enable`"
        )
    if all(state == "ok" for state in experts.values()):
        return list(experts)
    for engine in Client.of(client.settings).get("/admin/experts")["processes"]:
        if engine["restarts"] or engine["state"] in ("failed", "waiting to restart"):
            raise CoterieError(f"engine {engine['name']!r}: {engine['detail']}")
    return []


def profile_the_unprofiled(client: Client, task: str, limit: int | None) -> None:
    """Grades the experts that routing may choose and that have no profile."""
    known = {p["expert"] for p in client.get("/admin/profiles")["profiles"]}
    experts = client.get("/admin/experts")["experts"]
    recruited = [e["name"] for e in experts if e["enabled"] and e["recruit"]]
    missing = [name for name in recruited if name not in known]
    if not missing:
        show.console.print(f"all {len(recruited)} experts that are recruited have profiles")
        return
    client.post("/admin/profiles", {"task": task, "experts": missing, "limit": limit})
    watch_profiling(client)
    show.profiles(client.get("/admin/profiles"))


def watch_profiling(client: Client) -> None:
    """Shows how far each expert is until the run has ended; raises if it failed."""
    with show.bars("profiling") as tell:
        while True:
            state = client.get("/admin/profiles")["profiling"]
            for p in state["progress"]:
                tell(p["expert"], p["done"], p["total"])
            if state["status"] != "running":
                break
            time.sleep(POLL_S)
    if state["status"] == "failed":
        raise CoterieError(f"profiling failed: {state['error']}")
    lost = {p["expert"]: p["failed"] for p in state["progress"] if p["failed"]}
    if lost:
        show.console.print(f"questions that got no answer, left open for a next run: {lost}")


def read_questions(path: Path) -> list[dict[str, str]]:
    """The questions of a YAML file: a list of mappings with ``skill`` and ``question``."""
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
        return [{"skill": str(q["skill"]), "question": str(q["question"])} for q in found]
    except (OSError, yaml.YAMLError, TypeError, KeyError) as error:
        raise CoterieError(
            f"{str(path)!r} must be a YAML list of {{skill, question}}: {error!r}"
        ) from error


def ask(client: Client, questions: Sequence[Mapping[str, str]]) -> None:
    """Asks the questions through the endpoint, all at once, and shows the answers and their why."""
    with ThreadPoolExecutor(max(1, len(questions))) as pool:
        for question, told in zip(questions, pool.map(_asking(client), questions), strict=True):
            _tell(question, *told)


def _asking(client: Client) -> Callable[[Mapping[str, str]], tuple[Record, Record]]:
    """Gives the answer to a question, and its why-record."""

    def asked(question: Mapping[str, str]) -> tuple[Record, Record]:
        body = {
            "model": "coterie",
            "messages": [{"role": "user", "content": question["question"]}],
            "temperature": 0,
        }
        answer, headers = client.chat(body)
        return answer, client.get(f"/v1/routes/{headers['x-request-id']}")

    return asked


def _tell(question: Mapping[str, str], answer: Record, record: Record) -> None:
    show.console.rule(question["skill"], align="left")
    for label, value in (
        ("question", question["question"]),
        ("answer", answer["choices"][0]["message"]["content"]),
        ("asked", ", ".join(a["expert"] for a in record["answers"])),
        ("because", record["reason"]),
    ):
        show.console.print(f"[bold]{label:9}[/]", end="")
        show.console.print(str(value).strip(), markup=False, highlight=False)
