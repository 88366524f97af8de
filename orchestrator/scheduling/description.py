"""A cluster and its work, described in a YAML or JSON file; see `examples/scheduling/`.

Every figure is somebody's assumption: the file must say whose, under ``assumptions``.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from coterie.errors import ConfigurationError
from orchestrator.scheduling.cluster import Cluster, EngineFigures, Gpu, Node
from orchestrator.scheduling.workload import Request


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is simulated; ``assumptions``: where its figures come from."""

    name: str
    assumptions: tuple[str, ...]
    cluster: Cluster
    requests: tuple[Request, ...]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class GpuEntry(_Entry):
    """``count`` GPUs alike, in one node with ``host_gb`` for sleepers."""

    count: int = Field(1, gt=0)
    memory_gb: float = Field(gt=0)
    host_gb: float = Field(0.0, ge=0)


class EngineEntry(_Entry):
    """Fields of EngineFigures; what is not given is as in ``defaults``."""

    name: str
    adapters: list[str] = []
    gpu_gb: float | None = Field(None, gt=0)
    asleep_gb: float | None = Field(None, ge=0)
    residue_gb: float | None = Field(None, ge=0)
    load_s: float | None = Field(None, ge=0)
    wake_1_s: float | None = Field(None, ge=0)
    wake_2_s: float | None = Field(None, ge=0)
    sleep_s: float | None = Field(None, ge=0)
    stop_s: float | None = Field(None, ge=0)
    tokens_s: float | None = Field(None, gt=0)
    alone_tokens_s: float | None = Field(None, gt=0)
    concurrency: int | None = Field(None, gt=0)
    sleeps: bool | None = None
    share: float = Field(1.0, ge=0, description="Of the batch, relative to the others'.")
    tokens: float | None = Field(None, gt=0, description="Of one answer, on average.")


class DefaultsEntry(EngineEntry):
    """What engines have where they say nothing."""

    name: str = ""
    gpu_gb: float | None = 24.0
    tokens: float | None = 500.0


class BatchEntry(_Entry):
    """``questions`` arrive at once; each recruits ``k`` experts, drawn by their shares."""

    questions: int = Field(gt=0)
    k: int = Field(3, gt=0)
    spread: float = Field(0.5, ge=0, description="σ of the log-normal lengths of answers.")


class OnlineEntry(_Entry):
    """``count`` requests for one expert, one every ``every_s``."""

    expert: str
    count: int = Field(gt=0)
    every_s: float = Field(gt=0)
    start_s: float = Field(0.0, ge=0)
    tokens: float = Field(500.0, gt=0)
    bound_s: float = Field(gt=0)


class Description(_Entry):
    """The file."""

    name: str
    assumptions: list[str] = Field(min_length=1)
    seed: int = 0
    gpus: GpuEntry
    defaults: DefaultsEntry = DefaultsEntry()
    engines: list[EngineEntry] = Field(min_length=1)
    batch: BatchEntry | None = None
    online: list[OnlineEntry] = []


def read_scenario(path: Path) -> Scenario:
    """Reads the file; ConfigurationError says what is wrong with it."""
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
        description = Description.model_validate(data)
    except (OSError, yaml.YAMLError) as error:
        raise ConfigurationError(f"cannot read a cluster from {str(path)!r}: {error}") from error
    except ValidationError as error:
        problems = "\n".join(
            f"{path}: {'.'.join(map(str, e['loc']))!r}: {e['msg']}" for e in error.errors()
        )
        raise ConfigurationError(problems) from None
    return _scenario(description, path)


def _scenario(description: Description, path: Path) -> Scenario:
    cluster = _cluster(description)
    for name in [o.expert for o in description.online if o.expert not in cluster.hosts]:
        raise ConfigurationError(
            f"{path}: 'online' names {name!r}, which is no engine or adapter of the file; "
            f"known are {', '.join(cluster.hosts)}"
        )
    most = max(gpu.memory_gb for gpu in cluster.gpus)
    for engine in cluster.engines:
        if engine.gpu_gb > most:
            raise ConfigurationError(
                f"{path}: engine {engine.name!r} takes {engine.gpu_gb:g} GB, but no GPU has more "
                f"than {most:g}: give it less, or a larger GPU"
            )
    requests = [*_batch(description), *_online(description)]
    numbered = tuple(_numbered(requests))
    return Scenario(description.name, tuple(description.assumptions), cluster, numbered)


def _cluster(description: Description) -> Cluster:
    base = description.defaults.model_dump(exclude_none=True, exclude={"share", "tokens"})
    engines = []
    for entry in description.engines:
        given = entry.model_dump(exclude_none=True, exclude_unset=True, exclude={"share", "tokens"})
        fields = {**base, **given}
        engines.append(EngineFigures(**{**fields, "adapters": tuple(fields["adapters"])}))
    of = description.gpus
    gpus = tuple(Gpu(f"gpu-{i}", of.memory_gb) for i in range(of.count))
    return Cluster(tuple(engines), gpus, (Node(host_gb=of.host_gb),))


def _batch(description: Description) -> Iterator[Request]:
    """Each question's experts and lengths are drawn from the seed, whatever the order in the file.

    An expert's adapters have parts of its share.
    """
    if description.batch is None:
        return
    shares, tokens = _shares(description)
    for question in range(description.batch.questions):
        draw = random.Random(f"{description.seed}/{question}")
        left = dict(shares)
        for _ in range(min(description.batch.k, len(left))):
            expert = draw.choices(list(left), list(left.values()))[0]
            del left[expert]
            sigma = description.batch.spread
            length = tokens[expert] * draw.lognormvariate(-sigma * sigma / 2, sigma)
            yield Request(0, expert, max(1.0, length), question=question)


def _shares(description: Description) -> tuple[dict[str, float], Mapping[str, float]]:
    shares: dict[str, float] = {}
    tokens: dict[str, float] = {}
    for entry in sorted(description.engines, key=lambda e: e.name):
        served = [entry.name, *entry.adapters]
        for expert in served:
            if entry.share:
                shares[expert] = entry.share / len(served)
            tokens[expert] = entry.tokens or description.defaults.tokens or 1.0
    return shares, tokens


def _online(description: Description) -> Iterator[Request]:
    for entry in description.online:
        for index in range(entry.count):
            arrives_s = entry.start_s + index * entry.every_s
            yield Request(0, entry.expert, entry.tokens, arrives_s, True, entry.bound_s, index)


def _numbered(requests: list[Request]) -> Iterator[Request]:
    for id, request in enumerate(sorted(requests, key=lambda r: r.arrives_s)):
        yield replace(request, id=id)
