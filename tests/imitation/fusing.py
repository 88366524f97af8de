"""Fusion in the imitation: what a fusing engine accepts, refuses and writes; nothing is mixed.

The block and the requests are read by the product's own code, as in a real engine's processors
(v1/sample/logits_processor, v1/worker/gpu/sample/logits_processor: ``validate_params``).
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aggregator.fusion.configuration import FusionConfiguration
from aggregator.fusion.modes import Static
from aggregator.fusion.request import Ask, ask_of, check_ask
from aggregator.fusion.trace import TraceFolder
from coterie.errors import ConfigurationError

OURS = "aggregator.fusion.vllm_v"


@dataclass
class Fusing:
    """The fusions of one imitated engine."""

    configuration: FusionConfiguration
    _traces: TraceFolder | None = field(init=False)

    def __post_init__(self) -> None:
        folder = self.configuration.traces
        self._traces = TraceFolder(folder) if folder else None

    @classmethod
    def of(
        cls, processors: Sequence[str], additional: Mapping[str, Any], *, speculative: bool
    ) -> Fusing | None:
        """What the command line asks for; ends the process as vLLM would for what cannot be."""
        if processors and speculative:
            # v1/sample/logits_processor/__init__.py: STR_SPEC_DEC_REJECTS_LOGITSPROCS
            told = (
                "Custom logits processors are not supported when speculative decoding is enabled."
            )
            sys.exit(f"ValueError: {told}")
        if not any(name.startswith(OURS) for name in processors):
            return None
        try:
            return cls(FusionConfiguration.of_additional_config(additional))
        except ConfigurationError as error:
            sys.exit(f"ConfigurationError: {error}")

    def asked(self, xargs: Mapping[str, Any] | None) -> Ask | None:
        """The fusion a request wants; raises RequestError for one it cannot have."""
        ask = ask_of(xargs)
        if ask:
            check_ask(ask, self.configuration)
        return ask

    def trace(self, ask: Ask, steps: int) -> None:
        """Writes the made-up α of an answer of so many tokens, where they were asked for."""
        if self._traces is None or ask.trace is None:
            return
        self._traces.begin(ask.trace, anew=True)
        recipe = self.configuration.fusions[ask.fusion]
        for step in range(steps):
            alpha = {
                name: recipe.mode.alpha[0]
                if isinstance(recipe.mode, Static)
                else round(0.1 * ((step + i) % 20), 1)
                for i, name in enumerate(recipe.experts)
            }
            self._traces.add(ask.trace, step, alpha)

    def voice(self, model: str, ask: Ask | None) -> str:
        """Whose answer it is: a fusion whose experts pull speaks otherwise than its large model."""
        if ask is None:
            return model
        mode = self.configuration.fusions[ask.fusion].mode
        still = isinstance(mode, Static) and not any(mode.alpha)
        return model if still else f"{model} fused as {ask.fusion}"
