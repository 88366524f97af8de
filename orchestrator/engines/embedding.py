"""OpenAI's embeddings protocol: requests written, answers read.  Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from coterie.errors import EngineProtocolError
from coterie.types import JSON, Usage
from orchestrator.engines.target import Target
from orchestrator.engines.wire import parse_object, read_usage


@dataclass(frozen=True, slots=True, eq=False)
class Embedded:
    """``vectors``, (texts, d), and the tokens they took."""

    vectors: NDArray[np.float32]
    usage: Usage


class Embeds(Protocol):
    """What embeds texts; raises a :class:`coterie.errors.EngineError` for what goes wrong."""

    async def embed(self, texts: Sequence[str], fields: Mapping[str, JSON]) -> Embedded: ...


def body(target: Target, texts: Sequence[str], fields: Mapping[str, JSON]) -> bytes:
    """The body of a request; vectors are asked for as numbers, which every server can send."""
    said = {**fields, "model": target.model, "input": list(texts), "encoding_format": "float"}
    return json.dumps(said, separators=(",", ":")).encode("ascii")


def read(target: Target, answer: bytes, texts: int) -> Embedded:
    """The vectors in an answer, by their ``index``.

    Raises:
        EngineProtocolError: they are not one for each text, or no vectors.
    """
    found = parse_object(target, answer)
    rows = found.get("data")
    usage = read_usage(target, found.get("usage"))
    try:
        by_index = {_index(row): row["embedding"] for row in rows or ()}
        vectors = np.array([by_index[i] for i in range(texts)], dtype=np.float32)
    except (KeyError, TypeError, ValueError):
        vectors = np.empty(0, dtype=np.float32)
    if usage is None or vectors.ndim != 2 or not np.isfinite(vectors).all():
        raise EngineProtocolError(
            target.expert,
            f"{target.server} sent no usage and one vector of numbers for each of {texts} text(s); "
            "check that its model is an embedding model",
        )
    return Embedded(vectors, usage)


def _index(row: Mapping[str, Any]) -> int:
    return int(row["index"])
