"""Vectors for whoever asks for them: of the encoder that reads questions, or a registered model."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import numpy as np

from aggregator.token_estimate import counter_of
from coterie.errors import ContextLengthExceeded, RequestError, UnknownModel
from coterie.types import JSON, Usage
from orchestrator.descriptions import Embed
from orchestrator.engines.embedding import Embedded, Embeds
from orchestrator.roster import EMBEDDER, Roster
from skills.encoder import Encoder

AT_ONCE = 32
"""Texts that the encoder reads at a time: questions that wait for it come in between."""
estimated = counter_of(())


class BuiltIn:
    """The encoder that skills are inferred with, for others' texts."""

    def __init__(self, encoder: Encoder, embed: Embed) -> None:
        self._encoder = encoder
        self._embed = embed

    async def embed(self, texts: Sequence[str], fields: Mapping[str, JSON]) -> Embedded:
        """Unit vectors of ``texts``.

        Raises:
            RequestError: vectors of another length are wanted.
            ContextLengthExceeded: a text is longer than what the encoder reads of one.
        """
        if fields.get("dimensions"):
            raise RequestError(
                f"'dimensions' cannot be honoured: the vectors of {EMBEDDER!r} have one length; "
                "leave it out",
                param="dimensions",
            )
        tokens = await asyncio.to_thread(self._tokens, texts)
        parts = [texts[i : i + AT_ONCE] for i in range(0, len(texts), AT_ONCE)]
        vectors = [await self._embed(part) for part in parts]
        return Embedded(np.concatenate(vectors), Usage(tokens))

    def _tokens(self, texts: Sequence[str]) -> int:
        count = getattr(self._encoder, "count_tokens", None)
        if count is None:
            return sum(map(estimated, texts))
        counts, longest = count(texts), getattr(self._encoder, "longest", None)
        for index, tokens in enumerate(counts):
            if longest and tokens > longest:
                raise ContextLengthExceeded(
                    f"input[{index}] has {tokens} tokens, and {EMBEDDER!r} reads {longest} of a "
                    "text: cut it into shorter ones, or name another embedding model",
                    param="input",
                )
        return sum(counts)


def embedder_of(model: str, roster: Roster, built_in: BuiltIn | None) -> Embeds:
    """What embeds as ``model``; raises :class:`UnknownModel`, which lists what there is, and
    :class:`RequestError` for a model that answers questions."""
    registered = [e.name for e in roster.embedders]
    if model in registered:
        return roster.engine(model)
    if model == EMBEDDER and built_in:
        return built_in
    known = ", ".join([*([EMBEDDER] if built_in else []), *registered]) or "none"
    if any(e.name == model for e in roster.enabled):
        raise RequestError(
            f"{model!r} answers questions and embeds nothing: the embedding models are {known}",
            param="model",
        )
    raise UnknownModel(f"there is no embedding model {model!r}; there are {known}", param="model")
