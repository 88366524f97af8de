"""One set of small weights, and everything that runs on it in the same forward passes.

Its variants differ in a LoRA adapter or in a prompt of their own.  A (request, variant) has a slot
of the cache; in a step, the rows of all variants are read together.  What a slot holds is only ever
a saving: a row whose slot is gone is read again from its tokens.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from aggregator.fusion.attention_masks import AttentionMasks
from aggregator.fusion.feeds import Feed, Stretch, passes
from aggregator.fusion.lora import Which, which
from aggregator.fusion.slot_cache import Copied, Pass, SlotCache
from aggregator.fusion.slots import SlotTable
from aggregator.fusion.tokens import Tokens
from aggregator.fusion.weights import Weights

Key = tuple[int, str]
"""A request and the small model that reads it."""


@dataclass(frozen=True, slots=True)
class Variant:
    """A small model on these weights; ``prefix`` are the tokens it sees before every request's."""

    adapter: str | None = None
    prefix: tuple[int, ...] = ()


class Backbone:
    """Runs ``variants`` (by name) on ``weights``; at most ``slots`` (request, variant) at a time.

    ``max_length``: the longest a request may grow, in tokens, prefixes not counted.
    """

    def __init__(
        self, weights: Weights, variants: Mapping[str, Variant], *, slots: int, max_length: int
    ) -> None:
        self._weights = weights
        self._variants = dict(variants)
        longest = max_length + max(len(v.prefix) for v in variants.values())
        self._table: SlotTable[Key] = SlotTable(slots)
        self._cache = SlotCache(weights.layers, max_rows=slots, max_length=longest)
        self._prefixes: dict[str, Copied] = {}
        self._masks = AttentionMasks(weights.model.config)

    @property
    def held(self) -> int:
        """How many (request, variant) have a slot."""
        return len(self._table)

    @property
    def cache_bytes(self) -> int:
        """Memory of the caches, in bytes."""
        return self._cache.bytes

    @torch.inference_mode()  # type: ignore[untyped-decorator]
    def run(self, feeds: Sequence[Feed], tokens: Tokens) -> Tensor:
        """The logits of the token after each feed's last: (feeds, V) float32, in their order."""
        waves = [(where, self._run(where, feeds, tokens)) for where in self._waves(feeds)]
        return _assembled(waves, len(feeds))

    @torch.inference_mode()  # type: ignore[untyped-decorator]
    def forget(self, request: int) -> None:
        """Takes the slots of ``request`` back, and their memory where that is worth it."""
        for small in self._variants:
            if (request, small) in self._table:
                self._free((request, small))
        if not self._table:
            self._cache.release()

    # --- slots ----------------------------------------------------------------------------------

    def _waves(self, feeds: Sequence[Feed]) -> Iterator[list[int]]:
        """Which feeds run together: all, unless there are fewer slots.

        Those that have a slot come first, and of those that have none the last come last: so few
        rows lose their slots, and the same ones at every step.
        """
        limit = self._table.limit
        order = list(range(len(feeds)))
        if len(feeds) > limit:
            order.sort(key=lambda i: _key(feeds[i]) not in self._table)
        for begin in range(0, len(order), limit):
            wave = order[begin : begin + limit]
            keys = [_key(feeds[i]) for i in wave]
            for victim in self._table.victims(keys, map(_key, feeds)):
                self._free(victim)
            yield wave

    def _free(self, key: Key) -> None:
        if (move := self._table.free(key)) is not None:
            self._cache.move(move)

    # --- forward passes ---------------------------------------------------------------------------

    def _run(self, wave: Sequence[int], feeds: Sequence[Feed], tokens: Tokens) -> Tensor:
        """The logits of the feeds in ``wave``: (wave, V)."""
        self._seat([feeds[i] for i in wave])
        todo = [self._stretch(place, feeds[i]) for place, i in enumerate(wave)]
        done = []
        for batch in passes(todo):
            mine = [feeds[wave[stretch.feed]] for stretch in batch]
            ends = sorted(
                (i for i, stretch in enumerate(batch) if stretch.last), key=lambda i: batch[i].feed
            )
            logits = self._forward(batch, mine, ends, tokens)
            if ends:
                done.append(([batch[i].feed for i in ends], logits))
        return _assembled(done, len(wave))

    def _seat(self, feeds: Sequence[Feed]) -> None:
        """Gives every feed a slot, which has room for it and holds its prefix if that is known."""
        slots = [self._table.take(_key(feed)) for feed in feeds]
        longest = max(self._table.longest, *(self._stop(feed) for feed in feeds))
        self._cache.fit(len(self._table), longest)
        for slot, feed in zip(slots, feeds, strict=True):
            if slot.filled == 0 and (known := self._prefixes.get(feed.small)) is not None:
                self._cache.paste(slot.index, known)
                slot.filled = len(self._variants[feed.small].prefix)

    def _stop(self, feed: Feed) -> int:
        return len(self._variants[feed.small].prefix) + feed.length

    def _stretch(self, place: int, feed: Feed) -> Stretch:
        """What ``feed`` still has to read: one token at least, for something has to predict."""
        slot, stop = self._table[_key(feed)], self._stop(feed)
        return Stretch(place, slot.index, min(slot.filled, stop - 1), stop)

    def _filled(self, stretch: Stretch, feed: Feed) -> None:
        """Remembers how far a row has been read, and a prefix for whoever comes later."""
        self._table[_key(feed)].filled = stretch.stop
        length = len(self._variants[feed.small].prefix)
        if 0 < length <= stretch.stop and feed.small not in self._prefixes:
            self._prefixes[feed.small] = self._cache.copied(stretch.slot, length)

    def _forward(
        self, batch: Sequence[Stretch], feeds: Sequence[Feed], ends: Sequence[int], tokens: Tokens
    ) -> Tensor:
        """One pass over ``batch``, whose rows are ``feeds``; the logits of the rows ``ends``."""
        length = max(stretch.stop for stretch in batch)
        at = self._positions(batch, length)
        self._cache.now = self._pass(batch, at, length)
        logits = self._weights.logits(
            self._tokens(batch, feeds, tokens),
            positions=at.clamp_max(length - 1),
            mask=self._masks.of(at, length, self._weights.dtype),
            cache=self._cache,
            adapters=self._adapter_rows(feeds),
            rows=self._numbers(ends or [0]),
        )
        for stretch, feed in zip(batch, feeds, strict=True):
            self._filled(stretch, feed)
        return logits

    def _positions(self, batch: Sequence[Stretch], length: int) -> Tensor:
        """(rows, widest) int64, right-aligned; padding stands at ``length``, where nobody looks."""
        bounds = self._numbers([[stretch.start, stretch.stop] for stretch in batch])
        width = max(stretch.width for stretch in batch)
        at = bounds[:, 1:] + torch.arange(-width, 0, device=bounds.device)
        return at.where(at >= bounds[:, :1], length)

    def _pass(self, batch: Sequence[Stretch], at: Tensor, length: int) -> Pass:
        slots = [stretch.slot for stretch in batch]
        whole = slots == list(range(len(slots)))
        return Pass(self._numbers(slots), at, length, whole)

    def _numbers(self, numbers: Sequence[object]) -> Tensor:
        return torch.tensor(numbers, dtype=torch.int64, device=self._weights.device)

    def _tokens(self, batch: Sequence[Stretch], feeds: Sequence[Feed], tokens: Tokens) -> Tensor:
        """(rows, widest) int64, right-aligned, prefixes included."""
        prefixes = [self._variants[feed.small].prefix for feed in feeds]
        starts = [max(0, s.start - len(p)) for s, p in zip(batch, prefixes, strict=True)]
        stops = [max(0, s.stop - len(p)) for s, p in zip(batch, prefixes, strict=True)]
        found = tokens.take([feed.row for feed in feeds], starts, stops)
        width = max(stretch.width for stretch in batch)
        if found.shape[1] < width:
            found = torch.nn.functional.pad(found, (width - found.shape[1], 0))
        for row, (stretch, prefix) in enumerate(zip(batch, prefixes, strict=True)):
            if before := prefix[stretch.start : stretch.stop]:
                begin = width - stretch.width
                found[row, begin : begin + len(before)] = torch.tensor(before)
        return found

    def _adapter_rows(self, feeds: Sequence[Feed]) -> dict[str, Which]:
        rows: dict[str, list[int]] = {}
        for row, feed in enumerate(feeds):
            if (adapter := self._variants[feed.small].adapter) is not None:
                rows.setdefault(adapter, []).append(row)
        return {name: which(some, self._weights.device) for name, some in rows.items()}


def _key(feed: Feed) -> Key:
    return feed.key, feed.small


def _assembled(parts: Iterable[tuple[Sequence[int], Tensor]], rows: int) -> Tensor:
    """One tensor (rows, V) of parts that say which rows they are; not copied if there is one."""
    parts = list(parts)
    first, logits = parts[0]
    if list(first) == list(range(rows)):
        return logits
    whole = logits.new_empty((rows, logits.shape[1]))
    for where, part in parts:
        whole[torch.tensor(where, device=whole.device)] = part
    return whole
