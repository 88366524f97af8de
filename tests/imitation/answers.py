"""What the imitated models say: a pure function of who is asked what, so tests can foretell it.

A token is a word with the space before it.  Nothing here knows about sleeping, weights or HTTP.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

_SAYING = (
    "the first step is to read each option and compare what it claims with what we know "
    "because only one of them can hold when all the others fail so we check them in turn"
)
_WORDS = _SAYING.split()
_OPTION = re.compile(r"\(([A-J])\)")


def prompt_tokens(messages: Sequence[Mapping[str, Any]]) -> list[str]:
    """The prompt as the imitated chat template makes it: role, words and an end for each turn."""
    tokens: list[str] = []
    for message in messages:
        tokens += [f"<{message.get('role')}>", *_text(message).split(), "</>"]
    return tokens


def answer_tokens(
    model: str,
    messages: Sequence[Mapping[str, Any]],
    *,
    temperature: float | None = None,
    seed: int | None = None,
    words: tuple[int, int] = (8, 40),
) -> list[str]:
    """The answer of a model that is well: ``words[0]`` to ``words[1]`` of them, and a choice.

    The choice is among the options ``(A)`` ... the last turn shows, A to D if it shows none.  Seed
    and temperature matter where the temperature is above 0; no temperature counts as 0 here.
    """
    drawn = (temperature, seed) if temperature else ()
    digest = _digest(model, "\n".join(prompt_tokens(messages)), *drawn)
    length = words[0] + digest[0] % (words[1] - words[0] + 1)
    said = [_WORDS[(digest[1] + i * (1 + digest[2])) % len(_WORDS)] for i in range(length)]
    options = sorted(set(_OPTION.findall(_text(messages[-1]) if messages else ""))) or list("ABCD")
    choice = options[digest[3] % len(options)]
    said += ["so", "The", "answer", "is", f"({choice})."]
    return [said[0], *(f" {word}" for word in said[1:])]


def content_hash(messages: Sequence[Mapping[str, Any]]) -> str:
    """What a log of requests knows a conversation by."""
    return _digest(*(part for m in messages for part in (m.get("role"), _text(m)))).hex()


def gibberish(index: int) -> str:
    """What a model without its weights says as token ``index``."""
    return f" !{'ęłß'[index % 3]}{index % 7}"


def _text(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, str):
        return content
    return " ".join(str(part.get("text", "")) for part in content or ())


def _digest(*parts: object) -> bytes:
    return hashlib.sha256("\0".join(map(str, parts)).encode("utf-8", "replace")).digest()
