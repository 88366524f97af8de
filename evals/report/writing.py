"""Writes a report's files into a folder."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from coterie.errors import ConfigurationError
from evals.compare import Comparison
from evals.report.comparison_page import comparison_page
from evals.report.document import as_bytes, comparison_document, document
from evals.report.figures import Report, report
from evals.report.page import report_page
from evals.report.reading import NAME
from evals.report.sheets import sheets
from evals.results import RunResult


def write_report(
    run: RunResult,
    folder: Path,
    *,
    others: Sequence[RunResult] = (),
    validation: RunResult | None = None,
) -> Report:
    """Writes ``report.json``, ``report.html`` and the CSV files; returns the figures.

    Files that are there are replaced, each as a whole.  Raises :class:`ConfigurationError` for runs
    that cannot be compared (:func:`evals.report.figures.report`) and where nothing can be written.
    """
    made = report(run, others, validation=validation)
    content = {
        NAME: as_bytes(document(made, run)),
        **sheets(made, run),
        "report.html": report_page(made).encode("utf-8", "replace"),
    }
    _write(folder, content)
    return made


def write_comparison(comparison: Comparison, folder: Path) -> None:
    """Writes ``comparison.json`` and ``comparison.html``."""
    page = comparison_page(comparison).encode("utf-8", "replace")
    content = as_bytes(comparison_document(comparison))
    _write(folder, {"comparison.json": content, "comparison.html": page})


def _write(folder: Path, content: Mapping[str, bytes]) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in content.items():
            # A reader never sees half a file.
            half = folder / f".{name}.{os.getpid()}"
            half.write_bytes(data)
            half.replace(folder / name)
    except OSError as error:
        raise ConfigurationError(
            f"cannot write a report into {str(folder)!r}: {error.strerror or error}; "
            "name a folder that can be written to"
        ) from error
