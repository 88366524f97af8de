"""Writes recordings: the folders :mod:`evals.recorded` reads."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coterie.errors import ConfigurationError
from coterie.types import Reading
from evals.recorded import MODELS, QUESTIONS, RESPONSES, Parameters


@dataclass(frozen=True, slots=True)
class RecordedQuestion:
    """One question; ``answer`` is the right one, ``options`` are texts, none for an open one."""

    id: str
    text: str
    answer: str
    split: str
    category: str = ""
    options: tuple[str, ...] = ()
    group: str = ""
    fold: int = 0


@dataclass(frozen=True, slots=True)
class RecordedAnswer:
    """One expert's graded answer to the question ``question``.

    ``pred`` is what was read out of it, None where nothing could be; ``output`` is its whole text;
    None elsewhere: not known.
    """

    question: str
    expert: str
    pred: str | None
    correct: bool
    reading: Reading | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    latency_s: float | None = None
    output: str | None = None
    setting: str = ""


def write_recording(
    folder: Path,
    *,
    benchmark: str,
    questions: Sequence[RecordedQuestion],
    answers: Sequence[RecordedAnswer],
    parameters: Mapping[str, Parameters] | None = None,
) -> None:
    """Writes a new folder, whole or not at all.

    Outputs go to ``texts_BENCHMARK.parquet``, where there are any.  Raises
    :class:`ConfigurationError` where the folder holds something already.
    """
    if folder.is_dir() and any(folder.iterdir()):
        raise ConfigurationError(f"{str(folder)!r} is not empty: name a folder that is new")
    partial = folder.parent / f".{folder.name}.{os.getpid()}"
    partial.mkdir(parents=True)
    _write(partial / QUESTIONS, [_question(q, benchmark) for q in questions])
    _write(partial / RESPONSES, [_answer(a, benchmark) for a in answers])
    if texts := [_output(a) for a in answers if a.output is not None]:
        _write(partial / f"texts_{benchmark.replace('-', '_')}.parquet", texts)
    _write_models(partial / MODELS, {a.expert for a in answers}, parameters or {})
    partial.replace(folder)


def _write(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise ConfigurationError(
            "recordings are parquet files, and writing them needs pyarrow: "
            "pip install 'coterie[replay]'"
        ) from error
    pq.write_table(pa.Table.from_pylist(list(rows), _schema(path)), path, compression="zstd")


def _schema(path: Path) -> Any:
    import pyarrow as pa

    text, count, seconds = pa.string(), pa.int64(), pa.float64()
    columns: dict[str, Any] = {"qid": text, "model": text, "output": text}
    if path.name == QUESTIONS:
        columns = dict.fromkeys(("qid", "benchmark", "category", "question"), text)
        columns |= {"options": pa.list_(text), "answer": text, "group": text}
        columns |= {"fold": count, "split": text}
    if path.name == RESPONSES:
        columns = dict.fromkeys(("qid", "benchmark", "model", "setting", "pred"), text)
        columns |= {"correct": pa.bool_(), "extract_level": count}
        columns |= {"prompt_tokens": count, "completion_tokens": count, "latency_s": seconds}
    return pa.schema(columns)


def _question(q: RecordedQuestion, benchmark: str) -> dict[str, Any]:
    return {
        "qid": q.id,
        "benchmark": benchmark,
        "category": q.category or None,
        "question": q.text,
        "options": list(q.options) or None,
        "answer": q.answer,
        "group": q.group or q.id,
        "fold": q.fold,
        "split": q.split,
    }


def _answer(a: RecordedAnswer, benchmark: str) -> dict[str, Any]:
    return {
        "qid": a.question,
        "benchmark": benchmark,
        "model": a.expert,
        "setting": a.setting or None,
        "pred": a.pred,
        "correct": a.correct,
        "extract_level": None if a.reading is None else int(a.reading),
        "prompt_tokens": a.prompt_tokens,
        "completion_tokens": a.completion_tokens,
        "latency_s": a.latency_s,
    }


def _output(a: RecordedAnswer) -> dict[str, Any]:
    return {"qid": a.question, "model": a.expert, "output": a.output}


def _write_models(path: Path, experts: set[str], parameters: Mapping[str, Parameters]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("model", "total_params_b", "active_params_b"))
        for name in sorted(experts):
            total, active = parameters.get(name, (None, None))
            rows.writerow((name, total or "", active or ""))
