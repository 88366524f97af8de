"""The form that starts an evaluation, and what was filled in, read as the API reads it.  Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from aggregator.votes import VOTES
from coterie.errors import RequestError
from coterie.task_names import spelled
from evals.tasks import FILE, TASKS
from orchestrator.api.jobs import JobRequest
from orchestrator.jobs.job import BY_NAME, JobSpec
from orchestrator.routing import OFFERED, ORACLE, Policy

OWN = FILE
"""What is chosen as task for questions of one's own."""
KNOB = "policy."
_TEXTS = ("strategy", "split", "vote", "file")
_NUMBERS = ("limit", "seed", "temperature", "top_p", "max_tokens")


@dataclass(frozen=True, slots=True)
class Knob:
    """A number of the policy; ``default`` is the server's own."""

    name: str
    default: str
    value: str = ""


@dataclass(frozen=True, slots=True)
class JobForm:
    """What can be chosen, and what is chosen at first."""

    tasks: Sequence[tuple[str, str]]
    strategies: Sequence[str]
    experts: Sequence[str]
    votes: Sequence[str]
    knobs: Sequence[Knob]
    chosen: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        experts: Sequence[str],
        fitted: Sequence[str],
        policy: Policy,
        like: JobSpec | None = None,
    ) -> JobForm:
        """A form over the enabled ``experts``; ``like``: filled in as that job was."""
        plain = [name for name in VOTES if not name.startswith("learned")]
        turned = like.policy if like else {}
        return cls(
            [(name, f"{name} ({entry.origin})") for name, entry in TASKS.items()]
            + [(OWN, "a file of your own")],
            [*OFFERED, ORACLE],
            experts,
            list(dict.fromkeys([*plain, *fitted])),
            [
                Knob(f.name, _shown(getattr(policy, f.name)), _shown(turned.get(f.name)))
                for f in dataclasses.fields(policy)
                if f.name != "seed"  # the job has one of its own
            ],
            _chosen(like or JobSpec("demo")),
        )


def read(fields: Mapping[str, str], experts: Sequence[str]) -> JobSpec:
    """The job that a form's ``fields`` describe; raises :class:`RequestError`."""
    given = {name: value.strip() for name, value in fields.items()}
    body: dict[str, Any] = {"task": _task(given), "experts": list(experts)}
    body |= {name: given[name] for name in (*_TEXTS, *_NUMBERS) if given.get(name)}
    if "temperature" in given and not given["temperature"]:
        body["temperature"] = None
    body["policy"] = {
        name.removeprefix(KNOB): _number(name, value)
        for name, value in given.items()
        if name.startswith(KNOB) and value
    }
    if body["task"].startswith(OWN):
        body.pop("file", None)  # it is part of the task
    try:
        spec = JobRequest.model_validate(body).to_domain()
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise RequestError(f"{where}: {first['msg']}", param=where) from None
    _check_split(spec)
    return spec


def _task(given: Mapping[str, str]) -> str:
    task, options = given.get("task", ""), given.get("options", "").lstrip("?")
    if task == OWN:
        if not given.get("file"):
            raise RequestError("file: name the file with your questions", param="file")
        task = f"{OWN}{given['file']}"
    return f"{task}?{options}" if options else task


def _check_split(spec: JobSpec) -> None:
    """A split there is not is told now, not when the job's turn comes."""
    entry = TASKS.get(spelled(spec.task.partition("?")[0]))
    if entry and spec.split not in entry.splits:
        raise RequestError(
            f"split: {spec.task} has no split {spec.split!r}; choose one of "
            f"{', '.join(entry.splits)}",
            param="split",
        )


def _number(name: str, text: str) -> int | float:
    try:
        return float(text) if any(mark in text for mark in ".eE") else int(text)
    except ValueError:
        raise RequestError(f"{name}: {text!r} is not a number", param=name) from None


def _chosen(spec: JobSpec) -> dict[str, Any]:
    task, _, options = spec.task.partition("?")
    own = task.startswith(OWN)
    return {
        "task": OWN if own else task,
        "file": task.removeprefix(OWN) if own else spec.file or "",
        "options": options,
        "strategy": spec.strategy,
        "split": spec.split,
        "experts": set(spec.experts),
        "limit": _shown(spec.limit),
        "seed": _shown(spec.seed),
        "vote": spec.vote or "",
        "temperature": _shown(spec.sampling.temperature),
        "top_p": _shown(spec.sampling.top_p),
        "max_tokens": _shown(spec.sampling.max_tokens),
        "by_name": spec.strategy.startswith(BY_NAME),
    }


def _shown(value: object) -> str:
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
