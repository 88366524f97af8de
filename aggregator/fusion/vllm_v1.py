"""Fusion inside vLLM's model runner v1: the CPU build, and GPUs up to 0.30.

Loaded by ``--logits-processors aggregator.fusion.vllm_v1:Fusion``, configured by the ``fusion``
block of ``--additional-config``.  Translates vLLM's events; what they mean is in ``rows``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from vllm.sampling_params import SamplingParams
from vllm.v1.sample.logits_processor import BatchUpdate, LogitsProcessor, MoveDirectionality

from aggregator.fusion import engine_start
from aggregator.fusion.admission import check_params
from aggregator.fusion.request import ask_of
from aggregator.fusion.rows import FusedRows, Placed
from aggregator.fusion.tokens import ListTokens

if TYPE_CHECKING:
    from vllm.config import VllmConfig


class Fusion(LogitsProcessor):  # type: ignore[misc]
    """Fuses the rows that asked for it with ``vllm_xargs: {"fusion": NAME}``."""

    def __init__(self, vllm_config: VllmConfig, device: torch.device, is_pin_memory: bool) -> None:
        self._device = device
        self._rows: FusedRows = engine_start.fused_rows(vllm_config, device)

    @classmethod
    def validate_params(cls, sampling_params: SamplingParams) -> None:
        """Refuses, with the reason, a request that cannot be fused as it asks to be."""
        check_params(sampling_params)

    def is_argmax_invariant(self) -> bool:
        """Fusion changes which token is the most likely one."""
        return False

    def update_state(self, batch_update: BatchUpdate | None) -> None:
        """Follows the batch: removed, then added, then moved, as vLLM prescribes."""
        if batch_update is None:
            return
        for index in batch_update.removed:
            self._rows.remove(index)
        for index, params, prompt, output in batch_update.added:
            ask = ask_of(params.extra_args) if prompt is not None else None
            self._rows.add(index, ask, prompt or (), output, resumed=bool(output))
        for source, target, how in batch_update.moved:
            self._rows.move(source, target, swap=how is MoveDirectionality.SWAP)

    def apply(self, logits: Tensor) -> Tensor:
        """logits: (rows, V) float32."""
        if not self._rows:
            return logits
        placed = [self._placed(index) for index in self._rows if index < len(logits)]
        tokens = ListTokens([(p.row.prompt, p.row.output) for p in placed], self._device)
        return self._rows.apply(logits, placed, tokens)

    def _placed(self, index: int) -> Placed:
        row = self._rows[index]
        step = len(row.output)
        return Placed(index, row, len(row.prompt) + step, step)
