"""How a question becomes an answer; reads as the table of contents.

    infer -> route -> ask -> judge -> answer
                      ^        |        ^
                      +--------+--> synthesize
                     recruit more

``ask`` puts the question to the recruited experts in parallel.  ``judge`` replaces those that
failed, recruits more while they disagree, and otherwise lets the vote stand or calls for a
synthesis; where nobody can write one, the best vote stands after all.  Nothing is checkpointed: the
token path never waits for a database.

Steps and edges are written down once, in ``STEPS`` and ``AFTER``.  Most questions go straight
through: their steps run one after the other, since a graph engine costs more than they do.  At the
first step that would come a second time LangGraph takes over.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import partial, wraps
from typing import Any, TypedDict, cast

from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime

from aggregator.base import options_in
from coterie.types import Chunk, Completion, Failure, Question, Route, Verdict
from orchestrator.asking import Asking
from orchestrator.deliberation import (
    AGGREGATE,
    ANSWER,
    Matter,
    Reply,
    everyone_failed,
    judged,
    needs_writing,
    recruits,
    standing,
    substitutes,
    to_be_written,
    to_write,
    wanted_form,
)
from orchestrator.descriptions import Embed
from orchestrator.feed import Emit, Feed
from orchestrator.gathering import as_delta
from orchestrator.holders import Holders
from orchestrator.inquiry import (
    Aggregation,
    Call,
    Delta,
    Event,
    Inquiry,
    Outcome,
    Routed,
    Waiting,
)
from orchestrator.instructions import instruction_vectors
from orchestrator.observability.observer import Observer
from orchestrator.roster import Roster
from orchestrator.routing import Policy, Pool, Query, direct, load_router, stay
from orchestrator.routing.outlook import outlook
from orchestrator.spending import Allowance, affordable, not_asked
from orchestrator.stopping import Stopping
from skills.infer import SkillInference


@dataclass(frozen=True, slots=True)
class Services:
    """What the nodes work with.

    ``aggregator_s``: how long whoever writes the answer from all may take, streamed until it begins
    to; None leaves that to its engine.  ``observer`` sees every step; ``emit`` is each run's own.
    ``one_apart`` is held while a route is chosen that nothing is ready for.
    """

    inference: SkillInference
    roster: Roster
    policy: Policy
    holders: Holders = field(default_factory=Holders)
    embed: Embed | None = None
    aggregator_s: float | None = None
    emit: Emit = lambda event: None
    stopping: Stopping = field(default_factory=Stopping)
    one_apart: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))
    observer: Observer = field(default_factory=Observer)


class State(TypedDict, total=False):
    """What the nodes hand on."""

    inquiry: Inquiry
    query: Query
    pool: Pool | None  # None where an expert was asked for by name
    route: Route
    waiting: tuple[str, ...]  # to be asked in the next round
    asked: tuple[str, ...]
    completions: tuple[Completion, ...]
    failures: tuple[Failure, ...]
    verdict: Verdict
    writes: bool  # the aggregator is to write the answer
    answer: Completion
    synthesis: Completion | None
    aggregation: Aggregation
    streamed: bool  # the answer's tokens have gone out already
    steps_ms: dict[str, float]
    at: str  # where LangGraph takes over


Context = Runtime[Services]
Node = Callable[[State, Context], Awaitable[State]]


def timed(node: Node) -> Node:
    """Adds the node's milliseconds to the state's ``steps_ms``."""

    @wraps(node)
    async def run(state: State, runtime: Context) -> State:
        started, name = time.perf_counter(), node.__name__
        with runtime.context.observer.step(name):
            update = await node(state, runtime)
        steps = dict(state.get("steps_ms", {}))
        steps[name] = steps.get(name, 0.0) + (time.perf_counter() - started) * 1000
        return cast("State", {**update, "steps_ms": steps})

    return run


# --- nodes --------------------------------------------------------------------------------------


@timed
async def infer(state: State, runtime: Context) -> State:
    """Which skills the question needs; none are inferred for an expert asked by name."""
    return {"query": await query_of(state["inquiry"], runtime.context)}


@timed
async def route(state: State, runtime: Context) -> State:
    """Who is asked first, and who would follow."""
    pool, decided = await decide(state["inquiry"], state["query"], runtime.context)
    runtime.context.emit(Routed(decided, sum(state["steps_ms"].values())))
    return {
        "pool": pool,
        "route": decided,
        "waiting": _afforded(decided.chosen, state, runtime.context),
        "asked": (),
        "completions": (),
    }


@timed
async def ask(state: State, runtime: Context) -> State:
    """Puts the question to everyone waiting, in parallel; a failure is an entry, not an end."""
    waiting = state["waiting"]
    reply = partial(_reply, _asking(state, runtime), runtime.context.observer)
    stream = _may_stream(state)
    runtime.context.emit(Waiting(waiting, ANSWER))
    if len(waiting) == 1:
        results = [await reply(waiting[0], stream=stream)]
    else:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(reply(name)) for name in waiting]
        results = [task.result() for task in tasks]
    answered = tuple(r for r in results if isinstance(r, Completion))
    failed = tuple(r for r in results if isinstance(r, Failure))
    asked = (*state["asked"], *waiting)
    completions = (*state["completions"], *answered)
    policy = _policy(state["inquiry"], runtime.context)
    next_best = substitutes(state["route"], policy, asked, len(failed), answered=bool(completions))
    failures = (*state.get("failures", ()), *failed)
    heard: State = {**state, "completions": completions, "failures": failures}
    return {
        "asked": asked,
        "completions": completions,
        "failures": failures,
        "streamed": stream and bool(answered),
        "waiting": _afforded(next_best, heard, runtime.context),
    }


@timed
async def judge(state: State, runtime: Context) -> State:
    """Whether there is agreement enough; if not, who is recruited."""
    if state["waiting"]:  # substitutes for those that failed: hear them first
        return {}
    if not state["completions"]:
        raise everyone_failed(state["failures"])
    matter = _matter(state, runtime)
    case, verdict = judged(matter, state["completions"])
    more = recruits(matter, case, verdict, state["asked"])
    return {
        "verdict": verdict,
        "waiting": _afforded(more, state, runtime.context),
        "writes": needs_writing(matter, state["completions"], verdict),
    }


@timed
async def synthesize(state: State, runtime: Context) -> State:
    """One expert writes the answer from all; if none can, the best vote stands.

    Where a form is wanted, nothing goes out before the whole was found to keep it.
    """
    inquiry, completions, verdict = state["inquiry"], state["completions"], state["verdict"]
    matter = _matter(state, runtime)
    form = wanted_form(matter, verdict)
    stream = inquiry.stream and not form.wanted
    told = Aggregation(verdict.reason)
    for name in to_write(matter, completions, [f.expert for f in state["failures"]]):
        question = to_be_written(matter, completions, name)
        if not _afforded((name,), state, runtime.context, question, told.failures):
            told = replace(told, failures=(*told.failures, not_asked(name)))
            continue
        runtime.context.emit(Waiting((name,), AGGREGATE))
        asking = replace(
            _asking(state, runtime, question),
            role=AGGREGATE,
            form=form,
            deadline_s=runtime.context.aggregator_s,
        )
        result = await _reply(asking, runtime.context.observer, name, stream=stream)
        if isinstance(result, Completion):
            return {
                "answer": result,
                "synthesis": result,
                "aggregation": replace(told, writer=name),
                "streamed": stream,
            }
        told = replace(told, failures=(*told.failures, result))
    stands = standing(matter, form, completions, verdict)
    why = "no aggregator's answer can stand" if told.failures else "nobody is to write one"
    fallback = f"{why}: the best vote, {stands.expert}'s, does"
    return {"answer": stands, "synthesis": None, "aggregation": replace(told, fallback=fallback)}


@timed
async def answer(state: State, runtime: Context) -> State:
    """The answer goes out, if its tokens have not already."""
    found = state.get("answer") or next(
        c for c in state["completions"] if c.expert == state["verdict"].leader
    )
    if state["inquiry"].stream and not state.get("streamed"):
        whole = Chunk(found.text, delta=as_delta(found.message), logprobs=found.logprobs)
        runtime.context.emit(Delta(found.expert, whole))
        runtime.context.emit(Delta(found.expert, Chunk(finish_reason=found.finish_reason)))
    inquiry = state["inquiry"]
    runtime.context.holders.keep(inquiry.question, found.expert, found.text, _name_of(inquiry))
    return {"answer": found}


def after_judge(state: State) -> str:
    """Ask more, synthesize what cannot be compared, or answer."""
    if state["waiting"]:
        return "ask"
    return "synthesize" if state["writes"] else "answer"


STEPS: Mapping[str, Node] = {
    node.__name__: node for node in (infer, route, ask, judge, synthesize, answer)
}
AFTER: Mapping[str, str | Callable[[State], str]] = {
    "infer": "route",
    "route": "ask",
    "ask": "judge",
    "judge": after_judge,
    "synthesize": "answer",
    "answer": END,
}


# --- what the nodes share -----------------------------------------------------------------------


async def query_of(inquiry: Inquiry, services: Services) -> Query:
    """What a router sees of the inquiry; nothing is inferred for an expert asked by name."""
    question = inquiry.question
    if inquiry.expert:
        return Query(text=question.text, options=options_in(question))
    found = await services.inference.infer(question)
    [instruction] = await instruction_vectors([(question, inquiry.strategy)], services.embed)
    return Query(
        found.skills,
        question.text,
        found.vector,
        options_in(question),
        services.holders.of(question, _name_of(inquiry)),
        instruction,
        question.messages[-1].role in ("tool", "function"),
    )


async def decide(inquiry: Inquiry, query: Query, services: Services) -> tuple[Pool | None, Route]:
    """Who could be asked, and the route."""
    if inquiry.expert:
        expert, budget_usd = services.roster.expert(inquiry.expert), inquiry.wishes.budget_usd
        if budget_usd is not None:
            affordable([expert], inquiry.question, inquiry.sampling, budget_usd)
        return None, direct(inquiry.expert)
    pool, policy = await services.roster.pool(inquiry), _policy(inquiry, services)
    apart = pool.knowledge is not services.roster.snapshot.knowledge
    if not apart and policy is services.policy:
        return pool, _route(inquiry, query, pool, policy)
    # What such a decision rests on may take seconds to derive: others do not wait for that, and it
    # takes no more than one core, however many such requests come.
    async with services.one_apart if apart else nullcontext():
        return pool, await asyncio.to_thread(_route_apart, inquiry, query, pool, policy)


def _route(inquiry: Inquiry, query: Query, pool: Pool, policy: Policy) -> Route:
    decided = load_router(inquiry.strategy).route(query, pool, policy)
    # Whichever strategy ``auto`` fell on; a baseline asks whom it asks, unless a tool was called.
    if load_router(decided.strategy).stays or (query.called and inquiry.wishes.alone):
        decided = stay(decided, query, pool, policy)
    if inquiry.wishes.alone:
        why = f"{decided.reason}; one answers, as it may call a tool"
        decided = replace(decided, reason=why)
    return decided


def _route_apart(inquiry: Inquiry, query: Query, pool: Pool, policy: Policy) -> Route:
    """The same where nothing is ready: what a vote will be told is derived as well."""
    decided = _route(inquiry, query, pool, policy)
    outlook(query, pool, decided)
    return decided


def _policy(inquiry: Inquiry, services: Services) -> Policy:
    return inquiry.wishes.policy(services.policy)


def _afforded(
    names: tuple[str, ...],
    state: State,
    services: Services,
    question: Question | None = None,
    failures: tuple[Failure, ...] = (),
) -> tuple[str, ...]:
    """The first of ``names`` that the request's budget reaches for, for this ``question``; all,
    where it has none.  ``failures`` came beside those in the state."""
    inquiry = state["inquiry"]
    replies: list[Completion | Failure] = [*state.get("completions", ()), *failures]
    replies += state.get("failures", ())
    left = Allowance(inquiry.wishes.budget_usd, services.roster.snapshot.experts, replies)
    return left.within(names, question or inquiry.question, inquiry.sampling)


def _name_of(inquiry: Inquiry) -> str:
    """The caller's own name for the conversation, apart from other callers'; "": none."""
    named = inquiry.wishes.conversation
    return f"{inquiry.key}/{named}" if named else ""


def _matter(state: State, runtime: Context) -> Matter:
    inquiry, wishes = state["inquiry"], state["inquiry"].wishes
    return Matter(
        inquiry.question,
        state["query"],
        state["pool"],
        state["route"],
        _policy(inquiry, runtime.context),
        wishes.vote,
        sampling=inquiry.sampling,
        writes=wishes.writes,
        writer=wishes.writer,
    )


def _asking(state: State, runtime: Context, question: Question | None = None) -> Asking:
    inquiry = state["inquiry"]
    return Asking(
        runtime.context.roster, inquiry, question or inquiry.question, runtime.context.emit
    )


async def _reply(asking: Asking, observer: Observer, name: str, *, stream: bool = False) -> Reply:
    """What the expert called ``name`` says."""
    expert = asking.roster.snapshot.experts.get(name)
    with observer.call(expert, asking.role, asking.inquiry.sampling):
        return await (asking.streamed if stream else asking.whole)(name)


def _may_stream(state: State) -> bool:
    """Only the answer's own tokens may go out: one expert is asked, and no vote can follow."""
    alone = len(state["waiting"]) == 1 and not state["completions"]
    return state["inquiry"].stream and alone and not state["route"].reserve


