"""About how many tokens a text is, where no tokenizer is at hand.  Pure.

A word is a token for every six letters begun and every change to capitals, a digit or a sign is
one, other scripts are about one for two bytes; how far that is from an engine's own count shows in
what it wrote.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable

from coterie.types import Completion

_PIECE = re.compile(
    r"[A-Z]?[a-z]{1,6}|[A-Z]{1,6}|\d|\n{1,4}|[ \t]{2,8}|[^\x00-\x7f]|[^\sA-Za-z\d]", re.ASCII
)
_WIDE = re.compile(r"[\u0800-\U0010ffff]")
"""Characters of three bytes or more."""

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
    wide = 0 if text.isascii() else len(_WIDE.findall(text))
    return len(_PIECE.findall(text)) + wide // 2
