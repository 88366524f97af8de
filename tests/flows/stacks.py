"""A whole Coterie of real processes, and what it is put to: a job over made-up questions."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import select

from benchmarks.serving import free_port
from coterie.db import Database
from orchestrator.jobs import record
from orchestrator.jobs.tables import PromptRow, UnitRow
from tests.flows.components import (
    Component,
    Mortal,
    environment,
    kill_all,
    light_encoder,
    python,
)
from tests.imitation.answers import content_hash
from tests.imitation.start import write_interpreter

QUESTIONS = 80
AT_ONCE = {"least_words": 4, "most_words": 12}
"""The pace of engines that take no time."""
PACE = {**AT_ONCE, "step_s": 0.015}
"""Of engines that take a few seconds for their part of the questions."""
SEATS = 4
TTL_S = "2"
POLL_S = 0.05
SLACK_S = 1.0
"""From the time that is stored with an answer until everybody can know of it: it is taken as the
transaction begins, and what is open is looked up a little before it is asked."""
WITHIN_S = 90.0
"""In which a job is done, kills and all."""

Asked = tuple[str, str]
"""An expert, and the hash of what it is asked."""


class Stack:
    """Engines, the server and whatever else there is; ``home`` is where all of it is kept.

    Experts: ``ann`` and ``bob`` at endpoints, ``cleo`` an engine that Coterie starts itself.
    """

    def __init__(self, home: Path, *, pace: Mapping[str, Any] = PACE, **environ: str) -> None:
        self.home = home
        self.mortals: dict[str, Mortal] = {}
        self.components: list[Component] = []
        self._log = home / "asked.log"
        self._log.touch()
        self._flags = [f"--imitate-{n.replace('_', '-')}={v}" for n, v in pace.items()]
        self.database_url = environ.get("DATABASE_URL", f"sqlite:///{home}/server/coterie.sqlite")
        ends = {name: self._add_engine(name) for name in ("ann", "bob")}
        self._experts(ends, pace)
        port = free_port()
        self.environ = environment(
            **environ,
            PYTHONPATH=str(light_encoder(_made(home / "light"))),
            COTERIE_CONFIG=str(home / "experts.yaml"),
            COTERIE_VLLM_PYTHON=str(write_interpreter(home)),
            COTERIE_EMBEDDING_MODEL="counted-words",
            COTERIE_GPU="0",
            COTERIE_WORKER_TTL_S=TTL_S,
            COTERIE_PORT=str(port),
            OMP_NUM_THREADS="1",
        )
        self._add("server", "orchestrator.cli", "serve", is_up="Uvicorn running")
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20, trust_env=False)
        write_questions(home / "questions.jsonl")

    def add_worker(self, name: str) -> None:
        """Before :meth:`start`."""
        self._add(name, "orchestrator.cli", "worker", is_up=" takes work")

    def start(self) -> None:
        """Starts all, and returns when the server answers and all workers work."""
        for component in self.components:
            component.start()
        for component in self.components:
            self.wait_for(component.name, within_s=60.0)

    def close(self) -> None:
        """Ends all that it started."""
        self.http.close()
        for component in reversed(self.components):
            component.clear_up()

    def _add_engine(self, name: str) -> str:
        port = str(free_port())
        argv = ["tests.imitation", "--port", port, "--served-model-name", name, *self._flags]
        argv += ["--max-num-seqs", str(SEATS), "--imitate-log", str(self._log)]
        log = self.home / f"{name}.log"
        self.components.append(
            Component(name, python(*argv), environment(), log, lambda text: "started" in text)
        )
        self.mortals[name] = self.components[-1]
        return f"http://127.0.0.1:{port}"

    def _add(self, name: str, *argv: str, is_up: str) -> None:
        environ = {**self.environ, "COTERIE_HOME": str(self.home / name)}
        found = Component(
            name, python(*argv), environ, self.home / f"{name}.log", lambda text: is_up in text
        )
        self.components.append(found)
        self.mortals[name] = found

    def _experts(self, ends: Mapping[str, str], pace: Mapping[str, Any]) -> None:
        arguments = {f"imitate_{n}": v for n, v in pace.items()}
        arguments |= {"max_num_seqs": SEATS, "imitate_log": str(self._log)}
        arguments |= {"imitate_platform": "cpu"}
        experts: list[dict[str, Any]] = [
            {"name": name, "kind": "openai", "model": name, "endpoint": url}
            for name, url in ends.items()
        ]
        experts.append(
            {"name": "cleo", "kind": "vllm", "model": "org/cleo", "engine_args": arguments}
        )
        (self.home / "experts.yaml").write_text(json.dumps({"experts": experts}))

    # --- killing --------------------------------------------------------------------------------

    def kill(self, name: str) -> None:
        """SIGKILL to one component; ``cleo`` is every engine that Coterie runs now."""
        if name == "cleo":
            kill_all([engine for one in self.components for engine in one.engines()])
        else:
            self.mortals[name].kill()

    def wait_for(self, name: str, within_s: float = 30.0) -> None:
        """Watches until the component is up, unless nobody can tell."""
        found = next((one for one in self.components if one.name == name), None)
        deadline = time.monotonic() + within_s
        while found and not found.is_up:
            assert time.monotonic() < deadline, f"{name} does not come up\n{self.logs()}"
            self.watch()
            time.sleep(POLL_S)

    def revive(self, name: str) -> None:
        """Starts it again, unless that is Coterie's own affair."""
        if name != "cleo":
            self.mortals[name].start()

    def watch(self) -> None:
        """Does what a service manager does: see :meth:`Component.watch`."""
        for mortal in self.mortals.values():
            if isinstance(mortal, Component):
                mortal.watch()

    def wait(self, seconds: float) -> None:
        """Watches for so long."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.watch()
            time.sleep(POLL_S)

    # --- the job --------------------------------------------------------------------------------

    def submit(self, strategy: str) -> str:
        """The id of a new job."""
        body = {
            "task": f"file:{self.home}/questions.jsonl",
            "strategy": strategy,
            "max_tokens": 24,
        }
        answer = self.http.post("/v1/jobs", json=body, headers=self._admin)
        assert answer.status_code == 202, f"{answer.text}\n{self.logs()}"
        return str(answer.json()["id"])

    def state(self, job: str) -> dict[str, Any] | None:
        """The job as the server tells of it; None while it does not answer."""
        return self._get(f"/v1/jobs/{job}")

    def finish(self, job: str) -> list[dict[str, Any]]:
        """Waits for the job's end; its results without times."""
        deadline = time.monotonic() + WITHIN_S
        while True:
            self.watch()
            found = self.state(job)
            if found and found["state"] in ("done", "failed", "cancelled"):
                assert found["state"] == "done", f"{found['error']}\n{self.logs()}"
                return self._results(job)
            told = found["progress"] if found else "the server does not answer"
            assert time.monotonic() < deadline, f"the job is not done: {told}\n{self.logs()}"
            time.sleep(POLL_S)

    def _results(self, job: str) -> list[dict[str, Any]]:
        page = None
        for _ in range(100):
            if page := self._get(f"/v1/jobs/{job}/results"):
                break
            self.wait(0.2)
        assert page, f"no results\n{self.logs()}"
        return [timeless(row) for row in page["data"]]

    def _get(self, path: str) -> dict[str, Any] | None:
        try:
            answer = self.http.get(path, headers=self._admin)
        except httpx.TransportError:
            return None
        return dict(answer.json()) if answer.status_code == 200 else None

    @property
    def _admin(self) -> dict[str, str]:
        key = (self.home / "server" / "admin.key").read_text().strip()
        return {"Authorization": f"Bearer {key}"}

    # --- what was asked -------------------------------------------------------------------------

    def asked(self) -> list[tuple[float, Asked]]:
        """What the engines were asked so far, and when, in that order."""
        lines = [line.split() for line in self._log.read_text().splitlines()]
        return [(float(at), (model, content)) for at, model, content in lines]

    def stored(self) -> dict[Asked, float] | None:
        """What has an answer in the database, and since when; None while that is away."""
        try:
            return asyncio.run(_stored(self.database_url))
        except Exception:
            return None

    def asked_again(self) -> list[tuple[float, Asked]]:
        """What was asked although it was stored: how much later, in seconds."""
        stored = self.stored()
        assert stored is not None, f"the database is away\n{self.logs()}"
        late = [(at - stored[one], one) for at, one in self.asked() if one in stored]
        return [(by_s, one) for by_s, one in late if by_s > SLACK_S]

    def asked_twice(self) -> int:
        """Requests beyond the first for the same: what was being answered as somebody died."""
        return sum(n - 1 for n in Counter(one for _, one in self.asked()).values())

    def logs(self) -> str:
        """The ends of all logs."""
        return "\n".join(component.tail() for component in self.components)


