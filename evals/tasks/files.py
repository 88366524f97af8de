"""The rows of question files: parquet, CSV, JSON and JSON Lines, and CSVs in GPQA's archive.

A file is read from its bytes, in memory: nothing is unpacked to disk.  Errors name the file and
never show what is in it.
"""

from __future__ import annotations

import csv
import io
import json
import zipfile
from typing import Any, TypeAlias

from coterie.errors import ConfigurationError

Row: TypeAlias = dict[str, Any]

SUFFIXES = (".parquet", ".csv", ".jsonl", ".json")


def read_rows(data: bytes, name: str) -> list[Row]:
    """The rows of the file ``name`` with this content.

    Raises :class:`ConfigurationError` where it is none of the formats, or damaged.
    """
    suffix = name[name.rfind(".") :].lower() if "." in name else ""
    if suffix not in SUFFIXES:
        raise ConfigurationError(
            f"{name!r} is no file of questions: its name must end in {', '.join(SUFFIXES)}"
        )
    if suffix == ".parquet":
        return _parquet(data, name)
    try:
        text = data.decode("utf-8-sig")
        return _csv(text) if suffix == ".csv" else _json(text)
    except (ValueError, csv.Error, RecursionError) as error:
        # The parser's own message may quote the file.
        raise ConfigurationError(f"{name!r} cannot be read as {suffix[1:].upper()}") from error


def read_member(archive: bytes, member: str, password: bytes, name: str) -> bytes:
    """One file of an encrypted zip archive, decrypted in memory."""
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as opened:
            return opened.read(member, pwd=password)
    except (KeyError, RuntimeError, zipfile.BadZipFile, NotImplementedError) as error:
        raise ConfigurationError(
            f"{name!r} has no {member!r} that opens with the password its publisher gives"
        ) from error


def _parquet(data: bytes, name: str) -> list[Row]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise ConfigurationError(
            f"{name!r} is parquet, and reading it needs pyarrow: pip install 'coterie[tasks]'"
        ) from error
    try:
        rows: list[Row] = pq.read_table(io.BytesIO(data)).to_pylist()
    except (pa.ArrowException, OSError, ValueError) as error:
        raise ConfigurationError(f"{name!r} cannot be read as parquet") from error
    return rows


def _csv(text: str) -> list[Row]:
    return [dict(row) for row in csv.DictReader(io.StringIO(text, newline=""))]


def _json(text: str) -> list[Row]:
    """A list of objects, or one object a line."""
    try:
        rows = json.loads(text)
    except json.JSONDecodeError:
        rows = [json.loads(line) for line in text.split("\n") if line.strip()]
    if isinstance(rows, dict):
        rows = [rows]
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError("not a list of objects")
    return rows
