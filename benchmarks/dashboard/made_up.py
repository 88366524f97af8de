"""A pool of 200 experts and 2,000 skills, and why-records of requests to it, made up.

What is asked follows Zipf's law, in experts as in skills; three experts answer most requests, one
answers some, a few fail, a few are written from all.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from typing import Any
from zlib import crc32

EXPERTS = tuple(f"expert-{n:03d}" for n in range(200))
SKILLS = tuple(f"skill {n:04d}" for n in range(2000))
STRATEGIES = ("auto", "symbolic", "cascade", "coe", "best-single", "majority", "direct")
KEYS = ("anonymous", *(f"key-{n:02d}" for n in range(40)))
DAYS = 30
KEPT_CANDIDATES = 10
SENTENCE = (
    "which heron would a quiet river carry before winter comes to those stones and why does it "
    "matter how many eggs are laid by each when water rises over reeds that nobody has counted"
)

Record = dict[str, Any]


class Requests:
    """Made-up requests that end at ``until``."""

    def __init__(self, seed: int = 0, until: datetime | None = None) -> None:
        self._rng = random.Random(seed)
        self._until = until or datetime.now(UTC)
        self._experts, self._skills = _zipf(len(EXPERTS)), _zipf(len(SKILLS))
        self._strategies = (50, 20, 10, 8, 6, 4, 2)
        self._candidates = {name: self._told(name) for name in EXPERTS}
        self._texts = [" ".join(self._rng.choices(SENTENCE.split(), k=60)) for _ in range(2000)]

    def records(self, count: int) -> Iterator[Record]:
        """``count`` records, the oldest first, over the last :data:`DAYS`."""
        span = timedelta(days=DAYS)
        for n in range(count):
            yield self._record(n, self._until - span + span * ((n + 1) / count))

    def _record(self, n: int, at: datetime) -> Record:
        rng = self._rng
        strategy = rng.choices(STRATEGIES, self._strategies)[0]
        asked = self._asked(1 if strategy in ("direct", "best-single") else 3)
        made = {
            "id": f"{rng.getrandbits(128):032x}",
            "created_at": at.isoformat(),
            "model": asked[0] if strategy == "direct" else f"coterie/{strategy}",
            "key": rng.choice(KEYS),
            "contents": "whole",
            "strategy": strategy,
            "question": rng.choice(self._texts),
            "skills": self._needed(),
            "candidates": self._ranked(asked),
            "candidates_left_out": len(EXPERTS) - KEPT_CANDIDATES,
            "chosen": asked,
            "reserve": asked[:2],
            "reason": f"three of {len(EXPERTS)} that are about as good as the best",
            "snapshot": "made-up",
        }
        fate = rng.random()
        if fate < 0.02:
            return {**made, **self._failed(asked)}
        return {**made, **self._answered(asked, written=fate > 0.9)}

    def _asked(self, most: int) -> list[str]:
        found = dict.fromkeys(self._rng.choices(EXPERTS, cum_weights=self._experts, k=most))
        return list(found)

    def _needed(self) -> list[Record]:
        found = dict.fromkeys(self._rng.choices(SKILLS, cum_weights=self._skills, k=3))
        return [{"skill": s, "weight": round(1 / len(found), 3), "similarity": 0.5} for s in found]

    def _ranked(self, asked: list[str]) -> list[Record]:
        start = self._rng.randrange(len(EXPERTS) - KEPT_CANDIDATES)
        names = [*asked, *EXPERTS[start : start + KEPT_CANDIDATES - len(asked)]]
        return [self._candidates[name] for name in names]

    def _told(self, expert: str) -> Record:
        score = round(self._rng.random(), 4)
        term = {"label": f"{score:.2f} at what is asked", "value": score}
        told = {"score": score, "sd": 0.05, "success": score, "terms": [term]}
        return {"expert": expert, **told, "reason": term["label"]}

    def _failed(self, asked: list[str]) -> Record:
        calls = [self._call(name, error="it cannot be reached") for name in asked]
        return {"status": "failed", "error": "everyone asked has failed", **_spent(calls)}

    def _answered(self, asked: list[str], *, written: bool) -> Record:
        rng = self._rng
        calls = [self._call(name) for name in asked]
        alike = rng.randint(1, len(asked))
        longest = max(call["latency_ms"] for call in calls)
        found: Record = {
            "status": "answered",
            "answers": [self._answer(call) for call in calls],
            "failures": [],
            "votes": {"42": asked[:alike], **({"41": asked[alike:]} if alike < len(asked) else {})},
            "agreement": round(rng.betavariate(5, 1), 4),
            "verdict": f"{alike} of {len(asked)} votes",
            "aggregation": None,
            "synthesis": None,
            "answer": {"expert": asked[0], "text": rng.choice(self._texts)},
        }
        if written:
            call = self._call(self._asked(1)[0], role="aggregate")
            calls, longest = [*calls, call], longest + call["latency_ms"]
            found["synthesis"] = self._answer(call)
            found["aggregation"] = {"because": "they differ", "writer": call["expert"]}
        overhead = round(rng.uniform(1, 6), 3)
        steps = {"infer": overhead, "route": 0.4, "ask": longest, "judge": 0.2, "answer": 0.1}
        return {**found, **_spent(calls), "steps_ms": steps, "overhead_ms": overhead}

    def _call(self, expert: str, *, role: str = "answer", error: str | None = None) -> Record:
        rng = self._rng
        prompt, completion = rng.randint(50, 900), rng.randint(10, 700)
        return {
            "expert": expert,
            "role": role,
            "usage": _usage(prompt, completion),
            "cost_usd": round(
                (prompt + 4 * completion) * 1e-6 * (1 + crc32(expert.encode()) % 7), 6
            ),
            "latency_ms": round(rng.lognormvariate(7, 0.8), 1),
            "error": error,
        }

    def _answer(self, call: Record) -> Record:
        return {
            "expert": call["expert"],
            "text": self._rng.choice(self._texts),
            "finish_reason": "stop",
            "prompt_tokens": call["usage"]["prompt_tokens"],
            "completion_tokens": call["usage"]["completion_tokens"],
            "latency_ms": call["latency_ms"],
        }


def _spent(calls: list[Record]) -> Record:
    prompt = sum(c["usage"]["prompt_tokens"] for c in calls)
    completion = sum(c["usage"]["completion_tokens"] for c in calls)
    cost = sum(c["cost_usd"] for c in calls)
    return {"calls": calls, "usage": _usage(prompt, completion), "cost_usd": cost}


def _usage(prompt: int, completion: int) -> dict[str, int]:
    total = prompt + completion
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total}


def _zipf(n: int) -> list[float]:
    return list(accumulate(1 / (rank + 10) for rank in range(n)))
