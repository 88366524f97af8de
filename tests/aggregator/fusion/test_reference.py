"""The plain loop, with tiny models of random weights."""

from __future__ import annotations

from typing import Any

import pytest

from aggregator.fusion.modes import Contrast, Dynamic, Static
from aggregator.fusion.reference import Part, Step, decode
from tests.aggregator.fusion.tiny import model, says

PROMPT = (3, 14, 15, 9, 2)


@pytest.fixture(scope="module")
def large() -> Any:
    return model(1)


@pytest.fixture(scope="module")
def base() -> Any:
    return model(2)


@pytest.fixture(scope="module")
def expert() -> Any:
    return model(3)


def greedy(alone: Any, tokens: int) -> list[int]:
    """What a model writes by itself, without a cache."""
    ids = list(PROMPT)
    for _ in range(tokens):
        ids.append(int(says(alone, *ids).argmax()))
    return ids[len(PROMPT) :]


def said(steps: tuple[Step, ...]) -> list[int]:
    return [step.token for step in steps]


def test_an_expert_that_is_the_base_leaves_the_large_model_to_itself(large: Any, base: Any) -> None:
    small = Part(base, PROMPT)
    steps = decode(Part(large, PROMPT), small, [small], Dynamic(), tokens=8)
    assert said(steps) == greedy(large, 8)
    assert [step.alpha for step in steps] == [(0.0,)] * 8


def test_with_the_base_as_large_model_the_expert_writes(base: Any, expert: Any) -> None:
    one = Part(base, PROMPT)
    steps = decode(one, one, [Part(expert, PROMPT)], Dynamic(solver="grid"), tokens=8)
    assert said(steps) == greedy(expert, 8)
    assert [step.alpha for step in steps] == [(1.0,)] * 8


def test_examples_in_its_own_prompt_make_the_base_an_expert(large: Any, base: Any) -> None:
    shown = Part(base, (7, 8, 9, *PROMPT))
    steps = decode(Part(large, PROMPT), Part(base, PROMPT), [shown], Static((1.5,)), tokens=8)
    assert said(steps) != greedy(large, 8)


def test_writing_ends_with_a_stop_token(large: Any, base: Any) -> None:
    third = greedy(large, 3)[2]
    small = Part(base, PROMPT)
    steps = decode(Part(large, PROMPT), small, [small], Static(), tokens=8, stop={third})
    assert said(steps) == greedy(large, 8)[: greedy(large, 8).index(third) + 1]


def test_samples_are_the_same_for_the_same_seed(large: Any, base: Any, expert: Any) -> None:
    def sample(seed: int) -> list[int]:
        parts = Part(large, PROMPT), Part(base, PROMPT), [Part(expert, PROMPT)]
        return said(decode(*parts, Dynamic(), tokens=10, temperature=1.0, seed=seed))

    assert sample(1) == sample(1)
    assert len({tuple(sample(seed)) for seed in range(4)}) > 1


def test_a_padded_small_vocabulary_is_cut(large: Any) -> None:
    small = Part(model(4, vocabulary=64), PROMPT)
    steps = decode(Part(large, PROMPT), small, [small], Static(), tokens=5)
    assert said(steps) == greedy(large, 5)


def test_contrast_writes_without_experts(large: Any, base: Any) -> None:
    steps = decode(Part(large, PROMPT), Part(base, PROMPT), [], Contrast(), tokens=5)
    assert [step.alpha for step in steps] == [()] * 5
