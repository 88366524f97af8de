"""How good fusion is on real weights: a small model's experts lift a large one.

    python -m benchmarks.fusion.quality --large LARGE --small SMALL --adapters ADAPTERS --out FILE

``LARGE`` and ``SMALL`` are model folders with one vocabulary, ``ADAPTERS`` what ``train`` wrote, in
``small`` and ``large``.  Fused answers come from one vLLM engine of the large model, as a server
gives them; models that run alone are run by transformers.  ``FILE`` gets every answer and every
figure; answers that are there already are not asked for again.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import logging
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.fusion.alone import Alone
from benchmarks.fusion.arms import MIXED, MODES, block, slug
from benchmarks.fusion.engine import Engine, serving
from benchmarks.fusion.gap import Gap, gap_closed
from benchmarks.fusion.tasks import MOST_TOKENS, TASKS, questions, right
from evals.stats import rate
from examples.demo_experts.sample import Sample

LARGE, BASE, EXPERT, TUNED = "large alone", "small base alone", "small expert alone", "large tuned"


@dataclass
class Record:
    """Answers by arm and task, kept in a file; ``setting`` says to which questions."""

    file: Path
    setting: dict[str, Any]
    answers: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    alphas: dict[str, dict[str, Any]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    @classmethod
    def opened(cls, file: Path, setting: dict[str, Any]) -> Record:
        """What ``file`` has, where it answers the same questions."""
        known = json.loads(file.read_text()) if file.exists() else {}
        if known.get("setting", setting) != setting:
            raise SystemExit(f"{file} answers other questions: {known['setting']}; name another")
        kept = {name: known.get(name, {}) for name in ("answers", "alphas", "seconds")}
        return cls(file, setting, **kept)

    def has(self, arm: str, task: str) -> bool:
        return task in self.answers.get(arm, {})

    def keep(self, arm: str, task: str, said: list[str], seconds: float) -> None:
        self.answers.setdefault(arm, {})[task] = said
        self.seconds[f"{arm} / {task}"] = round(seconds, 1)
        print(f"{arm}, {task}: {seconds:.0f} s", flush=True)
        self.write({})

    def write(self, figures: dict[str, Any]) -> None:
        """Writes all of it, with ``figures``."""
        held = {name: getattr(self, name) for name in ("setting", "answers", "alphas", "seconds")}
        self.file.write_text(json.dumps(held | figures, indent=1) + "\n")


def run_alone(record: Record, args: argparse.Namespace, asked: dict[str, list[Sample]]) -> None:
    """The small base, the small experts and the tuned large model."""
    small, large = args.adapters / "small", args.adapters / "large"
    for task, samples in asked.items():
        prompts = [sample.prompt for sample in samples]
        for arm, model, adapter in (
            (BASE, args.small, None),
            (EXPERT, args.small, small / task),
            (TUNED, args.large, large / task),
        ):
            there = adapter is None or adapter.exists()
            if there and chosen(args, arm) and not record.has(arm, task):
                started = time.monotonic()
                said = Alone(model, adapter).answers(prompts, tokens=MOST_TOKENS)
                record.keep(arm, task, [one.text for one in said], time.monotonic() - started)


def fused_arms(tasks: Sequence[str]) -> list[tuple[str, str, str | None]]:
    """Arm, task and the engine's fusion, for all that the engine is asked."""
    found: list[tuple[str, str, str | None]] = [(LARGE, task, None) for task in tasks]
    found += [(mode, task, slug(task, mode)) for mode in MODES for task in tasks]
    return found + [(together(mode), task, slug("all", mode)) for mode in MIXED for task in tasks]


def together(mode: str) -> str:
    """The arm in which the experts of all tasks are fused."""
    return f"all experts: {mode}"


ARMS = (LARGE, BASE, EXPERT, *MODES, *map(together, MIXED), TUNED)
"""In the order they are shown."""


async def run_fused(
    record: Record, args: argparse.Namespace, asked: dict[str, list[Sample]]
) -> None:
    """The large model alone and every fusion, on one engine."""
    wanted = [
        one for one in fused_arms(list(asked)) if not record.has(*one[:2]) and chosen(args, one[0])
    ]
    if not wanted:
        return
    fusions = block(args.small, args.adapters / "small", asked)
    with tempfile.TemporaryDirectory() as home:
        async with serving(args.large, fusions, Path(home)) as engine:
            for arm, task, fusion in wanted:
                await _ask(record, engine, asked[task], arm, task, fusion)


