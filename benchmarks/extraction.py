"""How the reading of answers agrees with what was recorded for real outputs.

    COTERIE_RECORDED=DIR python benchmarks/extraction.py [--show 20 --level 1]

Every recorded output to MMLU-Pro and GSM8K is read anew; the recording's own reading came with a
level: 1 "the answer is (X)", 2 "Answer: X", 3 the last lone capital, 0 nothing (see docs/tasks.md).
Needs ``coterie[replay]``.
"""

from __future__ import annotations

import argparse
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coterie.types import Reading
from evals.extract import Read, read_choice, read_number
from evals.numbers import canonical_number


@dataclass(frozen=True, slots=True)
class Case:
    """One output, as it was read then (``then``, by ``level``) and as it is read ``now``."""

    model: str
    level: int
    target: str
    then: str | None
    now: Read
    output: str

    @property
    def same(self) -> bool:
        return self.now[0] == self.then


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--show", type=int, default=0, help="print so many disagreements")
    parser.add_argument("--level", type=int, default=1, help="those of this level")
    parser.add_argument("--benchmark", help="this one alone")
    args = parser.parse_args()
    folder = Path(os.environ["COTERIE_RECORDED"])
    files = {"mmlu_pro": "texts_mmlu_pro.parquet", "gsm8k": "texts_zeroeval.parquet"}
    for benchmark, file in files.items():
        if args.benchmark in (None, benchmark):
            found = list(cases(folder, benchmark, folder / file))
            report(benchmark, found)
            show([c for c in found if c.level == args.level and not c.same][: args.show])


def cases(folder: Path, benchmark: str, texts: Path) -> Iterator[Case]:
    import pyarrow.parquet as pq

    only = [("benchmark", "=", benchmark)]
    questions = {q["qid"]: q for q in _rows(pq, folder / "questions.parquet", only)}
    recorded = {(r["qid"], r["model"]): r for r in _rows(pq, folder / "responses.parquet", only)}
    for row in _rows(pq, texts, None):
        question, then = questions.get(row["qid"]), recorded.get((row["qid"], row["model"]))
        if question is None or then is None:
            continue
        output, options = row["output"] or "", question["options"]
        now = read_choice(output, options) if options else read_number(output)
        yield Case(
            row["model"],
            then["extract_level"],
            _form(question["answer"], options) or "",
            _form(then["pred"], options) if then["extract_level"] else None,
            now,
            output,
        )


def _rows(pq: Any, path: Path, filters: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(path, filters=filters).to_pylist()
    return rows


def _form(answer: str | None, options: Sequence[str] | None) -> str | None:
    """The recorded answer in our form; a number that is none stays as it is."""
    if answer is None or options:
        return answer
    return canonical_number(answer) or answer


def report(benchmark: str, found: Sequence[Case]) -> None:
    print(f"\n{benchmark}: {len(found)} outputs of {len({c.model for c in found})} models")
    print("level       n  agree  read now as    right then  right now  both read, differ")
    for level in (1, 2, 3, 0):
        _line(str(level), [c for c in found if c.level == level])
    _line("all", found)
    unread = sum(c.now[0] is None for c in found)
    then = sum(c.then is None for c in found)
    print(f"unparsed: then {then / len(found):.4f}, now {unread / len(found):.4f}")
    for reading in Reading:
        read = [c for c in found if c.now[1] == reading]
        right = sum(c.now[0] == c.target for c in read)
        print(f"{reading.name:8} {len(read):7d}  right {right / max(len(read), 1):.3f}")


def _line(level: str, found: Sequence[Case]) -> None:
    if not found:
        return
    n = len(found)
    readings = Counter(c.now[1] for c in found)
    read_as = "/".join(str(readings[Reading(r)]) for r in (1, 2, 3, 0))
    then, now = (sum(right) for right in zip(*map(_right, found), strict=True))
    differ = [c for c in found if not c.same and c.now[0] is not None and c.then is not None]
    better = sum(c.now[0] == c.target for c in differ), sum(c.then == c.target for c in differ)
    print(
        f"{level:5} {n:7d} {sum(c.same for c in found) / n:.4f} {read_as:22} {then / n:.4f} "
        f"{now / n:.4f}  {len(differ)}: now right {better[0]}, then right {better[1]}"
    )


def _right(case: Case) -> tuple[bool, bool]:
    return case.then == case.target, case.now[0] == case.target


def show(found: Sequence[Case]) -> None:
    for case in found:
        print(f"--- {case.model}: then {case.then}, now {case.now}, right {case.target}")
        print(f"{case.output[:300]}\n   [...]\n{case.output[-300:]}")


if __name__ == "__main__":
    main()
