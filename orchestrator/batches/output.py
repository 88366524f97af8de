"""Writes what came of each request, as a line of the output file or of the error file.  Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from coterie.errors import NoExpertAvailable
from coterie.types import Completion, Usage
from evals.results import ItemResult
from orchestrator.batches.batch import Problem
from orchestrator.batches.line import Line
from orchestrator.jobs.item_store import Ending
from orchestrator.jobs.unit_store import Kept
from orchestrator.protocol.chat import completion_body
from orchestrator.protocol.errors import error_body, status_and_body


@dataclass(frozen=True, slots=True)
class Answered:
    """A line for the output file, and the tokens it took."""

    text: bytes
    usage: Usage


def answered(batch: str, line: Line, ending: Ending, kept: Mapping[str, Kept]) -> Answered | None:
    """The answer as chat would have given it; None where there is none."""
    found = kept.get(ending.answer or "")
    if found is None or not isinstance(found.reply, Completion):
        return None
    usage, id = usage_of(ending.result), request_id(batch, line)
    body = completion_body(
        f"chatcmpl-{id}", int(found.at.timestamp()), line.request.model, found.reply, usage
    )
    return Answered(_line(line, id, _response(200, id, body), None), usage)


def refused(batch: str, line: Line, ending: Ending) -> bytes:
    """What the error file says of a request that was tried in vain."""
    id, told = request_id(batch, line), ending.result.error or "no answer was kept"
    status, body = status_and_body(NoExpertAvailable(told))
    if known := ending.refusal:  # nothing was kept of it in former times
        status = known["status"]
        body = error_body(told, known["type"], known["param"], known["code"])
    return _line(line, id, _response(status, id, body), None)


def unanswered(batch: str, line: Line, problem: Problem) -> bytes:
    """What the error file says of a request that was not answered in time."""
    error = {"code": problem.code, "message": problem.message}
    return _line(line, request_id(batch, line), None, error)


def usage_of(result: ItemResult) -> Usage:
    """The tokens of every call made for the answer."""
    calls = (Usage(c.prompt_tokens, c.completion_tokens) for c in result.calls)
    return sum(calls, Usage())


def request_id(batch: str, line: Line) -> str:
    """The request's own id: the same however often the output is written."""
    return hashlib.sha256(f"{batch}\n{line.custom_id}".encode()).hexdigest()[:32]


def _response(status: int, id: str, body: Mapping[str, Any]) -> dict[str, Any]:
    return {"status_code": status, "request_id": id, "body": body}


def _line(
    line: Line, id: str, response: Mapping[str, Any] | None, error: Mapping[str, Any] | None
) -> bytes:
    told = {
        "id": f"batch_req_{id}",
        "custom_id": line.custom_id,
        "response": response,
        "error": error,
    }
    # ASCII: an answer may hold half a surrogate pair, which UTF-8 cannot write.
    return json.dumps(told, separators=(",", ":")).encode() + b"\n"
