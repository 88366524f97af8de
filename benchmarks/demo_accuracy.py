"""Accuracy of each demo expert and of routing, on the demo benchmark's test split.

Needs a running, profiled server (`make up`), and asks it over HTTP with the official client:

    .venv/bin/python benchmarks/demo_accuracy.py [--limit N] [--json FILE]

Every system answers the same questions at temperature 0.  The best single expert is the one with
the highest overall rate on the validation split, as the server's own profiles have it; the test
split plays no part in any choice.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openai import APIError, AsyncOpenAI

from coterie.types import Item
from evals.stats import paired_difference, rate
from evals.tasks import load_task
from orchestrator.client import Client
from orchestrator.settings import Settings

ROUTED = "coterie"
CONCURRENCY = 32


@dataclass(frozen=True)
class Run:
    """One system's answers: right or not in the items' order, tokens used, seconds taken."""

    model: str
    correct: tuple[bool, ...]
    texts: tuple[str, ...]
    calls: int
    total_tokens: int
    seconds: float
    errors: int


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--limit", type=int, help="questions, balanced over categories")
    parser.add_argument("--split", default="test", choices=("val", "test"))
    parser.add_argument("--json", type=Path, help="write every figure here")
    args = parser.parse_args()
    task, settings = load_task("demo"), Settings.load()
    client = Client.of(settings)
    items = task.items(args.split, args.limit)
    profiles = client.get("/admin/profiles")["profiles"]
    experts = [p["expert"] for p in profiles]
    best = max(profiles, key=lambda p: p["overall"]["mean"])["expert"]
    async with AsyncOpenAI(
        base_url=f"{settings.url}/v1", api_key=client.chat_key or "none", timeout=300
    ) as openai:
        runs = []
        for model in (*experts, ROUTED):
            runs.append(await ask_all(openai, model, items))
            print(f"{model:20} {rate(runs[-1].correct)}  {runs[-1].seconds:.0f} s", flush=True)
    runs += baselines(runs[:-1], items)
    report(runs, items, best)
    if args.json:
        args.json.write_text(json.dumps(figures(runs, items, best), indent=2))


async def ask_all(
    openai: AsyncOpenAI, model: str, items: Sequence[Item], gate: asyncio.Semaphore | None = None
) -> Run:
    """The model's answers; as many questions are open at a time as ``gate`` lets through."""
    task, gate = load_task("demo"), gate or asyncio.Semaphore(CONCURRENCY)

    async def one(item: Item) -> tuple[bool, str, int, int, bool]:
        messages: Any = [m.as_dict() for m in item.question.messages]
        async with gate:
            try:
                raw = await openai.chat.completions.with_raw_response.create(
                    model=model, messages=messages, temperature=0
                )
            except APIError:
                return False, "", 0, 0, True
        found = raw.parse()
        text = found.choices[0].message.content or ""
        tokens = found.usage.total_tokens if found.usage else 0
        calls = len(raw.headers["x-coterie-experts"].split(","))
        return task.grade(item, text).correct, text, calls, tokens, False

    started = time.monotonic()
    answers = await asyncio.gather(*(one(item) for item in items))
    return Run(
        model,
        tuple(a[0] for a in answers),
        tuple(a[1] for a in answers),
        sum(a[2] for a in answers),
        sum(a[3] for a in answers),
        time.monotonic() - started,
        sum(a[4] for a in answers),
    )


def baselines(experts: Sequence[Run], items: Sequence[Item]) -> list[Run]:
    """What the experts' own answers, already in hand, would have made without routing."""
    tokens = sum(run.total_tokens for run in experts)
    everyone = len(experts) * len(items)
    majority = [plurality(item, [run.texts[i] for run in experts]) for i, item in enumerate(items)]
    oracle = [any(run.correct[i] for run in experts) for i in range(len(items))]
    names = ("majority of all", "oracle (any expert right)")
    return [
        Run(name, tuple(correct), (), everyone, tokens, 0.0, 0)
        for name, correct in zip(names, (majority, oracle), strict=True)
    ]


def plurality(item: Item, texts: Sequence[str]) -> bool:
    """Whether the most frequent extracted answer is right; ties go to the first expert by name."""
    task = load_task("demo")
    grades = [task.grade(item, text) for text in texts]
    counts = Counter(g.extracted for g in grades if g.extracted is not None)
    if not counts:
        return False
    winner = max(counts, key=lambda answer: counts[answer])
    return next(g.correct for g in grades if g.extracted == winner)


def by_category(run: Run, items: Sequence[Item]) -> dict[str, list[bool]]:
    found: defaultdict[str, list[bool]] = defaultdict(list)
    for item, correct in zip(items, run.correct, strict=True):
        found[item.category].append(correct)
    return dict(found)


def report(runs: Sequence[Run], items: Sequence[Item], best: str) -> None:
    categories = list(by_category(runs[0], items))
    print(f"\n| system | all | {' | '.join(categories)} | calls | tokens | errors |")
    print("|---" * (len(categories) + 5) + "|")
    for run in runs:
        cells = [f"{rate(c).mean:.2f}" for c in by_category(run, items).values()]
        counts = (str(run.calls), str(run.total_tokens), str(run.errors))
        row = (run.model, str(rate(run.correct)), *cells, *counts)
        print(f"| {' | '.join(row)} |")
    named = {run.model: run for run in runs}
    experts = [run for run in runs if run.texts and run.model != ROUTED]
    drawn = sum(rate(run.correct).mean for run in experts) / len(experts)
    print(f"\none expert at random a question, expected: {drawn:.3f}")
    for other in (best, "majority of all"):
        gain = paired_difference(named[ROUTED].correct, named[other].correct)
        chosen = "best single, chosen on val" if other == best else "six calls a question"
        print(f"routed minus {other} ({chosen}): {gain}")


def figures(runs: Sequence[Run], items: Sequence[Item], best: str) -> dict[str, Any]:
    return {
        "n": len(items),
        "best_single": best,
        "systems": {
            run.model: {
                "accuracy": rate(run.correct).mean,
                "categories": {k: rate(v).mean for k, v in by_category(run, items).items()},
                "calls": run.calls,
                "total_tokens": run.total_tokens,
                "seconds": run.seconds,
                "errors": run.errors,
            }
            for run in runs
        },
    }


if __name__ == "__main__":
    asyncio.run(main())
