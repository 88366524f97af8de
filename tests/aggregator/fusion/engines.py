"""Engines that tell a fusing logits processor what vLLM's two model runners tell theirs.

The batch is kept as they keep it: v1 in dense rows that are filled up, condensed and swapped; v2 in
slots that are used again without a word about who left.  Events and state are of vLLM's classes.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Protocol
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor
from vllm import SamplingParams
from vllm.v1.sample.logits_processor import BatchUpdateBuilder, MoveDirectionality
from vllm.v1.worker.gpu import buffer_utils
from vllm.v1.worker.gpu.sample.logits_processor import (
    LogitsContext,
    LogitsProcRequestState,
    build_custom_logits_processors,
)
from vllm.v1.worker.gpu.states import RequestState

from aggregator.fusion import vllm_v1
from tests.aggregator.fusion.tiny_models import VOCABULARY

ROWS, LENGTH = 12, 128
CPU = torch.device("cpu")
V1, V2 = (f"aggregator.fusion.vllm_{version}:Fusion" for version in ("v1", "v2"))


def vllm_config(block: dict[str, Any], tokenizer: str, **changes: Any) -> Any:
    """What of vLLM's configuration a processor looks at."""
    model = {"tokenizer": tokenizer, "max_model_len": LENGTH, "enable_prompt_embeds": False}
    return SimpleNamespace(
        additional_config={"fusion": block},
        speculative_config=changes.pop("speculative_config", None),
        model_config=SimpleNamespace(**(model | changes)),
        scheduler_config=SimpleNamespace(max_num_seqs=ROWS),
        parallel_config=SimpleNamespace(rank=0, tensor_parallel_size=1),
    )


@dataclass(eq=False)
class Request:
    """A request, the logits its large model has for it next, and what it was given."""

    prompt: list[int]
    extra: dict[str, Any] | None
    output: list[int] = field(default_factory=list)

    @property
    def params(self) -> SamplingParams:
        return SamplingParams(extra_args=self.extra)

    @property
    def large(self) -> Tensor:
        """Made up, but always the same after the same tokens."""
        seed = hash((tuple(self.prompt), tuple(self.output))) % 2**31
        return torch.randn(VOCABULARY, generator=torch.Generator().manual_seed(seed)) * 3


class Engine(Protocol):
    """One of vLLM's model runners, as a logits processor knows it."""

    def add(self, request: Request) -> None: ...
    def remove(self, request: Request) -> None: ...
    def shuffle(self, rng: random.Random) -> None: ...
    def step(self, reading: frozenset[int] = frozenset()) -> dict[int, Tensor]:
        """Fused logits by the request's id; those in ``reading`` are at a part of their prompt."""


class RunnerV1:
    """Dense rows: the first hole is filled, the last row moves into what stays empty."""

    def __init__(self, config: Any) -> None:
        self.fusion = vllm_v1.Fusion(config, CPU, False)
        self.rows: list[Request | None] = []
        self.update = BatchUpdateBuilder()
        self.coming: list[Request] = []

    def add(self, request: Request) -> None:
        self.coming.append(request)

    def remove(self, request: Request) -> None:
        if request in self.coming:
            self.coming.remove(request)
            return
        index = self.rows.index(request)
        self.rows[index] = None
        self.update.removed_append(index)

    def shuffle(self, rng: random.Random) -> None:
        self.settle()
        if len(self.rows) > 1:
            a, b = rng.sample(range(len(self.rows)), 2)
            self.rows[a], self.rows[b] = self.rows[b], self.rows[a]
            self.update.moved.append((a, b, MoveDirectionality.SWAP))
            self.tell()

    def settle(self) -> None:
        for request in self.coming:
            index = self.update.pop_removed()
            if index is None:
                index = len(self.rows)
                self.rows.append(None)
            self.rows[index] = request
            self.update.added.append((index, request.params, request.prompt, request.output))
        self.coming.clear()
        while self.rows and self.rows[-1] is None:
            self.rows.pop()
        while None in self.rows:
            hole, last = self.rows.index(None), len(self.rows) - 1
            self.rows[hole] = self.rows.pop()
            self.update.moved.append((last, hole, MoveDirectionality.UNIDIRECTIONAL))
            while self.rows and self.rows[-1] is None:
                self.rows.pop()
        self.tell()

    def tell(self) -> None:
        self.fusion.update_state(self.update.get_and_reset(len(self.rows)))

    def step(self, reading: frozenset[int] = frozenset()) -> dict[int, Tensor]:
        self.settle()
        if not self.rows:
            return {}
        requests = [request for request in self.rows if request is not None]
        logits = self.fusion.apply(torch.stack([request.large for request in requests]))
        return {id(r): x for r, x in zip(requests, logits, strict=True) if id(r) not in reading}


class RunnerV2:
    """Slots from a free list, rows in another order at every step."""

    def __init__(self, config: Any) -> None:
        with patch.object(buffer_utils, "is_uva_available", return_value=False):
            states = RequestState(ROWS, LENGTH, LENGTH, 0, VOCABULARY, CPU)
        self.states = LogitsProcRequestState.from_request_state(states)
        [self.fusion] = build_custom_logits_processors(config, states, False, [V2])
        self.free = list(range(ROWS))
        self.slots: dict[int, tuple[int, Request]] = {}
        self.rng = random.Random(0)

    def add(self, request: Request) -> None:
        slot = self.free.pop()
        self.slots[id(request)] = slot, request
        self.states.prompt_len.np[slot] = len(request.prompt)
        self.states.prefill_len.np[slot] = len(request.prompt) + len(request.output)
        self._write(slot, request)
        wanted = self.fusion.add_request(slot, request.params)
        assert wanted == bool(request.extra)

    def remove(self, request: Request) -> None:
        slot, _ = self.slots.pop(id(request))
        self.free.append(slot)
        self.states.all_token_ids.gpu[slot] = 77  # what is left there means nothing

    def shuffle(self, rng: random.Random) -> None:
        self.rng = rng

    def _write(self, slot: int, request: Request) -> None:
        tokens = request.prompt + request.output
        self.states.all_token_ids.gpu[slot, : len(tokens)] = torch.tensor(tokens)

    def step(
        self, reading: frozenset[int] = frozenset(), *, away: frozenset[int] = frozenset()
    ) -> dict[int, Tensor]:
        """Those ``away`` have a slot, but are not scheduled."""
        self.fusion.apply_staged_writes()
        batch = [pair for key, pair in self.slots.items() if key not in away]
        if not batch:
            return {}
        self.rng.shuffle(batch)
        for slot, request in batch:
            self._write(slot, request)
        lengths = [
            1 if id(request) in reading else len(request.prompt) + len(request.output)
            for _, request in batch
        ]
        slots = np.array([slot for slot, _ in batch])
        mapping = torch.from_numpy(slots)
        context = LogitsContext(
            expanded_idx_mapping=mapping,
            idx_mapping=mapping,
            idx_mapping_np=slots,
            expanded_local_pos=torch.zeros_like(mapping),
            input_ids=torch.zeros_like(mapping),
            pos=torch.tensor(lengths) - 1,
            seq_lens_upper_bound_np=np.array(lengths),
        )
        large = torch.stack([request.large for _, request in batch])
        logits = self.fusion.apply(large, context)
        return {
            id(request): row
            for (_, request), row in zip(batch, logits, strict=True)
            if id(request) not in reading
        }


RUNNERS: dict[str, type[RunnerV1] | type[RunnerV2]] = {"v1": RunnerV1, "v2": RunnerV2}
