"""What each expert did in a run.  Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from evals.results import Call, RunResult
from evals.spending import Unit, spent
from evals.stats import Rate, rate


@dataclass(frozen=True, slots=True)
class ExpertFigures:
    """One expert, on the questions it was asked: its rates are not comparable to others'.

    ``asked`` counts questions, ``share`` is their share of all; ``led`` is how often its answer
    stood; ``aggregated`` how often it made one answer of many; ``unread`` its answers nothing could
    be read from; ``cost`` a sum in the report's unit, ``latency_s`` the mean of an answer that was
    not reused, None without any; ``loads`` how often its engine was loaded.
    """

    expert: str
    asked: int
    share: float
    right: Rate
    led: int
    aggregated: int
    unread: int
    reused: int
    prompt_tokens: int
    completion_tokens: int
    cost: float
    latency_s: float | None
    loads: int


def expert_figures(run: RunResult, unit: Unit) -> tuple[ExpertFigures, ...]:
    """Everybody who could be asked or was, the most asked first."""
    calls: dict[str, list[tuple[str, Call]]] = {name: [] for name in run.info.experts}
    for item in run.items:
        for call in item.calls:
            calls.setdefault(call.expert, []).append((item.item, call))
    led = Counter(item.leader for item in run.items if item.leader is not None)
    found = [
        _figures(name, made, led[name], run.info.loads.get(name, 0), len(run.items), unit)
        for name, made in calls.items()
    ]
    return tuple(sorted(found, key=lambda figures: (-figures.asked, figures.expert)))


def _figures(
    name: str, made: list[tuple[str, Call]], led: int, loads: int, items: int, unit: Unit
) -> ExpertFigures:
    answers = [(item, call) for item, call in made if call.role == "answer"]
    asked = len({item for item, _ in answers})
    fresh = [call.latency_s for _, call in made if not call.reused]
    return ExpertFigures(
        expert=name,
        asked=asked,
        share=asked / items if items else 0.0,
        right=rate([call.correct for _, call in answers if call.correct is not None]),
        led=led,
        aggregated=len(made) - len(answers),
        unread=sum(call.extracted is None for _, call in answers),
        reused=sum(call.reused for _, call in made),
        prompt_tokens=sum(call.prompt_tokens for _, call in made),
        completion_tokens=sum(call.completion_tokens for _, call in made),
        cost=float(sum(spent(call, unit) for _, call in made)),
        latency_s=sum(fresh) / len(fresh) if fresh else None,
        loads=loads,
    )
