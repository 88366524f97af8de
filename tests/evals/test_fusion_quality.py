"""What fusion's quality is measured with: the gap closed, and questions unlike the training's."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain, combinations
from pathlib import Path

import pytest

from benchmarks.fusion import dockets, tracks
from benchmarks.fusion.arms import block
from benchmarks.fusion.gap import gap_closed
from benchmarks.fusion.splits import Split
from benchmarks.fusion.tasks import TASKS, questions, right
from examples.demo_experts.sample import Sample

SPLITS: tuple[Split, ...] = ("train", "val", "test")

TRAINED = 3000
"""More than any plan draws."""

LARGE = [False] * 90 + [True] * 10
TUNED = [False] * 20 + [True] * 80


def templates(task: str, split: Split) -> Iterator[str]:
    """Every phrasing of one split."""
    if task == "dockets":
        yield from chain(dockets.ASKED[split], dockets.OPENINGS[split])
        yield from chain.from_iterable(dockets.WANTED[split].values())
        yield from filter(None, chain.from_iterable(dockets.WISHES[split].values()))
    else:
        yield from chain(tracks.ASKED[split], tracks.JOINED[split], tracks.SWAPPED[split])
        yield from chain.from_iterable(tracks.ACTIONS[split].values())


@pytest.mark.parametrize("task", TASKS)
def test_no_phrasing_of_one_split_occurs_in_another(task: str) -> None:
    prompts = {split: [s.prompt.lower() for s in drawn(task, split)] for split in SPLITS}
    for split, other in ((a, b) for a in SPLITS for b in SPLITS if a != b):
        asked = "\0".join(prompts[other])
        for template in templates(task, split):
            words = re.split(r"\{\w+\}", template.lower())
            if max(map(len, words)) > 3:  # "{first}, {second}" and the like are punctuation
                pattern = r"[^\0]{1,40}?".join(map(re.escape, words))
                assert not re.search(pattern, asked), (template, split, other)


@pytest.mark.parametrize("task", TASKS)
def test_no_question_and_no_answer_of_one_split_occurs_in_another(task: str) -> None:
    asked = {split: {s.prompt for s in drawn(task, split)} for split in SPLITS}
    answered = {split: {s.answer for s in drawn(task, split)} for split in SPLITS}
    for one, other in combinations(SPLITS, 2):
        assert not asked[one] & asked[other]
        assert not answered[one] & answered[other]


def test_names_and_things_of_the_test_are_not_trained_on() -> None:
    for words in (dockets.FIRST, dockets.LAST, tracks.THINGS):
        assert not set(words["train"]) & {*words["val"], *words["test"]}


def test_the_same_questions_come_again() -> None:
    for task in TASKS:
        assert questions(task, "test", 20) == questions(task, "test", 30)[:20]


def test_an_answer_is_right_word_for_word() -> None:
    sample = Sample("", ">3 L ^crate")
    assert right(sample, ">3 L ^crate")
    assert right(sample, "\n >3 L  ^crate \nand so on")
    for said in (">3 L", ">3 L ^crate v", "The track is >3 L ^crate", ""):
        assert not right(sample, said)


def test_the_gap_closed_is_the_share_of_what_tuning_gains() -> None:
    fused = [False] * 55 + [True] * 45
    gap = gap_closed(fused, LARGE, TUNED)
    assert gap.closed == pytest.approx(0.5)
    assert gap.low < 0.5 < gap.high
    assert gap == gap_closed(fused, LARGE, TUNED)


def test_the_tuned_model_closes_all_of_the_gap_and_the_large_one_none() -> None:
    for fused, closed in ((TUNED, 1.0), (LARGE, 0.0)):
        gap = gap_closed(fused, LARGE, TUNED)
        assert (gap.closed, gap.low, gap.high) == (closed, closed, closed)


def test_a_gap_that_is_none_and_other_questions_are_refused() -> None:
    with pytest.raises(ValueError, match="no gap"):
        gap_closed(TUNED, TUNED, TUNED)
    with pytest.raises(ValueError, match="not the same questions"):
        gap_closed(TUNED[1:], LARGE, TUNED)


def test_the_engines_block_is_one_it_takes(tmp_path: Path) -> None:
    from aggregator.fusion.configuration import FusionConfiguration

    read = FusionConfiguration.of(block("/models/small", tmp_path, TASKS))
    assert set(read.fusions["all-dynamic-joint"].experts) == set(TASKS)


def drawn(task: str, split: Split) -> list[Sample]:
    return questions(task, split, TRAINED if split == "train" else 400)
