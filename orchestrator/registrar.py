"""Changes the registry of experts: the one way in, for the admin API and for the dashboard.

The rules are the registry's (:mod:`skills.validation`); here is what else a change takes: an
endpoint that answers, models that fit, engines and snapshots that follow.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from coterie.errors import ConfigurationError, EngineError, RegistryError
from coterie.types import (
    Completion,
    Expert,
    ExpertKind,
    ExpertSource,
    Health,
    Question,
    Sampling,
    as_jsonable,
)
from orchestrator.amendment import Amendment, amend
from orchestrator.consequences import Act
from orchestrator.engines.fusion_start import check_fusion
from orchestrator.engines.vllm import read_adapter
from orchestrator.experts_file import ExpertEntry, read_experts
from orchestrator.keys.key import Caller
from orchestrator.networks import AddressRefused
from orchestrator.parts import Parts
from skills.validation import by_name, check, normalised

MOST_TEXT = 1_000_000
"""Characters of a file of experts."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of asking an expert one short question; ``error`` says why nothing did."""

    completion: Completion | None
    latency_s: float
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Registrar:
    """Changes the registry of ``parts`` for ``caller``, and lets everything else follow.

    Each change is noted in the audit log.
    """

    parts: Parts
    caller: Caller

    async def add(self, entry: ExpertEntry, *, verify: bool = True) -> Expert:
        """Registers an expert.

        Its endpoint must answer, or its models be there and speak one vocabulary, unless ``verify``
        is false.
        """
        expert = entry.to_domain(source=ExpertSource.MANAGED)
        await self._check_networks([expert])
        if verify and expert.kind in (ExpertKind.OPENAI, ExpertKind.EMBEDDINGS):
            await self._verify(expert)
        if verify:
            await self._verify_fusions([expert])
        added = await self.parts.registry.add(expert)
        await self._note("add", expert.name, as_jsonable(added))
        await self.parts.refresh()
        return added

    async def replace(self, name: str, entry: ExpertEntry) -> Expert:
        """Overwrites a managed entry; a declared one is changed in its file."""
        if entry.name != name:
            raise RegistryError(
                f"the entry is named {entry.name!r}, the path {name!r}: an expert's name cannot "
                "change, as its profile hangs on it; add it anew instead"
            )
        expert = entry.to_domain(source=ExpertSource.MANAGED)
        await self._check_networks([expert])
        await self._verify_fusions([expert])
        kept = await self.parts.registry.update(expert)
        await self._note("replace", name, as_jsonable(kept))
        await self.parts.refresh()
        return kept

    async def act(self, act: Act, name: str) -> None:
        """Enables, disables, drains or removes an expert."""
        registry, parts = self.parts.registry, self.parts
        if act is Act.ENABLE:
            await self._verify_fusions([await registry.get(name)])
            await registry.enable(name)
        elif act is Act.REMOVE:
            await registry.remove(name)
        else:
            await registry.disable(name)
        await self._note(act.value, name)
        if act is Act.REMOVE:
            await parts.forget([name])
        await parts.refresh(at_once=(name,) if act is Act.DISABLE else ())

    # --- trying ---------------------------------------------------------------------------------

    async def probe(self, entry: ExpertEntry) -> Health:
        """Whether an expert could be asked, registered or not; raises :class:`RegistryError` for
        an entry that would be refused."""
        others = by_name(await self.parts.registry.list())
        expert = entry.to_domain(source=ExpertSource.MANAGED)
        check(expert, others)
        asked = _at_its_server(expert, others)
        if asked.kind in (ExpertKind.OPENAI, ExpertKind.EMBEDDINGS):
            return await self.parts.fleet.probe(asked)
        try:
            await asyncio.to_thread(_check_weights, asked)
            await self._verify_fusions([asked])
        except (ConfigurationError, RegistryError) as error:
            return Health(False, str(error))
        return Health(
            True, "there is no server to connect to: Coterie starts its engine when it is added"
        )

    async def try_out(self, name: str) -> Trial:
        """Asks an expert one short question for real."""
        expert = self.parts.roster.expert(name)
        sampling = Sampling(temperature=0.0, max_tokens=16).over(expert.defaults)
        started = time.perf_counter()
        try:
            engine = self.parts.roster.engine(name)
            completion = await engine.complete(Question.of("Say hello."), sampling)
        except EngineError as error:
            return Trial(None, time.perf_counter() - started, str(error))
        return Trial(completion, time.perf_counter() - started)

    # --- a file of experts ----------------------------------------------------------------------

    async def read(self, text: str) -> Amendment:
        """What a file would change; raises an error that says what is wrong with it, and where."""
        if len(text) > MOST_TEXT:
            raise ConfigurationError(f"the file is longer than {MOST_TEXT:,} characters: split it")
        wanted = await asyncio.to_thread(read_experts, text)
        existing = await self.parts.registry.list()
        found = amend(existing, wanted)
        after = by_name(existing) | by_name(found.put)
        for expert in found.put:
            check(expert, after)
        return found

    async def apply(self, amendment: Amendment) -> None:
        """Does what it says, all or nothing."""
        await self._check_networks(amendment.put)
        await self._verify_fusions(amendment.put)
        await self.parts.registry.put(amendment.put)
        for change in amendment.changes:
            if change.expert in amendment.put:
                told = [as_jsonable(d) for d in change.differences]
                await self._note("import", change.expert.name, {"differences": told})
        await self.parts.refresh()

    async def _note(self, action: str, name: str, detail: Mapping[str, Any] | None = None) -> None:
        await self.parts.audit.note(self.caller, f"expert.{action}", name, detail)

    # --- checks ---------------------------------------------------------------------------------

    async def _verify_fusions(self, changed: Iterable[Expert]) -> None:
        """What would keep a large model's engine from starting is told before it is stopped.

        Of experts of other kinds nothing is.
        """
        new = by_name(changed)
        everyone = by_name(await self.parts.registry.list()) | new
        for expert in new.values():
            try:
                await asyncio.to_thread(check_fusion, expert, everyone, self.parts.settings.home)
            except ConfigurationError as error:
                raise RegistryError(f"expert {expert.name!r} is refused: {error}") from error

    async def _check_networks(self, changed: Iterable[Expert]) -> None:
        """Refuses endpoints outside of the networks that experts may be in."""
        networks = self.parts.settings.networks
        for expert in changed:
            for url in normalised(expert).servers:
                try:
                    await networks.check_url(url)
                except (AddressRefused, ValueError) as error:
                    told = f"expert {expert.name!r} is refused: endpoint {url!r}: {error}"
                    raise RegistryError(told) from None

    async def _verify(self, expert: Expert) -> None:
        found = await self.parts.fleet.probe(expert)
        if not found.ok:
            raise RegistryError(
                f"{_named(expert.servers)} of {expert.name!r} cannot be used: {found.detail}; "
                "start it or mend the URL, or register it all the same with verify=false"
            )


def _named(servers: Sequence[str]) -> str:
    return f"endpoint{'s' if servers[1:] else ''} {', '.join(map(repr, servers))}"


def _at_its_server(expert: Expert, others: Mapping[str, Expert]) -> Expert:
    """An adapter on somebody's server as the model that it is there."""
    base = others.get(expert.base or "")
    if base is None or base.kind is not ExpertKind.OPENAI:
        return expert
    key = expert.api_key_env or base.api_key_env
    return replace(
        expert,
        kind=ExpertKind.OPENAI,
        endpoint=base.endpoint,
        endpoints=base.endpoints,
        api_key_env=key,
        base=None,
    )


def _check_weights(expert: Expert) -> None:
    if expert.kind is ExpertKind.LORA and expert.adapter:
        read_adapter(expert.name, expert.adapter)
