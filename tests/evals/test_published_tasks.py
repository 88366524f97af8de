"""The published benchmarks, from made-up files in their publishers' formats."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

pytest.importorskip("pyarrow", reason="needs coterie[tasks]")

from coterie.errors import ConfigurationError
from coterie.types import Reading
from evals.tasks import TASKS, load_task, local_sizes, task_entry
from evals.tasks.options import HubFile, TaskOptions
from evals.tasks.splits import is_val
from tests.evals import task_files as files


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("benchmarks")
    for write in (files.mmlu_pro, files.gpqa, files.gsm8k, files.medmcqa, files.aime):
        write(found)
    return found


@pytest.fixture
def options(folder: Path) -> TaskOptions:
    return TaskOptions(folder=folder)


# --- every task ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(TASKS))
def test_every_task_keeps_its_promises(name: str, options: TaskOptions) -> None:
    task = load_task(name, options)
    assert task.name == name
    assert load_task(name.replace("-", "_"), options).name == name
    assert task.secret == name.startswith("gpqa")
    splits = {split: task.items(split) for split in TASKS[name].splits}
    ids = {split: {item.id for item in items} for split, items in splits.items()}
    assert all(len(ids[split]) == len(splits[split]) > 0 for split in splits)
    assert not ids["val"] & ids["test"]
    assert ids.get("all", ids["val"] | ids["test"]) == ids["val"] | ids["test"]
    for item in splits["test"]:
        assert task.items("test", 2) == splits["test"][:2]
        assert not task.grade(item, "").correct
        if name != "demo":
            assert item.about.partition("\n")[0] in item.question.text
            assert item.group
    with pytest.raises(ConfigurationError, match="no split 'nope'"):
        task.items("nope")


@pytest.mark.parametrize("name", sorted(set(TASKS) - {"demo"}))
def test_the_right_answer_is_right_and_silence_is_unparsed(name: str, options: TaskOptions) -> None:
    task = load_task(name, options)
    for item in task.items("test", 5):
        told = task.grade(item, f"I worked it out. The answer is ({item.target}).")
        assert (told.correct, told.extracted) == (True, item.target)
        assert told.reading is Reading.STATED
        nothing = task.grade(item, "I would rather not say.")
        assert (nothing.correct, nothing.extracted) == (False, None)
        assert nothing.reading is Reading.NOTHING


def test_an_unknown_task_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(ConfigurationError, match=r"did you mean 'mmlu-pro'\?.*gsm8k.*file:PATH"):
        task_entry("mmlu-por")


def test_sizes_are_told_where_files_are_at_hand(options: TaskOptions, tmp_path: Path) -> None:
    assert local_sizes("gsm8k", options) == {"val": 12, "test": 5}
    assert local_sizes("gsm8k", TaskOptions(folder=tmp_path)) == {"val": None, "test": None}
    assert local_sizes("demo", TaskOptions()) == {"val": 175, "test": 280}


# --- MMLU-Pro -----------------------------------------------------------------------------------


def test_mmlu_pro_shows_five_worked_examples_of_the_subject(options: TaskOptions) -> None:
    item = next(i for i in load_task("mmlu-pro", options).items("test") if i.category == "sums")
    text = item.question.text
    assert text.count("Let's think step by step.") == 6
    assert text.endswith("Answer: Let's think step by step.")
    assert "shown as sums 4" in text
    assert "botany" not in text
    assert "shown as" not in item.about
    assert len(item.choices) == 5  # "N/A" is no option


@pytest.mark.parametrize("shots", [0, 2])
def test_the_number_of_worked_examples_is_an_option(options: TaskOptions, shots: int) -> None:
    item = load_task(f"mmlu-pro?shots={shots}", options).items("test", 1)[0]
    assert item.question.text.count("Let's think step by step.") == shots + 1


def test_mmlu_pro_is_balanced_and_keeps_variants_in_one_split(options: TaskOptions) -> None:
    task = load_task("mmlu-pro", options)
    assert Counter(i.category for i in task.items("all", 10)) == {"botany": 5, "sums": 5}
    groups = {item.id: item.group for item in task.items("all")}
    assert groups["mmlu_pro/40"] == groups["mmlu_pro/0"] == "mmlu_pro/0"
    assert all(is_val(item.group) for item in task.items("val"))


# --- GPQA ---------------------------------------------------------------------------------------


def test_gpqa_shuffles_its_options_by_question_and_seed(options: TaskOptions) -> None:
    one = {i.id: i for i in load_task("gpqa-diamond", options).items("all")}
    same = {i.id: i for i in load_task("gpqa-extended", options).items("all")}
    other = {i.id: i for i in load_task("gpqa-diamond?seed=1", options).items("all")}
    assert all(same[id] == item for id, item in one.items())
    assert any(other[id].choices != item.choices for id, item in one.items())
    assert len({item.target for item in one.values()}) == 4
    for item in one.values():
        assert item.choices["ABCD".index(item.target)].startswith("right")


def test_no_question_is_in_one_subsets_val_and_anothers_test(options: TaskOptions) -> None:
    val = {i.id for i in load_task("gpqa-extended", options).items("val")}
    assert not val & {i.id for i in load_task("gpqa-diamond", options).items("test")}


# --- GSM8K, MedMCQA, AIME -----------------------------------------------------------------------


def test_gsm8k_shows_eight_solutions_that_are_in_no_split(options: TaskOptions) -> None:
    task = load_task("gsm8k", options)
    item = task.items("test", 1)[0]
    assert item.question.text.count("The answer is 1") == 8
    assert "<<" not in item.question.text
    assert "####" not in item.question.text
    shown = [i for i in task.items("val") if f"Problem: {i.about}\n" in item.question.text]
    assert len(task.items("val")) == 12
    assert not shown
    assert (
        "The answer is 1" not in load_task("gsm8k?shots=0", options).items("test")[0].question.text
    )


@pytest.mark.parametrize("first", [0, 1])
def test_medmcqa_counts_options_from_0_on_the_hub_and_from_1_in_its_own_files(
    first: int, tmp_path: Path
) -> None:
    path = tmp_path / "dev.parquet"
    path.write_bytes(files.parquet(files.medmcqa_rows(first)))
    items = load_task("medmcqa", TaskOptions(path=path)).items("test")
    assert {i.id: i.target for i in items}["medmcqa/m2"] == "C"
    assert {i.category for i in items} == {"Anatomy"}


def test_answers_that_are_not_published_are_said_to_be(tmp_path: Path) -> None:
    path = tmp_path / "test.parquet"
    path.write_bytes(files.parquet([{**r, "cop": -1} for r in files.medmcqa_rows(0)]))
    with pytest.raises(ConfigurationError, match="not published"):
        load_task("medmcqa", TaskOptions(path=path)).items("test")


def test_aime_takes_either_of_two_accepted_answers(options: TaskOptions) -> None:
    task = load_task("aime", options)
    item = next(i for i in task.items("val") if i.target == "80\n81")
    assert task.grade(item, "\\boxed{081}").correct
    assert task.grade(item, "\\boxed{80}").correct
    assert not task.grade(item, "\\boxed{82}").correct


# --- the hub ------------------------------------------------------------------------------------


def test_what_is_not_at_hand_is_fetched_from_the_hub() -> None:
    asked: list[HubFile] = []

    def download(file: HubFile) -> bytes:
        asked.append(file)
        if file.path.endswith(".csv"):
            return files.gpqa_csv(12).encode()
        return files.parquet(files.medmcqa_rows(0))

    options = TaskOptions(download=download)
    assert len(load_task("gpqa-main", options).items("all")) == 12
    assert len(load_task("medmcqa", options).items("test")) == 8
    assert asked == [
        HubFile("Idavidrein/gpqa", "gpqa_main.csv", secret=True),
        HubFile("openlifescienceai/medmcqa", "data/validation-00000-of-00001.parquet"),
    ]


def test_what_lies_in_the_hubs_layout_is_found(tmp_path: Path) -> None:
    place = tmp_path / "medmcqa" / "data"
    place.mkdir(parents=True)
    rows = files.parquet(files.medmcqa_rows(0))
    (place / "validation-00000-of-00001.parquet").write_bytes(rows)
    assert local_sizes("medmcqa", TaskOptions(folder=tmp_path)) == {"val": None, "test": 8}


def test_a_hub_that_cannot_be_reached_is_told_with_the_next_step(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("huggingface_hub")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.file_download.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ConfigurationError, match="set COTERIE_BENCHMARKS"):
        load_task("aime").items("test")


@pytest.mark.parametrize(
    ("name", "told"),
    [("aime", "AIME24_test.json"), ("gpqa-diamond", "gpqa_dataset.zip")],
)
def test_a_missing_file_is_told_with_where_it_was_looked_for(
    name: str, told: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationError, match=told):
        TASKS[name].make(TaskOptions(folder=tmp_path)).items("test")


def test_a_damaged_file_is_refused_without_showing_it(tmp_path: Path) -> None:
    (tmp_path / "AIME24_test.json").write_text('[{"question": "hush", oops')
    with pytest.raises(ConfigurationError) as caught:
        load_task("aime", TaskOptions(folder=tmp_path)).items("test")
    assert "hush" not in str(caught.value)


# --- the real files -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(set(TASKS) - {"demo"}))
def test_the_publishers_files_can_be_read(name: str) -> None:
    folder = os.environ.get("COTERIE_BENCHMARKS")
    if not folder:
        pytest.skip("COTERIE_BENCHMARKS names no folder of the publishers' files")
    task = load_task(name, TaskOptions(folder=Path(folder)))
    for split in TASKS[name].splits:
        items = task.items(split)
        assert items
        for item in items[:200]:
            said = item.target.split("\n")[0]
            assert task.grade(item, f"The answer is ({said}).").correct, item.id
