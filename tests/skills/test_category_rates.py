"""How experts do on what is sorted into each category."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from skills.category_rates import GENERAL, CategoryRates, category_rates
from skills.classifier import entropies, fit_classifier
from skills.memory import Memory

Memories = Callable[..., Memory]


def rates(memory: Memory) -> CategoryRates:
    fitted = fit_classifier(memory)
    assert fitted is not None
    return category_rates(fitted, memory, np.nanmean(memory.correct, axis=0).astype(float))


def test_each_category_has_its_best_expert(make_memory: Memories) -> None:
    found = rates(make_memory(questions=300))
    assert found.categories == ("category-0", "category-1", "category-2", GENERAL)
    assert found.value[:3].argmax(axis=1).tolist() == [0, 1, 2]
    assert found.share.sum() == pytest.approx(1)
    assert (found.share > 0).all()


def test_a_category_without_answers_has_the_overall_rates(make_memory: Memories) -> None:
    memory = make_memory(questions=300, noise=0.1)
    found = rates(memory)
    if np.isinf(found.threshold):
        assert found.value[3] == pytest.approx(np.nanmean(memory.correct, axis=0), abs=1e-6)


def test_nobody_is_general_where_it_gains_nothing(make_memory: Memories) -> None:
    memory = make_memory(questions=300)
    one_is_best_at_all = memory.correct.copy()
    one_is_best_at_all[:, 0] = 1
    assert np.isinf(rates(replace(memory, correct=one_is_best_at_all)).threshold)


def test_what_is_uncertain_is_general_where_another_expert_is_better(
    make_memory: Memories,
) -> None:
    memory = make_memory(("a", "b", "c", "d"), 400, noise=0.6)
    fitted = fit_classifier(memory)
    assert fitted is not None
    unsure = entropies(fitted.held_out)
    blurred = unsure > np.quantile(unsure, 0.8)
    correct = np.where(blurred[:, None], [[0.0, 0, 0, 1]], [[1.0, 1, 1, 0]]).astype(np.float32)
    found = category_rates(fitted, replace(memory, correct=correct), np.full(4, 0.5))
    assert found.threshold == pytest.approx(np.quantile(unsure, 0.8))
    assert found.value.argmax(axis=1)[3] == 3
    assert found.share[3] == pytest.approx(0.2, abs=0.01)


def test_answers_that_are_longer_in_a_category_cost_more_there(make_memory: Memories) -> None:
    memory = make_memory(questions=300, noise=0.1)
    long = np.array([c == "category-1" for c in memory.categories])
    tokens = np.where(long[:, None], [[300.0, 100, np.nan]], [[100.0, 100, np.nan]])
    found = rates(replace(memory, tokens=tokens.astype(np.float32)))
    assert found.length[1, 0] > 1.5 > 1 > found.length[0, 0] > 0.5
    assert found.length[:, 1] == pytest.approx(np.ones(4))
    assert found.length[:, 2] == pytest.approx(np.ones(4))
