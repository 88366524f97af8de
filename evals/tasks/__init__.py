"""Benchmarks by name: a new one is one module and one line here.

Refuses to know who answers: a task gives questions and grades outputs.
"""

from __future__ import annotations

from collections.abc import Callable

from coterie.errors import ConfigurationError
from coterie.ports import Task


def _demo() -> Task:
    from evals.tasks.demo import DemoTask

    return DemoTask()


TASKS: dict[str, Callable[[], Task]] = {"demo": _demo}


def load_task(name: str) -> Task:
    """The task called ``name``; an unknown name is refused with the names there are."""
    if name not in TASKS:
        raise ConfigurationError(f"no task {name!r}: choose one of {', '.join(sorted(TASKS))}")
    return TASKS[name]()
