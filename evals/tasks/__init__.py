"""Benchmarks by name: a new one is one module and one line here.

Refuses to know who answers: a task gives questions and grades outputs.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from coterie.errors import ConfigurationError
from coterie.ports import Task
from coterie.task_names import spelled
from evals.tasks.options import TaskOptions, with_query

Make = Callable[[TaskOptions], Task]

FILE = "file:"
"""What a task's name begins with that is one's own file."""


@dataclass(frozen=True, slots=True)
class TaskEntry:
    """A task that can be loaded by name: how, with which splits, and where its questions are."""

    make: Make
    splits: tuple[str, ...]
    origin: str


def _demo(options: TaskOptions) -> Task:
    from evals.tasks.demo import DemoTask

    return DemoTask()


def _mmlu_pro(options: TaskOptions) -> Task:
    from evals.tasks.mmlu_pro import mmlu_pro

    return mmlu_pro(options)


def _gpqa(subset: str) -> Make:
    def make(options: TaskOptions) -> Task:
        from evals.tasks.gpqa import gpqa

        return gpqa(subset, options)

    return make


def _gsm8k(options: TaskOptions) -> Task:
    from evals.tasks.gsm8k import gsm8k

    return gsm8k(options)


def _medmcqa(options: TaskOptions) -> Task:
    from evals.tasks.medmcqa import medmcqa

    return medmcqa(options)


def _aime(options: TaskOptions) -> Task:
    from evals.tasks.aime import aime

    return aime(options)


_DIVIDED = ("val", "test", "all")
_TWO = ("val", "test")

TASKS: dict[str, TaskEntry] = {
    "demo": TaskEntry(_demo, _TWO, "generated"),
    "mmlu-pro": TaskEntry(_mmlu_pro, _DIVIDED, "TIGER-Lab/MMLU-Pro"),
    "gpqa-diamond": TaskEntry(_gpqa("diamond"), _DIVIDED, "Idavidrein/gpqa"),
    "gpqa-main": TaskEntry(_gpqa("main"), _DIVIDED, "Idavidrein/gpqa"),
    "gpqa-extended": TaskEntry(_gpqa("extended"), _DIVIDED, "Idavidrein/gpqa"),
    "gsm8k": TaskEntry(_gsm8k, _TWO, "openai/gsm8k"),
    "medmcqa": TaskEntry(_medmcqa, _TWO, "openlifescienceai/medmcqa"),
    "aime": TaskEntry(_aime, _TWO, "Maxwell-Jia/AIME_2024"),
}


def load_task(name: str, options: TaskOptions | None = None) -> Task:
    """The task called ``name``, hyphen and underscore taken alike; ``file:PATH`` is one's own.

    Options may be part of the name, so that it says all: ``mmlu-pro?shots=0``,
    ``file:q.csv?question=Problem&answer=Solution``.  Without ``options.download`` the hub's own
    client fetches what is not at hand.

    Raises:
        ConfigurationError: there is no such task, with the names there are; or a wrong option.
    """
    options = options or TaskOptions()
    if options.download is None:
        from evals.tasks.hub import download

        options = replace(options, download=download)
    plain, _, query = name.partition("?")
    options = with_query(options, query, plain)
    if plain.startswith(FILE):
        from evals.tasks.own import own

        task = own(Path(plain.removeprefix(FILE)).expanduser(), options)
        if spelled(task.name) in TASKS:
            raise ConfigurationError(
                f"{plain!r} would be called {task.name!r}, as a task that comes with Coterie is: "
                f"give it another name, {plain}?name=NAME"
            )
        return task
    return task_entry(plain).make(options)


def task_entry(name: str) -> TaskEntry:
    """The entry of the task called ``name``."""
    known = spelled(name)
    if known in TASKS:
        return TASKS[known]
    close = difflib.get_close_matches(known, TASKS, n=2)
    hint = f"did you mean {' or '.join(map(repr, close))}? " if close else ""
    raise ConfigurationError(
        f"no task {name!r}: {hint}choose one of {', '.join(sorted(TASKS))}, or {FILE}PATH"
    )


def local_sizes(name: str, options: TaskOptions) -> dict[str, int | None]:
    """How many questions each split has, None where its file is not at hand; nothing is fetched."""
    entry = task_entry(name)
    task = entry.make(replace(options, download=None))

    def size(split: str) -> int | None:
        try:
            return len(task.items(split))
        except ConfigurationError:
            return None

    return {split: size(split) for split in entry.splits}
