"""What of a why-record's words is kept, as the key of the request has it.  Pure.

Skills, route and numbers are always kept.  Words are the question, the answers, what votes were
taken on, and errors, whose messages are other servers' and may quote the rest::

    whole    all of them
    hashed   in their place, *_hash (equal words have equal hashes) and *_chars, their length
    none     nothing
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from typing import Any

from orchestrator.traces.facts import LEFT, Record

WHOLE, HASHED, NONE = "whole", "hashed", "none"
NOT_KEPT = "what it said is not kept"
"""Stands for the message of an error."""

_HASH_CHARS = 32

Hash = Callable[[str], str]


def as_kept(record: Record, key: bytes) -> Record:
    """``record`` without the words that are not to be kept; ``key`` is what hashes are made with.

    What it says of itself under ``contents`` decides, ``whole`` where that is missing; anything
    unknown counts as ``none``.
    """
    kept = record.get("contents", WHOLE)
    if kept == WHOLE:
        return record
    return _without_words(record, _hash_with(key) if kept == HASHED else None)


def hash_of(text: str, key: bytes) -> str:
    """The hash under which ``text`` is kept: the same for equal ones."""
    digest = hmac.new(key, text.encode("utf-8", "replace"), hashlib.sha256).hexdigest()
    return digest[:_HASH_CHARS]


def _hash_with(key: bytes) -> Hash:
    return lambda text: hash_of(text, key)


def _without_words(record: Record, hashed: Hash | None) -> Record:
    found = dict(_without(record, "question", hashed))
    for name in ("answer", "synthesis"):
        if found.get(name):
            found[name] = _without(found[name], "text", hashed)
    if "answers" in record:
        found["answers"] = [_without(a, "text", hashed) for a in record["answers"]]
    for name in ("calls", "failures"):
        if name in record:
            found[name] = [_without_message(one) for one in record[name]]
    if aggregation := record.get("aggregation"):
        failures = [_without_message(f) for f in aggregation.get("failures", ())]
        found["aggregation"] = {**aggregation, "failures": failures}
    if votes := record.get("votes"):
        found["votes"] = _votes(votes, hashed)
    if record.get("error") not in (None, LEFT):
        found["error"] = NOT_KEPT
    return found


def _without(of: Mapping[str, Any], name: str, hashed: Hash | None) -> Mapping[str, Any]:
    text = of.get(name)
    if not isinstance(text, str):
        return of
    instead = {f"{name}_hash": hashed(text), f"{name}_chars": len(text)} if hashed else {}
    return {**of, name: None, **instead}


def _without_message(of: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**of, "error": NOT_KEPT} if of.get("error") else of


def _votes(votes: Mapping[str, Any], hashed: Hash | None) -> dict[str, Any]:
    """Who agreed with whom; answers are numbered where they are not hashed."""
    if hashed:
        return {hashed(answer): who for answer, who in votes.items()}
    return {str(number): who for number, who in enumerate(votes.values(), 1)}
