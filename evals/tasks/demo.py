"""The demo benchmark: five skills, facts that need none, and questions that mix two.

It is generated, so it costs nothing to ship and nothing to renew; it knows nothing of how the demo
experts were trained beyond the numbers that were kept out of their training.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import zip_longest
from random import Random

from coterie.errors import ConfigurationError
from coterie.types import Grade, Item, Question
from evals.tasks import demo_grading
from evals.tasks.demo_draft import Draft, Maker
from evals.tasks.demo_facts import FACTS
from evals.tasks.demo_numbers import arithmetic, conversion
from evals.tasks.demo_records import extraction, mixed
from evals.tasks.demo_sql import sql
from evals.tasks.demo_times import datetime

MAKERS: Mapping[str, Maker] = {
    "arithmetic": arithmetic,
    "unit-conversion": conversion,
    "sql": sql,
    "datetime": datetime,
    "extraction": extraction,
    "mixed": mixed,
}
GENERAL = "general"
SIZES = {"val": 25, "test": 40}
"""Questions per category; of the facts there are as many as the list gives."""

_SEED = "coterie demo benchmark 1"


class DemoTask:
    """Generated questions in the splits ``val`` (for profiles) and ``test``; none is in both."""

    name = "demo"
    secret = False

    def items(self, split: str, limit: int | None = None) -> Sequence[Item]:
        """The questions of ``split``, categories taking turns, cut to the first ``limit``.

        Raises:
            ConfigurationError: there is no such split.
        """
        if split not in SIZES:
            raise ConfigurationError(
                f"task {self.name!r} has no split {split!r}; it has {', '.join(map(repr, SIZES))}"
            )
        return _items(split)[:limit]

    def grade(self, item: Item, output: str) -> Grade:
        """Whether ``output`` answers ``item``; never raises for an odd output."""
        return demo_grading.grade(json.loads(item.target), output)


@cache
def _items(split: str) -> tuple[Item, ...]:
    columns = [
        [
            Item(f"demo/{split}/{category}/{i:03d}", Question.of(d.text), d.encoded, category)
            for i, d in enumerate(drafts)
        ]
        for category, drafts in _drafts(split).items()
    ]
    turns = zip_longest(*columns)
    return tuple(item for turn in turns for item in turn if item is not None)


def _drafts(split: str) -> dict[str, list[Draft]]:
    taken: set[str] = set()
    if split == "test":
        taken = {draft.text for drafts in _drafts("val").values() for draft in drafts}
    made = {
        category: _made(maker, f"{_SEED}/{split}/{category}", SIZES[split], taken)
        for category, maker in MAKERS.items()
    }
    return {**made, GENERAL: _facts(split)}


def _made(maker: Maker, seed: str, count: int, taken: set[str]) -> list[Draft]:
    """``count`` questions, none of them in ``taken`` or asked twice."""
    rng, seen, drafts = Random(seed), set(taken), list[Draft]()
    while len(drafts) < count:
        draft = maker(rng, len(drafts))
        if draft.text not in seen:
            seen.add(draft.text)
            drafts.append(draft)
    return drafts


def _facts(split: str) -> list[Draft]:
    """This split's share of the facts: two lists without a question in common."""
    facts = list(FACTS)
    Random(_SEED).shuffle(facts)
    cut = min(SIZES["val"], len(facts) * SIZES["val"] // sum(SIZES.values()))
    share = facts[:cut] if split == "val" else facts[cut : cut + SIZES["test"]]
    return [
        Draft(question, {"kind": "text", "accept": list(accepted)}) for question, accepted in share
    ]
