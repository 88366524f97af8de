"""Ends tasks for certain."""

from __future__ import annotations

import asyncio
from typing import Any

AGAIN_S = 1.0


async def ended(*tasks: asyncio.Task[Any]) -> None:
    """Cancels ``tasks``, and returns when all are over, whatever became of them.

    One that is not over after a while is cancelled again: Python 3.11's ``wait_for``, which
    libraries use, forgets a cancellation that comes as what it waits for is done.
    """
    pending = {task for task in tasks if not task.done()}
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=AGAIN_S)
    for task in tasks:
        if not task.cancelled():
            task.exception()  # or it would be told as one that nobody looked at
