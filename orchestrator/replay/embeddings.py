"""Embeddings are kept on disk: thousands of questions take minutes, and never change."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from skills.encoder import Encoder

log = logging.getLogger(__name__)

PART = 512
"""Texts a file: so many are lost at most when a run is cut short."""


class KeptEncoder:
    """``encoder``, called ``name``, with its vectors kept in ``folder``; None keeps nothing.

    A file is found by the SHA-256 of the encoder's name and its texts, and written whole or not at
    all.  ``report`` is told how many texts of how many are done.
    """

    def __init__(
        self,
        encoder: Encoder,
        name: str,
        folder: Path | None,
        report: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:
        self._encoder = encoder
        self._name = name
        self._folder = folder
        self._report = report

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        found = []
        for start in range(0, len(texts), PART):
            part = texts[start : start + PART]
            found.append(self._part(part))
            self._report(start + len(part), len(texts))
        return np.concatenate(found) if found else self._encoder.encode(texts)

    def _part(self, texts: Sequence[str]) -> NDArray[np.float32]:
        key = hashlib.sha256(json.dumps([self._name, *texts]).encode()).hexdigest()
        path = self._folder and self._folder / f"{key}.npy"
        if path and (kept := _read(path, len(texts))) is not None:
            return kept
        vectors = self._encoder.encode(texts)
        if path:
            self._write(path, vectors)
        return vectors

    def _write(self, path: Path, vectors: NDArray[np.float32]) -> None:
        partial = path.with_suffix(f".{os.getpid()}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with partial.open("wb") as file:
                np.save(file, vectors)
            partial.replace(path)
        except OSError as error:  # a folder that cannot be written to costs time, nothing else
            log.warning("embeddings are not kept for the next run: %s", error)
            self._folder = None


def _read(path: Path, rows: int) -> NDArray[np.float32] | None:
    """The vectors in ``path``; None where there are none, or a file that is damaged."""
    try:
        found = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return np.asarray(found, np.float32) if found.ndim == 2 and len(found) == rows else None
