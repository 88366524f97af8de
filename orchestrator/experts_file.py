"""The configuration file, ``experts.yaml``: which experts there are, and optionally which skills.

``python -m orchestrator.experts_file > docs/experts.schema.json`` writes its JSON schema, which
editors use to complete and check the file.
"""

from __future__ import annotations

import difflib
import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError
from pydantic_core import ErrorDetails

from coterie.errors import ConfigurationError
from coterie.types import (
    Capability,
    Expert,
    ExpertKind,
    ExpertSource,
    Limits,
    Sampling,
    Skill,
    as_jsonable,
)
from orchestrator.fusion_entry import FusionEntry, SmallModelEntry
from orchestrator.yaml_positions import Document

_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
_EXPANDED = ("endpoint", "endpoints", "model", "adapter")
_PATHS = ("model", "adapter")
NO_DEFAULTS = Sampling()
SENT = Path("the file")
"""What a text that came without a name of its own is called in errors."""


# --- the file as written ------------------------------------------------------------------------


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class SamplingEntry(_Entry):
    """How completions are drawn where a request does not say."""

    temperature: float | None = Field(None, ge=0)
    top_p: float | None = Field(None, gt=0, le=1)
    max_tokens: int | None = Field(None, gt=0)
    stop: list[str] = []
    seed: int | None = None
    extra: dict[str, JsonValue] = Field({}, description="Further fields of OpenAI's chat request.")

    def sampling(self) -> Sampling:
        """The same as the domain has it."""
        return Sampling(
            self.temperature, self.top_p, self.max_tokens, tuple(self.stop), self.seed, self.extra
        )


class LimitsEntry(_Entry):
    """How much of the expert is asked at a time."""

    concurrency: int = Field(ge=1, le=100_000, description="Calls that go on at once.")
    queue: int = Field(64, ge=0, le=100_000, description="Calls that wait beyond that.")
    queue_s: float = Field(
        30.0, gt=0, lt=86_400, allow_inf_nan=False, description="Seconds one waits at most."
    )

    def limits(self) -> Limits:
        """The same as the domain has it."""
        return Limits(self.concurrency, self.queue, self.queue_s)


class ExpertEntry(_Entry):
    """One model that can be asked."""

    name: str = Field(
        pattern="^[a-z0-9][a-z0-9._-]{0,63}$", description="What requests and reports call it."
    )
    kind: ExpertKind = Field(
        description="openai: a server that speaks OpenAI's chat API. embeddings: an embedding "
        "model of such a server. vllm: an engine Coterie starts. lora: an adapter on the engine of "
        "another expert. fusion: small models that shift the logits of a large one in its engine."
    )
    model: str = Field(
        "",
        description="openai: the model id there. vllm: Hugging Face id, folder or package:NAME. "
        "lora: the model id, where the base is an openai expert.",
    )
    endpoint: str | None = Field(None, description="openai: base URL of the server, without /v1.")
    endpoints: list[str] = Field(
        [],
        max_length=64,
        description="openai: instead of endpoint, the base URLs of several servers that serve the "
        "same model; each call goes to the one with the least to do.",
    )
    limits: LimitsEntry | None = Field(
        None, description="How much of it is asked at a time; as much as is wanted by default."
    )
    capabilities: list[Capability] | None = Field(
        None,
        max_length=len(Capability),
        description="All it can do beyond text: requests that need more do not recruit it. Left "
        "out, nobody knows, and it is tried where no expert says that it can.",
    )
    base: str | None = Field(None, description="lora: the expert whose engine serves it.")
    adapter: str | None = Field(None, description="lora: the adapter's folder.")
    description: str = ""
    context_length: int | None = Field(None, gt=0, description="In tokens.")
    total_params_b: float | None = Field(None, gt=0, description="In billions.")
    active_params_b: float | None = Field(None, gt=0, description="In billions.")
    prompt_price: float = Field(0.0, ge=0, description="US dollars per million tokens.")
    completion_price: float = Field(0.0, ge=0, description="US dollars per million tokens.")
    api_key_env: str | None = Field(
        None, description="Name of the environment variable that holds the API key."
    )
    defaults: SamplingEntry = SamplingEntry()
    engine_args: dict[str, JsonValue] = Field({}, description="vllm: arguments of the engine.")
    tags: list[str] = []
    examples: list[str] = Field(
        [],
        max_length=20,
        description="A few prompts of those it was trained on: what routing without a profile "
        "compares questions to, beside the description.",
    )
    enabled: bool = True
    recruit: bool = Field(
        True,
        description="false: asked by its name alone, and never chosen or made the aggregator.",
    )
    fusion: FusionEntry | None = Field(None, description="fusion: what it is made of.")

    def to_domain(
        self, *, source: ExpertSource = ExpertSource.DECLARED, shared: Sampling = NO_DEFAULTS
    ) -> Expert:
        """The same as the domain has it; ``shared`` is the sampling where this entry is silent."""
        fields = {name: getattr(self, name) for name in type(self).model_fields}
        # An adapter on an engine of ours is served under the expert's own name.
        fields["model"] = self.model or (self.name if self.adapter else "")
        fields["defaults"] = self.defaults.sampling().over(shared)
        fields["tags"] = tuple(self.tags)
        fields["examples"] = tuple(self.examples)
        fields["endpoints"] = tuple(self.endpoints)
        able = self.capabilities
        fields["capabilities"] = None if able is None else tuple(dict.fromkeys(able))
        fields["limits"] = self.limits and self.limits.limits()
        fields["fusion"] = self.fusion and self.fusion.to_domain()
        return Expert(**fields, source=source)


