"""A fusion as the experts file and the API write it."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from aggregator.fusion.modes import check_parts, mode_of
from coterie.errors import ConfigurationError
from coterie.types import FusionSpec, SmallModel

MOST_PROMPT = 32_768
"""Characters of a small model's prompt: all of them go through the engine's command line."""


class SmallModelEntry(BaseModel):
    """A small model of a fusion: a registered expert, or weights of its own."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    expert: str | None = Field(
        None, description="A registered expert of kind vllm, or a lora on such; it may be disabled."
    )
    model: str = Field(
        "", description="Hugging Face id, folder or package:NAME, where it is no registered expert."
    )
    adapter: str | None = Field(None, description="The folder of a LoRA adapter on the model.")
    prompt: str | None = Field(
        None,
        min_length=1,
        max_length=MOST_PROMPT,
        description="Text that this model alone reads before the conversation: worked examples.",
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16"] | None = Field(
        None, description="What it computes in; as its weights are stored, if not given."
    )
    overrides: dict[str, JsonValue] = Field(
        {}, description="Replaces values of its configuration, such as num_experts_per_tok."
    )
    params_b: float | None = Field(
        None, gt=0, description="Its parameters in billions, where no registered expert has them."
    )
    name: str = Field(
        "",
        pattern="^([A-Za-z0-9][A-Za-z0-9._-]{0,63})?$",
        description="What it is called in traces; the last part of what it is made of by default.",
    )

    def to_domain(self) -> SmallModel:
        """The same as the domain has it."""
        return SmallModel(**{name: getattr(self, name) for name in type(self).model_fields})


class FusionEntry(BaseModel):
    """What a fused expert is made of; all models must share one vocabulary."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    large: str = Field(
        min_length=1, description="The expert of kind vllm whose engine the small models run in."
    )
    base: SmallModelEntry | None = Field(
        None,
        description="The small model as it was before tuning; for a contrast, the amateur; "
        "a log-linear mixture needs none.",
    )
    experts: list[SmallModelEntry] = Field([], max_length=16, description="The tuned small models.")
    mode: dict[str, JsonValue] = Field(
        {"kind": "dynamic"}, description="How they are mixed: 'kind' and its numbers."
    )

    @model_validator(mode="after")
    def _mode_fits(self) -> FusionEntry:
        try:
            check_parts(mode_of(self.mode), experts=len(self.experts))
        except ConfigurationError as error:
            raise ValueError(str(error)) from None
        return self

    def to_domain(self) -> FusionSpec:
        """The same as the domain has it."""
        base = self.base.to_domain() if self.base else None
        experts = tuple(part.to_domain() for part in self.experts)
        return FusionSpec(self.large, base, experts, self.mode)
