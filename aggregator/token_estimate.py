"""About how many tokens a text is, where no tokenizer is at hand.  Pure.

A word is a token for every six letters begun, a digit or a sign is one, other scripts are one for
two bytes; how far that is from an engine's own count shows in what it wrote.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable

from coterie.types import Completion

_PIECE = re.compile(r"([A-Za-z]+)|([^\x00-\x7f]+)|\d|\n+|[ \t]{2,}|[^\sA-Za-z\d]", re.ASCII)

LETTERS, BYTES = 6, 2
"""Letters, or bytes of another script, that one token is."""

LEAST, MOST, MARGIN = 1.0, 3.0, 1.1


def counter_of(completions: Iterable[Completion]) -> Callable[[str], int]:
    """Counts as the engine did that made most tokens of what is in ``completions``, and a tenth
    more: whoever reads may have another tokenizer than whoever wrote."""
    written = [(c.usage.completion_tokens, _written(c)) for c in completions]
    seen = [tokens / pieces for tokens, pieces in written if tokens and pieces]
    scale = MARGIN * min(max([LEAST, *seen]), MOST)
    return lambda text: math.ceil(scale * _pieces(text))


def _written(completion: Completion) -> int:
    """All that was written, reasoning that is kept apart from the text included."""
    apart = (completion.message.get(name) for name in ("reasoning", "reasoning_content"))
    return _pieces(completion.text) + max(_pieces(r) if isinstance(r, str) else 0 for r in apart)


def _pieces(text: str) -> int:
    total = 0
    for word, other in _PIECE.findall(text):
        if word:
            total += -(-len(word) // LETTERS)
        elif other:
            total += -(-len(other.encode("utf-8", "surrogatepass")) // BYTES)
        else:
            total += 1
    return total
