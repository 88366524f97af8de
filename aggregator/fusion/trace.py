"""The α of each step, written where a request asked for it: ``DIR/ID.jsonl``, one line a step.

A line is ``{"step": n, "alpha": {expert: α}}``, steps counted from the request's first token.  A
step that the engine computes anew (a prompt read in pieces, a resumed request) is there again: its
last line counts.  Bounded in steps and in files: the oldest traces go when new ones come, so the
folder is for nothing else.  A disk that fails ends traces, never an answer.
"""

from __future__ import annotations

import json
import logging
import os
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path

MAX_STEPS = 4096
MAX_FILES = 1000

_log = logging.getLogger(__name__)


class TraceFolder:
    """Writes traces into ``folder``, which is made if it is not there.

    ``max_steps`` bounds the lines of one file, ``max_files`` the files in the folder.
    """

    def __init__(
        self, folder: str, *, max_steps: int = MAX_STEPS, max_files: int = MAX_FILES
    ) -> None:
        self._folder = Path(folder)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._max_steps = max_steps
        self._max_files = max_files
        found = sorted(self._folder.glob("*.jsonl"), key=lambda path: path.stat().st_mtime)
        self._lines: OrderedDict[Path, int] = OrderedDict((path, max_steps) for path in found)

    def begin(self, trace: str, *, anew: bool) -> None:
        """Makes room for ``trace`` and empties it if it is ``anew``, not that of a resumed request.

        ``trace`` has been checked to be a plain name (:func:`aggregator.fusion.request.ask_of`).
        """
        path = self._path(trace)
        if anew or path not in self._lines:
            self._lines[path] = 0
            self._write(path, b"", os.O_TRUNC)
        self._lines.move_to_end(path)
        while len(self._lines) > self._max_files:
            oldest, _ = self._lines.popitem(last=False)
            oldest.unlink(missing_ok=True)

    def add(self, trace: str, step: int, alpha: Mapping[str, float]) -> None:
        """Writes one line, unless the trace is full or has had to go."""
        path = self._path(trace)
        lines = self._lines.get(path, self._max_steps)
        if lines >= self._max_steps:
            return
        self._lines[path] = lines + 1
        line = json.dumps({"step": step, "alpha": dict(alpha)})
        self._write(path, line.encode() + b"\n", os.O_APPEND)

    def _path(self, trace: str) -> Path:
        return self._folder / f"{trace}.jsonl"

    def _write(self, path: Path, data: bytes, how: int) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | how
        try:
            file = os.open(path, flags, 0o600)
            try:
                os.write(file, data)
            finally:
                os.close(file)
        except OSError as error:
            _log.warning("fusion trace %s ends here: %s", path, error)
            self._lines[path] = self._max_steps
