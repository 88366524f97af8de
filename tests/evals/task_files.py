"""Made-up files in the publishers' formats."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

SUBJECTS = ("botany", "sums")


def mmlu_pro(folder: Path, questions: int = 40) -> None:
    """Questions of two subjects, the first three times as many; the last one varies the first."""
    rows = [_mmlu_row(i, SUBJECTS[i % 4 == 3], f"Which is number {i}?") for i in range(questions)]
    rows.append({**rows[0], "question_id": questions, "options": rows[0]["options"][:4]})
    table = pa.Table.from_pylist(rows)
    pq.write_table(table, folder / "mmlu_pro_test.parquet")
    worked = [
        {
            **_mmlu_row(i, subject, f"What was shown as {subject} {i}?"),
            "cot_content": "A: Let's think step by step. It is this. The answer is (B).",
        }
        for subject in SUBJECTS
        for i in range(5)
    ]
    _json_lines(folder / "mmlu_pro_cot_examples.jsonl", worked)


def _mmlu_row(i: int, subject: str, question: str) -> dict[str, Any]:
    options = [f"thing {n}" for n in range(i, i + 5)] + ["N/A"]
    return {
        "question_id": i,
        "question": question,
        "options": options,
        "answer": "B",
        "answer_index": 1,
        "cot_content": "",
        "category": subject,
        "src": "made up",
    }


def gpqa(folder: Path, questions: int = 30) -> None:
    """All three subsets; this archive is not encrypted, which a password does not mind."""
    with zipfile.ZipFile(folder / "gpqa_dataset.zip", "w") as archive:
        for subset, n in (
            ("diamond", questions // 2),
            ("main", questions),
            ("extended", questions),
        ):
            archive.writestr(f"dataset/gpqa_{subset}.csv", gpqa_csv(n))


def gpqa_csv(questions: int) -> str:
    rows = [
        {
            "Question": f"Which made-up particle is number {i}?\n",
            "Correct Answer": f"right {i}",
            **{f"Incorrect Answer {n}": f"wrong {i}.{n}" for n in (1, 2, 3)},
            "High-level domain": "Physics",
            "Record ID": f"rec{i}",
        }
        for i in range(questions)
    ]
    return _csv(rows)


def gsm8k(folder: Path) -> None:
    for part, who, n in (("train", "Ann", 20), ("test", "Ben", 5)):
        rows = [
            {
                "question": f"{who} has {i} figs and gets 1000 more. How many are these?",
                "answer": f"These are {i} + 1000 = <<{i}+1000={i + 1000}>>{i + 1000} figs.\n"
                f"#### {i + 1000:,}",
            }
            for i in range(n)
        ]
        _json_lines(folder / f"gsm8k_{part}.jsonl", rows)


def medmcqa(folder: Path) -> None:
    """In the form of the Symbolic-MoE paper."""
    options = "(A) a bone (B) a muscle (C) a nerve (D) a cell"
    for part, n in (("train", 6), ("test", 9)):
        rows = [
            {"question": f"What is organ {i}? The options are: {options}", "gold_answer": "C"}
            for i in range(n)
        ]
        (folder / f"MedMCQA_{part}.json").write_text(json.dumps(rows))


def medmcqa_rows(first: int) -> list[dict[str, Any]]:
    """In the columns of the hub (options counted from 0) or of the publisher (from 1)."""
    return [
        {
            "id": f"m{i}",
            "question": f"What is organ {i}?",
            **{column: f"{column} {i}" for column in ("opa", "opb", "opc", "opd")},
            "cop": first + i % 4,
            "subject_name": "Anatomy",
        }
        for i in range(8)
    ]


def aime(folder: Path) -> None:
    rows = [{"question": f"Find $x$ if $x = {i}$.", "gold_answer": f"{i:03d}"} for i in range(6)]
    (folder / "AIME24_test.json").write_text(json.dumps(rows))
    rows[0]["gold_answer"] = "080 or 081 (both were accepted)"
    (folder / "AIME24_train.json").write_text(json.dumps(rows))


def parquet(rows: list[dict[str, Any]]) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), sink)
    return sink.getvalue()


def _json_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def _csv(rows: list[dict[str, Any]]) -> str:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, rows[0].keys())
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
