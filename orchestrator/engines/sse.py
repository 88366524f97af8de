"""Server-sent events out of a stream of bytes, cut anywhere.  Pure; knows nothing of OpenAI.

Follows the WHATWG specification, save that an event the stream ends in the middle of is
delivered when its data is whole lines: some servers leave out the last blank line.
"""

from __future__ import annotations

MAX_EVENT_BYTES = 16 * 1024 * 1024
"""An event larger than this is refused rather than kept in memory."""


class SSEDecoder:
    """Feed it bytes as they come; it returns the ``data`` of every event completed by them."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._data: list[bytes] = []
        self._data_bytes = 0
        self._after_cr = False
        self._at_start = True

    def feed(self, piece: bytes) -> list[str]:
        """The data of the events that end in ``piece``.

        Raises:
            ValueError: an event is larger than :data:`MAX_EVENT_BYTES`.
        """
        if self._after_cr and piece:
            piece = piece.removeprefix(b"\n")
            self._after_cr = False
        if len(self._rest) + len(piece) + self._data_bytes > MAX_EVENT_BYTES:
            raise ValueError(f"an event is larger than {MAX_EVENT_BYTES} bytes")
        if b"\n" not in piece and b"\r" not in piece:
            self._rest += piece
            return []
        return self._take_lines(bytes(self._rest) + piece)

    def close(self) -> list[str]:
        """The data of an event that lacks only its blank line."""
        self._line(bytes(self._rest))
        self._rest.clear()
        return self._dispatch()

    def _take_lines(self, text: bytes) -> list[str]:
        events: list[str] = []
        self._rest.clear()
        for line in text.splitlines(keepends=True):
            if not line.endswith((b"\n", b"\r")):
                self._rest += line
            elif content := line.rstrip(b"\r\n"):
                self._line(content)
            else:
                events += self._dispatch()
        # A line may end in CR alone, or the LF of this CR comes with the next piece.
        self._after_cr = text.endswith(b"\r")
        return events

    def _line(self, line: bytes) -> None:
        if self._at_start:
            line = line.removeprefix(b"\xef\xbb\xbf")
            self._at_start = False
        name, _, value = line.partition(b":")
        if name == b"data":
            value = value.removeprefix(b" ")
            self._data.append(value)
            self._data_bytes += len(value) + 1

    def _dispatch(self) -> list[str]:
        if not self._data:
            return []
        event = b"\n".join(self._data).decode("utf-8", "replace")
        self._data.clear()
        self._data_bytes = 0
        return [event]
