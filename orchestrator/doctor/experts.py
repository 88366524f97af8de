"""Every expert: whether its servers answer, take its key, and serve its model."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from coterie.errors import ConfigurationError
from coterie.types import Expert, ExpertKind
from orchestrator.doctor.finding import Finding
from orchestrator.engines.failures import TRANSPORT_ERRORS
from orchestrator.engines.http import Client, HttpLimits, Whole, create_client
from orchestrator.engines.placement import Placement, make_plan
from orchestrator.engines.target import Target
from orchestrator.engines.vllm import read_adapter
from orchestrator.settings import Settings

TIMEOUT_S = 5.0
AT_ONCE = 16
_REFUSED = frozenset({401, 403})
_MOST_NAMED = 8


async def look_at_experts(settings: Settings, experts: Sequence[Expert]) -> list[Finding]:
    """One finding for each server of each enabled expert, in the experts' order."""
    if not experts:
        remedy = f"declare one in {settings.config}, or run `coterie experts add`"
        return [Finding.fail("experts", "none is registered", remedy)]
    plan = make_plan(experts)
    bound = asyncio.Semaphore(AT_ONCE)
    limits = HttpLimits(connect_timeout_s=TIMEOUT_S, read_timeout_s=TIMEOUT_S)
    async with create_client(limits, settings.networks) as client:

        async def look(expert: Expert) -> list[Finding]:
            subject = f"expert {expert.name}"
            if not expert.enabled:
                return [Finding.ok(subject, "it is disabled: nobody asks it")]
            if problem := plan.problems.get(expert.name):
                return [Finding.fail(subject, problem, "mend its entry")]
            placement = plan.placements[expert.name]
            if placement.process is not None:
                return [_managed(subject, expert)]
            async with bound:
                return await _at_servers(subject, placement, settings, client)

        found = await asyncio.gather(*map(look, experts))
    return [finding for of_one in found for finding in of_one]


def _managed(subject: str, expert: Expert) -> Finding:
    """Of an engine that Coterie starts: whether what it is started with is there."""
    if expert.kind is ExpertKind.LORA and expert.adapter:
        try:
            read_adapter(expert.name, expert.adapter)
        except ConfigurationError as error:
            return Finding.fail(subject, str(error), "set `adapter` to the adapter's folder")
    model = Path(expert.model).expanduser()
    if expert.kind is ExpertKind.VLLM and model.is_absolute() and not model.is_dir():
        told = f"there is no folder {str(model)!r} with its weights"
        return Finding.fail(subject, told, "set `model` to the weights' folder")
    return Finding.ok(subject, f"Coterie starts its engine ({expert.kind}, {expert.host})")


async def _at_servers(
    subject: str, placement: Placement, settings: Settings, client: Client
) -> list[Finding]:
    name = placement.api_key_env
    key = settings.secrets(name) if name else None
    if name and key is None:
        told = f"the variable {name} with its key is not set"
        return [Finding.fail(subject, told, f"set {name} where Coterie is started")]
    targets = [
        Target(placement.expert.name, url, placement.model, key, name)
        for url in placement.endpoints
    ]
    return [await _at_server(subject, placement.expert, target, client) for target in targets]


async def _at_server(subject: str, expert: Expert, target: Target, client: Client) -> Finding:
    try:
        async with asyncio.timeout(TIMEOUT_S):
            begun = await client.send_now("GET", target.url("/v1/models"), target.headers)
            response = await begun.whole()
    except (*TRANSPORT_ERRORS, OSError, TimeoutError, ValueError) as error:
        why = target.redact(str(error).partition("\n")[0]) or type(error).__name__
        told = f"{target.server} does not answer: {why}"
        return Finding.fail(subject, told, "start its server, or correct its endpoint")
    if response.status in _REFUSED:
        told = f"{target.server} refuses its key (status {response.status})"
        return Finding.fail(subject, told, _about_key(target))
    listed = _listed(response) if response.ok else None
    if listed is None:
        told = f"{target.server} answers, but lists no models (status {response.status})"
        return Finding.warn(subject, told, f"try it: `coterie experts test {expert.name}`")
    return _judged(subject, expert, target, listed)


def _judged(
    subject: str, expert: Expert, target: Target, listed: Mapping[str, Mapping[str, Any]]
) -> Finding:
    if target.model not in listed:
        names = [target.redact(name) for name in list(listed)[:_MOST_NAMED]]
        told = f"{target.server} has no model {target.model!r}, but {', '.join(map(repr, names))}"
        return Finding.fail(subject, told, "set `model` to one of these, or load it there")
    longest = listed[target.model].get("max_model_len")
    longest = longest if isinstance(longest, int) else None
    if longest and expert.context_length and expert.context_length > longest:
        told = (
            f"{target.server} reads {longest} tokens of a conversation, and the entry says "
            f"{expert.context_length}: longer ones will be refused there"
        )
        return Finding.warn(subject, told, f"set `context_length: {longest}`")
    room = f", up to {longest} tokens" if longest else ""
    return Finding.ok(subject, f"{target.server} serves {target.model!r}{room}")


def _about_key(target: Target) -> str:
    if target.api_key_env:
        return f"put the right key into {target.api_key_env}"
    return "name the variable with its key: `api_key_env`"


def _listed(response: Whole) -> dict[str, Mapping[str, Any]] | None:
    """The models of an answer, by id; None where it holds no list of them."""
    try:
        return {str(model["id"]): model for model in json.loads(response.body)["data"]} or None
    except (ValueError, KeyError, TypeError):
        return None
