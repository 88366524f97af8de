"""How long the search for α takes, beside what it cannot do without and beside a decoding step.

    .venv/bin/python benchmarks/fusion/search.py [--models LARGE SMALL] [--threads N] [--json FILE]

The method is in README.md beside this file.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from aggregator.fusion import search
from aggregator.fusion.core import fuse
from aggregator.fusion.masks import Rows
from aggregator.fusion.modes import Dynamic, Static

VOCABULARY, BATCHES, WINDOW, CONTEXT, KEPT = 151_936, (1, 8, 32), 32, 32, 64
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
SHARES = {"refined", "grid", "fuse, refined"}
DOCS = Path(__file__).resolve().parents[2] / "docs"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs=2, type=Path, metavar=("LARGE", "SMALL"))
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--json", type=Path, help="write every figure here")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    models = [loaded(each, args.device) for each in args.models] if args.models else []
    logits = spoken(args.models, models) if models else drawn()
    logits = Rows(*(each.to(args.device) for each in (logits.large, logits.base, logits.experts)))
    figures = {
        "threads": args.threads,
        "clock": args.clock,
        "logits": "spoken" if models else "drawn",
    }
    figures |= {str(rows): measured(logits, rows, models, args) for rows in BATCHES}
    print_table(figures)
    if args.json:
        args.json.write_text(json.dumps(figures, indent=2))


def measured(
    logits: Rows, rows: int, models: list[Any], args: argparse.Namespace
) -> dict[str, float]:
    """Medians in ms over so many batches of ``rows`` rows, every kind on each batch in turn."""
    kinds: dict[str, Callable[[Rows, Tensor], object]] = {
        "three softmaxes": lambda part, out: softmaxes(part),
        "refined": lambda part, out: search.search(part, Dynamic()),
        "refined, two experts": lambda part, out: search.search(two(part), Dynamic()),
        "joint, two experts": lambda part, out: search.search(two(part), Dynamic(solver="joint")),
        "grid": lambda part, out: search.search(part, Dynamic(solver="grid")),
        "fuse, static": lambda part, out: fuse(
            part.large, part.base, part.experts, Static(), out=out
        ),
        "fuse, refined": lambda part, out: fuse(
            part.large, part.base, part.experts, Dynamic(), out=out
        ),
    }
    if models:
        step = decoding(models, rows)
        kinds["models' step"] = lambda part, out: step()
    taken: dict[str, list[float]] = {kind: [] for kind in kinds}
    out = torch.empty_like(logits.large[:rows])
    for repeat in range(args.repeats + 1):
        part = picked(logits, rows, seed=repeat)
        for kind, run in kinds.items():
            taken[kind].append(timed(run, part, out, CLOCKS[args.clock]))
    return {kind: 1e3 * statistics.median(times[1:]) for kind, times in taken.items()}


def timed(
    run: Callable[[Rows, Tensor], object], part: Rows, out: Tensor, clock: Callable[[], float]
) -> float:
    """Seconds."""
    synchronize(out)
    started = clock()
    run(part, out)
    synchronize(out)
    return clock() - started


def synchronize(tensor: Tensor) -> None:
    if tensor.is_cuda:
        torch.cuda.synchronize()


def softmaxes(part: Rows) -> None:
    """The bound: P, Q and Q_t, without which no divergence is known."""
    for each in (part.large, part.base, *part.experts):
        each.softmax(1)


def two(part: Rows) -> Rows:
    """The same rows with the expert twice."""
    return Rows(part.large, part.base, part.experts.expand(2, -1, -1))


def picked(logits: Rows, rows: int, seed: int) -> Rows:
    draw = torch.Generator().manual_seed(seed)
    return logits.pick(torch.randperm(len(logits.large), generator=draw)[:rows])


def drawn() -> Rows:
    """Logits as sharp and as flat as a language model's, without one."""
    common = torch.randn(KEPT, VOCABULARY)
    sharpness = torch.linspace(1.5, 3.5, KEPT)[:, None]
    large = sharpness * (common + 0.5 * torch.randn_like(common))
    base = sharpness * (common + 0.5 * torch.randn_like(common))
    return Rows(large, base, (base + 0.7 * torch.randn_like(base))[None])


def spoken(folders: list[Path], models: list[Any]) -> Rows:
    """What the models say at places in this repository's documentation.

    The expert is the small model that has read another page first.
    """
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folders[0])
    pages = [tokenizer(page.read_text())["input_ids"] for page in sorted(DOCS.glob("*.md"))]
    windows = [page[:WINDOW] for page in pages if len(page) >= WINDOW]
    large, small = models
    each = -(-KEPT // len(windows))
    said = [
        (
            says(large, window, each),
            says(small, window, each),
            says(small, [*windows[index - 1], *window], each),
        )
        for index, window in enumerate(windows)
    ]
    first, second, third = (torch.cat(column) for column in zip(*said, strict=True))
    return Rows(first, second, third[None])


@torch.no_grad()
def says(model: Any, ids: list[int], places: int) -> Tensor:
    """Logits at the last ``places`` tokens."""
    given = torch.tensor([ids], device=model.device)
    return model(input_ids=given, logits_to_keep=places).logits[0].float()


def loaded(folder: Path, device: str) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).to(device).eval()


def decoding(models: list[Any], rows: int) -> Callable[[], None]:
    """One step of the large model and two of the small one, after ``CONTEXT`` tokens a row."""
    large, small = models
    passes = [stepping(model, rows) for model in (large, small, small)]

    def step() -> None:
        for each in passes:
            each()

    return step


def stepping(model: Any, rows: int) -> Callable[[], None]:
    """One forward pass that reads one token a row; its cache is cut back each time."""
    with torch.no_grad():
        ids = torch.randint(1000, (rows, CONTEXT), device=model.device)
        past = model(input_ids=ids, use_cache=True, logits_to_keep=1).past_key_values
    last = ids[:, -1:]

    @torch.no_grad()
    def step() -> None:
        model(input_ids=last, past_key_values=past, use_cache=True, logits_to_keep=1)
        past.crop(CONTEXT)

    return step


def print_table(figures: dict[str, Any]) -> None:
    kinds = list(figures[str(BATCHES[0])])
    print(
        f"ms of {figures['clock']} time, {figures['threads']} threads, {figures['logits']} logits\n"
    )
    print(f"| | {' | '.join(f'batch {rows}' for rows in BATCHES)} |")
    print("|---" * (len(BATCHES) + 1) + "|")
    for kind in kinds:
        cells = [cell(figures[str(rows)], kind) for rows in BATCHES]
        print(f"| {kind} | {' | '.join(cells)} |")


def cell(found: dict[str, float], kind: str) -> str:
    """The figure, and its share of the models' step where there is one."""
    step = found.get("models' step")
    share = f" ({found[kind] / step:.1%})" if step and kind in SHARES else ""
    return f"{found[kind]:.4g}{share}"


if __name__ == "__main__":
    main()
