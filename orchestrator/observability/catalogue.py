"""Every metric there is: its name, what it counts, by which labels.

Labels have few values: registered experts, routes of the API, names out of lists that the code
holds.  What anybody may send, a path or a model that is not there, is ``other``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

OTHER: Final = "other"
"""The label of what is in no list."""

_QUICK_S: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
_SLOW_S: Final = (0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)


class Kind(StrEnum):
    """What may become of a metric's value."""

    COUNTER = "counter"
    """It grows; its sample's name ends in ``_total``."""
    GAUGE = "gauge"
    """It is what it is when somebody looks."""
    HISTOGRAM = "histogram"
    """It counts, by ``buckets``."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric; ``help`` says what it counts, units included."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()

    @property
    def exposed(self) -> str:
        """The name that queries use; a histogram's with ``_bucket``, ``_sum`` or ``_count``."""
        return f"{self.name}_total" if self.kind is Kind.COUNTER else self.name


def _counter(name: str, help: str, *labels: str) -> Metric:
    return Metric(name, Kind.COUNTER, help, labels)


def _gauge(name: str, help: str, *labels: str) -> Metric:
    return Metric(name, Kind.GAUGE, help, labels)


def _histogram(name: str, help: str, buckets: tuple[float, ...], *labels: str) -> Metric:
    return Metric(name, Kind.HISTOGRAM, help, labels, buckets)


# --- requests -----------------------------------------------------------------------------------

REQUESTS = _counter(
    "coterie_requests",
    "HTTP requests that ended, by endpoint and class of status (2xx, 4xx, 499: the caller left)",
    "method",
    "endpoint",
    "status",
)
REQUEST_SECONDS = _histogram(
    "coterie_request_seconds",
    "Seconds from a request's head to the end of its response",
    _SLOW_S,
    "endpoint",
)
REQUESTS_IN_PROGRESS = _gauge("coterie_requests_in_progress", "HTTP requests being answered")
REFUSED = _counter(
    "coterie_refused",
    "Requests turned away: rate, budget, busy (queues are full), unavailable, stopping, key",
    "reason",
)

# --- answers ------------------------------------------------------------------------------------

ROUTES = _counter("coterie_routes", "Routes decided, by the strategy that decided", "strategy")
ROUTED_EXPERTS = _counter(
    "coterie_routed_experts", "Experts that a route asks first", "strategy", "expert"
)
STEP_SECONDS = _histogram(
    "coterie_step_seconds", "Seconds that one step of the graph took", _SLOW_S, "step"
)
OVERHEAD_SECONDS = _histogram(
    "coterie_overhead_seconds",
    "Seconds of an answer spent on anything but waiting for experts",
    _QUICK_S,
)
FIRST_TOKEN_SECONDS = _histogram(
    "coterie_first_token_seconds", "Seconds until a streamed answer began", _SLOW_S
)
AGREEMENT = _histogram(
    "coterie_agreement",
    "Agreement of the vote, 0 to 1, where several experts answered",
    (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0),
    "strategy",
)
ANSWERS = _counter(
    "coterie_answers",
    "Questions that ended: answered, written (by an aggregator), fallback, failed, left",
    "strategy",
    "outcome",
)

# --- experts ------------------------------------------------------------------------------------

CALLS = _counter(
    "coterie_expert_calls",
    "Calls to experts for chats that ended: ok, or the kind of failure",
    "expert",
    "role",
    "result",
)
CALL_SECONDS = _histogram(
    "coterie_expert_call_seconds", "Seconds a call to an expert took", _SLOW_S, "expert"
)
TOKENS = _counter(
    "coterie_tokens", "Tokens of chats as experts counted them", "expert", "direction"
)
COST = _counter("coterie_cost_usd", "US dollars that calls of chats cost", "expert")
EXPERT_UP = _gauge("coterie_expert_up", "1 where an enabled expert can be asked", "expert")
EXPERT_CALLS = _gauge(
    "coterie_expert_calls_in_progress", "Calls that an expert answers now", "expert"
)
EXPERT_QUEUE = _gauge(
    "coterie_expert_queue_depth", "Calls that wait until an expert has room", "expert"
)
BREAKER = _gauge(
    "coterie_breaker_state",
    "Circuit breaker of an expert's server: 0 closed, 1 half open, 2 open",
    "expert",
    "server",
)

# --- engines and workers ------------------------------------------------------------------------

ENGINE_LOADS = _counter(
    "coterie_engine_loads", "Engines that the worker of this process brought up", "engine"
)
ENGINE_LOAD_SECONDS = _counter(
    "coterie_engine_load_seconds", "Seconds spent bringing them up", "engine"
)
ENGINE_RESTARTS = _gauge(
    "coterie_engine_restarts", "Restarts of an engine that this process manages", "engine"
)
ENGINES_UP = _gauge(
    "coterie_worker_engines", "Engines of a worker by tier, and those being moved", "tier"
)
WORKERS = _gauge("coterie_workers", "Live workers by state: working, draining", "state")
WORK = _gauge(
    "coterie_work_batches", "Batches of jobs: waiting, or claimed by a worker", "expert", "state"
)
WORK_QUEUE_UP = _gauge("coterie_work_queue_up", "1 where the work queue can be reached")

# --- what is kept -------------------------------------------------------------------------------

RECORDS_WRITTEN = _counter("coterie_why_records_written", "Why-records that were written")
RECORDS_LOST = _counter("coterie_why_records_lost", "Why-records that were never written", "why")
RECORDS_WAITING = _gauge("coterie_why_records_waiting", "Why-records that wait to be written")
SPENDING_LOST = _counter(
    "coterie_spending_lost", "Calls whose spending was not written: the database was away"
)
DATABASE_UP = _gauge("coterie_database_up", "1 where the database answers")

# --- the process --------------------------------------------------------------------------------

BUILD_INFO = _gauge("coterie_build_info", "Always 1; the label is the version", "version")
START_TIME = _gauge("coterie_start_time_seconds", "When the service started, in Unix time")

CATALOGUE: Final = tuple(value for value in list(globals().values()) if isinstance(value, Metric))
"""All of them, in this order."""
