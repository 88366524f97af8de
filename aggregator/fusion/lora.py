"""LoRA adapters over one base, a different one for each row of a batch.

W x + s · B (A x) for the rows that have the adapter, W x for the others, in one forward pass: the
base's weights are held, and read from memory, once for all.  Reads what PEFT saves; what PEFT can
do beyond plain LoRA is refused by name.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import linear

from coterie.errors import ConfigurationError

_TENSOR = re.compile(r"base_model\.model\.(?P<module>.+)\.lora_(?P<side>[AB])(?:\.\w+)?\.weight")
_BEYOND_LORA = ("use_dora", "lora_bias", "modules_to_save", "layer_replication", "use_qalora")
_CHANGES_BASE = ("pissa", "olora", "corda", "loftq")
"""Ways to begin training that change the base's own weights."""


@dataclass(frozen=True, slots=True)
class Pair:
    """What one adapter adds to one layer: ``a`` (rank, in), ``b`` (out, rank), scale within."""

    a: Tensor
    b: Tensor

    def add_to(self, y: Tensor, x: Tensor) -> None:
        """Adds to ``y`` (…, out), which is contiguous, what ``x`` (…, in) becomes."""
        inside = linear(x, self.a).view(-1, len(self.a))
        y.view(-1, y.shape[-1]).addmm_(inside, self.b.T)


Which: TypeAlias = "Tensor | slice"
"""Rows of a batch: (rows,) int64, or a slice where they lie side by side."""


class AdapterRows:
    """Which rows of the pass that runs have which adapter: set ``now`` before each pass.

    Adapters not named have none.
    """

    def __init__(self) -> None:
        self.now: Mapping[str, Which] = {}


def which(rows: Sequence[int], device: torch.device) -> Which:
    """These ``rows``, which are not none and differ, as a layer takes them up fastest."""
    first, last = rows[0], rows[-1]
    if list(rows) == list(range(first, last + 1)):
        return slice(first, last + 1)
    return torch.tensor(rows, dtype=torch.int64, device=device)


class LoraLayer(nn.Module):  # type: ignore[misc]
    """A layer of the base, and what adapters add to some rows of its input (rows, …, in)."""

    def __init__(self, base: nn.Module, rows: AdapterRows) -> None:
        super().__init__()
        self.base = base
        self.pairs: dict[str, Pair] = {}
        self._rows = rows

    def forward(self, x: Tensor) -> Tensor:
        """(rows, …, out)."""
        y: Tensor = self.base(x)
        for name, rows in self._rows.now.items():
            if (pair := self.pairs.get(name)) is not None:
                _add(pair, rows, y, x)
        return y


def _add(pair: Pair, rows: Which, y: Tensor, x: Tensor) -> None:
    """Adds what ``pair`` makes of the ``rows`` of x to those of y.

    Not by ``index_add_``, which on a CPU takes longer than the layer itself.
    """
    if isinstance(rows, slice):
        pair.add_to(y[rows], x[rows])
        return
    part = y.index_select(0, rows)
    pair.add_to(part, x.index_select(0, rows))
    y.index_copy_(0, rows, part)


def install_adapter(model: nn.Module, rows: AdapterRows, name: str, folder: str) -> None:
    """Lays the adapter in ``folder`` over ``model``, as ``name``.

    Raises ConfigurationError where it cannot be read, is more than LoRA, or is of another model.
    """
    where = f"small model {name!r}: its adapter {folder!r}"
    config = _config(Path(folder), where)
    for module, (a, b) in _tensors(Path(folder), where).items():
        layer = _layer(model, module, rows, where)
        weight = layer.base.weight
        if sorted(weight.shape) != sorted((b.shape[0], a.shape[1])):
            raise ConfigurationError(
                f"{where} is of another model: it adds {b.shape[0]} × {a.shape[1]} to {module},"
                f" which is {' × '.join(map(str, weight.shape))} here; give its own base as 'model'"
            )
        scaled = b.float() * _scale(config, module, rank=a.shape[0])
        to = {"dtype": weight.dtype, "device": weight.device}
        layer.pairs[name] = Pair(a.to(**to), scaled.to(**to))


def _config(folder: Path, where: str) -> dict[str, Any]:
    try:
        config: dict[str, Any] = json.loads((folder / "adapter_config.json").read_text("utf-8"))
        kind, alpha = config.get("peft_type"), float(config["lora_alpha"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigurationError(
            f"{where} cannot be read ({error!r}); give the folder that PEFT saved it in"
        ) from None
    beyond = [key for key in _BEYOND_LORA if config.get(key)]
    started = str(config.get("init_lora_weights") or "").lower()
    if started.startswith(_CHANGES_BASE):
        beyond.append(f"init_lora_weights={started}")
    if kind != "LORA" or beyond or not math.isfinite(alpha):
        raise ConfigurationError(
            f"{where} is more than plain LoRA ({', '.join(beyond) or kind}); merge it into its"
            " base with PEFT and give the merged folder as 'model'"
        )
    return config


def _tensors(folder: Path, where: str) -> dict[str, tuple[Tensor, Tensor]]:
    try:
        stored = load_file(folder / "adapter_model.safetensors")
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"{where} has no weights to read ({error}); save it with safetensors"
        ) from None
    sides: dict[str, dict[str, Tensor]] = {}
    for name, tensor in stored.items():
        if (match := _TENSOR.fullmatch(name)) is None:
            raise ConfigurationError(f"{where} holds {name!r}, which is no LoRA weight; merge it")
        sides.setdefault(match["module"], {})[match["side"]] = tensor
    if not sides or any(len(pair) != 2 for pair in sides.values()):
        raise ConfigurationError(f"{where} lacks weights: every layer needs lora_A and lora_B")
    return {module: (pair["A"], pair["B"]) for module, pair in sides.items()}


def _layer(model: nn.Module, module: str, rows: AdapterRows, where: str) -> LoraLayer:
    """The layer called ``module``, with room for adapters."""
    try:
        found = model.get_submodule(module)
    except AttributeError:
        found = None
    if isinstance(found, LoraLayer):
        return found
    heads = (model.get_input_embeddings(), model.get_output_embeddings())
    if found is None or found in heads or getattr(found, "weight", torch.empty(0)).dim() != 2:
        raise ConfigurationError(
            f"{where} changes {module!r}, which this model has not as a linear layer inside; merge"
            " it into its base with PEFT and give the merged folder as 'model'"
        )
    layer = LoraLayer(found, rows)
    parent, _, child = module.rpartition(".")
    setattr(model.get_submodule(parent), child, layer)
    return layer


def _scale(config: Mapping[str, Any], module: str, *, rank: int) -> float:
    """α / r, or α / √r where the adapter is rank-stabilised (arXiv 2312.03732)."""
    patterns: Mapping[str, float] = config.get("alpha_pattern") or {}
    matching = (key for key in patterns if re.match(rf"(.*\.)?({key})$", module))
    key = next(matching, None)
    alpha = float(config["lora_alpha"] if key is None else patterns[key])
    return alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)