async def _stored(url: str) -> dict[Asked, float]:
    database = Database(url)
    columns = (UnitRow.expert, PromptRow.body, UnitRow.completed_at)
    query = select(*columns).join(PromptRow, PromptRow.key == UnitRow.prompt)
    try:
        async with asyncio.timeout(5), database.read() as session:
            rows = await session.execute(query.where(UnitRow.completed_at.is_not(None)))
            return {
                (row.expert, _content_hash(row.body)): row.completed_at.timestamp() for row in rows
            }
    finally:
        await database.close()


def _content_hash(body: bytes) -> str:
    return content_hash([m.as_dict() for m in record.question_of(body).messages])


def timeless(row: Mapping[str, Any]) -> dict[str, Any]:
    """A result without what no two runs share."""
    calls = [
        {k: v for k, v in call.items() if k not in ("latency_s", "reused")} for call in row["calls"]
    ]
    return {**row, "calls": calls}


def write_questions(file: Path) -> None:
    """Sums with four answers to choose from."""
    rng = random.Random(7)
    rows = []
    for i in range(QUESTIONS):
        a, b = rng.randint(10, 99), rng.randint(10, 99)
        options = [str(a + b + d) for d in rng.sample((0, 1, 2, 10), 4)]
        text = f"Basket {i} holds {a} apples and {b} pears. How many pieces of fruit are in it?"
        answer = str(a + b)
        rows.append({"id": str(i), "question": text, "options": options, "answer": answer})
        rows[-1] |= {"category": f"baskets-{i % 3}", "split": "test"}
    file.write_text("\n".join(map(json.dumps, rows)) + "\n")


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def in_turn(names: Sequence[str], rounds: int, most: int) -> list[list[str]]:
    """Whom each round kills, so that nobody is left out, in an order that is drawn."""
    rng = random.Random("whom")
    order: list[str] = []
    while len(order) < rounds * most:
        order += rng.sample(names, len(names))
    return [order[i * most : (i + 1) * most] for i in range(rounds)]
