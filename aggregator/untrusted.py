"""What one model wrote, made fit to be shown to another as data.  Pure.

An answer may order its reader about, by design or because it quotes somebody who does.  Here it
loses what a chat template or a tokenizer would take for structure, and what nobody can see; its
words stay, all of them.  What that protects from, and what not: docs/aggregation.md.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

_NEWLINE = re.compile(r"\r\n?|[\x0b\x0c\x85\u2028\u2029]")

_INVISIBLE = re.compile(
    r"[\x00-\x08\x0e-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f"
    r"\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)
"""Controls, format characters, half surrogates, and the "tags" that spell hidden ASCII.  The
joiners that scripts and emoji need (U+200C, U+200D) stay."""

_SELECTORS = re.compile(
    r"([\ufe00-\ufe0f\U000e0100-\U000e01ef])[\ufe00-\ufe0f\U000e0100-\U000e01ef]+"
)
"""One variation selector suits a character; a row of them carries hidden bytes."""

_NAMES = (
    r"s|bos|eos|pad|unk|cls|sep|mask|sop|eop|think|thinking|tools?|tool_calls?|tool_response|"
    r"start_of_turn|end_of_turn|start_of_image|end_of_image|image|unused\d+|extra_id_\d+|"
    r"special_\d+|[be]os_token"
)
_BRACKETED = (
    r"INST|gMASK|SYSTEM_PROMPT|TOOL_CALLS|TOOL_RESULTS|TOOL_CONTENT|AVAILABLE_TOOLS|ARGS|CALL_ID|"
    r"IMG|IMG_BREAK|IMG_END|PREFIX|MIDDLE|SUFFIX|THINK"
)
_STRUCTURE = re.compile(
    r"[<＜\[](?:"  # one set of characters to look for: the rest is tried where one stands
    r"(?<=[<＜])(?=[|｜][^<>＜＞\s]{1,64}[|｜][>＞])"  # <|im_start|>, <｜User｜>
    rf"|(?<=<)(?=/?(?:{_NAMES})>|</?SYS>>)"  # </s>, <start_of_turn>, <<SYS>>
    r"|(?<=<)(?=/?(?:answer|request)\b)"  # our own
    r"|(?<=\[)(?=\|[^\[\]\s]{1,64}\|\])"  # [|user|]
    rf"|(?<=\[)(?=/?(?:{_BRACKETED})\])"  # [/INST]
    r")",
    re.IGNORECASE,
)


def defused(text: str) -> str:
    """``text`` without what is not words: nothing in it is a special token, or invisible.

    Special tokens of chat templates, and what looks like our own delimiters, get a space after
    their first bracket.  Twice is the same as once.
    """
    seen = _INVISIBLE.sub("", _NEWLINE.sub("\n", text))
    seen = _SELECTORS.sub(r"\1", seen)
    return _STRUCTURE.sub(lambda found: found[0] + " ", seen)


def boundary_of(seed: int, material: Iterable[str]) -> str:
    """A mark that occurs nowhere in ``material`` and that nobody who wrote part of it can know.

    It hashes all of it: to forge it, a text would have to hold its own hash.  The same for the same
    material, so that a prompt made again is the same prompt.
    """
    texts = tuple(material)
    digest = hashlib.sha256(f"{seed}".encode())
    for text in texts:
        encoded = text.encode("utf-8", "surrogatepass")
        digest.update(b"%d:" % len(encoded) + encoded)
    while any(digest.hexdigest()[:16] in text for text in texts):
        digest.update(b"again")
    return digest.hexdigest()[:16]
