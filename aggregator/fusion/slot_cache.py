"""The keys and values of many rows at once, each row filled as far as it is.

One tensor a layer, (slots, positions, heads, size), in the place of transformers' own caches.  A
pass says which slots its rows are and at which positions their new tokens stand; keys and values
are written there, and attention looks at the block of these slots.  Memory grows and shrinks with
the rows and their lengths, and is given back when the last row leaves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache, CacheLayerMixin

from aggregator.fusion.slots import Move

Copied = list[tuple[Tensor, Tensor]]
"""Keys and values of some positions by layer, each (positions, heads, size)."""

_BLOCK = 64
"""Lengths are allocated in blocks of so many positions."""


@dataclass(frozen=True, slots=True)
class Pass:
    """Where one forward pass writes and looks.

    ``slots``: (rows,), ``positions``: (rows, new tokens); padding stands at ``length``, where
    nobody looks.  ``length`` positions are attended to.  ``whole``: ``slots`` are 0 … rows − 1.
    """

    slots: Tensor
    positions: Tensor
    length: int
    whole: bool


class _Layer(CacheLayerMixin):  # type: ignore[misc]
    """One layer's keys and values; ``owner`` says where to write."""

    is_sliding = False

    def __init__(self, owner: SlotCache) -> None:
        super().__init__()
        self._owner = owner

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        self.keys = self._owner.allocate(key_states)
        self.values = self._owner.allocate(value_states)
        self.is_initialized = True

    def update(
        self, key_states: Tensor, value_states: Tensor, *_args: Any, **_kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Writes (rows, heads, new tokens, size); returns (rows, heads, length, size)."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        return self._written(self.keys, key_states), self._written(self.values, value_states)

    def _written(self, kept: Tensor, new: Tensor) -> Tensor:
        now = self._owner.now
        kept[now.slots[:, None], now.positions] = new.transpose(1, 2)
        seen = kept[: len(now.slots), : now.length]
        if not now.whole:
            seen = kept[:, : now.length].index_select(0, now.slots)
        return seen.transpose(1, 2)

    def get_seq_length(self) -> int:
        return self._owner.now.length

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self._owner.now.length, 0

    def get_max_length(self) -> int:
        return -1


class SlotCache(Cache):  # type: ignore[misc]
    """Keys and values of at most ``max_rows`` slots with ``max_length`` positions each.

    ``now`` is the pass that runs: set it before each.
    """

    now: Pass

    def __init__(self, layers: int, *, max_rows: int, max_length: int) -> None:
        super().__init__(layers=[_Layer(self) for _ in range(layers)])
        self.rows = 0
        self.length = 0
        self._max_rows = max_rows
        self._max_length = max_length

    def allocate(self, like: Tensor) -> Tensor:
        """Room for all slots, for keys or values (rows, heads, new tokens, size) like these.

        One position more than are ever looked at, for what padding writes.
        """
        shape = (self.rows, self.length + 1, like.shape[1], like.shape[3])
        return torch.zeros(shape, dtype=like.dtype, device=like.device)

    def fit(self, rows: int, length: int) -> None:
        """Makes room for ``rows`` slots of ``length`` positions, and gives back what is too much.

        Grows by an eighth at least, and shrinks where less than a quarter would do, so that it
        is copied seldom.
        """
        if rows == 0:
            self.release()
            return
        roomy = min(_power_of_two(rows), self._max_rows)
        wanted_rows = _fitting(self.rows, rows, roomy)
        roomy = max(length, min(_blocks(length + length // 8), self._max_length))
        wanted_length = _fitting(self.length, length, roomy)
        if (wanted_rows, wanted_length) != (self.rows, self.length):
            self._resize(wanted_rows, wanted_length)

    def move(self, move: Move) -> None:
        """Copies what is in one slot into another."""
        for layer in self._initialized():
            for kept in (layer.keys, layer.values):
                kept[move.target, : move.length] = kept[move.source, : move.length]

    def copied(self, slot: int, length: int) -> Copied:
        """The first ``length`` positions of a slot."""
        return [
            (layer.keys[slot, :length].clone(), layer.values[slot, :length].clone())
            for layer in self._initialized()
        ]

    def paste(self, slot: int, copied: Copied) -> None:
        """Writes into a slot what was copied from the beginning of another, or of this one."""
        for layer, (keys, values) in zip(self.layers, copied, strict=True):
            if not layer.is_initialized:
                layer.lazy_initialization(*(x.transpose(0, 1)[None] for x in (keys, values)))
            layer.keys[slot, : len(keys)] = keys
            layer.values[slot, : len(values)] = values

    def release(self) -> None:
        """Gives all memory back."""
        self.rows = self.length = 0
        for layer in self.layers:
            layer.keys = layer.values = None
            layer.is_initialized = False

    @property
    def bytes(self) -> int:
        """Memory held, in bytes."""
        kept = [x for layer in self._initialized() for x in (layer.keys, layer.values)]
        return sum(x.numel() * x.element_size() for x in kept)

    def _initialized(self) -> list[_Layer]:
        return [layer for layer in self.layers if layer.is_initialized]

    def _resize(self, rows: int, length: int) -> None:
        """Layer by layer, so that no more than one layer is held twice."""
        self.rows, self.length = rows, length
        for layer in self._initialized():
            layer.keys = self._resized(layer.keys)
            layer.values = self._resized(layer.values)

    def _resized(self, old: Tensor) -> Tensor:
        new = old.new_zeros((self.rows, self.length + 1, *old.shape[2:]))
        rows, length = min(len(old), self.rows), min(old.shape[1] - 1, self.length)
        new[:rows, :length] = old[:rows, :length]
        return new


def _fitting(has: int, needs: int, wants: int) -> int:
    return has if needs <= has <= 4 * wants else wants


def _blocks(length: int) -> int:
    return -(-length // _BLOCK) * _BLOCK


def _power_of_two(rows: int) -> int:
    return 1 << (rows - 1).bit_length()
