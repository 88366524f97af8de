"""How good the α is that a search finds."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from aggregator.fusion.core import fuse
from aggregator.fusion.modes import Dynamic
from aggregator.fusion.plain import fuse_row
from tests.aggregator.fusion.batches import (
    NOISE,
    Batch,
    batch,
    batches,
    distance,
    seeds,
    some_examples,
)


def found(made: Batch, mode: Dynamic) -> Tensor:
    return fuse(made.large, made.base, made.experts, mode).alpha.double()


@some_examples
@given(batches())
def test_the_grid_finds_what_trying_every_point_finds(made: Batch) -> None:
    alpha = found(made, Dynamic(solver="grid"))
    for row in range(len(alpha)):
        experts = [each[row] for each in made.experts]
        _, plain = fuse_row(made.large[row], made.base[row], experts, Dynamic(solver="grid"))
        best = distance(made, row, torch.tensor(plain))
        assert distance(made, row, alpha[row]) <= best * (1.0 + 1e-4) + NOISE


@some_examples
@given(batches())
def test_the_refined_search_is_never_worse_than_the_grid(made: Batch) -> None:
    refined, grid = found(made, Dynamic()), found(made, Dynamic(solver="grid"))
    for row in range(len(grid)):
        limit = distance(made, row, grid[row]) * (1.0 + 1e-4) + NOISE
        assert distance(made, row, refined[row]) <= limit


@some_examples
@given(batches(experts=st.integers(2, 3)))
def test_the_joint_search_is_never_worse_than_the_refined_one(made: Batch) -> None:
    joint, refined = found(made, Dynamic(solver="joint")), found(made, Dynamic())
    for row in range(len(joint)):
        limit = distance(made, row, refined[row]) * (1.0 + 1e-4) + NOISE + 1e-3
        assert distance(made, row, joint[row]) <= limit


@pytest.mark.parametrize("seed", range(4))
def test_the_refined_search_finds_the_optimum_of_a_very_fine_grid(seed: int) -> None:
    made = batch(seed, rows=1, size=200)
    alpha = found(made, Dynamic())[0]
    fine = Dynamic(solver="grid", step=0.001)
    _, plain = fuse_row(made.large[0], made.base[0], [made.experts[0, 0]], fine)
    assert distance(made, 0, alpha) <= distance(made, 0, torch.tensor(plain)) + 1e-5
    assert float(alpha[0]) == pytest.approx(plain[0], abs=2e-3)


@pytest.mark.parametrize("seed", range(3))
def test_the_joint_search_is_as_good_as_every_combination_of_points(seed: int) -> None:
    made = batch(seed, rows=1, size=40, experts=2)
    alpha = found(made, Dynamic(solver="joint"))[0]
    experts = list(made.experts[:, 0])
    _, plain = fuse_row(made.large[0], made.base[0], experts, Dynamic(solver="joint"))
    assert distance(made, 0, alpha) <= distance(made, 0, torch.tensor(plain)) + NOISE
    assert float(alpha.min()) >= 0.0
    assert float(alpha.sum()) <= 2.0 + 1e-6


@pytest.mark.parametrize("seed", range(4))
def test_the_leading_expert_pulls_alone_and_as_far_as_it_went_itself(seed: int) -> None:
    made = batch(seed, rows=3, size=120, experts=3)
    alpha = found(made, Dynamic(solver="leading"))
    for row in range(3):
        experts = list(made.experts[:, row])
        fine = Dynamic(solver="leading", step=0.001)
        _, plain = fuse_row(made.large[row], made.base[row], experts, fine)
        assert alpha[row].tolist() == pytest.approx(plain, abs=2e-3)
        assert int((alpha[row] > 0.0).sum()) == 1


def test_an_expert_that_says_nothing_takes_no_aim_from_the_leading_one() -> None:
    made = batch(1, rows=2, size=120)
    quiet = torch.stack([made.base, made.experts[0]])
    alone = found(made, Dynamic())[:, 0]
    led = fuse(made.large, made.base, quiet, Dynamic(solver="leading")).alpha.double()
    published = fuse(made.large, made.base, quiet, Dynamic()).alpha.double()
    assert torch.allclose(led[:, 1], alone, atol=1e-4)
    assert bool((published[:, 1] < alone - 0.01).all())


@some_examples
@given(seeds)
def test_alpha_keeps_between_its_limits(seed: int) -> None:
    made = batch(seed, experts=2, tuning=5.0)
    alpha = found(made, Dynamic(low=0.25, high=0.5, step=0.05))
    pulling = alpha[alpha > 0.0]
    assert len(pulling) == len(alpha)
    assert float(pulling.min()) >= 0.25 - 1e-6
    assert float(pulling.max()) <= 0.5 + 1e-6
