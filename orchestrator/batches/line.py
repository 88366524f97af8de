"""Reads one line of an input file.  What a stranger wrote is taken for nothing else than that.

A line is bounded in bytes, depth and values, so that nothing it expands to is much larger than
itself, and all that follows (keys, hashes, rows, requests) can take it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from pydantic import ValidationError

from coterie.errors import CoterieError, ModelNotAllowed
from orchestrator.batches.batch import ENDPOINT, Problem
from orchestrator.jobs.own_item import OwnItem
from orchestrator.keys.key import ANYONE, Caller
from orchestrator.protocol.chat import ChatRequest
from orchestrator.protocol.errors import status_and_body
from orchestrator.protocol.models import addressee, unknown
from orchestrator.routing import ORACLE

MOST_BYTES = 4 * 1024 * 1024
MOST_VALUES = 100_000
DEPTH = 64
ID_LENGTH = 512
TOLD = 500
"""Characters that are told of one problem, some of which may be the caller's own."""


class BadLine(Exception):
    """The line is no request that could be answered; ``problem`` says why."""

    def __init__(self, code: str, message: str, param: str | None = None) -> None:
        told = message if len(message) <= TOLD else f"{message[: TOLD - 1]}…"
        super().__init__(told)
        self.problem = Problem(code, told, param and param[:TOLD])


@dataclass(frozen=True, slots=True)
class Line:
    """A request: what its caller calls it, and what would be the body of a chat request."""

    custom_id: str
    request: ChatRequest

    def to_item(self, experts: Collection[str]) -> OwnItem:
        """The request as an item of a job; raises UnknownModel."""
        asked, to = self.request, addressee(self.request.model, experts)
        return OwnItem(
            self.custom_id,
            asked.question,
            target="",
            category="",
            strategy=to.strategy,
            expert=to.expert,
            sampling=asked.sampling,
        )


def read_line(raw: bytes) -> Line:
    """The request in a line; raises :class:`BadLine`."""
    fields = _parsed(raw)
    _check_envelope(fields)
    return Line(fields["custom_id"], _request(fields["body"]))


def check_model(line: Line, experts: Collection[str], who: Caller = ANYONE) -> str | None:
    """The expert the line asks by name, None for a strategy; raises :class:`BadLine`, also where
    ``who`` may not use it."""
    try:
        to = addressee(line.request.model, experts)
        if to.strategy == ORACLE:
            raise unknown(line.request.model, experts)
        if to.expert:
            who.check_expert(to.expert)
        elif (own := who.strategy(to.strategy, to.strategy)) != to.strategy:
            told = f"this key has strategies of its own: name one, such as 'coterie/{own}'"
            raise ModelNotAllowed(told)
    except CoterieError as error:
        told = status_and_body(error)[1]["error"]
        raise BadLine(told["code"] or "invalid_request", str(error), "body.model") from None
    if to.expert is None and (line.request.model_extra or {}).get("logit_bias"):
        told = "body.logit_bias: its token ids are those of one expert: name it as the model"
        raise BadLine("invalid_request", told, "body.logit_bias")
    return to.expert


def _parsed(raw: bytes) -> Mapping[str, Any]:
    if len(raw) > MOST_BYTES:
        raise BadLine("line_too_long", f"the line is longer than {MOST_BYTES} bytes: shorten it")
    try:
        found = json.loads(raw.decode("utf-8"), parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        why = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise BadLine("invalid_json_line", f"the line is not JSON: {why}") from None
    if not isinstance(found, dict):
        raise BadLine("invalid_json_line", "the line is no JSON object")
    _check_values(found)
    return found


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number in JSON")


def _check_values(value: Any) -> None:
    """Refuses what JSON text can say and what follows cannot take."""
    left, seen = [(value, 0)], 0
    while left:
        here, depth = left.pop()
        seen += 1
        if depth > DEPTH:
            raise BadLine("invalid_json_line", f"the line is nested deeper than {DEPTH} levels")
        if isinstance(here, str):
            _check_text(here)
        elif isinstance(here, float) and not math.isfinite(here):
            raise BadLine("invalid_json_line", "the line has a number that is out of range")
        elif isinstance(here, dict):
            left += [(part, depth + 1) for pair in here.items() for part in pair]
        elif isinstance(here, list):
            left += [(part, depth + 1) for part in here]
        if seen + len(left) > MOST_VALUES:
            raise BadLine("invalid_json_line", f"the line has more than {MOST_VALUES} values")


def _check_text(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise BadLine("invalid_json_line", "the line has half a surrogate pair in it") from None


def _check_envelope(fields: Mapping[str, Any]) -> None:
    wanted = {"method": "POST", "url": ENDPOINT}
    for name in ("custom_id", "method", "url", "body"):
        if name not in fields:
            raise BadLine("missing_required_parameter", f"the line has no {name!r}", name)
    for name, value in wanted.items():
        if fields[name] != value:
            raise BadLine(f"invalid_{name}", f"{name!r} must be {value!r}", name)
    id = fields["custom_id"]
    if not isinstance(id, str) or not 0 < len(id) <= ID_LENGTH or "\0" in id:
        raise BadLine(
            "invalid_custom_id",
            f"'custom_id' must be a text of 1 to {ID_LENGTH} characters, without NUL",
            "custom_id",
        )


def _request(body: Any) -> ChatRequest:
    if not isinstance(body, dict):
        raise BadLine("invalid_request", "'body' must be an object", "body")
    try:
        request = ChatRequest.model_validate(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(("body", *map(str, first["loc"])))
        raise BadLine("invalid_request", f"{where}: {first['msg']}", where) from None
    if request.stream:
        raise BadLine("invalid_request", "nothing can be streamed into a file", "body.stream")
    if request.choices > 1:
        told = "body.n: a line of a batch has one answer: send it as many times instead"
        raise BadLine("invalid_request", told, "body.n")
    given = {} if request.coterie is None else request.coterie.model_dump(exclude_defaults=True)
    if given:
        told = (
            "a batch goes by its model alone, and keeps no why-records: leave it out, or send a "
            "request of its own"
        )
        raise BadLine("invalid_request", told, f"body.coterie.{min(given)}")
    return request
