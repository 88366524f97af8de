"""Recorded answers become graded answers, without a server."""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from coterie.db import Database
from coterie.errors import ConfigurationError, CoterieError, DuplicateSnapshot, UnknownExpert
from coterie.types import Expert, ExpertKind, ExpertSource, Reading, Usage
from evals.recorded import Recording, load_recording
from orchestrator import recordings
from orchestrator.cli.commands import app
from orchestrator.importing import ImportPlan, run_import
from orchestrator.recorded_experts import NOWHERE, expert_called, expert_name, newcomers
from orchestrator.settings import Settings
from skills.answer_store import AnswerStore
from skills.expert_store import ExpertStore
from skills.experts import Registry
from skills.snapshot import unpack
from skills.snapshot_store import SnapshotStore

NAN = math.nan


def recording(benchmark: str = "quiz", models: Sequence[str] = ("Big-7B", "small")) -> Recording:
    """Three questions, the last one of another split; the second model was not asked the second."""
    e = len(models)
    cells = (3, e)
    correct = np.ones(cells, dtype=np.float32)
    correct[1, -1] = NAN
    answers = np.full(cells, "B")
    answers[1] = ""
    readings = np.full(cells, 2, dtype=np.int8)
    readings[1] = 0
    return Recording(
        benchmark=benchmark,
        experts=tuple(models),
        items=("q1", "q2", "q3"),
        texts=("first question", "second question", "third question"),
        choices=(("this", "that"), (), ("this", "that")),
        targets=("B", "42", "A"),
        categories=("law", "", "law"),
        groups=("g1", "q2", "g1"),
        splits=np.array(["val", "val", "test"]),
        folds=np.zeros(3, dtype=np.int16),
        answers=answers,
        correct=correct,
        readings=readings,
        tokens=np.full(cells, 12, dtype=np.float32),
        prompt_tokens=np.full(cells, NAN, dtype=np.float32),
        latency_s=np.full(cells, NAN, dtype=np.float32),
        parameters=dict.fromkeys(models, (7.0, None)),
    )


@dataclass
class Letters:
    """An encoder without weights that remembers what it encoded."""

    encoded: list[str] = field(default_factory=list)

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.encoded += [t for t in texts if t.endswith(" question")]
        rows = np.array([[t.lower().count(chr(97 + i)) + 0.1 for i in range(26)] for t in texts])
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


