"""The small models that run beside a large one, and what each fusion needs of them in a step.

Every set of weights runs once for all rows of all fusions that use it; small models that nobody
asks for do not run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from aggregator.fusion.backbone import Backbone
from aggregator.fusion.configuration import Recipe
from aggregator.fusion.feeds import Feed
from aggregator.fusion.tokens import Tokens


@dataclass(frozen=True, slots=True)
class Reader:
    """A request in this step: its ``key``, the row of the step's tokens it has, their number."""

    key: int
    row: int
    length: int


@dataclass(frozen=True, slots=True)
class Party:
    """The requests of a step that want the same fusion."""

    recipe: Recipe
    readers: Sequence[Reader]


@dataclass(frozen=True, slots=True)
class Said:
    """What the small models of a party predict: ``base`` (rows, V), ``experts`` (E, rows, V).

    All float32.  ``base`` is ``None`` where it is not asked.
    """

    base: Tensor | None
    experts: Tensor


class Sidecar:
    """Small models by name, each on the backbone that has its weights."""

    def __init__(self, backbones: Mapping[str, Backbone]) -> None:
        self._backbones = dict(backbones)

    @property
    def backbones(self) -> tuple[Backbone, ...]:
        """The different ones."""
        return tuple({id(backbone): backbone for backbone in self._backbones.values()}.values())

    def read(self, parties: Sequence[Party], tokens: Tokens) -> list[Said]:
        """What each party's small models predict after its rows' last tokens."""
        blocks: dict[tuple[int, str], Tensor] = {}
        for backbone in self.backbones:
            blocks |= self._run(backbone, parties, tokens)
        return [self._said(number, party, blocks) for number, party in enumerate(parties)]

    def forget(self, key: int) -> None:
        """The request is gone, or stops for now: its caches go too."""
        for backbone in self.backbones:
            backbone.forget(key)

    def _run(
        self, backbone: Backbone, parties: Sequence[Party], tokens: Tokens
    ) -> dict[tuple[int, str], Tensor]:
        """The logits of each (party, small model) that runs on ``backbone``, party by party."""
        wanted = [
            (number, small)
            for number, party in enumerate(parties)
            for small in party.recipe.parts
            if self._backbones[small] is backbone
        ]
        feeds = [
            Feed(reader.key, small, reader.row, reader.length)
            for number, small in wanted
            for reader in parties[number].readers
        ]
        if not feeds:
            return {}
        sizes = [len(parties[number].readers) for number, _ in wanted]
        return dict(zip(wanted, backbone.run(feeds, tokens).split(sizes), strict=True))

    def _said(self, number: int, party: Party, blocks: Mapping[tuple[int, str], Tensor]) -> Said:
        recipe = party.recipe
        base = None
        if recipe.base in recipe.parts:
            base = blocks[number, str(recipe.base)]
        experts = [blocks[number, expert] for expert in recipe.experts]
        if not experts:
            assert base is not None  # a contrast has an amateur
            return Said(base, base.new_empty((0, *base.shape)))
        return Said(base, _stacked(experts))


def _stacked(blocks: Sequence[Tensor]) -> Tensor:
    """(E, rows, V) of E blocks (rows, V): a view where they lie side by side, else a copy."""
    first, size = blocks[0], blocks[0].numel()
    beside = all(
        block.shape == first.shape
        and block.untyped_storage().data_ptr() == first.untyped_storage().data_ptr()
        and block.storage_offset() == first.storage_offset() + i * size
        and block.is_contiguous()
        for i, block in enumerate(blocks)
    )
    if not beside:
        shortest = min(block.shape[1] for block in blocks)
        return torch.stack([block[:, :shortest] for block in blocks])
    shape = (len(blocks), *first.shape)
    return first.as_strided(shape, (size, *first.stride()))
