"""What a task is called wherever what is known of it comes together, however it was written.

A benchmark is "mmlu-pro" to whoever runs it and "mmlu_pro" in a recording, and its items have the
same ids: what was found out under either name is about the same questions.
"""

from __future__ import annotations

_PARTS = {"gpqa-diamond": "gpqa", "gpqa-main": "gpqa", "gpqa-extended": "gpqa"}
"""Tasks that are parts of another: diamond is a part of main, and main of extended."""

_RECORDED, _OURS = "gsm8k/gsm8k-main-test-#", "gsm8k/test/"
"""GSM8K's publisher gives no ids: both begin with words of their own, and end with the place."""


def spelled(name: str) -> str:
    """The name with hyphens: hyphen and underscore are taken alike."""
    return name.replace("_", "-")


def evidence_name(name: str) -> str:
    """The name that graded answers and questions are kept under: one for tasks that share items."""
    plain = spelled(name)
    return _PARTS.get(plain, plain)


def evidence_item(item: str) -> str:
    """The id that a recorded item is kept under: the one its task gives it."""
    return _OURS + item.removeprefix(_RECORDED) if item.startswith(_RECORDED) else item
