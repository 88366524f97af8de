"""A sentence model distilled to one vector a token: embeds a prompt in a tenth of a millisecond.

Every token of the sentence model's vocabulary is embedded by that model as a sentence of its own;
the vectors lose their least important directions (PCA) and common tokens weigh less (Zipf).  A text
is the mean of its tokens.  Source: Model2Vec (github.com/MinishLab/model2vec), whose package wants
another transformers than vLLM does.

Distilling needs the sentence model and takes seconds; it is done once, in a process of its own, so
that PyTorch never stays in a server that has no other use for it.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coterie.errors import ConfigurationError
from skills.encoder import sentence_model

DIMENSIONS = 256
VERSION = 1
"""Raised when the same model would be distilled to something else."""
BATCH = 2048
LONGEST = 512
"""Tokens of a text that are looked at, as many as the sentence models' own."""


class StaticEncoder:
    """Embeds with what ``model`` (as :class:`SentenceEncoder` takes it) was distilled to, which is
    kept in the folder ``cache``."""

    instant = True

    def __init__(self, model: str, cache: Path) -> None:
        self.model = model
        self._cache = cache
        self._loaded: tuple[Any, NDArray[np.float32]] | None = None

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        tokenizer, vectors = self._load()
        found = np.zeros((len(texts), vectors.shape[1]), np.float32)
        for row, encoding in enumerate(tokenizer.encode_batch_fast(list(texts), False, False)):
            if ids := encoding.ids[:LONGEST]:
                mean = vectors[ids].mean(axis=0)
                found[row] = mean / max(float(np.linalg.norm(mean)), 1e-12)
        return found

    def _load(self) -> tuple[Any, NDArray[np.float32]]:
        if self._loaded is None:
            from tokenizers import Tokenizer

            place = distilled(self.model, self._cache)
            vectors = np.load(place / "vectors.npy").astype(np.float32)
            tokenizer = Tokenizer.from_file(str(place / "tokenizer.json"))
            tokenizer.no_padding()
            tokenizer.no_truncation()
            self._loaded = tokenizer, vectors
        return self._loaded


def distilled(model: str, cache: Path) -> Path:
    """The folder with what ``model`` was distilled to; distils it if nobody has.

    Raises:
        ConfigurationError: the model cannot be had.
    """
    name = hashlib.sha256(f"{VERSION} {DIMENSIONS} {model}".encode()).hexdigest()[:16]
    place = cache / "static" / name
    if not (place / "vectors.npy").exists():
        place.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "skills.static_encoder", model, str(place)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own module
        if done.returncode:
            raise ConfigurationError(
                f"embedding model 'static:{model}' cannot be made: {done.stderr.strip()[-500:]}"
            )
    return place


def distil(model: str, place: Path) -> None:
    """Writes ``vectors.npy``, (vocabulary, dimensions) float16, and ``tokenizer.json``."""
    loaded = sentence_model(model)
    tokenizer = loaded.tokenizer.backend_tokenizer
    size = tokenizer.get_vocab_size()
    vectors = _reduced(_token_vectors(loaded, size))
    rank = np.arange(1, size + 1)
    special = [i for i in loaded.tokenizer.all_special_ids if i < size]
    vectors *= np.log1p(rank)[:, None]
    vectors[special] = 0
    half = place / f"vectors-{os.getpid()}.npy"
    np.save(half, vectors.astype(np.float16))
    tokenizer.save(str(place / "tokenizer.json"))
    half.replace(place / "vectors.npy")


def _token_vectors(loaded: Any, size: int) -> NDArray[np.float32]:
    """Each token embedded as a sentence of its own, (size, d)."""
    import torch

    first, last = loaded.tokenizer.cls_token_id, loaded.tokenizer.sep_token_id
    found = []
    with torch.inference_mode():
        for start in range(0, size, BATCH):
            ids = torch.arange(start, min(start + BATCH, size))
            rows = torch.stack(
                [torch.full_like(ids, first), ids, torch.full_like(ids, last)], dim=1
            )
            given = {"input_ids": rows, "attention_mask": torch.ones_like(rows)}
            found.append(loaded(given)["sentence_embedding"].float().numpy())
    return np.concatenate(found)


def _reduced(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """The :data:`DIMENSIONS` directions in which the vectors differ most, the mean taken off."""
    centred = vectors - vectors.mean(axis=0)
    _, directions = np.linalg.eigh(centred.T @ centred)
    kept: NDArray[np.float32] = centred @ directions[:, ::-1][:, :DIMENSIONS]
    return kept


if __name__ == "__main__":
    distil(sys.argv[1], Path(sys.argv[2]))
