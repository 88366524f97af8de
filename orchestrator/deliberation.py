"""What follows from what was answered so far: who is asked next, who writes, what the answer is.

The live graph (:mod:`orchestrator.graph`) and jobs decide by these functions and no others.  Pure:
nobody is asked here.  ``deliberate`` is the graph's whole road as one function, for whoever has the
replies already, or finds out with it which are missing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from aggregator.base import Case, ballots_of
from aggregator.extract import choices_of
from aggregator.synthesize import Writing, synthesis_question
from coterie.errors import ContextLengthExceeded, CoterieError, NoExpertAvailable, RequestError
from coterie.types import (
    Completion,
    Expert,
    Failure,
    Question,
    Route,
    Sampling,
    Verdict,
)
from orchestrator.failing import error_of
from orchestrator.routing import Policy, Pool, Query, chances, load_router, names
from orchestrator.routing.outlook import outlook
from orchestrator.voting import vote_for
from orchestrator.writers import by_aggregation, room_of

Reply = Completion | Failure

ANSWER, AGGREGATE = "answer", "aggregate"


@dataclass(frozen=True, slots=True)
class Matter:
    """What is deliberated, and by which rules; it does not change on the way.

    ``pool`` is None where an expert was asked for by name; ``vote`` names the vote to use instead
    of the snapshot's own choice.  ``read_as`` is what answers are read by, the question with its
    options, where the prompt holds more than that (worked examples, say).  ``sampling`` is what the
    caller asked for, without anybody's defaults.
    """

    question: Question
    query: Query
    pool: Pool | None
    route: Route
    policy: Policy
    vote: str | None = None
    read_as: str | None = None
    sampling: Sampling = field(default_factory=Sampling)


# --- decisions ----------------------------------------------------------------------------------


def judged(matter: Matter, completions: Sequence[Completion]) -> tuple[Case, Verdict]:
    """What the vote saw, and what it made of it."""
    query, route = matter.query, matter.route
    known = outlook(query, matter.pool, route)
    read = matter.question if matter.read_as is None else Question.of(matter.read_as)
    case = Case(
        ballots_of(read, completions),
        known.chances,
        query.options,
        query.skills,
        query.text,
        choices_of(read.text),
        known.context,
    )
    return case, vote_for(matter.pool, route.strategy, matter.vote).judge(case)


Judge = Callable[[Matter, Sequence[Completion]], tuple[Case, Verdict]]


def recruits(
    matter: Matter, case: Case, verdict: Verdict, asked: Collection[str]
) -> tuple[str, ...]:
    """Who is asked next, if the strategy wants more."""
    pool, route = matter.pool, matter.route
    if pool is None:
        return ()
    router = load_router(route.strategy)
    return router.recruit(matter.query, pool, matter.policy, route, case.ballots, verdict, asked)


def substitutes(
    route: Route, policy: Policy, asked: Collection[str], failed: int
) -> tuple[str, ...]:
    """The next best experts, one for each that ``failed`` in this round, while asking makes sense.

    When twice as many have been asked as ever should be, the trouble is not one expert's.
    """
    left = [name for name in names(route) if name not in asked]
    room = max(0, 2 * policy.most - len(asked))
    return tuple(left[: min(failed, room)])


def by_reliability(route: Route, completions: Sequence[Completion]) -> list[Completion]:
    """The completions, of the likeliest to be right first."""
    expected = chances(route)
    return sorted(completions, key=lambda c: (-expected[c.expert], c.expert))


def writers(
    matter: Matter, experts: Sequence[str], failed: Collection[str] = ()
) -> tuple[str, ...]:
    """Who is asked to write the synthesis, in turn, now that ``experts`` answered.

    The best at aggregating first, who need not be among them; where nobody was measured, they in
    the order given, which is that of answering.
    """
    experts = tuple(dict.fromkeys(experts))
    if matter.pool is None:
        return experts
    skills = matter.query.skills
    return by_aggregation(matter.pool, matter.policy, skills, experts, failed)


def to_be_written(
    matter: Matter, completions: Sequence[Completion], writer: str | None = None
) -> Question:
    """What ``writer`` is asked to write the synthesis: as much as it can read, where that is known.

    A pure function of what is stored: counts are estimated, nobody's engine is asked.
    """
    asked = matter.sampling
    expert = _member(matter.pool, writer)
    room = room_of(expert, asked, completions) if expert else None
    writing = Writing(room, asked.extra, asked.seed or 0)
    return synthesis_question(matter.question, completions, chances(matter.route), writing)


def _member(pool: Pool | None, name: str | None) -> Expert | None:
    return next((e for e in pool.experts if e.name == name), None) if pool else None


def everyone_failed(failures: Sequence[Failure]) -> CoterieError:
    """What the caller is told where nobody answered."""
    told = "; ".join(f.error for f in failures)
    if any(f.code == "context_length_exceeded" for f in failures):
        return ContextLengthExceeded(
            f"no expert's context is long enough: {told}", param="messages"
        )
    if failures and all(f.rejected for f in failures):
        return RequestError(f"every expert refused the request: {told}")
    return NoExpertAvailable(f"every expert that was asked failed: {told}")


def nobody_answered(matter: Matter, failures: Sequence[Failure]) -> CoterieError:
    """The same, where an expert that was asked for by name fails with its own error."""
    if matter.pool is None and len(failures) == 1 and failures[0].kind:
        return error_of(failures[0])
    return everyone_failed(failures)


# --- the whole road -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Ask:
    """A reply that is needed: ``role`` is "answer" or "aggregate"."""

    expert: str
    question: Question
    role: str = ANSWER


@dataclass(frozen=True, slots=True)
class Missing:
    """The deliberation cannot go on before ``asks`` have replied; ``heard``: who has so far."""

    asks: tuple[Ask, ...]
    heard: tuple[tuple[Ask, Reply], ...] = ()


@dataclass(frozen=True, slots=True)
class Settled:
    """How it ended.  ``answer`` and ``verdict`` are None where nobody answered: ``error`` says why.

    ``heard`` is every reply in the order it counted, with what was asked for.
    """

    heard: tuple[tuple[Ask, Reply], ...]
    verdict: Verdict | None = None
    answer: Completion | None = None
    error: CoterieError | None = None


def deliberate(
    matter: Matter, reply: Callable[[Ask], Reply | None], judge: Judge = judged
) -> Missing | Settled:
    """Goes from the route to the answer with what ``reply`` gives; stops where it gives None.

    ``judge`` is :func:`judged`, for whoever remembers what it gave.
    """
    route, policy = matter.route, matter.policy
    heard: list[tuple[Ask, Reply]] = []
    completions: list[Completion] = []
    waiting: tuple[str, ...] = route.chosen
    verdict = None
    while waiting:
        asks = [Ask(name, matter.question) for name in waiting]
        replies = [(ask, reply(ask)) for ask in asks]
        given = [(ask, r) for ask, r in replies if r is not None]
        heard += given
        if missing := tuple(ask for ask, r in replies if r is None):
            return Missing(missing, tuple(heard))
        completions += [r for _, r in given if isinstance(r, Completion)]
        asked = [ask.expert for ask, _ in heard]
        failed = sum(isinstance(r, Failure) for _, r in given)
        waiting = substitutes(route, policy, asked, failed)
        if waiting:
            continue  # hear those first
        if not completions:
            failures = [r for _, r in heard if isinstance(r, Failure)]
            return Settled(tuple(heard), error=nobody_answered(matter, failures))
        case, verdict = judge(matter, completions)
        waiting = recruits(matter, case, verdict, asked)
    assert verdict is not None  # a route chooses somebody
    if verdict.leader is None:
        return _written(matter, completions, verdict, heard, reply)
    answer = next(c for c in completions if c.expert == verdict.leader)
    return Settled(tuple(heard), verdict, answer)


def _written(
    matter: Matter,
    completions: Sequence[Completion],
    verdict: Verdict,
    heard: list[tuple[Ask, Reply]],
    reply: Callable[[Ask], Reply | None],
) -> Missing | Settled:
    """One expert writes the answer from all; if none can, the most reliable answer stands."""
    ranked = by_reliability(matter.route, completions)
    failed = [ask.expert for ask, given in heard if isinstance(given, Failure)]
    for name in writers(matter, [c.expert for c in ranked], failed):
        ask = Ask(name, to_be_written(matter, completions, name), AGGREGATE)
        given = reply(ask)
        if given is None:
            return Missing((ask,), tuple(heard))
        heard.append((ask, given))
        if isinstance(given, Completion):
            return Settled(tuple(heard), verdict, given)
    return Settled(tuple(heard), verdict, ranked[0])