class SkillEntry(_Entry):
    """One skill that questions are compared to."""

    name: str = Field(min_length=1)
    description: str = Field(min_length=1)
    examples: list[str] = []


class ExpertsDocument(_Entry):
    """The experts of a Coterie, and optionally its own list of skills."""

    experts: list[ExpertEntry]
    skills: list[SkillEntry] | None = Field(
        None, min_length=1, description="Replaces the skills that come with Coterie."
    )
    defaults: SamplingEntry = Field(
        SamplingEntry(), description="Sampling of every expert that says nothing else."
    )


def json_schema() -> dict[str, Any]:
    """The JSON schema of the file."""
    schema = ExpertsDocument.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


# --- the file as read ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ExpertsFile:
    """What the file declares; ``skills`` is None where it leaves them to Coterie."""

    experts: tuple[Expert, ...] = ()
    skills: tuple[Skill, ...] | None = None


def load_experts(path: Path, variables: Mapping[str, str] | None = None) -> ExpertsFile:
    """Reads ``path``; raises :class:`ConfigurationError` with file and line of all that is wrong.

    ``${NAME}`` and ``${NAME:-default}`` in endpoints, ``model`` and ``adapter`` stand for
    ``variables``; ``model`` and ``adapter`` that start with ``./`` or ``../`` start at the file.
    So it is with the small models of a fusion.
    """
    document = Document(path)
    entries = _validated(document)
    _refuse_repeats(document, "experts", [e.name for e in entries.experts])
    _refuse_repeats(document, "skills", [s.name for s in entries.skills or ()])
    shared = entries.defaults.sampling()
    experts = []
    for index, entry in enumerate(entries.experts):
        place = _Place(document, ("experts", index), entry.name)
        resolved = _resolved(entry, place, variables or {})
        experts.append(resolved.to_domain(shared=shared))
    skills = entries.skills and tuple(
        Skill(s.name, s.description, tuple(s.examples)) for s in entries.skills
    )
    return ExpertsFile(tuple(experts), skills or None)


def read_experts(text: str) -> tuple[Expert, ...]:
    """The experts of a file that somebody sent, as managed ones; its skills are left out.

    Nothing in it stands for a variable of this machine, or for a path beside the file.
    """
    document = Document(SENT, text)
    entries = _validated(document)
    _refuse_repeats(document, "experts", [e.name for e in entries.experts])
    shared = entries.defaults.sampling()
    managed = ExpertSource.MANAGED
    return tuple(entry.to_domain(source=managed, shared=shared) for entry in entries.experts)


def write_experts(experts: Sequence[Expert]) -> str:
    """``experts`` as such a file: what is as it would be without being said is left out."""
    return yaml.safe_dump(
        {"experts": [entry_of(expert) for expert in experts]},
        sort_keys=False,
        allow_unicode=True,
        width=100,
    )


def entry_of(expert: Expert) -> dict[str, Any]:
    """What ``expert``'s entry says: :meth:`ExpertEntry.to_domain` the other way round."""
    fields = as_jsonable(expert)
    del fields["source"]
    if expert.adapter and expert.model == expert.name:
        fields["model"] = ""
    said: dict[str, Any] = ExpertEntry(**fields).model_dump(mode="json", exclude_defaults=True)
    return said