@pytest.fixture
def settings(tmp_path: Path, sqlite_url: str) -> Settings:
    config = tmp_path / "none.yaml"
    return Settings.load(
        {"COTERIE_HOME": str(tmp_path), "COTERIE_CONFIG": str(config), "DATABASE_URL": sqlite_url}
    )


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[Database]:
    opened = Database(settings.database_url)
    yield opened
    await opened.close()


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A folder whose two recordings are made by hand."""
    made = {"quiz": recording(), "exam": recording("exam", ["small", "third"])}

    def load(folder: Path, *, benchmark: str, experts: Any = None) -> Recording:
        if benchmark not in made:
            raise ConfigurationError(f"no benchmark {benchmark!r}")
        return made[benchmark]

    monkeypatch.setattr(recordings, "load_recording", load)
    monkeypatch.setattr(recordings, "benchmarks_in", lambda folder: tuple(sorted(made)))
    return tmp_path


async def register(database: Database, *names: str) -> None:
    registry = Registry(ExpertStore(database))
    for name in names:
        await registry.add(Expert(name, ExpertKind.OPENAI, name, endpoint="http://127.0.0.1:9"))


class TestImport:
    async def test_answers_of_the_split_are_graded_answers(
        self, settings: Settings, database: Database, folder: Path
    ) -> None:
        await register(database, "big-7b", "small")
        done = await run_import(settings, ImportPlan(folder, ("quiz",)), encoder=Letters())
        assert (done.questions, done.answers, done.registered) == (2, 3, ())
        store = AnswerStore(database)
        first, second = await store.answers("big-7b")
        assert (first.task, first.item, first.extracted, first.correct) == ("quiz", "q1", "B", True)
        assert (first.reading, first.usage, first.latency_s) == (Reading.NAMED, Usage(0, 12), 0.0)
        assert (second.extracted, second.reading) == (None, Reading.NOTHING)
        assert [a.item for a in await store.answers("small")] == ["q1"]
        q1, _ = await store.questions("quiz")
        assert (q1.text, q1.category, q1.target) == ("first question", "law", "B")
        assert (q1.options, q1.choices, q1.group) == (2, ("this", "that"), "g1")
        assert q1.encoder == settings.embedding_model

    async def test_items_are_kept_under_the_ids_their_task_gives_them(
        self,
        settings: Settings,
        database: Database,
        folder: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        ids = tuple(f"gsm8k/gsm8k-main-test-#{i}" for i in range(3))
        made = replace(recording("gsm8k"), items=ids)
        monkeypatch.setattr(recordings, "load_recording", lambda folder, **_: made)
        await register(database, "big-7b", "small")
        encoder = Letters()
        for _ in range(2):
            await run_import(settings, ImportPlan(folder, ("gsm8k",)), encoder=encoder)
        store = AnswerStore(database)
        assert await store.answered_items("big-7b", "gsm8k") == {"gsm8k/test/0", "gsm8k/test/1"}
        assert [q.item for q in await store.questions("gsm8k")] == ["gsm8k/test/0", "gsm8k/test/1"]
        assert len(encoder.encoded) == 2, "what is kept is found again"

    async def test_it_makes_a_snapshot_of_everything(
        self, settings: Settings, database: Database, folder: Path
    ) -> None:
        await register(database, "big-7b", "small")
        plan = ImportPlan(folder, ("quiz",), name="recorded")
        done = await run_import(settings, plan, encoder=Letters())
        assert done.snapshot.name == "recorded"
        assert done.snapshot.note == "imported quiz (val) of 2 experts"
        store = SnapshotStore(database)
        assert await store.active() == "recorded"
        found = unpack("recorded", await store.body("recorded"))
        assert found.memory is not None
        assert found.memory.items == ("quiz/q1", "quiz/q2")
        np.testing.assert_array_equal(found.memory.correct, [[1, 1], [1, NAN]])

    async def test_again_it_embeds_nothing_and_counts_nothing_twice(
        self, settings: Settings, database: Database, folder: Path
    ) -> None:
        await register(database, "big-7b", "small", "third")
        await run_import(settings, ImportPlan(folder, ("quiz",)), encoder=Letters())
        encoder = Letters()
        done = await run_import(settings, ImportPlan(folder, name="all"), encoder=encoder)
        assert encoder.encoded == ["first question", "second question"]  # the exam's
        assert (done.questions, done.answers) == (4, 6)
        assert done.snapshot.answers == 6

    async def test_models_are_picked(
        self, settings: Settings, database: Database, folder: Path
    ) -> None:
        await register(database, "third")
        done = await run_import(settings, ImportPlan(folder, experts=("third",)), encoder=Letters())
        assert (done.answers, done.snapshot.note) == (1, "imported exam (val) of 1 experts")

    async def test_unknown_models_become_disabled_experts_if_told(
        self, settings: Settings, database: Database, folder: Path
    ) -> None:
        await register(database, "small")
        plan = ImportPlan(folder, ("quiz",), register=True)
        done = await run_import(settings, plan, encoder=Letters())
        assert done.registered == ("big-7b",)
        added = await ExpertStore(database).get("big-7b")
        assert (added.model, added.endpoint, added.enabled) == ("Big-7B", NOWHERE, False)
        assert (added.total_params_b, added.active_params_b) == (7.0, None)
        assert added.source is ExpertSource.MANAGED
        again = await run_import(settings, replace(plan, name="again"), encoder=Letters())
        assert again.registered == ()


class TestRefusal:
    @pytest.mark.parametrize(
        ("changes", "error", "told"),
        [
            ({}, UnknownExpert, "'third'; registered are 'big-7b', 'small'.*--register"),
            ({"experts": ("nobody",)}, ConfigurationError, "'nobody'.*'Big-7B', 'small', 'third'"),
            ({"benchmarks": ("x",)}, ConfigurationError, "'x'"),
            ({"split": "dev"}, ConfigurationError, "split 'dev'; it has 'test', 'val'"),
            ({"benchmarks": ("quiz",), "name": "taken"}, DuplicateSnapshot, "'taken'"),
        ],
    )
    async def test_what_is_unknown_is_told_before_anything_is_kept(
        self,
        settings: Settings,
        database: Database,
        folder: Path,
        changes: dict[str, Any],
        error: type[CoterieError],
        told: str,
    ) -> None:
        await register(database, "big-7b", "small")
        plan = ImportPlan(folder, ("quiz",), name="taken")
        first = await run_import(settings, plan, encoder=Letters())
        with pytest.raises(error, match=told):
            await run_import(settings, ImportPlan(folder, **changes), encoder=Letters())
        assert len(await AnswerStore(database).answers()) == first.answers
        assert len(await SnapshotStore(database).list()) == 1

    async def test_two_models_that_would_be_one_expert_are_told(
        self, settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        twins = recording(models=["Big 7B", "big-7b"])
        monkeypatch.setattr(recordings, "load_recording", lambda folder, **_: twins)
        plan = ImportPlan(Path(), ("quiz",), register=True)
        with pytest.raises(UnknownExpert, match="'Big 7B', 'big-7b' would both be expert"):
            await run_import(settings, plan, encoder=Letters())
        assert await ExpertStore(database).list() == ()


class TestNames:
    ORG = Expert("llama", ExpertKind.VLLM, "meta/Llama-3.1-8B")
    PLAIN = Expert("mistral", ExpertKind.OPENAI, "x")

    @pytest.mark.parametrize(
        ("model", "found"),
        [
            ("llama-3.1-8b", "llama"),
            ("Llama-3.1-8B", "llama"),
            ("Mistral", "mistral"),
            ("meta", None),
            ("x", "mistral"),
        ],
    )
    def test_a_model_is_found_by_name_or_by_the_end_of_its_model(
        self, model: str, found: str | None
    ) -> None:
        expert = expert_called(model, [self.ORG, self.PLAIN])
        assert (expert and expert.name) == found

    def test_the_name_comes_first(self) -> None:
        named = Expert("llama-3.1-8b", ExpertKind.OPENAI, "y")
        assert expert_called("Llama-3.1-8B", [self.ORG, named]) == named

    def test_a_new_experts_name_is_one_the_registry_takes(self) -> None:
        assert expert_name("Qwen/QwQ 32B (Preview)") == "qwen-qwq-32b-preview"
        [added] = newcomers([recording(models=["QwQ 32B"])], [])
        assert (added.name, added.model) == ("qwq-32b", "QwQ 32B")


def test_a_real_folder_is_imported_by_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sqlite_url: str
) -> None:
    """Files, command line, database and encoder as they are."""
    pa = pytest.importorskip("pyarrow", reason="needs coterie[replay]")
    pq = pytest.importorskip("pyarrow.parquet")
    pytest.importorskip("sentence_transformers", reason="needs coterie[embed]")
    recorded = tmp_path / "recorded"
    recorded.mkdir()
    question = {"benchmark": "quiz", "category": "sql", "answer": "B", "split": "val"}
    questions = [{**question, "qid": f"q{n}", "question": f"Count {n} rows."} for n in range(3)]
    answer = {"model": "Big-7B", "pred": "B", "correct": True, "setting": "cot"}
    answers = [{**answer, "qid": f"q{n}"} for n in range(3)]
    pq.write_table(pa.Table.from_pylist(questions), recorded / "questions.parquet")
    pq.write_table(pa.Table.from_pylist(answers), recorded / "responses.parquet")
    (recorded / "models.csv").write_text("model,total_params_b,active_params_b\nBig-7B,7,7\n")
    monkeypatch.delenv("COTERIE_RECORDED", raising=False)
    monkeypatch.setenv("COTERIE_HOME", str(tmp_path))
    monkeypatch.setenv("COTERIE_CONFIG", str(tmp_path / "none.yaml"))
    monkeypatch.setenv("DATABASE_URL", sqlite_url)
    args = ["skills", "import", "--recorded", str(recorded), "--register", "--name", "all"]
    done = CliRunner().invoke(app, args)
    assert done.exit_code == 0, done.output
    assert "registered, disabled: big-7b" in done.output
    assert "3 graded answers to 3 questions; snapshot all rests on 3 and is active" in done.output


async def test_real_recordings_are_imported_whole(settings: Settings, database: Database) -> None:
    recorded = Path(os.environ.get("COTERIE_RECORDED") or "no such folder")
    if not recorded.is_dir():
        pytest.skip("COTERIE_RECORDED names no folder of recorded answers")
    pytest.importorskip("pyarrow", reason="needs coterie[replay]")
    found = load_recording(recorded, benchmark="gsm8k")
    rows = found.rows("val")
    plan = ImportPlan(recorded, ("gsm8k",), register=True)
    done = await run_import(settings, plan, encoder=Letters())
    assert done.questions == len(rows)
    assert done.answers == int((~np.isnan(found.correct[rows])).sum())
    knowledge = unpack("", await SnapshotStore(database).body(done.snapshot.name))
    assert knowledge.memory is not None
    kept = knowledge.memory.of_experts([expert_name(name) for name in found.experts])
    order = np.argsort([found.items[row] for row in rows])
    np.testing.assert_array_equal(kept.correct, found.correct[rows][order])
    np.testing.assert_array_equal(kept.readings, found.readings[rows][order])


def test_without_a_benchmark_a_folder_that_is_none_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        asyncio.run(
            run_import(Settings.load({"COTERIE_HOME": str(tmp_path)}), ImportPlan(tmp_path))
        )
