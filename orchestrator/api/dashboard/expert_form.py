"""An expert's entry as a form, and back.  Pure: the rules are those of ``experts.yaml``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml
from pydantic import ValidationError

from coterie.types import Expert, ExpertKind
from orchestrator.experts_file import ExpertEntry, entry_of

COMMON = ("name", "description", "tags")
SWITCHES = ("enabled", "recruit")
PLACED: Mapping[ExpertKind, tuple[str, ...]] = {
    ExpertKind.OPENAI: ("endpoint", "endpoints", "model", "api_key_env"),
    ExpertKind.EMBEDDINGS: ("endpoint", "model", "api_key_env"),
    ExpertKind.VLLM: ("model", "engine_args"),
    ExpertKind.LORA: ("base", "adapter", "model"),
    ExpertKind.FUSION: ("fusion",),
}
"""The fields that say where an expert of a kind runs."""
FIGURES = ("context_length", "total_params_b", "active_params_b")
PRICES = ("prompt_price", "completion_price")
MORE = ("capabilities", "defaults", "limits", "examples")
STRUCTURED = (
    *("engine_args", "fusion", "defaults", "examples", "endpoints", "limits", "capabilities"),
)
"""Fields that hold YAML."""
MOST = 100_000
"""Characters of a field."""

ABOUT: Mapping[ExpertKind, str] = {
    ExpertKind.OPENAI: "a server that speaks OpenAI's chat API",
    ExpertKind.EMBEDDINGS: "an embedding model of a server that speaks OpenAI's API",
    ExpertKind.VLLM: "an engine that Coterie starts, watches and stops",
    ExpertKind.LORA: "an adapter on the engine of another expert",
    ExpertKind.FUSION: "small tuned models that shift a large one's logits in its engine",
}


@dataclass(frozen=True, slots=True)
class Form:
    """What stands in the fields, and what is wrong with it, by field ("" where it is no field)."""

    kind: ExpertKind
    values: Mapping[str, str]
    problems: Mapping[str, str] = field(default_factory=dict)

    def value(self, name: str) -> str:
        return self.values.get(name, "")

    def problem(self, name: str) -> str:
        return self.problems.get(name, "")


class FormProblem(Exception):
    """The form cannot be read; ``problems`` says why, by field."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__("; ".join(problems.values()))
        self.problems = dict(problems)


def empty_form(kind: ExpertKind) -> Form:
    """The form of a new expert."""
    return Form(kind, {"enabled": "on", "recruit": "on", "verify": "on"})


def form_of(expert: Expert) -> Form:
    """The form of an expert that there is."""
    said = entry_of(expert)
    values = {
        name: _yaml(value) if name in STRUCTURED else str(value)
        for name, value in said.items()
        if name not in ("tags", *SWITCHES)
    }
    values["tags"] = ", ".join(expert.tags)
    values |= {name: "on" if said.get(name, True) else "" for name in SWITCHES}
    return Form(expert.kind, values)


def entry_from(kind: ExpertKind, values: Mapping[str, str]) -> ExpertEntry:
    """The entry that the form says; raises :class:`FormProblem`."""
    given: dict[str, Any] = {"kind": kind, **{name: bool(values.get(name)) for name in SWITCHES}}
    problems: dict[str, str] = {}
    names = (*COMMON, *PLACED[kind], *FIGURES, *PRICES, *MORE)
    for name in names:
        text = values.get(name, "").strip()
        if not text:
            continue
        if len(text) > MOST:
            problems[name] = f"longer than {MOST:,} characters"
        elif name == "tags":
            given[name] = [tag.strip() for tag in text.split(",") if tag.strip()]
        elif name in STRUCTURED:
            _structured(name, text, given, problems)
        else:
            given[name] = text
    if problems:
        raise FormProblem(problems)
    try:
        return ExpertEntry(**{"name": "", **given})
    except ValidationError as error:
        raise FormProblem(_problems(error)) from None


def _structured(name: str, text: str, given: dict[str, Any], problems: dict[str, str]) -> None:
    try:
        given[name] = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        told = getattr(error, "problem", None) or error
        problems[name] = f"this is not YAML: {told}"


def _problems(error: ValidationError) -> dict[str, str]:
    found: dict[str, str] = {}
    for one in error.errors(include_url=False, include_input=False):
        name, *rest = map(str, one["loc"])
        where = f"{'.'.join(rest)}: " if rest else ""
        message = one["msg"].removeprefix("Input ").removeprefix("Value error, ")
        if one["type"] == "string_pattern_mismatch" and name == "name":
            message = "use 1 to 64 of a-z, 0-9, '.', '_' and '-', the first a letter or a digit"
        found[name] = "; ".join(filter(None, (found.get(name), where + message)))
    return found


def _yaml(value: Any) -> str:
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True)
