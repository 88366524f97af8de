"""The recordings in a folder, cut to the benchmarks and models that are wanted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from coterie.errors import ConfigurationError
from evals.recorded import QUESTIONS, Recording, load_recording


def load_recordings(
    folder: Path, benchmarks: Sequence[str] = (), models: Sequence[str] = ()
) -> tuple[Recording, ...]:
    """The answers of ``models`` to ``benchmarks``, a recording each; of all where none is named.

    A benchmark that none of the models answered is left out.  Raises :class:`ConfigurationError`
    for a benchmark that is not there, and for a model that answered none of them.
    """
    found = [load_recording(folder, benchmark=b) for b in benchmarks or benchmarks_in(folder)]
    if not models:
        return tuple(found)
    there = {name for recording in found for name in recording.experts}
    if missing := [name for name in models if name not in there]:
        raise ConfigurationError(
            f"no answers of {_listed(missing)} are recorded in {str(folder)!r}; "
            f"there are those of {_listed(sorted(there))}"
        )
    cut = (_of_models(recording, models) for recording in found)
    return tuple(recording for recording in cut if recording.experts)


def benchmarks_in(folder: Path) -> tuple[str, ...]:
    """The benchmarks whose questions are in ``folder``, by name."""
    path = folder / QUESTIONS
    try:
        import pyarrow.parquet as pq

        names = pq.read_table(path, columns=["benchmark"])["benchmark"].unique().to_pylist()
    except (ImportError, OSError, ValueError) as error:
        raise ConfigurationError(
            f"the benchmarks in {str(path)!r} cannot be read ({error}): name them with --benchmark"
        ) from error
    return tuple(sorted(map(str, names)))


def _of_models(recording: Recording, models: Sequence[str]) -> Recording:
    columns = [i for i, name in enumerate(recording.experts) if name in models]
    cells = ("answers", "correct", "readings", "tokens", "prompt_tokens", "latency_s")
    return replace(
        recording,
        experts=tuple(recording.experts[i] for i in columns),
        **{name: getattr(recording, name)[:, columns] for name in cells},
    )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names))
