"""What the demo experts are trained on, and that the benchmark is none of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from itertools import chain, islice

import pytest

from evals.tasks import demo_numbers, demo_records, demo_sql, demo_times
from evals.tasks.demo import DemoTask
from evals.tasks.demo_grading import grade
from examples.demo_experts.generate import SKILLS, samples
from examples.demo_experts.sample import Sample

SAMPLES = 20_000


@cache
def training() -> tuple[Sample, ...]:
    share = SAMPLES // len(SKILLS)
    return tuple(chain.from_iterable(islice(samples(skill), share) for skill in SKILLS))


def templates() -> Iterator[str]:
    """Every phrasing of the benchmark."""
    yield from chain.from_iterable(demo_numbers.ARITHMETIC.values())
    yield from demo_numbers.CONVERSION
    yield from chain(demo_times.WEEKDAY, demo_times.DATE, demo_times.PLUS, demo_times.BETWEEN)
    yield from chain(
        demo_times.TO_12, demo_times.TO_24, demo_sql.SCHEMAS, demo_records.INSTRUCTIONS
    )
    yield from (question for question, _ in demo_sql.SHAPES)
    yield from chain.from_iterable(demo_records.SENTENCES.values())
    yield from chain(demo_records.CONVERT_AND_ADD, demo_records.MULTIPLY_AND_CONVERT)
    yield from (demo_records.DATE_AS_JSON, demo_records.END_AS_JSON, demo_records.TOTAL_AS_JSON)


def test_no_phrasing_of_the_benchmark_is_trained_on() -> None:
    prompts = "\0".join(sample.prompt for sample in training()).lower()
    for template in templates():
        words = re.split(r"\{\w+\}", template.lower())
        pattern = r"[^\0]{1,80}?".join(map(re.escape, words))
        longest = max(words, key=len)
        assert longest not in prompts or not re.search(pattern, prompts), template


def test_no_question_of_the_benchmark_is_trained_on() -> None:
    prompts = {sample.prompt.lower() for sample in training()}
    task = DemoTask()
    for split in ("val", "test"):
        assert not [i for i in task.items(split) if i.question.text.lower() in prompts]


def test_operands_of_the_benchmarks_arithmetic_are_held_out() -> None:
    trained = {
        tuple(map(int, re.findall(r"\d+", sample.answer)[:2]))
        for sample in islice(samples("arithmetic"), 5000)
    }
    for item in DemoTask().items("test"):
        if item.category == "arithmetic":
            a, b = map(int, re.findall(r"\d+", item.question.text))
            assert (a, b) not in trained or (b, a) not in trained, item.question.text


@pytest.mark.parametrize("skill", sorted(SKILLS))
def test_a_seed_gives_the_same_conversations(skill: str) -> None:
    assert list(islice(samples(skill, 5), 50)) == list(islice(samples(skill, 5), 50))
    assert list(islice(samples(skill, 5), 50)) != list(islice(samples(skill, 6), 50))


def test_answers_are_short() -> None:
    assert max(len(sample.answer) for sample in training()) < 160


def test_answers_of_arithmetic_are_right_at_every_step() -> None:
    for sample in islice(samples("arithmetic"), 2000):
        values = {_value(side) for side in sample.answer.split(" = ")}
        assert len(values) == 1, sample


def test_answers_of_sql_run() -> None:
    for sample in islice(samples("sql"), 500):
        found = re.search(r"FROM (\w+)", sample.answer)
        assert found
        columns = sorted(set(re.findall(r"\b[a-z]+\b", sample.answer)) - {found.group(1)})
        target = {
            "kind": "sql",
            "table": found.group(1),
            "columns": columns or ["id"],
            "rows": [[3] * len(columns or ["id"])],
            "query": sample.answer,
        }
        assert grade(target, sample.answer).correct, sample


def test_answers_of_extraction_are_literal_in_the_prompt() -> None:
    for sample in islice(samples("extraction"), 1000):
        for key, value in json.loads(sample.answer).items():
            assert key in sample.prompt
            assert str(value) in sample.prompt


def _value(expression: str) -> int:
    left, sign, right = re.match(r"(\d+)(?: ([-+*]) (\d+))?$", expression).groups()  # type: ignore[union-attr]
    a, b = int(left), int(right or 0)
    return {"+": a + b, "-": a - b, "*": a * b, None: a}[sign]
