"""What a fused step takes in a real vLLM engine, beside the models' own steps, and its memory.

    PYTHONPATH=. .venv/bin/python benchmarks/fusion/step.py LARGE SMALL --out FILE

The method is in README.md beside this file.  Needs a quiet machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from adapters import write_adapter
from engines import Engine, Taken, drawn, running

FUSED = {"vllm_xargs": {"fusion": "fused"}}
SIDES: dict[str, dict[str, Any]] = {
    "large": {"large": {}},
    "base": {"base": {}},
    "adapted": {"adapted": {"model": "expert"}},
    "fusing-adapter": {"loaded": {}, "fused": FUSED},
    "fusing-model": {"loaded": {}, "fused": FUSED},
}
"""The engines, and how each is asked."""
ORDER = ["large", "base", "fusing-adapter", "large", "fusing-model", "adapted"]


@dataclass(frozen=True, slots=True)
class Setting:
    """An engine to be started."""

    model: Path
    arguments: Mapping[str, Any]
    adapters: Mapping[str, str] = field(default_factory=dict)


def main() -> None:
    args = options().parse_args()
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(args, Path(folder)))


def options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("large", type=Path)
    parser.add_argument("small", type=Path)
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=ORDER)
    parser.add_argument("--mode", type=json.loads, default={"kind": "dynamic"})
    parser.add_argument("--rank", type=int, default=16, help="of the adapter")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--context", type=int, default=128, help="tokens of each prompt")
    parser.add_argument("--tokens", type=int, default=20, help="tokens of each answer")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--out", type=Path, required=True, help="write every figure here, as JSON")
    return parser


async def measure(args: argparse.Namespace, home: Path) -> None:
    """Writes every side's figures as they come, and goes on where a run was cut off.

    One engine is up at a time: memory is short.
    """
    asked = {k: str(v) if isinstance(v, Path) else v for k, v in vars(args).items()}
    found = measured_before(args.out, asked)
    settings = planned(args, home)
    for number, side in enumerate(args.sides[len(found) :]):
        one = settings[side]
        starting = running(home / f"{number}", one.model, one.arguments, one.adapters)
        async with starting as engine:
            found.append({"side": side, **await rounds(args, engine, SIDES[side])})
        args.out.write_text(json.dumps({"settings": asked, "sides": found}, indent=2))
    print(table(found, [str(rows) for rows in args.batches]))


def measured_before(out: Path, asked: dict[str, Any]) -> list[dict[str, Any]]:
    """The sides that a run with the same settings has finished."""
    kept = json.loads(out.read_text()) if out.exists() else {}
    if not kept:
        return []
    if kept["settings"] != asked:
        raise SystemExit(f"{out} is of a run with other settings: give another file")
    sides: list[dict[str, Any]] = kept["sides"]
    return sides


def planned(args: argparse.Namespace, home: Path) -> dict[str, Setting]:
    """Every engine by its name."""
    plain: dict[str, Any] = {"dtype": args.dtype, "enforce_eager": True}
    plain |= {"enable_prefix_caching": False, "max_num_seqs": max(args.batches)}
    plain |= {"kv_cache_memory_bytes": 2**29}
    plain |= {"max_num_batched_tokens": max(args.batches) * args.context}
    adapter = write_adapter(home / "adapter", args.small, rank=args.rank)
    twin = home / "twin"  # the same weights by another name are loaded once more
    twin.symlink_to(args.small.resolve(), target_is_directory=True)
    base = {"model": str(args.small), "dtype": args.dtype}
    return {
        "large": Setting(args.large, plain),
        "base": Setting(args.small, plain),
        "adapted": Setting(args.small, plain, {"expert": adapter}),
        "fusing-adapter": Setting(
            args.large, plain | fusing(args, base, base | {"adapter": adapter})
        ),
        "fusing-model": Setting(
            args.large, plain | fusing(args, base, base | {"model": str(twin)})
        ),
    }


def fusing(
    args: argparse.Namespace, base: Mapping[str, str], expert: Mapping[str, str]
) -> dict[str, Any]:
    """An engine's arguments that make it fuse."""
    small = {"base": base, "expert": expert}
    recipe = {"base": "base", "experts": ["expert"], "mode": args.mode}
    return {
        "additional_config": {"fusion": {"small": small, "fusions": {"fused": recipe}}},
        "logits_processors": "aggregator.fusion.vllm_v1:Fusion",
    }


async def rounds(
    args: argparse.Namespace, engine: Engine, arms: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """Every way to ask for every batch in every round, in every other the other way round."""
    started = engine.memory_mib
    for ask in arms.values():
        await engine.take(drawn(2, args.context, seed=-1), args.tokens, ask)
    taken: dict[str, dict[str, list[Taken]]] = {}
    for number in range(args.rounds):
        for rows in args.batches:
            by = taken.setdefault(str(rows), {name: [] for name in arms})
            for name in list(arms)[:: -1 if number % 2 else 1]:
                prompts = drawn(rows, args.context, seed=number)
                by[name].append(await engine.take(prompts, args.tokens, arms[name]))
                print(f"{number} {rows} {name}: {by[name][-1]}", flush=True)
    await asyncio.sleep(1)
    batches = {r: {name: figure(each) for name, each in by.items()} for r, by in taken.items()}
    return {"batches": batches, "started_mib": started, "left_mib": engine.memory_mib}


def figure(taken: list[Taken]) -> dict[str, Any]:
    return {
        "step_ms": 1e3 * median(one.step_s for one in taken),
        "first_ms": 1e3 * median(one.first_s for one in taken),
        "memory_mib": median(one.memory_mib for one in taken),
        "all": [asdict(one) for one in taken],
    }


def table(found: list[dict[str, Any]], sizes: list[str]) -> str:
    """Median steps of every arm in ms, and what a fused step is of its parts, a column a batch.

    A side that was measured twice counts as one, with all its rounds.
    """
    arms: dict[str, list[list[float]]] = {}
    for side in found:
        for arm in side["batches"][sizes[0]]:
            rows = arms.setdefault(f"{side['side']}: {arm}", [[] for _ in sizes])
            for row, size in zip(rows, sizes, strict=True):
                row += [1e3 * one["step_s"] for one in side["batches"][size][arm]["all"]]
    steps = {name: [median(each) for each in rows] for name, rows in arms.items()}
    lines = [f"| median step, ms | {' | '.join(f'batch {n}' for n in sizes)} |"]
    lines += ["|---" * (len(sizes) + 1) + "|"]
    lines += [_line(name, [f"{ms:.0f}" for ms in row]) for name, row in steps.items()]
    large, base = steps.get("large: large"), steps.get("base: base")
    for side in ("fusing-adapter", "fusing-model"):
        if large and base and (fused := steps.get(f"{side}: fused")):
            each = list(zip(fused, large, base, steps[f"{side}: loaded"], strict=True))
            ratios = [f"{f / (one + 2 * b):.2f}" for f, one, b, _ in each]
            lines.append(_line(f"{side}: fused ÷ (large + 2 × base)", ratios))
            lines.append(
                _line(f"{side}: loaded ÷ large", [f"{on / o:.2f}" for _, o, _, on in each])
            )
    return "\n".join(lines)


def _line(name: str, cells: list[str]) -> str:
    return f"| {name} | {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
