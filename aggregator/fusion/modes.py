"""How logits are fused: one frozen value a mode, and how it is written down.


A mode knows its numbers and which of them are allowed; the mathematics is in ``core``.  Nothing
here imports torch, so that a registry can check a configuration without it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import ClassVar, Literal, TypeAlias, get_args

from coterie.errors import ConfigurationError

Solver: TypeAlias = Literal["refined", "grid", "joint", "leading"]


@dataclass(frozen=True, slots=True)
class Dynamic:
    """α is searched anew at every step and for every row (arXiv 2406.15480).

    ``grid`` looks at ``low, low + step, … high``, as published; ``refined`` goes on from the best
    of these points to the optimum beside it.  Both let one expert at a time have an α other than 0.
    ``joint`` lets all have one, with their sum at most ``high``.  ``leading`` lets that expert pull
    which is farthest from the small base, and as far as that one is: for experts of different
    tasks, of which those that are not asked for say little.
    """

    kind: ClassVar[str] = "dynamic"

    solver: Solver = "refined"
    low: float = 0.0
    high: float = 2.0
    step: float = 0.1

    def __post_init__(self) -> None:
        if self.solver not in get_args(Solver):
            raise refused(self.kind, "solver", self.solver, f"one of {', '.join(get_args(Solver))}")
        allow(self.kind, "low", self.low, self.low >= 0.0, "a number from 0 on")
        allow(self.kind, "high", self.high, self.high > self.low, f"above low ({self.low})")
        joint = self.solver == "joint" and self.low != 0.0
        allow(self.kind, "low", self.low, not joint, "0 where all experts pull at once")
        fits = 0.0 < self.step <= self.high - self.low and (self.high - self.low) / self.step <= 1e4
        allow(self.kind, "step", self.step, fits, "above 0 and at most high - low")

    @property
    def grid(self) -> tuple[float, ...]:
        """The published points: 21 of them from 0 to 2 by default."""
        points = math.floor((self.high - self.low) / self.step + 1e-9) + 1
        return tuple(self.low + self.step * index for index in range(points))

    def as_dict(self) -> dict[str, object]:
        """What ``mode_of`` reads."""
        return written(self)


@dataclass(frozen=True, slots=True)
class Static:
    """z_L + Σ_t α_t (z_t − z_base), the α fixed: proxy-tuning (arXiv 2401.08565), DExperts.

    ``alpha`` holds one number for each expert, or one for all of them.
    """

    kind: ClassVar[str] = "static"

    alpha: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        allow_all(self.kind, "alpha", self.alpha)

    def as_dict(self) -> dict[str, object]:
        """What ``mode_of`` reads."""
        return written(self)


@dataclass(frozen=True, slots=True)
class EmulatedFineTuning:
    """log π_L + Σ_t (log π_t − log π_base): emulated fine-tuning (arXiv 2310.12962)."""

    kind: ClassVar[str] = "emulated-fine-tuning"

    def as_dict(self) -> dict[str, object]:
        """What ``mode_of`` reads."""
        return written(self)


@dataclass(frozen=True, slots=True)
class Contrast:
    """(1 + β) s_expert − β s_amateur, implausible tokens masked (arXiv 2309.09117).

    The large model is the expert and the small base the amateur; there are no further experts.  A
    token is implausible where s_expert < log a + max s_expert.

    Self-contrast of a mixture of experts (SCMoE, arXiv 2405.14507) is this mode with the amateur's
    logits from the same model with fewer or other experts active: the amateur then is the large
    model's own folder, loaded once more with ``num_experts_per_tok`` lowered.
    """

    kind: ClassVar[str] = "contrast"

    beta: float = 0.5
    a: float = 0.1

    def __post_init__(self) -> None:
        allow(self.kind, "beta", self.beta, self.beta >= 0.0, "a number from 0 on")
        allow(self.kind, "a", self.a, 0.0 <= self.a <= 1.0, "from 0 to 1; 0 masks nothing")

    def as_dict(self) -> dict[str, object]:
        """What ``mode_of`` reads."""
        return written(self)


@dataclass(frozen=True, slots=True)
class LogLinear:
    """Σ_i w_i log p_i over the large model and the experts; the small base is not asked.

    ``weights``: the large model's first, then one for each expert.
    """

    kind: ClassVar[str] = "log-linear"

    weights: tuple[float, ...] = (0.5, 0.5)

    def __post_init__(self) -> None:
        allow_all(self.kind, "weights", self.weights)

    def as_dict(self) -> dict[str, object]:
        """What ``mode_of`` reads."""
        return written(self)


Mode: TypeAlias = Dynamic | Static | EmulatedFineTuning | Contrast | LogLinear

MODES: Mapping[str, Callable[..., Mode]] = {
    mode.kind: mode for mode in (Dynamic, Static, EmulatedFineTuning, Contrast, LogLinear)
}


def mode_of(written_mode: Mapping[str, object]) -> Mode:
    """The mode that ``{"kind": …, …}`` describes; ConfigurationError where there is none such."""
    given = dict(written_mode)
    kind = given.pop("kind", None)
    if kind not in MODES:
        raise refused("mode", "kind", kind, f"one of {', '.join(MODES)}")
    make = MODES[str(kind)]
    allowed = {field.name for field in fields(make)}  # type: ignore[arg-type]
    if unknown := sorted(set(given) - allowed):
        known = ", ".join(sorted(allowed)) or "nothing"
        raise ConfigurationError(f"fusion {kind} has no {unknown[0]!r}; it takes {known}")
    return make(**{name: read(str(kind), name, value) for name, value in given.items()})


def check_parts(mode: Mode, *, experts: int) -> None:
    """Refuses a mode that cannot be used with that many small experts (ConfigurationError)."""
    if isinstance(mode, Contrast):
        fits, wanted = experts == 0, "no small experts: its amateur is the small base"
    elif isinstance(mode, Static):
        fits = experts > 0 and len(mode.alpha) in {1, experts}
        wanted = f"one small expert or as many as it has α ({len(mode.alpha)})"
    elif isinstance(mode, LogLinear):
        fits = len(mode.weights) == experts + 1
        wanted = f"{len(mode.weights) - 1} small experts for its {len(mode.weights)} weights"
    else:
        fits, wanted = experts > 0, "at least one small expert"
    if not fits:
        raise ConfigurationError(f"fusion {mode.kind} wants {wanted}; it was given {experts}")


def read(kind: str, name: str, value: object) -> object:
    """A value from a file as a field takes it: text, a number, or numbers."""
    if isinstance(value, str) and name == "solver":
        return value
    if name in {"alpha", "weights"}:
        many = value if isinstance(value, (list, tuple)) else [value]
        return tuple(number(kind, name, each) for each in many)
    return number(kind, name, value)


def number(kind: str, name: str, value: object) -> float:
    """``value`` as a float, where it is a number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise refused(kind, name, value, "a number")
    return float(value)


def written(mode: Mode) -> dict[str, object]:
    """The mode as JSON can hold it."""
    values = {field.name: getattr(mode, field.name) for field in fields(mode)}
    return {"kind": mode.kind} | {
        k: list(v) if isinstance(v, tuple) else v for k, v in values.items()
    }


def allow(kind: str, name: str, value: float, fits: bool, wanted: str) -> None:
    """Refuses a number that is not finite or does not fit."""
    if not math.isfinite(value) or not fits:
        raise refused(kind, name, value, wanted)


def allow_all(kind: str, name: str, values: tuple[float, ...]) -> None:
    """Refuses numbers that are none or not finite."""
    if not values or not all(map(math.isfinite, values)):
        raise refused(kind, name, values, "one finite number or several")


def refused(kind: str, name: str, value: object, wanted: str) -> ConfigurationError:
    """The error for a value that is not allowed."""
    return ConfigurationError(f"fusion {kind}: {name} is {value!r}; it must be {wanted}")
