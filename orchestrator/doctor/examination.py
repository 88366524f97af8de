"""Every check, in the order in which one needs the other."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from coterie.types import Expert, ExpertKind
from orchestrator.doctor.configuration import read_experts_file, read_settings
from orchestrator.doctor.experts import look_at_experts
from orchestrator.doctor.finding import Finding, Verdict
from orchestrator.doctor.machine import (
    look_at_disk,
    look_at_encoder,
    look_at_gpu,
    look_at_home,
    look_at_keys,
)
from orchestrator.doctor.stores import look_at_database, look_at_queue, managed_experts
from orchestrator.doctor.versions import look_at_versions
from orchestrator.engines.gpu_report import describe_gpus, describe_versions
from orchestrator.settings import Settings

_ENGINES = (ExpertKind.VLLM, ExpertKind.LORA, ExpertKind.FUSION)


async def examine(variables: Mapping[str, str], config: Path | None = None) -> list[Finding]:
    """What there is to say of the installation that ``variables`` describe.

    ``config`` is another experts file than theirs.
    """
    settings, found = read_settings(variables)
    if config:
        settings = settings.with_config(config)
    declared, about_file = read_experts_file(settings)
    database, queue = await asyncio.gather(look_at_database(settings), look_at_queue(settings))
    experts = await _everyone(settings, declared, database)
    found += [*about_file, database, queue]
    if experts or about_file[0].verdict is Verdict.OK:  # a file that cannot be read is told above
        found += await look_at_experts(settings, experts)
    found.append(await asyncio.to_thread(look_at_encoder, settings))
    return found + await asyncio.to_thread(_machine, settings, _starts_engines(settings, experts))


async def _everyone(
    settings: Settings, declared: Sequence[Expert], database: Finding
) -> list[Expert]:
    """Declared and managed experts; what the file says now goes before what the database knows."""
    if database.verdict is not Verdict.OK:
        return list(declared)
    known = {expert.name: expert for expert in await managed_experts(settings)}
    return list((known | {expert.name: expert for expert in declared}).values())


def _starts_engines(settings: Settings, experts: Sequence[Expert]) -> bool:
    """Whether engines are started on this machine."""
    return settings.engine_slots != 0 and any(e.enabled and e.kind in _ENGINES for e in experts)


def _machine(settings: Settings, engines: bool) -> list[Finding]:
    python = str(settings.vllm_python or sys.executable)
    return [
        look_at_gpu(settings, describe_gpus(), engines=engines),
        *look_at_versions(describe_versions(python), engines=engines),
        look_at_home(settings),
        look_at_disk(settings),
        *look_at_keys(settings),
    ]