def _validated(document: Document) -> ExpertsDocument:
    data = document.data
    if not isinstance(data, dict):
        raise ConfigurationError(
            f"{document.path}: the file must hold a list of experts under the key 'experts'"
        )
    try:
        return ExpertsDocument.model_validate(data)
    except ValidationError as error:
        problems = [_problem(document, e) for e in error.errors(include_url=False)]
        raise ConfigurationError("\n".join(problems)) from None


def _problem(document: Document, error: ErrorDetails) -> str:
    loc = [step for step in error["loc"] if step != "[key]"]
    where, key = document.at(loc), loc[-1]
    if error["type"] == "extra_forbidden":
        return f"{where}: unknown key {key!r}; {_hint(str(key), loc)}"
    if error["type"] == "missing":
        return f"{where}: the key {key!r} is missing"
    message = error["msg"].removeprefix("Input ").removeprefix("Value error, ")
    return f"{where}: {'.'.join(map(str, loc))!r} {message}"


def _hint(key: str, loc: Sequence[str | int]) -> str:
    sections: dict[str, type[BaseModel]] = {"experts": ExpertEntry, "skills": SkillEntry}
    model = sections.get(str(loc[0]), ExpertsDocument)
    if "defaults" in loc[:-1]:
        model = SamplingEntry
    if "fusion" in loc[:-1]:
        model = FusionEntry if loc[-2] == "fusion" else SmallModelEntry
    close = difflib.get_close_matches(key, model.model_fields, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known are {', '.join(model.model_fields)}"


def _refuse_repeats(document: Document, section: str, names: Sequence[str]) -> None:
    first: dict[str, int] = {}
    for index, name in enumerate(names):
        if name in first:
            before = document.at((section, first[name], "name"))
            raise ConfigurationError(
                f"{document.at((section, index, 'name'))}: {name!r} is the name of the entry at "
                f"{before} already; give each its own"
            )
        first[name] = index


@dataclass(frozen=True, slots=True)
class _Place:
    """Where an entry stands: errors name it, and paths start there."""

    document: Document
    loc: tuple[str | int, ...]
    expert: str

    def at(self, *steps: str | int) -> _Place:
        return _Place(self.document, (*self.loc, *steps), self.expert)


def _resolved(entry: ExpertEntry, place: _Place, variables: Mapping[str, str]) -> ExpertEntry:
    """The entry with its references and paths, those of a fusion's small models too."""
    changes: dict[str, Any] = _changes(entry, place, variables)
    if entry.fusion:
        changes["fusion"] = _resolved_fusion(entry.fusion, place.at("fusion"), variables)
    return entry.model_copy(update=changes)


def _resolved_fusion(
    fusion: FusionEntry, place: _Place, variables: Mapping[str, str]
) -> FusionEntry:
    def resolved(part: SmallModelEntry, *steps: str | int) -> SmallModelEntry:
        return part.model_copy(update=_changes(part, place.at(*steps), variables))

    experts = [resolved(part, "experts", i) for i, part in enumerate(fusion.experts)]
    base = fusion.base and resolved(fusion.base, "base")
    return fusion.model_copy(update={"base": base, "experts": experts})


def _changes(entry: BaseModel, place: _Place, variables: Mapping[str, str]) -> dict[str, Any]:
    """The fields of ``entry`` that stand for something else than what is written there."""
    changes: dict[str, Any] = {}
    for field in _EXPANDED:
        written = getattr(entry, field, None)
        if not written:
            continue
        try:
            value = (
                _expand(written, variables)
                if isinstance(written, str)
                else [_expand(one, variables) for one in written]
            )
        except KeyError as missing:
            raise ConfigurationError(
                f"{place.document.at((*place.loc, field))}: {field!r} of expert {place.expert!r} "
                f"needs the environment variable {missing.args[0]!r}, which is not set; set it, "
                f"or write ${{{missing.args[0]}:-DEFAULT}}"
            ) from None
        if field in _PATHS and isinstance(value, str) and value.startswith(("./", "../")):
            value = str((place.document.path.parent / value).resolve())
        changes[field] = value
    return changes


def _expand(text: str, variables: Mapping[str, str]) -> str:
    """``text`` with its references replaced; an empty variable counts as unset."""

    def value(match: re.Match[str]) -> str:
        name, default = match.groups()
        found = variables.get(name) or default
        if found is None:
            raise KeyError(name)
        return found

    return _REFERENCE.sub(value, text)


if __name__ == "__main__":
    json.dump(json_schema(), sys.stdout, indent=2)
    sys.stdout.write("\n")
