"""Two or more runs of the same questions beside each other.  Pure.

Refuses to compare what is not comparable: another task, another split, no question in common.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from coterie.errors import ConfigurationError
from coterie.task_names import spelled
from coterie.types import JSON
from evals.results import ItemResult, RunInfo, RunResult
from evals.spending import Unit, mean_calls, mean_spent, unit_of
from evals.stats import Difference, McNemar, Rate, mcnemar, paired_difference, rate


@dataclass(frozen=True, slots=True)
class Side:
    """One run, over the questions that all have in common; ``elsewhere`` counts its others.

    ``cost`` is the mean of a question, in the comparison's unit.
    """

    name: str
    run: str
    strategy: str
    accuracy: Rate
    calls: float
    cost: float
    unparsed: int
    parked: int
    elsewhere: int


@dataclass(frozen=True, slots=True)
class CategoryPair:
    """A category's questions in both runs; ``difference`` is the second minus the first."""

    category: str
    first: Rate
    second: Rate
    difference: Difference


@dataclass(frozen=True, slots=True)
class Pair:
    """A run against the first one: everything is the second minus the first."""

    first: str
    second: str
    difference: Difference
    mcnemar: McNemar
    calls: float
    cost: float
    categories: tuple[CategoryPair, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """Something that was not the same in all runs: a value for each, None where it has none."""

    name: str
    values: tuple[JSON, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """The first run is what the others are compared with; ``n`` questions are in all."""

    task: str
    split: str
    unit: Unit
    n: int
    sides: tuple[Side, ...]
    pairs: tuple[Pair, ...]
    changes: tuple[Change, ...]


def compare(*runs: RunResult, seed: int = 0) -> Comparison:
    """Each run against the first, on the questions that all of them have.

    Raises :class:`ConfigurationError` for fewer than two runs, for different tasks or splits, and
    where no question is in all.
    """
    if len(runs) < 2:
        raise ConfigurationError(f"a comparison needs two runs, here is {len(runs)}: name another")
    check_alike(runs)
    kept = [by_item(run) for run in runs]
    shared = [id for id in kept[0] if all(id in other for other in kept[1:])]
    if not shared:
        raise ConfigurationError(
            f"the runs {_listed(run.info.id for run in runs)} have no question in common: "
            "compare runs over the same items (the same --limit and seed)"
        )
    unit, names = unit_of(runs), run_names([run.info for run in runs])
    rows = [[items[id] for id in shared] for items in kept]
    sides = tuple(
        _side(name, run, row, unit) for name, run, row in zip(names, runs, rows, strict=True)
    )
    pairs = tuple(
        _pair(sides[0], side, rows[0], row, seed)
        for side, row in zip(sides[1:], rows[1:], strict=True)
    )
    info = runs[0].info
    return Comparison(info.task, info.split, unit, len(shared), sides, pairs, _changes(runs))


def check_alike(runs: Sequence[RunResult]) -> None:
    """Raises :class:`ConfigurationError` unless all runs are of one task and split."""
    first = runs[0].info
    for other in (run.info for run in runs[1:]):
        for what in ("task", "split"):
            mine, theirs = getattr(first, what), getattr(other, what)
            if spelled(mine) != spelled(theirs):
                raise ConfigurationError(
                    f"run {other.id!r} is of the {what} {theirs!r} and run {first.id!r} of "
                    f"{mine!r}: only runs of the same questions can be compared"
                )


def by_item(run: RunResult) -> dict[str, ItemResult]:
    """The run's items by their ids; one that occurs twice is refused."""
    counts = Counter(item.item for item in run.items)
    if twice := [id for id, count in counts.items() if count > 1]:
        raise ConfigurationError(
            f"run {run.info.id!r} holds {_listed(twice[:3])} more than once: "
            "an item has one result; give items of the task different ids"
        )
    return {item.item: item for item in run.items}


def run_names(infos: Sequence[RunInfo]) -> tuple[str, ...]:
    """A name for each run: its strategy; with its id where another has the same, and a number
    where even that is the same."""
    strategies = Counter(info.strategy for info in infos)
    names: list[str] = []
    for info in infos:
        name = info.strategy if strategies[info.strategy] == 1 else f"{info.strategy} ({info.id})"
        again = sum(n == name or n.startswith(f"{name} #") for n in names)
        names.append(f"{name} #{again + 1}" if again else name)
    return tuple(names)


def _side(name: str, run: RunResult, items: Sequence[ItemResult], unit: Unit) -> Side:
    return Side(
        name,
        run.info.id,
        run.info.strategy,
        rate([item.correct for item in items]),
        mean_calls(items),
        mean_spent(items, unit),
        sum(item.extracted is None and item.error is None for item in items),
        sum(item.error is not None for item in items),
        len(run.items) - len(items),
    )


def _pair(
    first: Side, second: Side, a: Sequence[ItemResult], b: Sequence[ItemResult], seed: int
) -> Pair:
    right_a, right_b = [item.correct for item in a], [item.correct for item in b]
    return Pair(
        first.name,
        second.name,
        paired_difference(right_b, right_a, seed=seed),
        mcnemar(right_b, right_a),
        second.calls - first.calls,
        second.cost - first.cost,
        _categories(a, b, seed),
    )


def _categories(
    a: Sequence[ItemResult], b: Sequence[ItemResult], seed: int
) -> tuple[CategoryPair, ...]:
    """By the first run's labels, the largest category first."""
    rows: dict[str, list[tuple[bool, bool]]] = {}
    for one, two in zip(a, b, strict=True):
        rows.setdefault(one.category, []).append((one.correct, two.correct))
    found = []
    for category, outcomes in sorted(rows.items(), key=lambda row: (-len(row[1]), row[0])):
        first, second = zip(*outcomes, strict=True)
        gain = paired_difference(second, first, seed=seed)
        found.append(CategoryPair(category, rate(first), rate(second), gain))
    return tuple(found)


def _changes(runs: Sequence[RunResult]) -> tuple[Change, ...]:
    """Settings, versions, seeds and experts that are not the same everywhere."""
    told = [_told(run.info) for run in runs]
    names = dict.fromkeys(name for one in told for name in one)
    rows = (Change(name, tuple(one.get(name) for one in told)) for name in names)
    return tuple(row for row in rows if any(value != row.values[0] for value in row.values))


def _told(info: RunInfo) -> dict[str, JSON]:
    settings = {f"settings.{name}": value for name, value in flat(info.settings).items()}
    versions = {f"versions.{name}": value for name, value in info.versions.items()}
    experts = list(info.experts)
    return {
        "strategy": info.strategy, "seed": info.seed, "experts": experts, **settings, **versions
    }  # fmt: skip


def flat(settings: Mapping[str, JSON]) -> dict[str, JSON]:
    """Nested settings as one mapping: ``{"policy": {"k": 3}}`` becomes ``{"policy.k": 3}``."""
    found: dict[str, JSON] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping) and value:
            found |= {f"{name}.{inner}": what for inner, what in flat(value).items()}
        else:
            found[name] = value
    return found


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names))
