"""Fusion inside vLLM's model runner v2: GPUs from 0.31 on.

Loaded by ``--logits-processors aggregator.fusion.vllm_v2:Fusion``, configured by the ``fusion``
block of ``--additional-config``.  Translates vLLM's events; what they mean is in ``rows``.
This interface says who comes but not who goes: the caches of a request that is not seen for a while
are given back, and made again from its tokens should it be seen after all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor
from vllm.v1.worker.gpu.sample.logits_processor import (
    LogitsContext,
    LogitsProcessor,
    LogitsProcRequestState,
)

from aggregator.fusion import engine_start
from aggregator.fusion.admission import check_params
from aggregator.fusion.request import ask_of
from aggregator.fusion.rows import FusedRows, Placed
from aggregator.fusion.tokens import TensorTokens

if TYPE_CHECKING:
    from vllm.config import VllmConfig
    from vllm.sampling_params import SamplingParams

_PATIENCE = 32
"""Steps a request may be away before its caches are given back."""


class Fusion(LogitsProcessor):  # type: ignore[misc]
    """Fuses the rows that asked for it with ``vllm_xargs: {"fusion": NAME}``."""

    def __init__(self, vllm_config: VllmConfig, req_states: LogitsProcRequestState) -> None:
        self._requests = req_states
        self._rows: FusedRows = engine_start.fused_rows(vllm_config, req_states.device)
        self._away: dict[int, int] = {}

    @classmethod
    def validate_params(cls, sampling_params: SamplingParams) -> None:
        """Refuses, with the reason, a request that cannot be fused as it asks to be."""
        check_params(sampling_params)

    def add_request(self, req_idx: int, sampling_params: SamplingParams) -> bool:
        """A new or a resumed request takes slot ``req_idx``; whether it is to be fused."""
        ask = ask_of(sampling_params.extra_args)
        prompt, fed = self._requests.prompt_len.np, self._requests.prefill_len.np
        self._rows.add(req_idx, ask, resumed=bool(fed[req_idx] > prompt[req_idx]))
        self._away.pop(req_idx, None)
        if ask is not None:
            self._away[req_idx] = 0
        return ask is not None

    def apply_staged_writes(self) -> None:
        """Once a step: counts for how long each request has been away."""
        for index, steps in self._away.items():
            self._away[index] = steps + 1
            if steps == _PATIENCE:
                self._rows.rest(index)

    def apply(self, logits: Tensor, ctx: LogitsContext) -> Tensor:
        """logits: (rows, V) float32."""
        if not self._rows:
            return logits
        placed = self._placed(ctx)
        if not placed:
            return logits
        slots = [int(ctx.idx_mapping_np[place.at]) for place in placed]
        for slot in slots:
            self._away[slot] = 0
        tokens = TensorTokens(self._requests.all_token_ids.gpu, slots)
        return self._rows.apply(logits, placed, tokens)

    def _placed(self, ctx: LogitsContext) -> list[Placed]:
        """The fused rows of this step, but for prompts that are not read to their end yet."""
        prompt, fed = self._requests.prompt_len.np, self._requests.prefill_len.np
        lengths = ctx.seq_lens_upper_bound_np  # exact, as there is no speculative decoding
        return [
            Placed(at, self._rows[slot], int(lengths[at]), int(lengths[at] - prompt[slot]))
            for at, slot in enumerate(ctx.idx_mapping_np.tolist())
            if slot in self._rows and lengths[at] >= fed[slot]
        ]
