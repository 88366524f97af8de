"""Whether two models mean the same by a token's number: fusion adds their logits number by number.

Pure.  Tokens that only one of them has are allowed where they were added to its tokenizer later
(a chat model's markers); every number that both have must be the same token.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from coterie.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """A tokenizer's ``tokens`` by text, those among them that were ``added``, and whose it is."""

    owner: str
    tokens: Mapping[str, int]
    added: Mapping[str, int]

    def by_number(self) -> dict[int, str]:
        """The tokens by number."""
        return {number: token for token, number in self.tokens.items()}


def check_same_vocabulary(large: Vocabulary, small: Vocabulary) -> None:
    """Raises ConfigurationError, naming both vocabularies, where they cannot be fused."""
    ours, theirs = large.by_number(), small.by_number()
    both = ours.keys() & theirs.keys()
    differing = sorted(number for number in both if ours[number] != theirs[number])
    alone = [large.tokens.keys() - small.tokens.keys() - large.added.keys()]
    alone.append(small.tokens.keys() - large.tokens.keys() - small.added.keys())
    if not differing and not any(alone):
        return
    said = f"{large.owner} has {len(ours)} tokens, {small.owner} {len(theirs)}"
    if differing:
        first = differing[0]
        said += f"; number {first} is {ours[first]!r} in the first, {theirs[first]!r} in the second"
    else:
        lonely = next(iter(sorted(alone[0] or alone[1])))
        said += f"; {lonely!r} is in one of them alone"
    raise ConfigurationError(
        f"{large.owner} and {small.owner} have different vocabularies and cannot be fused ({said});"
        " take small models of the large one's family"
    )


def check_numbers(large: Vocabulary, owner: str, readable: int) -> None:
    """Raises ConfigurationError where the large model has tokens that ``owner`` cannot read.

    ``readable``: how many tokens the small model has embeddings for.
    """
    highest = max(large.tokens.values())
    if highest >= readable:
        raise ConfigurationError(
            f"{owner} reads tokens up to {readable - 1}, but {large.owner} has some up to"
            f" {highest}: resize the small model's embeddings, or take another one"
        )
