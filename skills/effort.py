"""What an expert's answer takes: tokens and seconds, on average.

What nobody measured is None, never 0: a server that reports no usage is not a free one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from coterie.types import Effort, GradedAnswer


def effort_in(tokens: NDArray[np.floating]) -> Effort | None:
    """The effort of one expert from the lengths of its completions, NaN where not known."""
    known = tokens[~np.isnan(tokens)]
    if not len(known):
        return None
    return Effort(None, float(np.mean(known, dtype=np.float64)), None, float(len(known)))


def efforts_of(answers: Iterable[GradedAnswer]) -> Mapping[str, Effort]:
    """Each expert's effort over ``answers``; without those that nothing was measured of."""
    by_expert: defaultdict[str, list[GradedAnswer]] = defaultdict(list)
    for answer in answers:
        if answer.usage.total_tokens or answer.latency_s:
            by_expert[answer.expert].append(answer)
    return {expert: _effort(measured) for expert, measured in by_expert.items()}


def _effort(answers: Sequence[GradedAnswer]) -> Effort:
    return Effort(
        _mean_known(a.usage.prompt_tokens for a in answers),
        _mean_known(a.usage.completion_tokens for a in answers),
        _mean_known(a.latency_s for a in answers),
        float(len(answers)),
    )


def _mean_known(values: Iterable[float]) -> float | None:
    known = [value for value in values if value > 0]
    return sum(known) / len(known) if known else None
