"""Training conversations for the demo experts: the same seed gives the same conversations.

Run ``python -m examples.demo_experts.generate SKILL --count 5`` to see some.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from random import Random

from examples.demo_experts.sample import Generator, Sample
from examples.demo_experts.skills import arithmetic, datetime_, extraction, sql, unit_conversion

SKILLS: Mapping[str, Generator] = {
    "arithmetic": arithmetic.sample,
    "unit-conversion": unit_conversion.sample,
    "sql": sql.sample,
    "datetime": datetime_.sample,
    "extraction": extraction.sample,
}
"""The skills an expert is trained for, and what draws a conversation of each."""

TRAINING_SEED = 20_261_124


def samples(skill: str, seed: int = TRAINING_SEED) -> Iterator[Sample]:
    """Endless conversations of ``skill``; repeats are possible, as in real traffic.

    Raises:
        KeyError: there is no such skill.
    """
    rng = Random(f"{seed}/{skill}")
    draw = SKILLS[skill]
    while True:
        yield draw(rng)


def main() -> None:
    """Prints conversations as JSON lines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("skill", choices=sorted(SKILLS))
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--seed", type=int, default=TRAINING_SEED)
    args = parser.parse_args()
    for _, sample in zip(range(args.count), samples(args.skill, args.seed), strict=False):
        print(json.dumps({"messages": sample.messages()}))


if __name__ == "__main__":
    main()
