"""Which expert answered a conversation last, so that it may go on with it."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence

from coterie.types import Message, Question

CONVERSATIONS = 4096


class Holders:
    """Remembers the most recent conversations, ``size`` of them, in memory.

    A conversation is known by the name it is given, or by its messages up to the last of the
    assistant's: a new turn of the user's, or the result of a tool, continues it.  Only hashes are
    kept.
    """

    def __init__(self, size: int = CONVERSATIONS) -> None:
        self._size = size
        self._holders: OrderedDict[str, str] = OrderedDict()

    def of(self, question: Question, name: str = "") -> str | None:
        """The expert that answered the turn before; None for a conversation not known."""
        messages = question.messages
        last = max((i for i, m in enumerate(messages) if m.role == "assistant"), default=None)
        if last is None and not name:
            return None
        key = _named(name) if name or last is None else _key(messages[: last + 1])
        if key in self._holders:
            self._holders.move_to_end(key)
        return self._holders.get(key)

    def keep(self, question: Question, expert: str, text: str, name: str = "") -> None:
        """``expert`` has answered the conversation with ``text``."""
        key = _named(name) if name else _key([*question.messages, Message("assistant", text)])
        self._holders[key] = expert
        self._holders.move_to_end(key)
        if len(self._holders) > self._size:
            self._holders.popitem(last=False)


def _named(name: str) -> str:
    return hashlib.sha256(repr(("name", name)).encode()).hexdigest()


def _key(messages: Sequence[Message]) -> str:
    digest = hashlib.sha256()
    for message in messages:
        digest.update(repr((message.role, message.text.strip())).encode())
    return digest.hexdigest()
