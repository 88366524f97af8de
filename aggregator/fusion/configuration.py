"""What a vLLM engine is told about its fusions: the ``fusion`` block of ``additional_config``.

::

    {"small":   {NAME: {"model": DIR, "adapter": DIR|null, "prompt": TEXT|null, "dtype": "auto",
                        "overrides": {...}}},
     "fusions": {NAME: {"base": SMALL|null, "experts": [SMALL, ...], "mode": {"kind": ...}}},
     "traces":  DIR|null,
     "slots":   N|null}

Read from JSON, checked as far as that goes without touching a disk, and written back.  Small
models with the same ``model``, ``dtype`` and ``overrides`` share one set of weights: an ``adapter``
(LoRA) or a ``prompt`` (put before every request's own tokens) is then all that tells them apart.
Knows nothing of torch, so that whoever starts an engine may use it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, cast

from aggregator.fusion.modes import LogLinear, Mode, check_parts, mode_of
from coterie.errors import ConfigurationError
from coterie.types import JSON

KEY = "fusion"
"""Where the block lies in ``additional_config``."""

DTYPES = ("auto", "float32", "bfloat16", "float16")

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,127}")


@dataclass(frozen=True, slots=True)
class SmallModel:
    """A model that runs beside the large one.

    ``model`` is a folder in Hugging Face's layout, or a name on its hub; ``adapter`` the folder of
    a LoRA adapter for it; ``prompt`` a text of examples that it alone sees; ``dtype`` what it
    computes in, "auto" being what its weights are stored in.  ``overrides`` replaces values of its
    configuration: ``{"num_experts_per_tok": 1}`` makes an amateur of a mixture of experts.
    """

    model: str
    adapter: str | None = None
    prompt: str | None = None
    dtype: str = "auto"
    overrides: Mapping[str, JSON] = field(default_factory=dict)

    @property
    def weights(self) -> tuple[str, str, str]:
        """What it shares with every small model that may run in the same forward pass."""
        return self.model, self.dtype, json.dumps(dict(self.overrides), sort_keys=True)

    def as_dict(self) -> dict[str, JSON]:
        """The entry as it stands in the block."""
        return {
            "model": self.model,
            "adapter": self.adapter,
            "prompt": self.prompt,
            "dtype": self.dtype,
            "overrides": dict(self.overrides),
        }

    @classmethod
    def of(cls, name: str, given: object) -> SmallModel:
        """Reads one entry of ``small``.  Raises ConfigurationError."""
        where = f"small model {name!r}"
        entry = _mapping(given, where, {"model", "adapter", "prompt", "dtype", "overrides"})
        dtype = _text(entry, "dtype", where) or "auto"
        if dtype not in DTYPES:
            raise ConfigurationError(
                f"{where}: dtype {dtype!r} is not known; use one of {', '.join(DTYPES)}"
            )
        model = _text(entry, "model", where)
        if model is None:
            raise ConfigurationError(f"{where} names no model: give the folder of its weights")
        adapter, prompt = _text(entry, "adapter", where), _text(entry, "prompt", where)
        overrides = _mapping(_given(entry, "overrides"), f"{where}: its overrides")
        return cls(model, adapter, prompt, dtype, overrides)


@dataclass(frozen=True, slots=True)
class Recipe:
    """One fusion of the engine's own model: what is taken from which small models, and how.

    For a contrast ``base`` is the amateur and there are no experts; a log-linear mixture asks no
    base, and needs none.
    """

    base: str | None
    experts: tuple[str, ...]
    mode: Mode

    @property
    def parts(self) -> tuple[str, ...]:
        """Every small model it needs, each once: the base first, if it is asked."""
        base = () if self.base is None or isinstance(self.mode, LogLinear) else (self.base,)
        return tuple(dict.fromkeys(base + self.experts))

    def as_dict(self) -> dict[str, JSON]:
        """The entry as it stands in the block."""
        mode = cast("JSON", dict(self.mode.as_dict()))
        return {"base": self.base, "experts": list(self.experts), "mode": mode}

    @classmethod
    def of(cls, name: str, given: object) -> Recipe:
        """Reads one entry of ``fusions``.  Raises ConfigurationError."""
        where = f"fusion {name!r}"
        entry = _mapping(given, where, {"base", "experts", "mode"})
        base, experts = _text(entry, "base", where), _names(_given(entry, "experts", ()), where)
        try:
            mode = mode_of(_mapping(_given(entry, "mode"), "its mode"))
            check_parts(mode, experts=len(experts))
        except ConfigurationError as error:
            raise ConfigurationError(f"{where}: {error}") from None
        if base is None and not isinstance(mode, LogLinear):
            raise ConfigurationError(f"{where} names no base: give the name of a small model")
        return cls(base, experts, mode)


@dataclass(frozen=True, slots=True)
class FusionConfiguration:
    """All fusions of one engine.

    ``traces`` is the folder for the traces of α that requests may ask for; ``slots`` how many
    requests keep the caches of a small model at a time, ``None`` being as many as the engine runs.
    """

    small: Mapping[str, SmallModel]
    fusions: Mapping[str, Recipe]
    traces: str | None = None
    slots: int | None = None

    def __post_init__(self) -> None:
        if not self.fusions:
            raise ConfigurationError(
                "no fusion is configured: name at least one under 'fusions', or leave out"
                " --logits-processors"
            )
        for name, recipe in self.fusions.items():
            for part in recipe.parts:
                if part not in self.small:
                    raise ConfigurationError(
                        f"fusion {name!r} needs small model {part!r}, which is not described;"
                        f" add it under 'small' beside {_listed(self.small)}"
                    )

    def used(self) -> tuple[str, ...]:
        """The small models that any fusion needs, each once, in the order they are described."""
        needed = {part for recipe in self.fusions.values() for part in recipe.parts}
        return tuple(name for name in self.small if name in needed)

    def as_dict(self) -> dict[str, JSON]:
        """The block, to be given to the engine as JSON."""
        return {
            "small": {name: small.as_dict() for name, small in self.small.items()},
            "fusions": {name: recipe.as_dict() for name, recipe in self.fusions.items()},
            "traces": self.traces,
            "slots": self.slots,
        }

    def as_additional_config(self) -> dict[str, JSON]:
        """What belongs into vLLM's ``--additional-config``."""
        return {KEY: self.as_dict()}

    @classmethod
    def of(cls, given: object) -> FusionConfiguration:
        """Reads and checks the block.  Raises ConfigurationError with what to do about it."""
        block = _mapping(given, f"the {KEY!r} block", {"small", "fusions", "traces", "slots"})
        small = _mapping(_given(block, "small"), "'small'")
        fusions = _mapping(_given(block, "fusions"), "'fusions'")
        return cls(
            {_name(name): SmallModel.of(name, entry) for name, entry in small.items()},
            {_name(name): Recipe.of(name, entry) for name, entry in fusions.items()},
            _text(block, "traces", f"the {KEY!r} block"),
            _slots(block.get("slots")),
        )

    @classmethod
    def of_additional_config(cls, given: object) -> FusionConfiguration:
        """Reads the block out of vLLM's ``additional_config``.  Raises ConfigurationError."""
        if not isinstance(given, Mapping) or KEY not in given:
            raise ConfigurationError(
                f"this engine has a fusing logits processor, but its additional_config has no"
                f" {KEY!r} block: give --additional-config '{{\"{KEY}\": {{...}}}}'"
            )
        return cls.of(given[KEY])


