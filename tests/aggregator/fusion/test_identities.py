"""What must hold of fusion whatever the logits are."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from aggregator.fusion.core import fuse
from aggregator.fusion.modes import (
    Contrast,
    Dynamic,
    EmulatedFineTuning,
    LogLinear,
    Mode,
    Static,
)
from aggregator.fusion.plain import divergence, shifted
from tests.aggregator.fusion.batches import Batch, batch, batches, peaked, seeds, some_examples

JOINT = Dynamic(solver="joint")
DYNAMIC: tuple[Mode, ...] = (Dynamic(), Dynamic(solver="grid"), Dynamic(solver="leading"))
ADDED: tuple[Mode, ...] = (*DYNAMIC, Static(), Static((0.3,)), EmulatedFineTuning())
some = st.sampled_from


def apart(one: Tensor, other: Tensor) -> float:
    """The largest total variation between two batches of logits."""
    return float((one.softmax(1) - other.softmax(1)).abs().sum(1).max()) / 2.0


@some_examples
@given(batches(experts=st.just(1)), some((*ADDED, JOINT)))
def test_an_expert_that_is_the_small_base_changes_nothing(made: Batch, mode: Mode) -> None:
    fused = fuse(made.large, made.base, made.base[None], mode)
    assert torch.equal(fused.logits, made.large)


@some_examples
@given(batches(experts=st.just(1)), some((Static(), EmulatedFineTuning())))
def test_with_the_small_base_as_large_model_the_expert_speaks(made: Batch, mode: Mode) -> None:
    fused = fuse(made.base, made.base, made.experts, mode)
    assert torch.allclose(fused.logits, made.experts[0], atol=1e-4)


@some_examples
@given(seeds, some(("refined", "joint")))
def test_with_the_small_base_as_large_model_alpha_is_found_to_be_1(seed: int, solver: str) -> None:
    made = peaked(seed)
    fused = fuse(made.base, made.base, made.experts, Dynamic(solver=solver))  # type: ignore[arg-type]
    assert apart(fused.logits, made.experts[0]) < 2e-3
    assert torch.allclose(fused.alpha, torch.ones(3, 1), atol=1e-2)


@some_examples
@given(batches(experts=st.just(1)))
def test_both_divergences_rise_with_alpha(made: Batch) -> None:
    large, base, expert = made.large[0].double(), made.base[0].double(), made.experts[0, 0].double()
    fused = [shifted(large, base, [expert], [0.1 * step]) for step in range(21)]
    for one, following in pairwise(fused):
        assert divergence(following, large) >= divergence(one, large) - 1e-9
        assert divergence(large, following) >= divergence(large, one) - 1e-9


@some_examples
@given(seeds, st.permutations(range(3)), some((*DYNAMIC, JOINT)))
def test_permuting_experts_permutes_alpha(seed: int, order: list[int], mode: Mode) -> None:
    made = batch(seed, experts=3, size=80)
    straight = fuse(made.large, made.base, made.experts, mode)
    permuted = fuse(made.large, made.base, made.experts[order], mode)
    assert torch.allclose(permuted.alpha, straight.alpha[:, order], atol=1e-3)
    assert apart(permuted.logits, straight.logits) < 1e-3


@some_examples
@given(batches(), some(ADDED))
def test_a_row_is_fused_alike_whatever_rows_are_beside_it(made: Batch, mode: Mode) -> None:
    assert_alike_alone(made, mode)


@some_examples
@given(seeds)
def test_a_row_is_fused_jointly_alike_whatever_rows_are_beside_it(seed: int) -> None:
    # Wild experts leave a joint search so many ways that rounding decides between them.
    assert_alike_alone(batch(seed, rows=3, experts=2), JOINT)


def assert_alike_alone(made: Batch, mode: Mode) -> None:
    together = fuse(made.large, made.base, made.experts, mode)
    for row in range(len(made.large)):
        here = slice(row, row + 1)
        alone = fuse(made.large[here], made.base[here], made.experts[:, here], mode)
        assert apart(alone.logits, together.logits[here]) < 1e-3


@some_examples
@given(batches(), some(ADDED), st.floats(-300.0, 300.0))
def test_a_constant_added_to_a_models_logits_changes_nothing(
    made: Batch, mode: Mode, constant: float
) -> None:
    plain = fuse(made.large, made.base, made.experts, mode)
    moved = fuse(made.large + constant, made.base - constant, made.experts + 2.0 * constant, mode)
    assert apart(plain.logits, moved.logits) < 5e-2  # what float32 loses so far from 0
    assert moved.logits.isfinite().all()


@some_examples
@given(batches(experts=st.just(1)))
def test_what_is_given_is_not_written_to(made: Batch) -> None:
    copies = made.large.clone(), made.base.clone(), made.experts.clone()
    fuse(made.large, made.base, made.experts, Dynamic())
    assert torch.equal(made.large, copies[0])
    assert torch.equal(made.base, copies[1])
    assert torch.equal(made.experts, copies[2])


@pytest.mark.parametrize("mode", [*ADDED, JOINT])
def test_the_large_models_own_logits_may_be_written_over(mode: Mode) -> None:
    made = batch(5, rows=3)
    wanted = fuse(made.large, made.base, made.experts, mode).logits
    given_back = fuse(made.large, made.base, made.experts, mode, out=made.large)
    assert given_back.logits is made.large
    assert torch.equal(made.large, wanted)


@pytest.mark.parametrize("mode", [*ADDED, JOINT, LogLinear(), Contrast()])
def test_no_rows_are_fused_to_no_rows(mode: Mode) -> None:
    experts = 0 if isinstance(mode, Contrast) else 1
    none = torch.empty(0, 50)
    fused = fuse(none, none, torch.empty(experts, 0, 50), mode)
    assert fused.logits.shape == (0, 50)
    assert fused.alpha.shape == (0, experts)
