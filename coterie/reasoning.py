"""Where a reply's reasoning ends and what it says begins."""

from __future__ import annotations

BEGIN, END = "<think>", "</think>"


def without_reasoning(text: str) -> str:
    """What stands after the last ``</think>``; nothing where reasoning was begun and never ended.

    Many chat templates write ``<think>`` into the prompt, so that a reply holds the end alone.
    """
    said = text.rsplit(END, 1)[-1].strip()
    return "" if said.startswith(BEGIN) else said
