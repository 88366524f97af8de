"""Short texts in one form, so that equal answers are equal.  Pure."""

from __future__ import annotations

import re

_ARTICLE = re.compile(r"(?:the|an?) +(?=\S)")
_EDGES = " \t\n.,;:!?\"'`*_()[]{}$“”‘’"


def plain_text(text: str) -> str:
    """``text`` without case, double spaces, punctuation around it and a leading article."""
    words = " ".join(text.casefold().split()).strip(_EDGES)
    return _ARTICLE.sub("", words, count=1) if _ARTICLE.match(words) else words
