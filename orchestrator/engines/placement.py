"""Which engine serves which expert: a pure decision over the registry's entries.

A new kind of expert is one function and one line in :data:`KINDS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from coterie.errors import ConfigurationError
from coterie.types import Expert, ExpertKind, FusionSpec
from orchestrator.engines.fusion_plan import resolved
from orchestrator.engines.vllm import VllmSpec


@dataclass(frozen=True, slots=True)
class Placement:
    """Where one expert is served: at ``endpoints``, or by the managed ``process`` of that name.

    ``model`` is the model id to send, ``api_key_env`` the variable with the server's key;
    ``fusion`` is what the process mixes for it, resolved to weights.
    """

    expert: Expert
    model: str
    endpoints: tuple[str, ...] = ()
    process: str | None = None
    api_key_env: str | None = None
    fusion: FusionSpec | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that should run: placements by expert, processes by name, and what is wrong."""

    placements: Mapping[str, Placement] = field(default_factory=dict)
    processes: Mapping[str, VllmSpec] = field(default_factory=dict)
    problems: Mapping[str, str] = field(default_factory=dict)


Place = Callable[[Expert, Mapping[str, Expert]], Placement]


def make_plan(experts: Sequence[Expert]) -> Plan:
    """The plan for the enabled ones of ``experts``; a disabled base still serves its adapters.

    What is wrong with one expert is that expert's problem, and no other's.
    """
    everyone = {expert.name: expert for expert in experts}
    placements: dict[str, Placement] = {}
    problems: dict[str, str] = {}
    for expert in (expert for expert in experts if expert.enabled):
        try:
            placements[expert.name] = _place(expert, everyone)
        except ConfigurationError as error:
            problems[expert.name] = str(error)
    return Plan(placements, _processes(placements, everyone), problems)


def _place(expert: Expert, everyone: Mapping[str, Expert]) -> Placement:
    place = KINDS.get(expert.kind)
    if place is None:
        raise ConfigurationError(
            f"expert {expert.name!r} is of unknown kind {str(expert.kind)!r}; "
            f"use one of {', '.join(KINDS)}"
        )
    return place(expert, everyone)


def _at_endpoint(expert: Expert, everyone: Mapping[str, Expert]) -> Placement:
    if not expert.servers:
        raise ConfigurationError(
            f"expert {expert.name!r} has no endpoint; set it to its server's base URL"
        )
    return Placement(expert, expert.model, endpoints=expert.servers, api_key_env=expert.api_key_env)


def _in_own_process(expert: Expert, everyone: Mapping[str, Expert]) -> Placement:
    return Placement(expert, expert.name, process=expert.name)


def _with_base(expert: Expert, everyone: Mapping[str, Expert]) -> Placement:
    """Under a managed base the adapter goes by its expert's name, which is unique there."""
    base = everyone.get(expert.base or "")
    if base is None or base.kind not in (ExpertKind.VLLM, ExpertKind.OPENAI):
        raise ConfigurationError(
            f"expert {expert.name!r}: its base {expert.base!r} is not a registered expert of kind "
            "vllm or openai; set `base` to the name of one"
        )
    if base.kind is ExpertKind.VLLM:
        if not expert.adapter:
            raise ConfigurationError(
                f"expert {expert.name!r} has no adapter; set it to the folder of its LoRA weights"
            )
        return Placement(expert, expert.name, process=base.name)
    key = expert.api_key_env or base.api_key_env
    endpoints = _at_endpoint(base, everyone).endpoints
    return Placement(expert, expert.model or expert.name, endpoints=endpoints, api_key_env=key)


def _in_large(expert: Expert, everyone: Mapping[str, Expert]) -> Placement:
    """Asked as the large model; that it is to be fused, the request says."""
    large = everyone.get(expert.host)
    if expert.fusion is None or large is None or large.kind is not ExpertKind.VLLM:
        raise ConfigurationError(
            f"expert {expert.name!r}: its large model {expert.host!r} is not a registered expert "
            "of kind vllm; set `fusion.large` to the name of one"
        )
    try:
        fusion = resolved(expert.fusion, everyone)
    except ConfigurationError as error:
        raise ConfigurationError(f"expert {expert.name!r}: {error}") from error
    return Placement(expert, large.name, process=large.name, fusion=fusion)


KINDS: Mapping[str, Place] = {
    ExpertKind.OPENAI: _at_endpoint,
    ExpertKind.EMBEDDINGS: _at_endpoint,
    ExpertKind.VLLM: _in_own_process,
    ExpertKind.LORA: _with_base,
    ExpertKind.FUSION: _in_large,
}
"""How an expert of each kind is placed."""


def _processes(
    placements: Mapping[str, Placement], everyone: Mapping[str, Expert]
) -> dict[str, VllmSpec]:
    tenants: dict[str, list[Placement]] = {}
    for placement in placements.values():
        if placement.process:
            tenants.setdefault(placement.process, []).append(placement)
    return {name: _process(everyone[name], those) for name, those in tenants.items()}


def _process(base: Expert, tenants: Sequence[Placement]) -> VllmSpec:
    loras = [p.expert for p in tenants if p.expert.kind is ExpertKind.LORA]
    return VllmSpec.of(base, loras, {p.expert.name: p.fusion for p in tenants if p.fusion})
