"""The composition root: settings become a running service, fakes where a test brings them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from typing import Any

from coterie.clock import SystemClock
from coterie.db import Database
from coterie.types import Question, Skill
from orchestrator import schema
from orchestrator.access import Access, read_or_make_key
from orchestrator.alpha import AlphaRecords
from orchestrator.batches.composition import batch_service, request_tasks
from orchestrator.descriptions import Descriptions
from orchestrator.embedding import BuiltIn
from orchestrator.engines.alpha_traces import AlphaTraces, traces_folder
from orchestrator.erasure import Erasure
from orchestrator.experts_file import load_experts
from orchestrator.feedback import FeedbackService
from orchestrator.feedback_grading import TASK as FEEDBACK
from orchestrator.graph import Coterie, Services
from orchestrator.jobs.composition import job_service
from orchestrator.jobs.ground import Tally
from orchestrator.jobs.job import Job
from orchestrator.jobs.seal import Seal
from orchestrator.jobs.unit_store import UnitStore
from orchestrator.keys.audit import AuditLog
from orchestrator.keys.audit_store import AuditStore
from orchestrator.keys.key import KEY_ID
from orchestrator.keys.ledger_store import LedgerStore
from orchestrator.keys.meter import Meter
from orchestrator.keys.purse import Purse
from orchestrator.keys.rates import RateCounter
from orchestrator.keys.ring import KeyRing
from orchestrator.keys.store import KeyStore
from orchestrator.observability import catalogue
from orchestrator.observability.collector import tracing_of
from orchestrator.observability.metrics import Metrics
from orchestrator.observability.observer import Observer
from orchestrator.observability.tracing import Tracing
from orchestrator.parts import EngineFleet, Parts
from orchestrator.profiling import Profiling
from orchestrator.replay.teaching import Teacher
from orchestrator.roster import Roster
from orchestrator.routing import Policy
from orchestrator.scheduling.redis_streams import RedisQueue
from orchestrator.scheduling.workforce import Workforce
from orchestrator.service_engines import ServiceEngines, all_up, open_engines
from orchestrator.settings import Settings
from orchestrator.traces.contents import as_kept
from orchestrator.traces.feedback_store import FeedbackStore
from orchestrator.traces.record_store import RecordStore
from orchestrator.traces.retention import Retention
from orchestrator.traces.store import TraceStore
from orchestrator.traces.traffic_store import TrafficStore
from orchestrator.traces.writer import TraceWriter
from orchestrator.workers.embedded import EmbeddedWorker
from orchestrator.workers.parts import shared_queue
from skills.answer_store import AnswerStore
from skills.archive import Archive
from skills.encoder import Encoder, load_encoder
from skills.expert_store import ExpertStore
from skills.experts import Registry
from skills.infer import EmbeddingInference, KeywordInference, SkillInference
from skills.keyword_store import KeywordStore
from skills.question_reader import QuestionReader, fingerprint
from skills.snapshot_store import SnapshotStore
from skills.synonym_store import SynonymStore
from skills.taxonomy import DEFAULT_TAXONOMY

REFRESH_EVERY_S = 15.0


@asynccontextmanager
async def build(
    settings: Settings,
    *,
    fleet: EngineFleet | None = None,
    encoder: Encoder | None = None,
    inference: SkillInference | None = None,
    tracing: Tracing | None = None,
) -> AsyncIterator[Parts]:
    """The assembled service, stopped again at exit, in the reverse order of its making.

    Engines start in the background: the service is ready when ``parts.fleet.health()`` says so.
    """
    declared = load_experts(settings.config, settings.environ)
    database_url = settings.database_url
    await schema.ensure(database_url)
    async with AsyncExitStack() as stack:
        database = Database(database_url)
        stack.push_async_callback(database.close)
        registry = Registry(ExpertStore(database))
        seeded = await registry.seed(declared.experts)
        answers = AnswerStore(database)
        taxonomy = declared.skills or DEFAULT_TAXONOMY
        engines = all_up(fleet) if fleet else await open_engines(settings, stack)
        roster = Roster(engines.fleet)
        tracing = tracing or tracing_of(settings.environ)
        stack.push_async_callback(tracing.aclose)
        observer = Observer(Metrics(lambda: roster.snapshot.experts), tracing)
        encoder = encoder or load_encoder(settings.embedding_model, settings.cache_dir)
        by_meaning = EmbeddingInference(taxonomy, encoder)
        # Whoever brings an inference of his own brings no encoder.
        embed = by_meaning.embed if inference is None else None
        descriptions = Descriptions(embed)
        inference = inference or _inference(settings, roster, by_meaning, database)
        policy = policy_of(settings)
        alpha = AlphaRecords(
            AlphaTraces(traces_folder(settings.home)), lambda: roster.snapshot.experts
        )
        trace_store, traffic = TraceStore(database), TrafficStore(database)
        hashed_with = contents_key(settings)
        traces = TraceWriter(
            trace_store,
            keep=settings.trace_limit,
            complete=lambda record: as_kept(alpha.complete(record), hashed_with),
            metrics=observer.metrics,
        )
        await stack.enter_async_context(traces)
        reader = question_reader(settings, inference, answers, taxonomy)
        feedback = FeedbackService(FeedbackStore(database), answers, reader, registry, hashed_with)
        teacher = Teacher(policy, lambda: roster.snapshot.experts)
        archive = archive_of(settings, database, answers, reader, teacher)
        profiling = Profiling(
            roster, reader, answers, archive, after=_nothing, patient=engines.patient
        )
        access = _access(settings)
        keys = KeyRing(access, KeyStore(database), SystemClock())
        audit = AuditLog(AuditStore(database), days=settings.audit_days)
        ledger = LedgerStore(database)
        meter = _meter(settings, ledger, observer.metrics)
        special = request_tasks(settings, database)
        units, tally = UnitStore(database, Seal(settings.seal_key_file, settings.seal_key)), Tally()
        shared = _queue(settings, stack)
        here = _worker(engines, units, roster, partial(_loaded, tally, observer.metrics))
        jobs = job_service(
            settings,
            database,
            roster,
            inference,
            archive,
            policy,
            embed,
            units,
            shared or here.queue,
            tally,
            None if shared or engines.at_need else here.run,
            special,
            partial(_purse, keys, ledger),
        )
        batches = batch_service(settings, database, jobs, roster, keys)
        parts = Parts(
            settings=settings,
            database=database,
            registry=registry,
            archive=archive,
            synonyms=SynonymStore(database),
            fleet=engines.fleet,
            roster=roster,
            taxonomy=taxonomy,
            inference=inference,
            coterie=Coterie(
                Services(
                    inference,
                    roster,
                    policy,
                    embed=embed,
                    aggregator_s=settings.aggregator_timeout_s,
                    observer=observer,
                )
            ),
            traces=traces,
            records=RecordStore(database),
            traffic=traffic,
            feedback=feedback,
            erasure=Erasure(traces, trace_store, feedback),
            access=access,
            keys=keys,
            audit=audit,
            meter=meter,
            ledger=ledger,
            profiling=profiling,
            descriptions=descriptions,
            embedder=BuiltIn(encoder, embed) if embed else None,
            jobs=jobs,
            batches=batches,
            workforce=Workforce(here.queue, shared),
            observer=observer,
        )
        profiling.after = parts.refresh
        await keys.refresh()
        stack.push_async_callback(keys.aclose)
        stack.push_async_callback(meter.aclose)
        await stack.enter_async_context(_going(meter.keep_written(), "write-spending"))
        await stack.enter_async_context(_going(keys.keep_fresh(), "keep-keys-fresh"))
        await stack.enter_async_context(_going(meter.keep_pruned(), "prune-holds"))
        await stack.enter_async_context(_going(audit.keep_pruned(), "prune-audit"))
        stack.push_async_callback(profiling.aclose)
        stack.push_async_callback(jobs.aclose)
        stack.push_async_callback(batches.aclose)
        stack.push_async_callback(parts.draining.aclose)
        if engines.at_need:  # nobody is answered before it works
            await stack.enter_async_context(_going(here.run(), "own-engines"))
        await parts.refresh()
        # While the engines start: an encoder that cannot be loaded is told now, and the first
        # question does not wait for one that can.
        await inference.infer(Question.of("Are you ready?"))
        await _bring_knowledge_up_to_date(parts, answers, seeded.removed)
        await stack.enter_async_context(_going(parts.keep_fresh(REFRESH_EVERY_S), "keep-fresh"))
        retention = Retention(trace_store, traffic, settings.trace_limit, settings.trace_days)
        await stack.enter_async_context(_going(retention.run(), "retention"))
        yield parts


def question_reader(
    settings: Settings,
    inference: SkillInference,
    answers: AnswerStore,
    taxonomy: Sequence[Skill],
) -> QuestionReader:
    """What reads profiling questions, the same in the service and in an import."""
    encoder = settings.embedding_model
    return QuestionReader(inference, answers, encoder=encoder, taxonomy=fingerprint(taxonomy))


def archive_of(
    settings: Settings,
    database: Database,
    answers: AnswerStore,
    reader: QuestionReader,
    teacher: Teacher,
) -> Archive:
    """What makes snapshots, the same in the service and in an import."""
    without = () if settings.feedback_counts else (FEEDBACK,)
    snapshots = SnapshotStore(database)
    return Archive(answers, snapshots, reader, finish=teacher.finish, without=without)


async def _bring_knowledge_up_to_date(
    parts: Parts, answers: AnswerStore, removed: Collection[str]
) -> None:
    await parts.forget(removed)
    if await parts.archive.snapshots.active() is None and await answers.any():
        await parts.archive.make(note="of all answers that were stored before snapshots were kept")
        await parts.knowledge()


@asynccontextmanager
async def _going(work: Coroutine[Any, Any, None], name: str) -> AsyncIterator[None]:
    """Goes on with ``work`` meanwhile."""
    task = asyncio.create_task(work, name=name)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _nothing() -> None:
    return None


def _queue(settings: Settings, stack: AsyncExitStack) -> RedisQueue | None:
    """The queue of workers elsewhere; None: jobs are worked off in this process."""
    queue = shared_queue(settings)
    if queue:
        stack.push_async_callback(queue.aclose)
    return queue


def _worker(
    engines: ServiceEngines, units: UnitStore, roster: Roster, loaded: Callable[[str, float], None]
) -> EmbeddedWorker:
    node, planner = engines.node(roster, loaded)
    return EmbeddedWorker(units, node, planner=planner)


def _loaded(tally: Tally, metrics: Metrics, engine: str, seconds: float) -> None:
    tally.loaded(engine, seconds)
    name = metrics.expert(engine)
    metrics.count(catalogue.ENGINE_LOADS, name)
    metrics.count(catalogue.ENGINE_LOAD_SECONDS, name, by=seconds)


def contents_key(settings: Settings) -> bytes:
    """What words are hashed with that are not kept."""
    return (settings.contents_key or read_or_make_key(settings.contents_key_file)).encode()


def policy_of(settings: Settings) -> Policy:
    """How many are asked, and what is wanted of the choice."""
    return Policy(
        most=settings.max_experts,
        confidence=settings.confidence,
        cost_weight=settings.cost_weight,
        latency_s=settings.latency_s,
        aggregate_under=settings.aggregate_under,
    )


def _inference(
    settings: Settings, roster: Roster, by_meaning: EmbeddingInference, database: Database
) -> SkillInference:
    if settings.keyword_expert is None:
        return by_meaning
    engine = partial(roster.engine, settings.keyword_expert)
    return KeywordInference(
        engine, by_meaning, model=settings.keyword_expert, cache=KeywordStore(database)
    )


async def _purse(keys: KeyRing, ledger: LedgerStore, job: Job) -> Purse | None:
    """What a job pays with; None where its maker has no key that counts."""
    if not job.key.startswith(KEY_ID):
        return None
    await keys.known(job.key)
    return Purse(job.id, partial(keys.get, job.key), ledger)


def _meter(settings: Settings, ledger: LedgerStore, metrics: Metrics) -> Meter:
    closed = settings.limits_when_away == "closed"
    rates = RateCounter.of(settings.redis_url, settings.queue_prefix, closed=closed)
    return Meter(rates, ledger, closed=closed, metrics=metrics)


def _access(settings: Settings) -> Access:
    return Access(
        require_key=settings.require_key,
        chat_key=read_or_make_key(settings.chat_key_file),
        admin_key=read_or_make_key(settings.admin_key_file),
    )
