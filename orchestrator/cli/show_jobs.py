"""Jobs for people, on the terminal: live bars while one runs, tables when it has."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.text import Text

from orchestrator.cli import show

QUIET_S = 10.0
"""How often a line is printed where nobody watches."""


class Bars:
    """A bar for each stage and each expert, and a line that sums up."""

    def __init__(self, what: str) -> None:
        columns = (TextColumn("{task.description:>16}"), BarColumn(), MofNCompleteColumn())
        self._what = what
        self._parts = {"stage": Progress(*columns), "expert": Progress(*columns)}
        self._ids: dict[tuple[str, str], TaskID] = {}
        self._line = Text(what)

    def __rich__(self) -> Group:
        return Group(self._parts["stage"], self._parts["expert"], self._line)

    def draw(self, progress: Any) -> None:
        """Shows how far the job is."""
        for kind, rows in (("stage", progress.stages), ("expert", progress.experts)):
            for name, row in rows.items():
                if row.total:
                    self._bar(kind, name, row.done, row.total)
        self._line = Text(f"{self._what}: {summary(progress)}")

    def _bar(self, kind: str, name: str, done: int, total: int) -> None:
        if (kind, name) not in self._ids:
            self._ids[kind, name] = self._parts[kind].add_task(name, total=total)
        self._parts[kind].update(self._ids[kind, name], completed=done, total=total)


@contextmanager
def watching(what: str) -> Iterator[Callable[[Any], None]]:
    """Live bars on a terminal, a line now and then elsewhere; on standard error."""
    console = show.errors
    if console.is_terminal:
        bars = Bars(what)
        with Live(bars, console=console, refresh_per_second=4):
            yield bars.draw
        return
    last = time.monotonic()

    def tell(progress: Any) -> None:
        nonlocal last
        if time.monotonic() - last >= QUIET_S:
            console.print(f"{what}: {summary(progress)}", markup=False, highlight=False)
            last = time.monotonic()

    yield tell


def summary(progress: Any) -> str:
    """One line of it."""
    told = [f"{progress.finished} of {progress.items} items"]
    if progress.finished and progress.correct is None:
        told += ["– right", f"answered {progress.answered} of {progress.finished}"]
    elif progress.finished:
        told.append(f"{progress.correct / progress.finished:.1%} right")
    if progress.parked:
        told.append(f"{progress.parked} parked")
    if progress.tokens_per_s:
        told.append(f"{progress.tokens_per_s:,.0f} tokens/s")
    if progress.unserved:
        told.append(f"nobody serves {', '.join(progress.unserved)}")
    if progress.left_s is not None:
        told.append(f"about {_duration(progress.left_s)} left")
    return ", ".join(told)


def jobs(found: Sequence[Any]) -> None:
    """A row for each job."""
    if not found:
        show.console.print("no jobs yet: `coterie eval run` makes one")
        return
    rows = [
        (
            job.id,
            job.spec.task,
            job.spec.strategy,
            str(job.state),
            summary(job.progress) if job.progress else "",
            f"{job.created_at:%Y-%m-%d %H:%M}",
        )
        for job in found
    ]
    show.table("Jobs", ("id", "task", "strategy", "state", "progress", "made (UTC)"), rows)


def job(found: Any) -> None:
    """One job, by stage and by expert."""
    spec, progress = found.spec, found.progress
    show.console.print(f"job {found.id}: {found.state}", markup=False, highlight=False)
    show.console.print(f"{spec.task} {spec.split} by {spec.strategy}, seed {spec.seed}")
    if found.error:
        show.console.print(found.error, markup=False, highlight=False)
    if progress is None:
        return
    show.console.print(summary(progress), markup=False, highlight=False)
    for name, why in progress.unserved.items():
        show.console.print(f"expert {name!r}: {why}", markup=False, soft_wrap=True)
    rows = [(n, f"{s.done}", f"{s.total}") for n, s in progress.stages.items()]
    show.table("Stages", ("stage", "done", "of"), rows)
    experts(progress)


def experts(progress: Any) -> None:
    """Who was asked how often, and what that took."""
    rows = [
        (
            name,
            f"{e.done}",
            f"{e.reused}",
            f"{e.failed}",
            f"{e.completion_tokens:,}",
            f"{e.cost_usd:.4g}",
            f"{progress.loads.get(name, 0)}",
        )
        for name, e in progress.experts.items()
    ]
    columns = ("expert", "answers", "reused", "failed", "tokens", "US$", "loads")
    show.table("Experts", columns, rows)


def outcome(found: Any, result: Any) -> None:
    """What came of a run."""
    from evals.stats import rate

    right = rate([item.correct for item in result.items])
    unread = sum(item.extracted is None for item in result.items)
    show.console.print(f"job {found.id}: {found.spec.task} by {found.spec.strategy}", markup=False)
    show.console.print(f"accuracy {right}; {unread} without a readable answer", markup=False)
    parked = [item for item in result.items if item.error]
    if parked:
        told = f"{len(parked)} items have no answer; the first: {parked[0].item}: {parked[0].error}"
        show.console.print(told, markup=False, highlight=False, soft_wrap=True)
    experts(found.progress)
    seconds = ", ".join(f"{n} {s:.1f} s" for n, s in result.info.seconds.items() if s >= 0.05)
    show.console.print(seconds, markup=False, highlight=False)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes}:{rest:02d} min"
