"""Which row of an engine's batch is which request, and the fusing of a step's logits.

What both of vLLM's interfaces share: an adapter tells of requests that come, go and move, and asks
for a step's logits to be fused.  Rows that nobody asked to be fused are not looked at.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from aggregator.fusion.configuration import FusionConfiguration
from aggregator.fusion.core import fuse
from aggregator.fusion.request import Ask
from aggregator.fusion.sidecar import Party, Reader, Said, Sidecar
from aggregator.fusion.tokens import Tokens
from aggregator.fusion.trace import TraceFolder


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """A request that is being fused: no two have the same ``key``, not even a resumed one.

    ``prompt`` and ``output`` are its tokens where the engine shares its lists, which grow.
    """

    key: int
    ask: Ask
    prompt: Sequence[int] = ()
    output: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a request stands in a step: its row of the logits, its tokens so far, their number.

    ``step`` counts the tokens it has been given an answer of, so 0 predicts its first.
    """

    at: int
    row: Row
    length: int
    step: int


class FusedRows:
    """The requests of one engine that are fused, by the engine's own index of them."""

    def __init__(
        self,
        configuration: FusionConfiguration,
        sidecar: Sidecar,
        traces: TraceFolder | None = None,
    ) -> None:
        self._configuration = configuration
        self._sidecar = sidecar
        self._traces = traces
        self._rows: dict[int, Row] = {}
        self._keys = itertools.count()

    def __bool__(self) -> bool:
        return bool(self._rows)

    def __getitem__(self, index: int) -> Row:
        return self._rows[index]

    def __contains__(self, index: int) -> bool:
        return index in self._rows

    def __iter__(self) -> Iterator[int]:
        """The indices of all rows that are fused, in order."""
        return iter(sorted(self._rows))

    # --- who comes, goes and moves ----------------------------------------------------------------

    def add(
        self,
        index: int,
        ask: Ask | None,
        prompt: Sequence[int] = (),
        output: Sequence[int] = (),
        *,
        resumed: bool = False,
    ) -> None:
        """A request takes ``index``, from whoever had it; ``ask`` is ``None`` if it is plain."""
        self.remove(index)
        if ask is None:
            return
        self._rows[index] = Row(next(self._keys), ask, prompt, output)
        if ask.trace is not None and self._traces is not None:
            self._traces.begin(ask.trace, anew=not resumed)

    def remove(self, index: int) -> None:
        """Whoever has ``index`` is gone, if anybody has it."""
        if (row := self._rows.pop(index, None)) is not None:
            self._sidecar.forget(row.key)

    def move(self, source: int, target: int, *, swap: bool) -> None:
        """What is at ``source`` goes to ``target``, and back if they ``swap``."""
        moving = self._rows.pop(source, None)
        if swap:
            if (other := self._rows.pop(target, None)) is not None:
                self._rows[source] = other
        else:
            self.remove(target)
        if moving is not None:
            self._rows[target] = moving

    def rest(self, index: int) -> None:
        """The request at ``index`` has not been seen for a while: its caches may go."""
        self._sidecar.forget(self._rows[index].key)

    # --- a step -----------------------------------------------------------------------------------

    @torch.inference_mode()  # type: ignore[untyped-decorator]
    def apply(self, logits: Tensor, placed: Sequence[Placed], tokens: Tokens) -> Tensor:
        """Fuses the rows of ``logits`` (rows, V) float32 that are ``placed``, in place.

        Row i of ``tokens`` are those of ``placed[i]``.
        """
        groups = self._groups(placed)
        parties = [self._party(name, group, placed) for name, group in groups.items()]
        for group, party, said in zip(
            groups.values(), parties, self._sidecar.read(parties, tokens), strict=True
        ):
            self._fuse_group([placed[i] for i in group], party, said, logits)
        return logits

    def _groups(self, placed: Sequence[Placed]) -> dict[str, list[int]]:
        groups: dict[str, list[int]] = {}
        for i, place in enumerate(placed):
            groups.setdefault(place.row.ask.fusion, []).append(i)
        return groups

    def _party(self, fusion: str, group: Sequence[int], placed: Sequence[Placed]) -> Party:
        readers = [Reader(placed[i].row.key, i, placed[i].length) for i in group]
        return Party(self._configuration.fusions[fusion], readers)

    def _fuse_group(
        self, places: Sequence[Placed], party: Party, said: Said, logits: Tensor
    ) -> None:
        at = [place.at for place in places]
        everybody = at == list(range(len(logits)))
        where = torch.tensor(at, device=logits.device)
        large = logits if everybody else logits.index_select(0, where)
        fused = fuse(large, said.base, said.experts, party.recipe.mode, out=large)
        if not everybody:
            logits.index_copy_(0, where, fused.logits)
        self._trace(places, party, fused.alpha)

    def _trace(self, places: Sequence[Placed], party: Party, alpha: Tensor) -> None:
        traced = [(i, place.row.ask.trace) for i, place in enumerate(places)]
        wanted = [(i, trace) for i, trace in traced if trace is not None]
        if self._traces is None or not wanted:
            return
        values = alpha.tolist()
        for i, trace in wanted:
            by_expert = dict(zip(party.recipe.experts, values[i], strict=True))
            self._traces.add(trace, places[i].step, by_expert)
