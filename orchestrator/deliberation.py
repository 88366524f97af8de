"""What follows from what was answered so far: who is asked next, who writes, what the answer is.

The live graph (:mod:`orchestrator.graph`) and jobs decide by these functions and no others.  Pure:
nobody is asked here.  ``deliberate`` is the graph's whole road as one function, for whoever has the
replies already, or finds out with it which are missing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from aggregator.acceptance import ANY_FORM, Form, form_of, says_something
from aggregator.base import Case, ballots_of
from aggregator.extract import choices_of
from aggregator.synthesize import Writing, synthesis_question
from coterie.errors import (
    ContextLengthExceeded,
    CoterieError,
    EveryoneBusy,
    NoExpertAvailable,
    NothingAnswered,
    RequestError,
)
from coterie.types import (
    Completion,
    Expert,
    Failure,
    Question,
    Route,
    Sampling,
    Verdict,
)
from orchestrator.failing import ACCESS_DENIED, BUSY, PROTOCOL, error_of
from orchestrator.routing import Policy, Pool, Query, chances, load_router, names
from orchestrator.routing.outlook import outlook
from orchestrator.voting import aggregate_under, vote_for
from orchestrator.writers import by_aggregation, room_of

Reply = Completion | Failure

ANSWER, AGGREGATE = "answer", "aggregate"

EMPTY, FORM_DROPPED = "empty_answer", "form_dropped"
"""Codes of failures that are ours to tell: nothing was answered, or not in the wanted form."""


@dataclass(frozen=True, slots=True)
class Matter:
    """What is deliberated, and by which rules; it does not change on the way.

    ``pool`` is None where an expert was asked for by name; ``vote`` names the vote to use instead
    of the snapshot's own choice.  ``read_as`` is what answers are read by, the question with its
    options, where the prompt holds more than that (worked examples, say).  ``sampling`` is what the
    caller asked for, without anybody's defaults.  ``writes`` says whether one answer is written of
    many, whatever the vote (None: as the snapshot says), and ``writer`` names who is asked first.
    """

    question: Question
    query: Query
    pool: Pool | None
    route: Route
    policy: Policy
    vote: str | None = None
    read_as: str | None = None
    sampling: Sampling = field(default_factory=Sampling)
    writes: bool | None = None
    writer: str | None = None

    @property
    def read(self) -> Question:
        """What answers are read by."""
        return self.question if self.read_as is None else Question.of(self.read_as)


# --- decisions ----------------------------------------------------------------------------------


def counted(reply: Reply, form: Form = ANY_FORM, *, shown: bool = False) -> Reply:
    """The reply as it counts: an answer that is empty or misses the form has failed like any other.

    Reasoning alone is empty, unless it was ``shown``: already, or as an expert's asked for by name.
    What was spent is told all the same.
    """
    if isinstance(reply, Failure):
        return reply
    if not says_something(reply, with_reasoning=shown):
        return _lapsed(reply, EMPTY, f"it answered nothing (finish_reason {reply.finish_reason!r})")
    if told := form.lapse(reply):
        return _lapsed(reply, FORM_DROPPED, f"its answer cannot stand: {told}")
    return reply


def _lapsed(reply: Completion, code: str, told: str) -> Failure:
    told = f"expert {reply.expert!r}: {told}; allow more tokens, or ask another expert"
    return Failure(reply.expert, told, reply.latency_s, code=code, kind=PROTOCOL, usage=reply.usage)


def judged(matter: Matter, completions: Sequence[Completion]) -> tuple[Case, Verdict]:
    """What the vote saw, and what it made of it."""
    query, route = matter.query, matter.route
    known = outlook(query, matter.pool, route)
    read = matter.read
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
    route: Route, policy: Policy, asked: Collection[str], failed: int, *, answered: bool
) -> tuple[str, ...]:
    """The next best experts, one for each that ``failed`` in this round, while asking makes sense.

    When twice as many have been asked as ever should be, those that ``answered`` are enough; where
    nobody has, everyone is asked.
    """
    left = [name for name in names(route) if name not in asked]
    room = max(0, 2 * policy.most - len(asked)) if answered else len(left)
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


def to_write(
    matter: Matter, completions: Sequence[Completion], failed: Collection[str]
) -> Sequence[str]:
    """The first of the :func:`writers`: no more are tried before the best vote stands."""
    if matter.writes is False:
        return ()
    answered = [c.expert for c in by_reliability(matter.route, completions)]
    ranked = writers(matter, answered, failed)
    if matter.writer:
        ranked = (matter.writer, *(name for name in ranked if name != matter.writer))
    return ranked[: matter.policy.writers]


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


def needs_writing(matter: Matter, completions: Sequence[Completion], verdict: Verdict) -> bool:
    """Whether the aggregator writes the answer, now that nobody further is asked.

    It does where there was nothing to compare, and where answers differ and the vote is not
    believed enough; a baseline's vote always stands.
    """
    if verdict.leader is None:
        return True
    if matter.writes is not None:
        return matter.writes and len(completions) > 1
    pool, strategy = matter.pool, matter.route.strategy
    if pool is None or _answers(matter, completions, verdict) < 2:
        return False
    if not load_router(strategy).stays:
        return False
    fixed = matter.policy.aggregate_under
    under = aggregate_under(pool.knowledge, strategy) if fixed is None else fixed
    return verdict.agreement < under


def _answers(matter: Matter, completions: Sequence[Completion], verdict: Verdict) -> int:
    """How many different answers there are; to an open question, prose is one of its own."""
    read = sum(len(who) for who in verdict.votes.values())
    prose = 0 if matter.query.options else len(completions) - read
    return len(verdict.votes) + prose


def wanted_form(matter: Matter, verdict: Verdict) -> Form:
    """What the aggregator's answer must be to stand."""
    return form_of(matter.read.text, verdict.votes, matter.sampling.extra.get("response_format"))


