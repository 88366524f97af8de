"""How a request of before would be routed now, or by other means: decides, and asks nobody."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from coterie.errors import RequestError
from coterie.types import Question, Route, Sampling
from orchestrator.graph import query_of
from orchestrator.inquiry import Inquiry
from orchestrator.parts import Parts
from orchestrator.routing import DEFAULT_STRATEGY, Policy, Pool, load_router
from orchestrator.traces.facts import Record
from orchestrator.why import route_record


@dataclass(frozen=True, slots=True)
class Otherwise:
    """What is different; None leaves it as it is now.

    ``strategy`` is the request's own where it had one, else the default; ``snapshot`` names one
    that is kept; the others are of the :class:`Policy`.
    """

    strategy: str | None = None
    snapshot: str | None = None
    confidence: float | None = None
    most: int | None = None
    cost_weight: float | None = None
    latency_s: float | None = None

    def policy(self, now: Policy) -> Policy:
        """The policy with what is different."""
        names = ("confidence", "most", "cost_weight", "latency_s")
        wanted = {name: getattr(self, name) for name in names}
        return replace(now, **{name: value for name, value in wanted.items() if value is not None})


async def what_if(record: Record, otherwise: Otherwise, parts: Parts) -> dict[str, Any]:
    """The route as JSON, like that of a why-record.

    Who is asked is chosen among the experts that can be asked now; nobody counts as having answered
    this conversation before.
    """
    inquiry = _inquiry(record, _strategy(record, otherwise))
    services = parts.coterie.services
    router = load_router(inquiry.strategy)
    query = replace(await query_of(inquiry, services), holder=None)
    pool = await _pool(inquiry, otherwise, parts)
    route: Route = router.route(query, pool, services.policy.at_most(otherwise.most))
    return route_record(inquiry, route)


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Who would be asked first besides, and who no more."""
    was, now = before.get("chosen", ()), after["chosen"]
    return {
        "added": [name for name in now if name not in was],
        "removed": [name for name in was if name not in now],
    }


def _strategy(record: Record, otherwise: Otherwise) -> str:
    if otherwise.strategy is not None:
        return otherwise.strategy
    if wished := record.get("wishes", {}).get("strategy"):
        return str(wished)
    model = str(record.get("model", ""))
    return model.partition("/")[2] if model.startswith("coterie/") else DEFAULT_STRATEGY


def _inquiry(record: Record, strategy: str) -> Inquiry:
    text = record.get("question")
    if not text:
        raise RequestError(
            f"request {record['id']!r} cannot be routed again, as its question was not kept: the "
            f"contents of its key are kept {record.get('contents', 'whole')!r}",
            param="id",
        )
    return Inquiry(
        id=str(record["id"]),
        model=f"coterie/{strategy}",
        question=Question.of(text),
        sampling=Sampling(),
        strategy=strategy,
    )


async def _pool(inquiry: Inquiry, otherwise: Otherwise, parts: Parts) -> Pool:
    pool = await parts.roster.pool(inquiry)
    if otherwise.snapshot is None:
        return pool
    knowledge = await parts.archive.load(otherwise.snapshot)
    return Pool(pool.experts, knowledge, descriptions=pool.descriptions)
