"""How vLLM is started for one base expert, and the LoRA and fused experts that share its engine.

Builds command and environment; running them is ``managed``'s business.  vLLM itself is never
imported: it lives in the child.
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from coterie.errors import ConfigurationError
from coterie.types import JSON, Expert, FusionSpec, as_jsonable
from orchestrator.engines.fusion_arguments import EngineFusion, fusion_arguments, listed
from orchestrator.engines.process import Command

HOST = "127.0.0.1"
"""Where engines listen: what they offer beyond OpenAI's API is for this machine alone."""

LORA_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""The values vLLM allows for --max-lora-rank."""

_OWNED = frozenset(
    {"host", "port", "uds", "model", "served_model_name", "api_key", "enable_lora", "lora_modules"}
)
"""Arguments that are Coterie's to set: where the engine listens and what it serves."""

_PASSED_ON = re.compile(
    r"PATH|HOME|USER|LOGNAME|SHELL|LANG|LC_.*|TZ|TMPDIR|VIRTUAL_ENV|PYTHONPATH|LD_LIBRARY_PATH"
    r"|LD_PRELOAD|CC|CXX|SSL_CERT_.*|REQUESTS_CA_BUNDLE|XDG_.*|(?:https?|no|all)_proxy"
    r"|(?:CUDA|NVIDIA|NCCL|VLLM|HF|HUGGINGFACE|TRANSFORMERS|TORCH|PYTORCH|TORCHINDUCTOR|TRITON"
    r"|OMP|KMP|MKL|OPENBLAS|ROCM|ROCR|HIP|HSA|GPU|RAY|GLOO|TP)_.*",
    re.IGNORECASE,
)
_SECRET = re.compile(
    r".*(?:^|_)(?:KEY|TOKEN|SECRET|PASSWORD|CREDENTIALS)S?|DATABASE_URL|REDIS_URL", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Adapter:
    """A LoRA adapter as vLLM is told of it: the name requests use, its folder, its rank."""

    name: str
    path: str
    rank: int


@dataclass(frozen=True, slots=True)
class VllmSpec:
    """What an engine serves.  Two equal specs are the same engine; another one is a restart.

    ``adapters`` maps the name of each LoRA expert to its adapter's folder, ``fusions`` that of each
    fused expert to what it is made of, registered experts resolved to their weights.
    """

    name: str
    model: str
    context_length: int | None
    engine_args: Mapping[str, JSON]
    adapters: Mapping[str, str]
    fusions: Mapping[str, FusionSpec] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        base: Expert,
        loras: Sequence[Expert],
        fusions: Mapping[str, FusionSpec] | None = None,
    ) -> VllmSpec:
        """The spec of ``base`` with ``loras`` and ``fusions``."""
        adapters = {lora.name: lora.adapter or "" for lora in sorted(loras, key=lambda e: e.name)}
        mixed = dict(sorted((fusions or {}).items()))
        return cls(base.name, base.model, base.context_length, base.engine_args, adapters, mixed)

    def sleeps(self, on_gpu: bool) -> bool:
        """Whether its engine can be put to sleep: on a GPU, unless its arguments say otherwise."""
        return on_gpu and self.engine_args.get("enable_sleep_mode", True) is not False

    def differs_in_adapters_alone(self, other: VllmSpec) -> bool:
        """Whether ``other`` is the same engine with adapters added or gone, none moved."""
        both = self.adapters.keys() & other.adapters.keys()
        stay = all(self.adapters[name] == other.adapters[name] for name in both)
        return stay and replace(self, adapters=other.adapters) == other


def read_adapter(name: str, folder: str) -> Adapter:
    """The adapter of expert ``name`` in ``folder``.

    Raises:
        ConfigurationError: the folder holds no readable LoRA adapter.
    """
    path = Path(folder) / "adapter_config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        rank = max(int(config["r"]), *(int(r) for r in config.get("rank_pattern", {}).values()), 0)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigurationError(
            f"expert {name!r}: {str(path)!r} is not a LoRA adapter's configuration ({error!r}); "
            "set `adapter` to the folder PEFT saved it in"
        ) from error
    return Adapter(name, str(Path(folder).resolve()), rank)


