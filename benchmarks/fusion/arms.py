"""What is compared: ways to answer a task's questions, and what the engine is told of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

MODES: Mapping[str, Mapping[str, Any]] = {
    "dynamic, refined": {"kind": "dynamic", "solver": "refined"},
    "static 1": {"kind": "static", "alpha": 1.0},
    "static 0.5": {"kind": "static", "alpha": 0.5},
    "static 1.5": {"kind": "static", "alpha": 1.5},
    "dynamic, grid": {"kind": "dynamic", "solver": "grid"},
}
"""With one expert.  Emulated fine-tuning is static 1 there, but for a constant."""

MIXED: Mapping[str, Mapping[str, Any]] = {
    "dynamic, refined": {"kind": "dynamic", "solver": "refined"},
    "dynamic, leading": {"kind": "dynamic", "solver": "leading"},
    "dynamic, joint": {"kind": "dynamic", "solver": "joint"},
    "static 1": {"kind": "static", "alpha": 1.0},
    "dynamic, grid": {"kind": "dynamic", "solver": "grid"},
}
"""With the experts of all tasks in one fusion."""


def slug(scope: str, mode: str) -> str:
    """A fusion's name: ``scope`` is a task, or ``all``."""
    return f"{scope}-{mode}".replace(", ", "-").replace(" ", "-")


def block(small: str, adapters: Path, tasks: Iterable[str]) -> dict[str, Any]:
    """The engine's ``fusion`` block; ``adapters`` holds the small model's, one a task."""
    names = list(tasks)
    experts = {
        t: {"model": small, "adapter": str(adapters / t), "dtype": "bfloat16"} for t in names
    }
    fusions = {slug(t, m): _fusion([t], mode) for t in names for m, mode in MODES.items()}
    fusions |= {slug("all", m): _fusion(names, mode) for m, mode in MIXED.items()}
    return {
        "small": {"base": {"model": small, "dtype": "bfloat16"}} | experts,
        "fusions": fusions,
    }


def _fusion(experts: list[str], mode: Mapping[str, Any]) -> dict[str, Any]:
    return {"base": "base", "experts": experts, "mode": dict(mode)}
