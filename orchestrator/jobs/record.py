"""Domain values as the JSON that is stored, and back.  Numbers come back to the last bit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from coterie.types import (
    Candidate,
    Capability,
    Completion,
    Expert,
    ExpertKind,
    ExpertSource,
    Failure,
    FusionSpec,
    Limits,
    Message,
    Question,
    Route,
    Sampling,
    SkillWeight,
    Usage,
    as_jsonable,
)
from evals.results import Call, ItemResult
from orchestrator.engines.failures import CONTEXT_LENGTH_EXCEEDED
from orchestrator.failing import REJECTED
from orchestrator.routing import chances

# Made once: json.dumps would make one for every call.
_ENCODER = json.JSONEncoder(default=as_jsonable, separators=(",", ":"), allow_nan=False)


def question_bytes(question: Question) -> bytes:
    return _bytes([m.as_dict() for m in question.messages])


def question_of(body: bytes) -> Question:
    return Question(tuple(_message(turn) for turn in json.loads(body)))


def _message(turn: Mapping[str, Any]) -> Message:
    fields = {k: v for k, v in turn.items() if k not in ("role", "content")}
    return Message(turn["role"], turn["content"], fields)


def completion_bytes(completion: Completion) -> bytes:
    """The completion; its text is not written twice where the message says nothing else."""
    c = completion
    message = {k: v for k, v in c.message.items() if k != "content" or v != c.text}
    return _bytes(
        {
            "expert": c.expert,
            "text": c.text,
            "finish_reason": c.finish_reason,
            "usage": [c.usage.prompt_tokens, c.usage.completion_tokens],
            "latency_s": c.latency_s,
            "message": message,
            "spoken": "content" in c.message and "content" not in message,
            **({} if c.logprobs is None else {"logprobs": c.logprobs}),
        }
    )


def completion_of(body: bytes) -> Completion:
    found = json.loads(body)
    message = found["message"]
    if found["spoken"]:
        message = {**message, "content": found["text"]}
    return Completion(
        found["expert"],
        found["text"],
        found["finish_reason"],
        Usage(*found["usage"]),
        found["latency_s"],
        message,
        found.get("logprobs"),
    )


def sampling_record(sampling: Sampling) -> dict[str, Any]:
    """The sampling without what it leaves to the expert."""
    return {k: v for k, v in as_jsonable(sampling).items() if v not in (None, [], {})}


def sampling_of(record: Mapping[str, Any]) -> Sampling:
    return Sampling(**{**record, "stop": tuple(record.get("stop") or ())})


def skills_record(skills: tuple[SkillWeight, ...]) -> list[Any]:
    return [[s.skill, s.weight, s.similarity] for s in skills]


def skills_of(record: list[Any]) -> tuple[SkillWeight, ...]:
    return tuple(SkillWeight(*values) for values in record)


def route_record(route: Route) -> dict[str, Any]:
    """The route as it decides what follows: candidates with their chances, without their reasons.

    Its skills are kept beside it.
    """
    known = chances(route)
    return {
        "strategy": route.strategy,
        "candidates": [[c.expert, c.score, c.sd, known[c.expert]] for c in route.candidates],
        "chosen": list(route.chosen),
        "reserve": list(route.reserve),
        "reason": route.reason,
        "enough": route.enough,
        "step": route.step,
        "snapshot": route.snapshot,
    }


def route_of(record: Mapping[str, Any], skills: tuple[SkillWeight, ...]) -> Route:
    return Route(
        record["strategy"],
        skills,
        tuple(Candidate(name, s, sd, (), chance) for name, s, sd, chance in record["candidates"]),
        tuple(record["chosen"]),
        tuple(record["reserve"]),
        record["reason"],
        record["enough"],
        record["step"],
        record["snapshot"],
    )


def failure_record(failure: Failure, *, sealed: bool) -> dict[str, Any]:
    """What kind of failure it was; its message is kept apart.

    Of a ``sealed`` question no code but our own is kept: what a server calls a code is its own
    choice of words.
    """
    code = failure.code
    if sealed and code != CONTEXT_LENGTH_EXCEEDED:
        code = None
    return {"kind": failure.kind, "status": failure.status, "code": code}


def failure_of(expert: str, error: str, record: Mapping[str, Any] | None) -> Failure:
    """The failure that :func:`failure_record` wrote; nothing was written in former times."""
    known = record or {}
    kind = known.get("kind", "")
    return Failure(
        expert,
        error,
        0.0,
        rejected=kind == REJECTED,
        code=known.get("code"),
        kind=kind,
        status=known.get("status"),
    )


def expert_of(record: Mapping[str, Any]) -> Expert:
    """The expert that ``as_jsonable`` wrote."""
    return Expert(
        **{
            **record,
            "kind": ExpertKind(record["kind"]),
            "source": ExpertSource(record["source"]),
            "defaults": sampling_of(record["defaults"]),
            "tags": tuple(record["tags"]),
            "examples": tuple(record.get("examples") or ()),
            "fusion": FusionSpec.of(record["fusion"]) if record.get("fusion") else None,
            "endpoints": tuple(record.get("endpoints", ())),
            "limits": Limits(**record["limits"]) if record.get("limits") else None,
            "capabilities": Capability.named(record.get("capabilities")),
        }
    )


def result_of(record: Mapping[str, Any]) -> ItemResult:
    """The result that ``as_jsonable`` wrote."""
    return ItemResult(**{**record, "calls": tuple(Call(**call) for call in record["calls"])})


def _bytes(value: Any) -> bytes:
    return _ENCODER.encode(value).encode()
