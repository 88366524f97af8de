"""Where the tokens of the rows of a step are read: lists on the host, or a tensor on the device.

Both give them right-aligned, so that every row's newest token is in the last column:

    row 0   . . . 7        (one new token)
    row 1   4 5 6 8        (a prompt of four)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor


class Tokens(Protocol):
    """The tokens of the rows of one step."""

    def take(self, rows: Sequence[int], starts: Sequence[int], stops: Sequence[int]) -> Tensor:
        """Tokens ``starts[i]`` to ``stops[i]`` of ``rows[i]``: (rows, longest) int64, on device.

        What is left of a row's first token is 0.
        """


class ListTokens:
    """Tokens in lists: ``rows`` holds each row's (prompt, output)."""

    def __init__(
        self, rows: Sequence[tuple[Sequence[int], Sequence[int]]], device: torch.device
    ) -> None:
        self._rows = rows
        self._device = device

    def take(self, rows: Sequence[int], starts: Sequence[int], stops: Sequence[int]) -> Tensor:
        """As :meth:`Tokens.take`."""
        width = max((stop - start for start, stop in zip(starts, stops, strict=True)), default=0)
        cut = [
            self._cut(row, start, stop)
            for row, start, stop in zip(rows, starts, stops, strict=True)
        ]
        padded = [[0] * (width - len(tokens)) + tokens for tokens in cut]
        return torch.tensor(padded, dtype=torch.int64, device=self._device).view(-1, width)

    def _cut(self, row: int, start: int, stop: int) -> list[int]:
        prompt, output = self._rows[row]
        length = len(prompt)
        tokens = list(prompt[start:stop])
        return tokens + list(output[max(0, start - length) : max(0, stop - length)])


class TensorTokens:
    """Tokens in a tensor: ``places[i]`` is the line of ``all_tokens`` (lines, length) of row i."""

    def __init__(self, all_tokens: Tensor, places: Sequence[int]) -> None:
        self._all = all_tokens
        self._places = places

    def take(self, rows: Sequence[int], starts: Sequence[int], stops: Sequence[int]) -> Tensor:
        """As :meth:`Tokens.take`.  Nothing is copied to the host."""
        width = max((stop - start for start, stop in zip(starts, stops, strict=True)), default=0)
        device = self._all.device
        lines = torch.tensor([self._places[row] for row in rows], device=device)
        bounds = torch.tensor([list(starts), list(stops)], device=device)
        at = bounds[1][:, None] + torch.arange(-width, 0, device=device)
        found = self._all[lines[:, None], at.clamp_min(0)].long()
        return found.where(at >= bounds[0][:, None], found.new_zeros(()))
