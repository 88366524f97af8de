"""How widely experts differ is learned, and what goes together."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_array

from skills.difficulty import Answers, Fit, most_probable
from skills.profile import Shrinkage
from skills.spread import Precision, fit, main_axis

Array = NDArray[np.float64]


def asked(bent: Array, each: int, seed: int = 0) -> Answers:
    """``each`` questions of every skill, answered by experts of level 0 with ``bent``, (s, e)."""
    rng = np.random.default_rng(seed)
    skill = np.repeat(np.arange(len(bent)), each)
    chance = 1 / (1 + np.exp(rng.normal(0, 1.5, len(skill))[:, None] - bent[skill]))
    right = (rng.random(chance.shape) < chance).astype(float)
    shares = csr_array((np.ones(len(skill)), (np.arange(len(skill)), skill)))
    return Answers(right, shares)


def random_bent(spread: float, shape: tuple[int, int] = (12, 10)) -> Array:
    return np.random.default_rng(9).normal(0, spread, shape)


@pytest.mark.parametrize("spread", [0.3, 0.8, 1.5])
def test_the_spread_of_abilities_is_found(spread: float) -> None:
    found = fit(asked(random_bent(spread), 60), Shrinkage())
    assert found.shrinkage.skill == pytest.approx(spread, rel=0.25, abs=0.05)


def test_thin_data_leaves_the_spread_where_it_was() -> None:
    found = fit(asked(random_bent(0.0, (3, 2)), 1), Shrinkage(skill=0.7))
    assert found.shrinkage.skill == pytest.approx(0.7, rel=0.15)


def test_without_end_of_trust_nothing_is_learned() -> None:
    given = Shrinkage(trust=math.inf)
    found = fit(asked(random_bent(1.5), 20), given)
    assert found.shrinkage == given
    assert not found.axis.any()


def test_skills_that_go_together_are_found() -> None:
    rng = np.random.default_rng(4)
    axis = np.array([1.0] * 6 + [-1.0] * 6)
    found = fit(asked(np.outer(axis, rng.normal(0, 0.8, 12)), 25), Shrinkage())
    assert abs(np.corrcoef(found.axis, axis)[0, 1]) > 0.9
    assert found.shrinkage.skill < 0.35


def test_what_goes_together_helps_where_nothing_was_asked() -> None:
    rng = np.random.default_rng(5)
    lean = np.array([1.2, *rng.normal(0, 0.8, 11)])
    bent = np.outer([1.0] * 6 + [-1.0] * 6, lean)
    answers = asked(bent, 25)
    answers.weight[answers.skill == 0, 0] = 0  # the first expert was never asked of the first skill
    found = fit(answers, Shrinkage())
    assert found.bent[0, 0] > 0.5


def test_noise_has_no_axis() -> None:
    lengths = [np.linalg.norm(main_axis(random_bent(1.0, (s, 10)))) for s in (5, 12, 40)]
    assert max(lengths) < 0.5
    assert not main_axis(random_bent(1.0, (2, 10))).any()
    assert not main_axis(random_bent(1.0, (10, 2))).any()


def test_the_maximum_does_not_depend_on_where_the_search_starts() -> None:
    answers = asked(random_bent(0.8), 10)
    rng, start = np.random.default_rng(6), Fit.start(answers, Shrinkage())
    elsewhere = replace(
        start, level=rng.normal(0, 2, 10), deviation=rng.normal(0, 2, len(start.deviation))
    )
    one, other = most_probable(answers, start), most_probable(answers, elsewhere)
    np.testing.assert_allclose(one.chances(answers), other.chances(answers), atol=1e-4)


def test_the_fitted_successes_are_the_shrunken_ones() -> None:
    """The condition every maximum meets: what is missing to the right answers is the pull."""
    answers = asked(random_bent(0.8), 30)
    found = most_probable(answers, Fit.start(answers, Shrinkage()))
    right = answers.by_skill @ (answers.weight * (answers.sign < 0))
    expected = answers.by_skill @ (answers.weight * found.chances(answers))
    np.testing.assert_allclose(right - expected, found.gap / 0.7**2, atol=1e-3)


def test_a_sum_of_one_ability_varies_as_that_ability() -> None:
    answers = asked(random_bent(0.8), 10)
    precision = Precision.of(fit(answers, Shrinkage()), answers)
    for skill in range(12):
        slope = np.zeros((12, 10))
        slope[skill] = 2.0
        np.testing.assert_allclose(precision.of_sum(slope), 4 * precision.ability[skill])