def _mapping(given: object, where: str, known: set[str] | None = None) -> Mapping[str, Any]:
    if not isinstance(given, Mapping):
        raise ConfigurationError(f"{where} must be an object of names and values, not {given!r}")
    if known is not None and (unknown := sorted(set(given) - known)):
        raise ConfigurationError(
            f"{where} has {', '.join(map(repr, unknown))}, which means nothing there;"
            f" allowed are {', '.join(sorted(known))}"
        )
    return given


def _given(entry: Mapping[str, Any], key: str, default: object = MappingProxyType({})) -> object:
    value = entry.get(key)
    return default if value is None else value


def _text(entry: Mapping[str, Any], key: str, where: str) -> str | None:
    value = entry.get(key)
    if value is None:
        return None
    if not isinstance(value, str) or not value:
        raise ConfigurationError(f"{where}: {key!r} must be a text, not {value!r}")
    return value


def _name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"{name!r} cannot be a name: use letters, digits and . _ / -, at most 128 of them,"
            " a letter or digit first"
        )
    return name


def _names(given: object, where: str) -> tuple[str, ...]:
    if isinstance(given, str) or not isinstance(given, Sequence):
        raise ConfigurationError(f"{where}: 'experts' must be a list of names, not {given!r}")
    names = tuple(given)
    if not all(isinstance(name, str) for name in names) or len(set(names)) < len(names):
        raise ConfigurationError(f"{where}: 'experts' must name each small model once: {given!r}")
    return names


def _slots(given: object) -> int | None:
    if given is None:
        return None
    if not isinstance(given, int) or isinstance(given, bool) or given < 1:
        raise ConfigurationError(f"'slots' must be a whole number of at least 1, not {given!r}")
    return given


def _listed(names: Mapping[str, object]) -> str:
    return ", ".join(map(repr, sorted(names))) or "none so far"
