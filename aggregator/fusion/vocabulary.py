"""Whether models that are to be fused mean the same by a token's number.

Reads the tokenizer files of model folders (``tokenizer.json``, else ``vocab.json`` with
``added_tokens.json``); loads no tokenizer and no model.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coterie.errors import ConfigurationError

SHOWN = 3
"""Differences that an error names."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """A folder's tokens by their numbers; ``added`` are those the tokenizer was given on top."""

    folder: Path
    tokens: Mapping[int, str]
    added: frozenset[int]


def shared_size(folders: Sequence[Path]) -> int:
    """How many tokens, from number 0 on, all models of these folders have in common.

    The models may differ in what was added at the end: a number that some tokenizers lack is
    allowed where it is an added token in the others.  All else is refused (ConfigurationError).
    """
    first, *others = [read(folder) for folder in folders]
    for other in others:
        refuse_differences(first, other)
    return min(max(each.tokens) + 1 for each in (first, *others))


def refuse_differences(one: Vocabulary, other: Vocabulary) -> None:
    """ConfigurationError naming both folders where the two cannot be fused."""
    wrong = sorted(
        number
        for number in one.tokens.keys() | other.tokens.keys()
        if one.tokens.get(number) != other.tokens.get(number) and not only_added(number, one, other)
    )
    if not wrong:
        return
    shown = "; ".join(
        f"{number} is {one.tokens.get(number)!r} and {other.tokens.get(number)!r}"
        for number in wrong[:SHOWN]
    )
    raise ConfigurationError(
        f"models with different vocabularies cannot be fused: {str(one.folder)!r} "
        f"({len(one.tokens)} tokens) and {str(other.folder)!r} ({len(other.tokens)} tokens) differ "
        f"in {len(wrong)} tokens ({shown}); use models of one family, with the same tokenizer"
    )


def only_added(number: int, one: Vocabulary, other: Vocabulary) -> bool:
    """Whether the number lies at the end of one vocabulary only, as a token that was added."""
    owner, lacking = (one, other) if number in one.tokens else (other, one)
    return number in owner.added and number > max(lacking.tokens)


def read(folder: Path) -> Vocabulary:
    """The vocabulary of a model's folder; ConfigurationError where none can be read."""
    try:
        if (whole := folder / "tokenizer.json").is_file():
            return of_tokenizer(folder, json.loads(whole.read_text(encoding="utf-8")))
        plain = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
        extra = folder / "added_tokens.json"
        added = json.loads(extra.read_text(encoding="utf-8")) if extra.is_file() else {}
        return of_numbers(folder, plain, added)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigurationError(
            f"the tokenizer of {str(folder)!r} cannot be read ({type(error).__name__}: {error}); "
            f"fusion needs its tokenizer.json: save the tokenizer in that format"
        ) from error


def of_tokenizer(folder: Path, tokenizer: Mapping[str, Any]) -> Vocabulary:
    """The vocabulary in a ``tokenizer.json``: a mapping, or a list of pieces with their scores."""
    pieces = tokenizer["model"]["vocab"]
    if isinstance(pieces, list):
        pieces = {piece: number for number, (piece, *_) in enumerate(pieces)}
    given = tokenizer.get("added_tokens") or []
    return of_numbers(folder, pieces, {each["content"]: each["id"] for each in given})


def of_numbers(folder: Path, plain: Mapping[str, int], added: Mapping[str, int]) -> Vocabulary:
    """The vocabulary of numbered tokens; an added token may stand among the plain ones as well."""
    tokens = {number: token for token, number in (*plain.items(), *added.items())}
    if not tokens:
        raise ValueError("it holds no tokens")
    return Vocabulary(folder, tokens, frozenset(added.values()))