def chosen(args: argparse.Namespace, arm: str) -> bool:
    return not args.arms or arm in args.arms


async def _ask(
    record: Record, engine: Engine, samples: list[Sample], arm: str, task: str, fusion: str | None
) -> None:
    started = time.monotonic()
    label = f"{task}.{fusion}"
    said = await engine.answers([sample.prompt for sample in samples], fusion, label)
    if fusion is not None:
        record.alphas.setdefault(arm, {})[task] = spread(engine.alphas(label))
    record.keep(arm, task, said, time.monotonic() - started)


def spread(alphas: list[dict[str, float]]) -> dict[str, Any]:
    """For each expert, how many steps were traced, and the mean and quartiles of its α."""
    columns = {name: np.asarray([step[name] for step in alphas]) for name in alphas[0]}
    return {
        name: {
            "steps": len(a),
            "mean": float(a.mean()),
            "quartiles": np.quantile(a, [0.25, 0.5, 0.75]).tolist(),
        }
        for name, a in columns.items()
    }


def outcomes(record: Record, asked: dict[str, list[Sample]]) -> dict[str, dict[str, list[bool]]]:
    """Right or wrong, by arm and task; ``mixed``: all tasks' questions together."""
    graded = {
        arm: {
            task: [right(sample, text) for sample, text in zip(asked[task], said, strict=True)]
            for task, said in by_task.items()
        }
        for arm, by_task in record.answers.items()
    }
    for by_task in graded.values():
        if all(task in by_task for task in asked):
            by_task["mixed"] = [one for task in asked for one in by_task[task]]
    return graded


def figures(graded: dict[str, dict[str, list[bool]]]) -> dict[str, dict[str, dict[str, Any]]]:
    """Accuracy and gap closed, by arm and task."""

    def of(arm: str, task: str) -> dict[str, Any]:
        found: dict[str, Any] = {"accuracy": asdict(rate(graded[arm][task]))}
        ends = [graded.get(end, {}).get(task) for end in (LARGE, TUNED)]
        if ends[0] and ends[1] and sum(ends[1]) > sum(ends[0]):
            found["gap"] = asdict(gap_closed(graded[arm][task], ends[0], ends[1]))
        return found

    return {arm: {task: of(arm, task) for task in graded[arm]} for arm in ARMS if arm in graded}


def table(
    found: dict[str, dict[str, dict[str, Any]]], columns: list[str], cell: Callable[[Any], str]
) -> str:
    """A row an arm."""
    lines = [f"| arm | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for arm, by_task in found.items():
        cells = [cell(by_task[task]) if task in by_task else "–" for task in columns]
        lines.append(f"| {arm} | {' | '.join(cells)} |")
    return "\n".join(lines)


def accuracy_cell(of: dict[str, Any]) -> str:
    it = of["accuracy"]
    return f"{it['correct'] / it['n']:.3f} [{it['low']:.3f}, {it['high']:.3f}]"


def gap_cell(of: dict[str, Any]) -> str:
    return str(Gap(**of["gap"])) if "gap" in of else "–"


def digests(adapters: Path) -> dict[str, str]:
    """What the small experts are: the answers of others are no use."""
    weights = {task: adapters / "small" / task / "adapter_model.safetensors" for task in TASKS}
    return {t: hashlib.sha256(file.read_bytes()).hexdigest()[:12] for t, file in weights.items()}


def main() -> None:
    """Runs what is missing and prints two tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--large", required=True, help="the large model's folder")
    parser.add_argument("--small", required=True, help="the small model's folder")
    parser.add_argument("--adapters", type=Path, required=True)
    parser.add_argument("--split", choices=("val", "test"), default="test")
    parser.add_argument("--count", type=int, default=200, help="questions a task")
    parser.add_argument("--arms", action="append", help="only these arms")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    logging.disable(logging.INFO)
    asked = {task: questions(task, args.split, args.count) for task in TASKS}
    setting = {"split": args.split, "count": args.count, "experts": digests(args.adapters)}
    record = Record.opened(args.out, setting)
    run_alone(record, args, asked)
    asyncio.run(run_fused(record, args, asked))
    found = figures(outcomes(record, asked))
    commit = subprocess.check_output(["git", "rev-parse", "--short", "HEAD"], text=True).strip()
    record.write({"figures": found, "commit": commit})
    columns = [*TASKS, "mixed"]
    print("\naccuracy\n\n" + table(found, columns, accuracy_cell))
    print("\ngap closed over the base\n\n" + table(found, columns, gap_cell))


if __name__ == "__main__":
    main()
