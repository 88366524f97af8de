"""Every mode gives what its formula gives, one row at a time."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from aggregator.fusion.core import fuse
from aggregator.fusion.modes import (
    Contrast,
    Dynamic,
    EmulatedFineTuning,
    LogLinear,
    Mode,
    Static,
)
from aggregator.fusion.plain import fuse_row
from coterie.errors import ConfigurationError
from tests.aggregator.fusion.batches import Batch, batch, batches, some_examples

TWO: tuple[Mode, ...] = (
    Static((0.5,)),
    Static((1.5, -0.25)),
    EmulatedFineTuning(),
    LogLinear((0.5, 0.25, 0.25)),
)


@some_examples
@given(batches(experts=st.just(2)), st.sampled_from(TWO))
def test_the_batch_is_fused_as_its_rows_are_by_the_formula(made: Batch, mode: Mode) -> None:
    fused = fuse(made.large, made.base, made.experts, mode)
    for row in range(len(made.large)):
        experts = list(made.experts[:, row])
        plain, alpha = fuse_row(made.large[row], made.base[row], experts, mode)
        assert torch.allclose(fused.logits[row].softmax(0), plain.softmax(0).float(), atol=1e-4)
        assert fused.alpha[row].tolist() == pytest.approx(alpha)


@some_examples
@given(batches(experts=st.just(1)), st.floats(0.0, 2.0), st.floats(0.0, 1.0))
def test_contrast_masks_what_its_expert_finds_implausible(
    made: Batch, beta: float, a: float
) -> None:
    fused = fuse(made.large, made.base, made.experts[:0], Contrast(beta, a))
    assert fused.alpha.shape == (len(made.large), 0)
    for row in range(len(made.large)):
        plain, _ = fuse_row(made.large[row], made.base[row], [], Contrast(beta, a))
        assert torch.allclose(fused.logits[row].softmax(0), plain.softmax(0).float(), atol=1e-3)


def test_contrast_without_plausibility_masks_nothing() -> None:
    made = batch(4)
    assert fuse(made.large, made.base, made.experts[:0], Contrast(a=0.0)).logits.isfinite().all()


def test_a_log_linear_mixture_needs_no_base() -> None:
    made = batch(5)
    without = fuse(made.large, None, made.experts, LogLinear())
    assert torch.equal(
        without.logits, fuse(made.large, made.base, made.experts, LogLinear()).logits
    )


def test_differences_need_a_base() -> None:
    made = batch(6)
    with pytest.raises(ConfigurationError, match="small base's logits"):
        fuse(made.large, None, made.experts, Dynamic())


def test_experts_that_do_not_fit_the_mode_are_refused() -> None:
    made = batch(7, experts=3)
    with pytest.raises(ConfigurationError, match="given 3"):
        fuse(made.large, made.base, made.experts, Static((1.0, 2.0)))


def test_half_precision_is_fused_in_float32() -> None:
    made = batch(8)
    fused = fuse(made.large.bfloat16(), made.base.bfloat16(), made.experts.bfloat16(), Static())
    assert fused.logits.dtype == torch.float32
