"""What the experts answered and what was made of it, as it is shown.  Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.api.dashboard.charts import Chart, Series

Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """One expert's answer; ``vote`` is what was read out of it."""

    expert: str
    text: str
    vote: str | None
    finish_reason: str


@dataclass(frozen=True, slots=True)
class Vote:
    """An answer that was voted for, and by whom."""

    answer: str
    experts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Trouble:
    """Who did not answer, and why."""

    expert: str
    error: str


@dataclass(frozen=True, slots=True)
class Making:
    """How one answer was made of many; ``writer`` wrote it, or ``fallback`` says what stands."""

    because: str
    writer: str
    fallback: str
    failures: tuple[Trouble, ...]


@dataclass(frozen=True, slots=True)
class AnswersView:
    """``status`` and ``kind`` are the request's; ``author`` and ``text`` what went out."""

    status: str
    kind: str
    error: str
    answers: tuple[Answer, ...]
    failures: tuple[Trouble, ...]
    votes: tuple[Vote, ...]
    agreement: float | None
    verdict: str
    making: Making | None
    author: str
    text: str
    alpha: tuple[Chart, ...]
    untraced: tuple[str, ...]


KINDS = {"answered": "good", "failed": "bad", "running": "busy"}


def answers_view(record: Record) -> AnswersView:
    """The answers in a why-record, as far as there are any."""
    votes = tuple(_vote(a, experts) for a, experts in (record.get("votes") or {}).items())
    voted = {expert: vote.answer for vote in votes for expert in vote.experts}
    status = str(record.get("status", ""))
    answer = record.get("answer") or {}
    traces = list(record.get("alpha") or ())
    return AnswersView(
        status=status,
        kind=KINDS.get(status, "idle"),
        error=str(record.get("error") or ""),
        answers=tuple(_answer(a, voted) for a in record.get("answers", ())),
        failures=_troubles(record.get("failures")),
        votes=votes,
        agreement=record.get("agreement"),
        verdict=str(record.get("verdict") or ""),
        making=_making(record.get("aggregation")),
        author=str(answer.get("expert", "")),
        text=str(answer.get("text") or ""),
        alpha=tuple(_alpha(t) for t in traces if t.get("steps")),
        untraced=tuple(f"{t['expert']}: {t['problem']}" for t in traces if t.get("problem")),
    )


def _vote(answer: str, experts: Any) -> Vote:
    return Vote(str(answer), tuple(map(str, experts)))


def _answer(answer: Record, voted: Mapping[str, str]) -> Answer:
    expert = str(answer["expert"])
    text, reason = str(answer.get("text") or ""), str(answer.get("finish_reason") or "")
    return Answer(expert, text, voted.get(expert), reason)


def _troubles(failures: Any) -> tuple[Trouble, ...]:
    return tuple(Trouble(str(f["expert"]), str(f.get("error", ""))) for f in failures or ())


def _making(made: Record | None) -> Making | None:
    if not made:
        return None
    return Making(
        str(made.get("because") or ""),
        str(made.get("writer") or ""),
        str(made.get("fallback") or ""),
        _troubles(made.get("failures")),
    )


def _alpha(trace: Record) -> Chart:
    """α of each small model by token; those of a long answer's beginning alone are kept."""
    steps = list(trace["steps"])
    names = sorted({name for step in steps for name in step})
    series = [Series(name, [step.get(name) for step in steps]) for name in names]
    left = trace.get("left_out") or 0
    more = f"; {left} more tokens were not kept" if left else ""
    labels = [str(i + 1) for i in range(len(steps))]
    return Chart(f"α of {trace['expert']} by token{more}", labels, series, "α")
