"""Who may look at what in a slot cache: each token at its row's tokens up to itself.

Layers with a sliding window look back so far and no farther; a model may have layers of both kinds.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import torch
from torch import Tensor

from coterie.errors import ConfigurationError

AttentionMask: TypeAlias = "Tensor | dict[str, Tensor]"

_FULL, _SLIDING = "full_attention", "sliding_attention"


class AttentionMasks:
    """The masks of the model with this transformers ``config``: what to add to its attention.

    Raises ConfigurationError for layers that keep something other than keys and values.
    """

    def __init__(self, config: Any) -> None:
        text = config.get_text_config()
        window = getattr(text, "sliding_window", None)
        kinds = set(getattr(text, "layer_types", None) or [_SLIDING if window else _FULL])
        if unknown := sorted(kinds - {_FULL, _SLIDING}):
            raise ConfigurationError(
                f"a {text.model_type} model has layers of {', '.join(unknown)}, which keep no keys"
                " and values by position; take a small model with plain attention"
            )
        self._kinds = kinds
        self._window = window

    def of(self, positions: Tensor, length: int, dtype: torch.dtype) -> AttentionMask:
        """Masks (rows, 1, new tokens, length) for tokens at ``positions`` (rows, new tokens).

        Padding stands at ``length`` and sees something, so that it stays finite.
        """
        places = torch.arange(length, device=positions.device)
        here = positions[:, None, :, None]
        full = places <= here
        masks = {_FULL: full}
        if _SLIDING in self._kinds:
            masks[_SLIDING] = full & (places > here - self._window)
        # 0 and the least number there is: true and false would be made into these at every layer.
        zero = torch.zeros((), dtype=dtype, device=positions.device)
        ready = {kind: zero.where(masks[kind], torch.finfo(dtype).min) for kind in self._kinds}
        return ready if len(ready) > 1 else next(iter(ready.values()))