# --- the graph ----------------------------------------------------------------------------------


async def straight(inquiry: Inquiry, services: Services) -> tuple[State, str]:
    """Takes the steps as they follow, none of them twice: what came of it, and which is next."""
    state, at = State(inquiry=inquiry), "infer"
    runtime = Runtime(context=services)
    taken = set()
    while at != END and at not in taken:
        state.update(await STEPS[at](state, runtime))
        taken.add(at)
        after = AFTER[at]
        at = after if isinstance(after, str) else after(state)
    return state, at


class Coterie:
    """Runs the steps; ``engine_only`` leaves all of them to LangGraph."""

    def __init__(self, services: Services, *, engine_only: bool = False) -> None:
        self.services = services
        self._graph = _compile()
        self._engine_only = engine_only

    @property
    def _config(self) -> dict[str, Any]:
        # A round is two steps, and there are no more rounds than experts, or than may be asked.
        most = max(self.services.policy.most, len(self.services.roster.enabled))
        return {"recursion_limit": 10 + 4 * most}

    async def run(self, inquiry: Inquiry, emit: Emit = lambda event: None) -> Outcome:
        """Answers the inquiry; ``emit`` is told on the way: Routed, then Waiting, Calls and Deltas.

        Raises UnknownModel, ContextLengthExceeded, NoExpertAvailable, NothingAnswered,
        ServiceStopping, and for an expert asked by name its EngineError.
        """
        calls: list[Call] = []
        began = time.perf_counter()

        def tell(event: Event) -> None:
            passed_s = time.perf_counter() - began
            if isinstance(event, Waiting):
                event = replace(event, since_s=passed_s)
            elif isinstance(event, Call):
                event = replace(event, began_s=max(0.0, passed_s - event.latency_s))
                calls.append(event)
            answering.see(event)
            emit(event)

        services = replace(self.services, emit=tell)
        async with services.stopping.run():
            with services.observer.answering(inquiry) as answering:
                outcome = _outcome(await self._through(inquiry, services), tuple(calls))
                answering.answered(outcome)
                return outcome

    async def _through(self, inquiry: Inquiry, services: Services) -> State:
        state, at = State(inquiry=inquiry), "infer"
        if not self._engine_only:
            state, at = await straight(inquiry, services)
        if at != END:
            found = await self._graph.ainvoke({**state, "at": at}, self._config, context=services)
            state = cast("State", found)
        return state

    def stream(self, inquiry: Inquiry) -> Feed:
        """The same as events, which end with Finished.  Closing it stops the asking."""
        return Feed(partial(self.run, inquiry))


def _compile() -> Any:
    graph = StateGraph(State, context_schema=Services)
    for name, node in STEPS.items():
        graph.add_node(name, cast("Any", node))
    graph.add_conditional_edges(START, lambda state: state["at"], [*STEPS])
    for name, after in AFTER.items():
        if isinstance(after, str):
            graph.add_edge(name, after)
        else:
            graph.add_conditional_edges(name, after, [*STEPS])
    return graph.compile()


def _outcome(state: State, calls: tuple[Call, ...]) -> Outcome:
    return Outcome(
        inquiry=state["inquiry"],
        route=state["route"],
        completions=state["completions"],
        failures=state["failures"],
        verdict=state["verdict"],
        answer=state["answer"],
        synthesis=state.get("synthesis"),
        aggregation=state.get("aggregation"),
        calls=calls,
        steps_ms=state["steps_ms"],
    )
