"""Embeddings are kept on disk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from orchestrator.replay.embeddings import PART, KeptEncoder


class Counting:
    """Counts the texts it was given."""

    def __init__(self, encoder: Any) -> None:
        self._encoder = encoder()
        self.texts = 0

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.texts += len(texts)
        return np.asarray(self._encoder.encode(texts), np.float32)


@pytest.fixture
def counting(encoder: Any) -> Counting:
    return Counting(encoder)


TEXTS = [f"text {i}" for i in range(PART + 10)]


def test_a_text_is_embedded_once(counting: Counting, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    first = KeptEncoder(counting, "letters", tmp_path, lambda *n: told.append(n)).encode(TEXTS)
    again = KeptEncoder(counting, "letters", tmp_path).encode(TEXTS)
    np.testing.assert_array_equal(first, again)
    assert counting.texts == len(TEXTS)
    assert told == [(PART, len(TEXTS)), (len(TEXTS), len(TEXTS))]


def test_another_encoder_or_text_is_embedded_anew(counting: Counting, tmp_path: Path) -> None:
    KeptEncoder(counting, "letters", tmp_path).encode(["a"])
    KeptEncoder(counting, "other", tmp_path).encode(["a"])
    KeptEncoder(counting, "letters", tmp_path).encode(["b"])
    assert counting.texts == 3


def test_what_is_done_survives_a_run_cut_short(counting: Counting, tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        KeptEncoder(counting, "letters", tmp_path, stop).encode(TEXTS)
    KeptEncoder(counting, "letters", tmp_path).encode(TEXTS)
    assert counting.texts == len(TEXTS)


def test_a_damaged_file_is_made_anew(counting: Counting, tmp_path: Path) -> None:
    first = KeptEncoder(counting, "letters", tmp_path).encode(["a"])
    [file] = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:-10])
    np.testing.assert_array_equal(KeptEncoder(counting, "letters", tmp_path).encode(["a"]), first)
    assert counting.texts == 2


def test_a_folder_that_cannot_be_written_to_is_no_obstacle(
    counting: Counting, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    found = KeptEncoder(counting, "letters", tmp_path / "file").encode(TEXTS)
    assert len(found) == len(TEXTS)
    assert "not kept" in caplog.text


def test_no_texts_are_no_vectors(counting: Counting, tmp_path: Path) -> None:
    assert KeptEncoder(counting, "letters", tmp_path).encode([]).shape == (0, 26)
