"""Whether a model answers through the slots as it does by itself.

Slots lean on how transformers' models use their caches.  A model that does it another way (a state
in place of keys and values, positions counted by itself) would be fused wrongly without a word, so
each is asked once, before the engine is up: a few made-up tokens read at once by the model alone,
and by two rows in pieces through the slots.
"""

from __future__ import annotations

import torch
from torch import Tensor

from aggregator.fusion.backbone import Backbone, Variant
from aggregator.fusion.feeds import Feed
from aggregator.fusion.tokens import ListTokens
from aggregator.fusion.weights import Weights
from coterie.errors import ConfigurationError

_LENGTHS = (5, 7)
_TOLERATED = {torch.float32: 1e-3, torch.float16: 0.05, torch.bfloat16: 0.15}
"""How far logits may be apart at the median, in units of their own spread, by precision."""


@torch.inference_mode()  # type: ignore[untyped-decorator]
def prove(weights: Weights, owner: str) -> None:
    """Raises ConfigurationError where the logits differ by more than rounding does."""
    prompts = [_made_up(length, weights.vocabulary) for length in _LENGTHS]
    try:
        alone = torch.stack([weights.alone(prompt) for prompt in prompts])
        slotted = _through_slots(weights, prompts)
    except (RuntimeError, TypeError, ValueError, IndexError, AttributeError, KeyError) as error:
        raise _refusal(owner, f"it cannot be run so: {error!r}") from error
    apart = (alone - slotted).abs().median(dim=1).values / alone.std(dim=1)
    if not bool((apart <= _TOLERATED.get(weights.dtype, 1e-3)).all()):
        raise _refusal(owner, f"its logits are then {float(apart.max()):.3g} of their spread off")


def _through_slots(weights: Weights, prompts: list[list[int]]) -> Tensor:
    backbone = Backbone(weights, {"proof": Variant()}, slots=2, max_length=max(_LENGTHS))
    tokens = ListTokens([(prompt, ()) for prompt in prompts], weights.device)
    for shorter in (2, 1, 0):
        feeds = [
            Feed(row, "proof", row, len(prompt) - shorter) for row, prompt in enumerate(prompts)
        ]
        logits = backbone.run(feeds, tokens)
    return logits


def _made_up(length: int, vocabulary: int) -> list[int]:
    return [(7919 * (i + length)) % vocabulary for i in range(length)]


def _refusal(owner: str, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"{owner} cannot be run in batches by slot: {why}; take a plain causal model that"
        " transformers runs with a cache of keys and values"
    )