def standing(
    matter: Matter, form: Form, completions: Sequence[Completion], verdict: Verdict
) -> Completion:
    """The best vote: what stands where no aggregator wrote an answer.

    The vote's leader, else the likeliest to be right; before either, one that keeps the form.
    """
    ranked = by_reliability(matter.route, completions)
    best = sorted(ranked, key=lambda c: c.expert != verdict.leader)
    return next((c for c in best if form.lapse(c) is None), best[0])


def everyone_failed(failures: Sequence[Failure]) -> CoterieError:
    """What the caller is told where nobody answered."""
    told = "; ".join(f.error for f in failures)
    if any(f.code == "context_length_exceeded" for f in failures):
        return ContextLengthExceeded(
            f"no expert's context is long enough: {told}", param="messages"
        )
    if failures and all(f.rejected and f.code != ACCESS_DENIED for f in failures):
        return RequestError(f"every expert refused the request: {told}")
    if failures and all(f.code == EMPTY for f in failures):
        return NothingAnswered(f"every expert that was asked answered nothing: {told}")
    if failures and all(f.kind == BUSY for f in failures):
        return EveryoneBusy(f"every expert that was asked is busy: {told}", retry_after_s=5.0)
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

    ``heard`` is every reply as it came, in the order it counted, with what was asked for.
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
    route, policy, named = matter.route, matter.policy, matter.pool is None
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
        counts = [counted(r, shown=named) for _, r in given]
        completions += [r for r in counts if isinstance(r, Completion)]
        asked = [ask.expert for ask, _ in heard]
        failed = sum(isinstance(r, Failure) for r in counts)
        waiting = substitutes(route, policy, asked, failed, answered=bool(completions))
        if waiting:
            continue  # hear those first
        if not completions:
            failures = [f for _, r in heard if isinstance(f := counted(r, shown=named), Failure)]
            return Settled(tuple(heard), error=nobody_answered(matter, failures))
        case, verdict = judge(matter, completions)
        waiting = recruits(matter, case, verdict, asked)
    assert verdict is not None  # a route chooses somebody
    if needs_writing(matter, completions, verdict):
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
    """One expert writes the answer from all; if none can, the best vote stands."""
    form = wanted_form(matter, verdict)
    failed = [ask.expert for ask, given in heard if isinstance(counted(given), Failure)]
    for name in to_write(matter, completions, failed):
        ask = Ask(name, to_be_written(matter, completions, name), AGGREGATE)
        given = reply(ask)
        if given is None:
            return Missing((ask,), tuple(heard))
        heard.append((ask, given))
        if isinstance(given, Completion) and isinstance(counted(given, form), Completion):
            return Settled(tuple(heard), verdict, given)
    return Settled(tuple(heard), verdict, standing(matter, form, completions, verdict))
