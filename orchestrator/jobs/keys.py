"""What a completion is kept under: the hash of all that shapes it.

    key = sha256(canonical JSON of [expert's revision, sha256 of the messages, sampling])

The messages go in by their own hash, so that a long prompt is read once for all its experts.  Equal
keys mean equal answers as far as anyone can tell from here; a model that changes behind an OpenAI
endpoint under the same name cannot be told from itself.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from coterie.types import Expert, FusionSpec, Question, Sampling, as_jsonable

SEALED = "sealed-"
"""Begins the keys of what must never be written down in plain text."""

_NO_MATTER = frozenset(
    {
        "api_server_count",
        "cpu_offload_gb",
        "disable_log_requests",
        "disable_log_stats",
        "download_dir",
        "enable_prefix_caching",
        "enable_sleep_mode",
        "env",
        "gpu_memory_utilization",
        "kv_cache_memory_bytes",
        "load_format",
        "max_cpu_loras",
        "max_loras",
        "max_num_batched_tokens",
        "max_num_seqs",
        "no_enable_prefix_caching",
        "swap_space",
        "uvicorn_log_level",
    }
)
"""Arguments of an engine that say how fast it answers, and nothing about what."""

_WEIGHTS = (".safetensors", ".bin", ".pt")

_CANONICAL = json.JSONEncoder(  # made once: json.dumps would make one for every key
    default=as_jsonable, sort_keys=True, separators=(",", ":"), allow_nan=False
)


def canonical(value: Any) -> str:
    """``value`` as the one JSON text that equal values share."""
    return _CANONICAL.encode(value)


def digest(value: Any) -> str:
    """The hash of ``value``'s canonical JSON."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def revision(expert: Expert, experts: Mapping[str, Expert]) -> str:
    """A hash of what shapes the expert's answers: another revision is another expert.

    Its prices, description and tags are no part of it; its name is, so that two entries of the same
    model are two voices.  ``experts`` has what an expert needs: the base of a ``lora``, the parts
    of a ``fusion``.  Of several endpoints the first counts, as all serve the same.  Weights in a
    local folder count by their contents (adapters) or by the names and sizes of the files (whole
    models, which are too big to read), never by time or place, so that machines agree.
    """
    shape: dict[str, Any] = {
        "name": expert.name,
        "kind": expert.kind,
        "model": _model(expert.model),
        "endpoint": expert.servers[0] if expert.servers else None,
        "base": _other(expert.base, experts),
        "adapter": _adapter(expert.adapter) if expert.adapter else None,
        "context_length": expert.context_length,
        "engine_args": _arguments(expert.engine_args),
        "defaults": expert.defaults,
    }
    if expert.fusion:
        shape["fusion"] = _fusion(expert.fusion, experts)
    return digest(shape)


def prompt_key(question: Question, *, secret: bool = False) -> str:
    """What a prompt is kept under."""
    mark = SEALED if secret else ""
    return mark + digest([m.as_dict() for m in question.messages])


def unit_key(revision: str, prompt: str, sampling: str) -> str:
    """What the completion of the prompt kept under ``prompt`` is kept under.

    ``sampling`` is the canonical JSON of it: many units share one.
    """
    mark = SEALED if is_sealed(prompt) else ""
    return mark + digest([revision, prompt.removeprefix(SEALED), sampling])


def is_sealed(key: str) -> bool:
    """Whether what is kept under ``key`` is secret."""
    return key.startswith(SEALED)


def seeded(sampling: Sampling, seed: int, item: str) -> Sampling:
    """``sampling`` with a seed of the item's own, where the answer is drawn and none is given.

    The same for every expert: a completion that was drawn is found again, and so is its key.
    """
    if sampling.seed is not None or sampling.temperature == 0:
        return sampling
    drawn = int.from_bytes(hashlib.sha256(f"{seed}/{item}".encode()).digest()[:4]) >> 1
    return Sampling(seed=drawn).over(sampling)


def _other(name: str | None, experts: Mapping[str, Expert]) -> str | None:
    """The revision of the expert of that name; its name where it is not known."""
    found = experts.get(name or "")
    return revision(found, experts) if found else name


def _fusion(fusion: FusionSpec, experts: Mapping[str, Expert]) -> dict[str, Any]:
    """What its parts are made of and how they are mixed; what they are called is no matter."""
    return {
        "large": _other(fusion.large, experts),
        "mode": fusion.mode,
        "parts": [
            {
                "expert": _other(part.expert, experts),
                "model": _model(part.model) if part.model else None,
                "adapter": _adapter(part.adapter) if part.adapter else None,
                "prompt": part.prompt,
                "dtype": part.dtype,
                "overrides": part.overrides,
            }
            for part in fusion.parts
        ],
    }


def _arguments(given: Mapping[str, Any]) -> dict[str, Any]:
    named = {name.lstrip("-").replace("-", "_"): value for name, value in given.items()}
    return {name: value for name, value in named.items() if name not in _NO_MATTER}


def _model(model: str) -> Any:
    folder = Path(model)
    if not folder.is_dir():
        return model
    files = sorted(p for p in folder.iterdir() if p.is_file())
    return [[p.name, p.stat().st_size] for p in files]


def _adapter(folder: str) -> Any:
    """The contents of the adapter's weights and settings; its name where it is not a folder."""
    files = sorted(p for p in Path(folder).glob("*") if p.suffix in (*_WEIGHTS, ".json"))
    return [[p.name, _contents(p, p.stat().st_mtime_ns)] for p in files] or folder


@lru_cache(maxsize=1024)
def _contents(file: Path, changed_ns: int) -> str:
    """The file's hash, read once as long as it is not ``changed_ns`` later."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
