"""Fusion as a plain loop: one answer, the models in lock step, one token at a time.

What the engines' adapters are measured by, and a way to try a set of models without an engine.
Takes any causal language model with the interface of Hugging Face's (``model(input_ids,
past_key_values, use_cache)`` giving ``logits`` and ``past_key_values``); load them in float32.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from aggregator.fusion.modes import Mode, check_parts
from aggregator.fusion.plain import fuse_row


@dataclass(frozen=True, slots=True)
class Part:
    """A model and the token ids it reads before the answer.

    A small model may have a prompt of its own, with examples in it; an expert may be the small base
    itself with such a prompt.
    """

    model: Any
    prompt: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """One token of the answer, and α of each expert when it was chosen."""

    token: int
    alpha: tuple[float, ...]


def decode(
    large: Part,
    base: Part,
    experts: Sequence[Part],
    mode: Mode,
    *,
    tokens: int,
    stop: Collection[int] = (),
    temperature: float = 0.0,
    seed: int = 0,
) -> tuple[Step, ...]:
    """At most ``tokens`` steps, ending with the first token in ``stop``.

    Temperature 0 takes the likeliest token, the first of equals; above it, tokens are drawn with
    ``seed``.  How α is found and what the small models may lack: ``plain.fuse_row``.
    """
    check_parts(mode, experts=len(experts))
    generator = torch.Generator().manual_seed(seed)
    readers = [Reader(part) for part in (large, base, *experts)]
    steps: list[Step] = []
    while len(steps) < tokens and (not steps or steps[-1].token not in stop):
        said, small, *tuned = (reader.logits() for reader in readers)
        logits, alpha = fuse_row(said, small, tuned, mode)
        token = chosen(logits, temperature, generator)
        steps.append(Step(token, alpha))
        for reader in readers:
            reader.read(token)
    return tuple(steps)


class Reader:
    """A model with its own key-value cache; reads what the answer so far consists of."""

    def __init__(self, part: Part) -> None:
        self.model = part.model
        self.unread = list(part.prompt)
        self.past: Any = None

    def read(self, token: int) -> None:
        """One more token of the answer."""
        self.unread.append(token)

    def logits(self) -> Tensor:
        """What the model says of the next token: (V,) float32 on the CPU."""
        ids = torch.tensor([self.unread], device=self.model.device)
        with torch.no_grad():
            out = self.model(input_ids=ids, past_key_values=self.past, use_cache=True)
        self.past, self.unread = out.past_key_values, []
        return out.logits[0, -1].float().cpu()


def chosen(logits: Tensor, temperature: float, generator: torch.Generator) -> int:
    """The next token."""
    if temperature == 0.0:
        return int(logits.argmax())
    chances = (logits / temperature).softmax(0)
    return int(torch.multinomial(chances, 1, generator=generator))
