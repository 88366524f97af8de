"""One item on its way: what was heard, what is still to be asked, and its result.  Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from aggregator.base import Case
from coterie.errors import CoterieError
from coterie.ports import Task
from coterie.types import Completion, Grade, Item, Verdict
from evals.results import Call, ItemResult
from orchestrator.deliberation import (
    AGGREGATE,
    ANSWER,
    Ask,
    Matter,
    Missing,
    Reply,
    Settled,
    deliberate,
    judged,
)
from orchestrator.jobs import record
from orchestrator.jobs.item_store import Ending, StoredItem
from orchestrator.jobs.keys import prompt_key, unit_key
from orchestrator.jobs.terms import Terms
from orchestrator.jobs.unit_store import Kept, Request
from orchestrator.keys.budget import Spent
from orchestrator.keys.estimate import most_spent, prompt_tokens
from orchestrator.protocol.errors import status_and_body
from orchestrator.routing import chances
from orchestrator.scheduling.work import Unit

SHORT = 4
"""Characters of what was read out of an answer to a secret question that may be shown."""


@dataclass(slots=True)
class Docket:
    """The item at ``position``, with everything that was decided for it.

    Its state is a function of its route and of the replies there are: it is found anew whenever
    there are more.
    """

    terms: Terms
    position: int
    item: Item
    matter: Matter
    state: Missing | Settled | None = None
    _requests: dict[tuple[str, str], Request] = field(default_factory=dict)
    _prompts: dict[str, str] = field(default_factory=dict)
    _judged: dict[int, tuple[Case, Verdict]] = field(default_factory=dict)

    @classmethod
    def of(cls, terms: Terms, item: Item, stored: StoredItem) -> Docket:
        """The docket of an item that is routed."""
        assert stored.route is not None
        route = record.route_of(stored.route, stored.skills)
        query = terms.query(item, stored.skills, stored.vector)
        return cls(terms, stored.position, item, terms.matter(item, query, route))

    def first(self) -> list[Request]:
        """What the route asks for before anything is known."""
        route, question = self.matter.route, self.matter.question
        return [self.request(Ask(name, question)) for name in route.chosen]

    def advance(self, replies: Mapping[str, Kept]) -> None:
        """Finds the state that follows from ``replies``, by key."""

        def reply(ask: Ask) -> Reply | None:
            kept = replies.get(self.request(ask).unit.key)
            return kept.reply if kept else None

        self.state = deliberate(self.matter, reply, self._judge)

    def _judge(self, matter: Matter, completions: Sequence[Completion]) -> tuple[Case, Verdict]:
        """The vote on the first so many completions, which never change: held once."""
        n = len(completions)
        if n not in self._judged:
            self._judged[n] = judged(matter, completions)
        return self._judged[n]

    def missing(self) -> list[Request]:
        """What must be asked before the item can go on."""
        return [self.request(a) for a in self.state.asks] if isinstance(self.state, Missing) else []

    def request(self, ask: Ask) -> Request:
        """What is asked for, by its key."""
        at = (ask.expert, ask.role)
        if at not in self._requests:
            sampling, text = self.terms.sampling(ask.expert, self.item)
            prompt = self._prompt(ask)
            key = unit_key(self.terms.revisions[ask.expert], prompt, text)
            unit = Unit(key, ask.expert, ask.question, sampling)
            self._requests[at] = Request(unit, prompt)
        return self._requests[at]

    def _prompt(self, ask: Ask) -> str:
        """The prompt's key, made once for all who are asked the same: everyone but the writers."""
        to = ask.expert if ask.role == AGGREGATE else ""
        if to not in self._prompts:
            self._prompts[to] = prompt_key(ask.question, secret=self.terms.secret)
        return self._prompts[to]

    def answer(self) -> str | None:
        """The key of the completion that is the answer; None while, or where, there is none."""
        state = self.state
        if not isinstance(state, Settled) or state.answer is None:
            return None
        ask = next(ask for ask, reply in state.heard if reply is state.answer)
        return self.request(ask).unit.key

    def most(self) -> Spent:
        """What the item may cost at most, by the estimate that live requests are held to."""
        manner, matter = self.terms.manner(self.item), self.matter
        named = [self.terms.experts[manner.expert]] if manner.expert else self.terms.pool.experts
        prompt = prompt_tokens(matter.question, manner.sampling)
        return most_spent(prompt, manner.sampling, named, self.terms.policy.most)

    def refused(self, error: CoterieError) -> Ending:
        """How an item ends whose experts may not be asked (any more)."""
        status, body = status_and_body(error)
        told = {"status": status, **{k: v for k, v in body["error"].items() if k != "message"}}
        result = ItemResult(self.item.id, self.item.category, False, None, error=str(error))
        return Ending(result, None, told)

    def refusal(self) -> Mapping[str, Any] | None:
        """What a caller is told who gets no answer, but for the message: status, type, param, code.

        None while, or where, there is an answer.
        """
        state = self.state
        if not isinstance(state, Settled) or state.error is None:
            return None
        status, body = status_and_body(state.error)
        return {"status": status, **{k: v for k, v in body["error"].items() if k != "message"}}

    def result(self, task: Task, replies: Mapping[str, Kept], began: datetime) -> ItemResult:
        """The result, once the item is settled; what was stored before ``began`` is reused."""
        state, item = self.state, self.item
        assert isinstance(state, Settled)
        grades: dict[int, Grade] = {}

        def graded(completion: Completion) -> Grade:
            if id(completion) not in grades:
                grades[id(completion)] = task.grade(item, completion.text)
            return grades[id(completion)]

        calls = tuple(
            self._call(ask, reply, graded, replies[self.request(ask).unit.key].at < began)
            for ask, reply in state.heard
            if isinstance(reply, Completion)
        )
        route, answer = self.matter.route, state.answer
        known = chances(route)
        found = graded(answer) if answer else Grade(False, None)
        return ItemResult(
            item.id,
            item.category,
            found.correct,
            self._shown(found.extracted),
            leader=answer.expert if answer else None,
            expected=max(known[n] for n in route.chosen) if self.matter.pool else None,
            agreement=state.verdict.agreement if state.verdict else None,
            calls=calls,
            error=str(state.error) if state.error else None,
        )

    def _call(
        self, ask: Ask, reply: Completion, graded: Callable[[Completion], Grade], reused: bool
    ) -> Call:
        grade = graded(reply) if ask.role == ANSWER else None
        usage = reply.usage
        return Call(
            ask.expert,
            ask.role,
            grade.correct if grade else None,
            self._shown(grade.extracted) if grade else None,
            usage.prompt_tokens,
            usage.completion_tokens,
            self.terms.experts[ask.expert].cost_usd(usage),
            reply.latency_s,
            reused,
        )

    def _shown(self, extracted: str | None) -> str | None:
        """What may be shown of an answer: of a secret question, no more than an option's letter."""
        if extracted is None or not self.terms.secret or len(extracted) <= SHORT:
            return extracted
        return "(sealed)"
