"""Masked tokens, padded vocabularies, and logits that are no numbers."""

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
from tests.aggregator.fusion.batches import (
    NOISE,
    Batch,
    batch,
    batches,
    distance,
    seeds,
    some_examples,
)

PULLING: tuple[Mode, ...] = (
    Dynamic(),
    Dynamic(solver="grid"),
    Dynamic(solver="joint"),
    Dynamic(solver="leading"),
    Static(),
    EmulatedFineTuning(),
)
modes = st.sampled_from(PULLING)
LOWEST = float(torch.finfo(torch.float32).min)


def masked(made: Batch, seed: int, share: float) -> torch.Tensor:
    """Tokens that a mask on the large model's logits excludes; one a row is always left."""
    draw = torch.Generator().manual_seed(seed)
    out = torch.rand(made.large.shape, generator=draw) < share
    out[:, 0] = False
    return out


@some_examples
@given(batches(), modes, seeds, st.floats(0.0, 1.0), st.sampled_from((-torch.inf, LOWEST)))
def test_a_token_that_a_mask_excludes_stays_excluded(
    made: Batch, mode: Mode, seed: int, share: float, mask: float
) -> None:
    out = masked(made, seed, share)
    fused = fuse(made.large.masked_fill(out, mask), made.base, made.experts, mode)
    assert (fused.logits[out] == -torch.inf).all()
    assert fused.logits[~out].isfinite().all()
    assert fused.alpha.isfinite().all()


@some_examples
@given(batches(experts=st.integers(1, 2)), modes, seeds)
def test_a_masked_token_is_as_one_that_is_not_there(made: Batch, mode: Mode, seed: int) -> None:
    out = masked(made, seed, 0.5)
    fused = fuse(made.large.masked_fill(out, -torch.inf), made.base, made.experts, mode)
    for row, hidden in enumerate(out):
        left = ~hidden
        here = slice(row, row + 1)
        few = Batch(made.large[here, left], made.base[here, left], made.experts[:, here, left])
        alone = fuse(few.large, few.base, few.experts, mode)
        whole = fused.logits[row, left].softmax(0)
        if not torch.allclose(whole, alone.logits[0].softmax(0), atol=2e-3):
            # Rounding may decide between two α, or two experts, that are equally good.
            assert isinstance(mode, Dynamic)
            one, other = (distance(few, 0, a) for a in (fused.alpha[row], alone.alpha[0]))
            assert abs(one - other) < NOISE


@some_examples
@given(batches(), modes, st.sampled_from((-torch.inf, torch.inf, torch.nan, LOWEST)))
def test_a_token_that_a_small_model_has_no_number_for_is_excluded(
    made: Batch, mode: Mode, odd: float
) -> None:
    for part in (made.base, made.experts[-1]):
        kept = part[0, 1].item()
        part[0, 1] = odd
        fused = fuse(made.large, made.base, made.experts, mode)
        part[0, 1] = kept
        if odd in {-torch.inf, LOWEST}:
            assert fused.logits[0, 1] == -torch.inf
            assert fused.logits[0].isfinite().sum() == made.large.shape[1] - 1
        assert not fused.logits.isnan().any()
        assert not (fused.logits == torch.inf).any()
        assert fused.alpha.isfinite().all()


@pytest.mark.parametrize("mode", PULLING)
def test_a_row_without_any_token_left_stays_the_large_models(mode: Mode) -> None:
    made = batch(1, rows=3)
    made.experts[0, 1] = torch.nan
    fused = fuse(made.large, made.base, made.experts, mode)
    assert torch.equal(fused.logits[1], made.large[1])
    assert fused.logits.isfinite().all()


@some_examples
@given(batches(), modes, st.integers(0, 7), st.integers(0, 7), st.integers(0, 7))
def test_padding_of_a_vocabulary_is_excluded_and_changes_nothing(
    made: Batch, mode: Mode, large: int, base: int, experts: int
) -> None:
    def padded(logits: torch.Tensor, by: int) -> torch.Tensor:
        return torch.cat((logits, torch.full((*logits.shape[:-1], by), 50.0)), dim=-1)

    size = made.large.shape[1]
    shared = size + min(large, base, experts)
    plain = fuse(
        padded(made.large, shared - size),
        padded(made.base, shared - size),
        padded(made.experts, shared - size),
        mode,
    )
    fused = fuse(
        padded(made.large, large), padded(made.base, base), padded(made.experts, experts), mode
    )
    assert fused.logits.shape == (len(made.large), size + large)
    assert torch.allclose(fused.logits[:, :shared], plain.logits, atol=1e-4)
    assert (fused.logits[:, shared:] == -torch.inf).all()


@some_examples
@given(seeds, modes, st.floats(1e2, 5e2))
def test_large_magnitudes_are_survived(seed: int, mode: Mode, scale: float) -> None:
    made = batch(seed, scale=scale, tuning=scale, experts=2)
    fused = fuse(made.large, made.base, made.experts, mode)
    assert fused.logits.isfinite().all()
    assert fused.alpha.isfinite().all()


@pytest.mark.parametrize("mode", [LogLinear((0.4, 0.3, 0.3)), Contrast()])
def test_mixtures_and_contrast_keep_masks_too(mode: Mode) -> None:
    made = batch(2, rows=2, size=30, experts=2)
    out = masked(made, 2, 0.4)
    experts = made.experts[:0] if isinstance(mode, Contrast) else made.experts
    fused = fuse(made.large.masked_fill(out, -torch.inf), made.base, experts, mode)
    assert (fused.logits[out] == -torch.inf).all()
    assert not fused.logits.isnan().any()