def build_command(
    spec: VllmSpec,
    *,
    model: str,
    adapters: Sequence[Adapter],
    port: int,
    python: str,
    environ: Mapping[str, str],
    on_gpu: bool = False,
    host: str = HOST,
    fusion: EngineFusion | None = None,
) -> Command:
    """What to run for ``spec``.

    ``model`` is what vLLM is to load (a folder or a Hugging Face id), ``port`` is on ``host``,
    ``python`` an interpreter that has vLLM, ``environ`` what parts of are passed on.  ``on_gpu``
    adds sleep mode and, for an engine with LoRA, adapters that come while it runs; both open
    endpoints that let anyone who reaches them stop the engine or have it read files.  ``fusion`` is
    what the spec's fusions need, None where it has none.

    Raises:
        ConfigurationError: an engine argument is not allowed, a rank is too large, or those
            endpoints would be reachable from elsewhere.
    """
    if on_gpu and not is_loopback(host):
        raise ConfigurationError(
            f"expert {spec.name!r}: an engine that listens on {host!r} may not have vLLM's "
            f"endpoints for sleep and runtime LoRA; let it listen on {HOST}"
        )
    arguments = _engine_arguments(spec, adapters, on_gpu)
    if fusion:
        arguments |= fusion_arguments(spec.name, fusion, arguments)
    processors = arguments.pop("logits_processors", None)
    argv = [python, "-m", "vllm.entrypoints.openai.api_server", "--host", host]
    argv += ["--port", str(port), "--model", model, "--served-model-name", spec.name]
    for key, value in arguments.items():
        argv += _flag(key, value)
    if processors:
        argv += ["--logits-processors", *listed(processors)]
    # Adapters may come to an engine that starts without: max_loras in its arguments reserves room.
    if adapters or (on_gpu and "max_loras" in arguments):
        argv += ["--enable-lora"]
    if adapters:
        modules = [json.dumps({"name": a.name, "path": a.path}) for a in adapters]
        argv += ["--lora-modules", *modules]
    return Command(tuple(argv), _environment(spec, model, environ, on_gpu, fusion))


def _engine_arguments(spec: VllmSpec, adapters: Sequence[Adapter], on_gpu: bool) -> dict[str, JSON]:
    """The expert's own arguments over Coterie's defaults; keys with underscores."""
    own = {_key(spec, key): value for key, value in spec.engine_args.items() if key != "env"}
    arguments: dict[str, JSON] = {}
    if spec.sleeps(on_gpu):
        arguments["enable_sleep_mode"] = True
    if spec.context_length is not None:
        arguments["max_model_len"] = spec.context_length
    if adapters:
        # One slot more than there are adapters: vLLM's CPU kernels read "no adapter" as index -1,
        # the last slot, so that the base would answer through whichever adapter lay there.
        arguments["max_loras"] = len(adapters) + 1
        arguments["max_lora_rank"] = _max_rank(spec, adapters)
    return {**arguments, **own}


def _key(spec: VllmSpec, key: str) -> str:
    name = key.lstrip("-").replace("-", "_")
    if name in _OWNED or not re.fullmatch(r"[a-z][a-z0-9_.]*", name, re.IGNORECASE):
        raise ConfigurationError(
            f"expert {spec.name!r}: engine_args may not set {key!r}; remove it "
            f"(Coterie itself sets {', '.join(sorted(_OWNED))})"
        )
    return name


def _max_rank(spec: VllmSpec, adapters: Sequence[Adapter]) -> int:
    largest = max(adapters, key=lambda adapter: adapter.rank)
    for rank in LORA_RANKS:
        if rank >= largest.rank:
            return rank
    raise ConfigurationError(
        f"expert {largest.name!r}: its adapter has rank {largest.rank}, and vLLM serves ranks up "
        f"to {LORA_RANKS[-1]}; train it again with a lower rank"
    )


def _flag(key: str, value: JSON) -> list[str]:
    flag = "--" + key.replace("_", "-")
    if value is None:
        return []
    if isinstance(value, bool):
        return [flag if value else "--no-" + flag.removeprefix("--")]
    if isinstance(value, (str, int, float)):
        # One word, so that a value that starts with a dash is no option of its own.
        return [f"{flag}={value}"]
    return [f"{flag}={json.dumps(as_jsonable(value))}"]


def _environment(
    spec: VllmSpec,
    model: str,
    environ: Mapping[str, str],
    on_gpu: bool,
    fusion: EngineFusion | None,
) -> dict[str, str]:
    env = {name: value for name, value in environ.items() if _may_pass(name)}
    env.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
    # vLLM's CPU build pins every engine's threads to the same first cores; two engines then
    # starve each other for minutes while the other cores idle.
    env.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")
    env |= {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", "PYTHONUNBUFFERED": "1"}
    if on_gpu:
        env |= {"VLLM_SERVER_DEV_MODE": "1", "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1"}
    small = fusion.configuration.small.values() if fusion else ()
    if all(Path(weights).is_dir() for weights in (model, *(s.model for s in small))):
        env["HF_HUB_OFFLINE"] = "1"
    elif "HF_TOKEN" in environ:  # the one secret an engine needs: weights behind a licence
        env["HF_TOKEN"] = environ["HF_TOKEN"]
    env |= own_environment(spec)
    if fusion:
        places = (fusion.packages, env.get("PYTHONPATH"))
        env |= fusion.runner.environment
        env["PYTHONPATH"] = os.pathsep.join(place for place in places if place)
    return env


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches ``host``."""
    try:
        return host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _may_pass(name: str) -> bool:
    return bool(_PASSED_ON.fullmatch(name)) and not _SECRET.fullmatch(name)


def own_environment(spec: VllmSpec) -> dict[str, str]:
    """What the expert's entry sets in its engine's environment."""
    own: Any = spec.engine_args.get("env") or {}
    if not isinstance(own, Mapping):
        raise ConfigurationError(
            f"expert {spec.name!r}: engine_args.env must map names to values, not be {own!r}"
        )
    return {str(name): str(value) for name, value in own.items()}
