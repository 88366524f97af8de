"""`coterie eval`."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from coterie.errors import CoterieError
from coterie.types import GradedAnswer, Usage
from evals.recorded import load_recording
from evals.tasks import load_task
from orchestrator.cli.commands import app
from skills.answer_store import AnswerStore

Command = Callable[..., Result]


@pytest.fixture
def coterie(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, encoder: Any) -> Command:
    """Runs a command with an encoder without weights, and no network."""

    class Named(encoder):  # type: ignore[misc]
        def __init__(self, model: str) -> None:
            self.model = model

    def refuse(*_: object) -> None:
        raise AssertionError("a replay needs no network")

    monkeypatch.setattr("skills.encoder.SentenceEncoder", Named)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setenv("COTERIE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("COTERIE_RECORDED", raising=False)

    def run(*args: str) -> Result:
        return CliRunner().invoke(app, ["eval", *args])

    return run


@pytest.fixture
def folder(recorder: Any) -> str:
    return str(recorder.folder())


def test_the_result_is_one_object_on_standard_output(coterie: Command, folder: str) -> None:
    shown = coterie(
        *("replay", "--recorded", folder, "--benchmark", "made-up", "--experts", "bob,ann,cy"),
        *("--strategy", "symbolic,best-single,oracle", "--k", "2", "--max-calls", "3"),
        *("--vote", "majority", "--per-category-limit", "10", "--seed", "1", "--json"),
    )
    assert shown.exit_code == 0, shown.stderr
    found = json.loads(shown.stdout)
    assert found["benchmark"] == "made_up"
    assert found["experts"] == ["ann", "bob", "cy"]
    assert (found["n"], found["profile_n"]) == (40, 20)
    assert [r["strategy"] for r in found["results"]] == ["symbolic", "best-single", "oracle"]
    assert [r["vote"] for r in found["results"]] == ["majority", "majority", None]
    assert found["results"][0]["max_calls"] <= 3
    assert set(found) == {
        *("benchmark", "n", "experts", "profile_n", "results", "best_single", "oracle")
    }


def test_people_get_a_table(coterie: Command, folder: str) -> None:
    shown = coterie("replay", "--recorded", folder, "--benchmark", "made_up")
    assert shown.exit_code == 0, shown.stderr
    assert "best single: " in shown.stdout
    assert "auto is " in shown.stderr


def test_the_folder_may_come_from_the_environment(
    coterie: Command, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COTERIE_RECORDED", folder)
    shown = coterie("replay", "--benchmark", "made_up", "--strategy", "random", "--json")
    assert json.loads(shown.stdout)["n"] == 40


def test_skills_may_come_from_keywords(coterie: Command, folder: str, tmp_path: Path) -> None:
    def accuracy(*options: str) -> float:
        shown = coterie(
            *("replay", "--recorded", folder, "--benchmark", "made_up", "--vote", "weighted"),
            *("--strategy", "symbolic", "--max-calls", "1", "--json", *options),
        )
        assert shown.exit_code == 0, shown.exception
        return float(json.loads(shown.stdout)["results"][0]["accuracy"])

    misleading = tmp_path / "keywords.jsonl"
    lines = [{"qid": f"q{i:03d}", "keywords": ["Algebra."]} for i in range(100)]
    misleading.write_text("\n".join(map(json.dumps, lines)))
    assert accuracy("--keywords", str(misleading)) < accuracy()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ((), "COTERIE_RECORDED"),
        (("--recorded", "nowhere"), "no questions.parquet"),
        (("--strategy", "symbolik"), "choose one of"),
        (("--strategy", ","), "names nothing"),
        (("--vote", "loudest"), "choose one of"),
        (("--policy", "courage=1"), "known are confidence"),
        (("--policy", "confidence=high"), "not a number"),
        (("--recorded", "FOLDER", "--experts", "ann,bobby"), "did you mean 'bob'"),
        (("--recorded", "FOLDER", "--test-split", "exam"), "There is 'test', 'val'"),
        (("--recorded", "FOLDER", "--keywords", "none.jsonl"), "none.jsonl"),
    ],
)
def test_what_cannot_be_done_is_told(
    coterie: Command, folder: str, options: tuple[str, ...], says: str
) -> None:
    given = [folder if option == "FOLDER" else option for option in options]
    refused = coterie("replay", "--benchmark", "made_up", *given, "--json")
    assert isinstance(refused.exception, CoterieError)
    assert says in str(refused.exception)
    assert refused.stdout == ""


def test_a_policy_has_further_knobs(coterie: Command, folder: str) -> None:
    calls = [
        json.loads(
            coterie(
                *("replay", "--recorded", folder, "--benchmark", "made_up", "--vote", "weighted"),
                *("--strategy", "symbolic", "--json", "--policy", f"confidence={confidence}"),
            ).stdout
        )["results"][0]["mean_calls"]
        for confidence in (0.5, 0.99)
    ]
    assert calls[0] < calls[1]


async def test_stored_answers_become_a_recording(
    service: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    items = [*load_task("demo").items("val", 6), *load_task("demo").items("test", 6)]
    graded = [
        GradedAnswer("good", "demo", i.id, (), i.target, i.target, True, Usage(5, 7), 0.1)
        for i in items
    ]
    await AnswerStore(service.parts.database).save_answers(graded)
    settings = service.parts.settings
    monkeypatch.setenv("COTERIE_HOME", str(settings.home))
    monkeypatch.setenv("DATABASE_URL", settings.database_url)
    folder = tmp_path / "mine"
    args = ["eval", "record", str(folder), "--task", "demo", "--texts"]
    shown = await asyncio.to_thread(CliRunner().invoke, app, args)
    assert shown.exit_code == 0, shown.exception
    assert "12 answers to 12 questions" in shown.stdout
    found = load_recording(folder, benchmark="demo")
    assert found.experts == ("good",)
    assert (found.correct == 1).all()
    assert (found.tokens == 7).all()
    assert len(found.rows("val")) == len(found.rows("test")) == 6
    assert set(found.targets) == {i.target for i in items}


# --- real answers -------------------------------------------------------------------------------


RECORDED = os.environ.get("COTERIE_RECORDED", "")


@pytest.mark.skipif(not RECORDED, reason="COTERIE_RECORDED names no folder of recorded answers")
def test_real_answers_replay(coterie: Command, tmp_path: Path) -> None:
    """On a slice of them: single strategies beat nobody by accident, and limits hold."""
    if not Path(RECORDED).is_dir():
        pytest.skip(f"COTERIE_RECORDED: there is no folder {RECORDED!r}")
    names = "Llama-3-8B-Instruct,Qwen1.5-7B-Chat,Yi-6B-Chat"
    shown = coterie(
        *("replay", "--recorded", RECORDED, "--benchmark", "mmlu-pro", "--experts", names),
        *("--strategy", "symbolic,majority,best-single", "--max-calls", "2", "--vote", "weighted"),
        *("--per-category-limit", "25", "--json"),
    )
    assert shown.exit_code == 0, shown.exception
    found = json.loads(shown.stdout)
    assert found["benchmark"] == "mmlu_pro"
    assert max(r["max_calls"] for r in found["results"]) <= 2
    assert found["oracle"] > found["best_single"]["accuracy"]
    assert all(r["mean_cost"] > 0 for r in found["results"])
