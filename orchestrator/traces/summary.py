"""A why-record in short, as lists show it.  Pure."""

from __future__ import annotations

from typing import Any

from orchestrator.traces.facts import Part, Record, facts_of

SHOWN_CHARS = 200


def summary(record: Record) -> dict[str, Any]:
    """What one line of a list tells; ``question`` is its beginning, None where it was not kept."""
    facts = facts_of(record)
    usage = record.get("usage") or {}
    return {
        "id": facts.id,
        "created_at": record["created_at"],
        "model": facts.model,
        "strategy": facts.strategy,
        "outcome": facts.outcome,
        "key": facts.key,
        "question": _beginning(record.get("question")),
        "skills": [s["skill"] for s in record.get("skills", ())],
        "experts": {
            expert: part.name.lower()
            for expert, part in sorted(facts.experts, key=lambda e: (e[1], e[0]))
        },
        "answered_by": next((e for e, part in facts.experts if part >= Part.CHOSEN), None),
        "agreement": facts.agreement,
        "cost_usd": facts.cost_usd,
        "total_tokens": usage.get("total_tokens", 0),
        "latency_ms": facts.latency_ms,
        "overhead_ms": record.get("overhead_ms"),
        "error": record.get("error"),
        "feedback": record.get("feedback"),
    }


def _beginning(text: str | None) -> str | None:
    if text is None or len(text) <= SHOWN_CHARS:
        return text
    return f"{text[: SHOWN_CHARS - 1]}…"
