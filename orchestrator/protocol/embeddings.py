"""The embeddings request and response in OpenAI's form."""

from __future__ import annotations

import base64
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from coterie.errors import RequestError
from orchestrator.engines.embedding import Embedded

MOST = 2048
"""Texts in one request, as with OpenAI."""
MOST_CHARACTERS = 4_000_000
"""Characters of all texts together."""


class EmbeddingsRequest(BaseModel):
    """``POST /v1/embeddings``; fields beyond these are passed to the model untouched."""

    model_config = ConfigDict(extra="allow")

    model: Annotated[str, Field(min_length=1)]
    input: str | list[Any]
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, Field(ge=1)] | None = None

    @property
    def texts(self) -> list[str]:
        """The texts; raises :class:`RequestError` for what is none, or too much."""
        given = [self.input] if isinstance(self.input, str) else self.input
        if any(isinstance(one, int | list) for one in given):
            raise RequestError(
                "'input' holds tokens, and models differ in what theirs mean: send the text",
                param="input",
            )
        if not given or not all(isinstance(one, str) and one and _is_unicode(one) for one in given):
            raise RequestError("'input' must be a text, or a list of texts", param="input")
        if len(given) > MOST or sum(map(len, given)) > MOST_CHARACTERS:
            raise RequestError(
                f"'input' may hold {MOST} texts and {MOST_CHARACTERS:,} characters: send it in "
                "several requests",
                param="input",
            )
        return given

    @property
    def fields(self) -> dict[str, Any]:
        """What goes along with the texts."""
        length = {} if self.dimensions is None else {"dimensions": self.dimensions}
        return {**(self.model_extra or {}), **length}


def _is_unicode(text: str) -> bool:
    """Half a surrogate pair can come as JSON, and no tokenizer takes it."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def embeddings_body(asked: EmbeddingsRequest, found: Embedded, cost_usd: float) -> dict[str, Any]:
    """The list of embeddings; raises :class:`RequestError` where they are not as long as wanted."""
    length = found.vectors.shape[1]
    if asked.dimensions not in (None, length):
        raise RequestError(
            f"'dimensions' cannot be honoured: {asked.model!r} makes vectors of {length}; leave it "
            "out",
            param="dimensions",
        )
    told = _base64 if asked.encoding_format == "base64" else _floats
    data = [
        {"object": "embedding", "index": i, "embedding": told(vector)}
        for i, vector in enumerate(found.vectors)
    ]
    tokens = found.usage.prompt_tokens
    usage = {"prompt_tokens": tokens, "total_tokens": tokens, "cost_usd": cost_usd}
    return {"object": "list", "model": asked.model, "data": data, "usage": usage}


def _floats(vector: NDArray[np.float32]) -> list[float]:
    return [float(x) for x in vector]


def _base64(vector: NDArray[np.float32]) -> str:
    """Little-endian float32."""
    return base64.b64encode(vector.astype("<f4").tobytes()).decode("ascii")
