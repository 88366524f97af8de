"""The pages of evaluations, over HTTP."""

from __future__ import annotations

import asyncio
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from coterie.errors import EngineRejected, RequestError
from orchestrator.api.dashboard import job_form
from orchestrator.api.dashboard.job_view import JobView, told
from orchestrator.jobs.job import Job, JobSpec, JobState
from orchestrator.jobs.progress import ExpertProgress, JobProgress
from orchestrator.keys.audit import ChangeFilters
from orchestrator.keys.key import ApiKey, Role
from orchestrator.routing import Policy
from tests.orchestrator.dashboard.visitor import Visitor, words

HOSTILE = "<script>boom()</script>\"'><img src=x onerror=boom()>"
AT = datetime(2026, 1, 2, 12, tzinfo=UTC)


async def done(service: Any, **fields: Any) -> Job:
    """A job that is over."""
    service.parts.jobs.start()
    spec = JobSpec("demo", **{"limit": 5, "experts": ("good",), "strategy": "all", **fields})
    job = await service.parts.jobs.submit(spec)
    async with asyncio.timeout(20):
        async for _ in service.parts.jobs.watch(job.id, every_s=0.02):
            pass
    return await service.parts.jobs.get(job.id)


def job(state: JobState = JobState.RUNNING, **progress: Any) -> Job:
    made = JobProgress("job-1", str(state), **{"items": 200, **progress})
    return Job("job-1", JobSpec("demo"), state, AT, AT, started_at=AT, progress=made)


# --- what is shown, purely ----------------------------------------------------------------------


def test_a_job_that_goes_says_when_it_will_end_and_whom_nobody_serves() -> None:
    found = JobView.of(
        job(
            finished=50,
            correct=40,
            left_s=90.0,
            experts={"a": ExpertProgress(done=50, total=200, cost_usd=0.5)},
            unserved={"b": "no worker is alive"},
        ),
        AT + timedelta(seconds=30),
    )
    assert found.ends_at == AT + timedelta(seconds=120)
    assert found.accuracy == 0.8
    assert [(e.name, e.why) for e in found.experts] == [("a", ""), ("b", "no worker is alive")]
    assert found.can_cancel
    assert not found.can_resume
    assert "50 of 200, 80.0 % right" in found.line.told


def test_ungraded_jobs_have_no_accuracy() -> None:
    assert "right" not in told(JobProgress("b", "running", items=3, finished=2, correct=None))


@pytest.mark.parametrize(
    ("state", "parked", "resumes"),
    [
        (JobState.DONE, 0, False),
        (JobState.DONE, 2, True),
        (JobState.FAILED, 0, True),
        (JobState.CANCELLED, 0, True),
        (JobState.QUEUED, 0, False),
    ],
)
def test_what_can_be_resumed(state: JobState, parked: int, resumes: bool) -> None:
    assert JobView.of(job(state, parked=parked), AT).can_resume is resumes


def test_a_form_is_read_as_the_api_reads_a_body() -> None:
    fields = {
        "task": "demo",
        "options": "shots=0",
        "strategy": "symbolic",
        "split": "val",
        "limit": "7",
        "vote": "",
        "temperature": "",
        "policy.first": "2",
        "policy.confidence": "0.8",
        "policy.latency_s": "",
    }
    spec = job_form.read(fields, ["good"])
    assert (spec.task, spec.limit, spec.experts, spec.vote) == ("demo?shots=0", 7, ("good",), None)
    assert spec.sampling.temperature is None
    assert spec.policy == {"first": 2, "confidence": 0.8}
    again = job_form.JobForm.of(["good"], [], Policy(), like=spec)
    assert again.chosen["options"] == "shots=0"
    assert {k.name: k.value for k in again.knobs if k.value} == {"first": "2", "confidence": "0.8"}


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("limit", "0", "limit"),
        ("temperature", "3", "temperature"),
        ("policy.first", "many", "not a number"),
        ("split", "all", "choose one of val, test"),
        ("task", "file:", "name the file"),
    ],
)
def test_a_wrong_form_says_which_field_is_wrong(field: str, value: str, told: str) -> None:
    with pytest.raises(RequestError, match=told):
        job_form.read({"task": "demo", "split": "test", field: value}, [])


# --- over HTTP ----------------------------------------------------------------------------------


async def test_without_jobs_the_page_says_what_to_do(service: Any) -> None:
    page = await (await Visitor.enter(service)).see("/jobs")
    assert "No jobs yet." in page
    assert 'href="/dashboard/jobs/new"' in page


async def test_a_job_is_started_from_the_form_and_reported(service: Any) -> None:
    visitor = await Visitor.enter(service)
    form = await visitor.see("/jobs/new")
    assert "expert:good" in form
    fields = {"task": "demo", "split": "test", "strategy": "all", "limit": "5", "experts": "good"}
    started = await visitor.do("/jobs", fields)
    address = started.headers["hx-redirect"]
    assert re.fullmatch(r"/dashboard/jobs/job-\w+", address)
    path = address.removeprefix("/dashboard")
    waiting = await visitor.see(path)
    assert 'hx-trigger="every 2s"' in waiting
    service.parts.jobs.start()
    async with asyncio.timeout(20):
        async for _ in service.parts.jobs.watch(path.rpartition("/")[2], every_s=0.02):
            pass
    piece = await visitor.see(f"{path}/now")
    assert "every 2s" not in piece
    assert "5 of 5" in words(piece)
    assert f'src="{address}/report"' in piece
    listed = words(await visitor.see("/jobs"))
    assert "done" in listed
    assert "5 of 5" in listed
    assert "<option selected>all" in await visitor.see("/jobs/new", like=path[6:])


async def test_a_form_that_is_refused_makes_no_job(service: Any) -> None:
    visitor = await Visitor.enter(service)
    refused = await visitor.do("/jobs", {"task": "demo", "strategy": HOSTILE}, status=404)
    assert refused.headers["hx-retarget"] == "#notices"
    assert "<script>boom" not in refused.text
    assert await service.parts.jobs.list() == []


async def test_a_report_is_framed_where_nothing_runs(service: Any) -> None:
    made = await done(service)
    visitor = await Visitor.enter(service)
    page = await visitor.see(f"/jobs/{made.id}")
    frame = re.search(r"<iframe[^>]*>", page)
    assert frame
    assert 'sandbox=""' in frame[0]
    report = await service.http.get(f"/dashboard/jobs/{made.id}/report")
    assert report.status_code == 200
    policy = report.headers["content-security-policy"]
    assert "sandbox" in policy.split("; ")
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert "<script" not in report.text
    assert report.headers["cache-control"] == "no-store"


async def test_files_of_a_report_are_downloads(service: Any) -> None:
    made = await done(service)
    visitor = await Visitor.enter(service)
    for name in ("report.json", "items.csv", "experts.csv", "categories.csv", "results.jsonl"):
        found = await service.http.get(f"/dashboard/jobs/{made.id}/files/{name}")
        assert found.status_code == 200
        disposition = found.headers["content-disposition"]
        assert disposition == f'attachment; filename="{made.id}-{name}"'
        assert found.headers["x-content-type-options"] == "nosniff"
    assert len(found.text.splitlines()) == 5
    assert json.loads(found.text.splitlines()[0])["position"] == 0
    await visitor.see(f"/jobs/{made.id}/files/other.txt", status=400)


async def test_runs_are_compared_and_others_refused(service: Any) -> None:
    one, two = await done(service), await done(service, experts=("bad",))
    val = await done(service, split="val")
    visitor = await Visitor.enter(service)
    assert two.id in await visitor.see(f"/jobs/{one.id}")
    assert val.id not in re.findall(r'option value="([^"]*)"', await visitor.see(f"/jobs/{one.id}"))
    page = await visitor.see("/jobs/compare", run=[one.id, two.id])
    assert "2 runs of demo" in words(page)
    framed = await visitor.see("/jobs/compare/page", run=[one.id, two.id])
    assert "<script" not in framed
    await visitor.see("/jobs/compare/comparison.json", run=[one.id, two.id])
    assert "only runs of the same" in await visitor.see(
        "/jobs/compare", status=400, run=[one.id, val.id]
    )
    await visitor.see("/jobs/compare", status=400, run=one.id)


async def test_a_job_is_cancelled_and_resumed(service: Any) -> None:
    made = await service.parts.jobs.submit(JobSpec("demo", limit=5))
    visitor = await Visitor.enter(service)
    page = await visitor.see(f"/jobs/{made.id}")
    asked = re.search(r'hx-confirm="([^"]*)"', page)
    assert asked
    assert "are kept" in asked[1]
    cancelled = await visitor.do(f"/jobs/{made.id}/cancel")
    assert "cancelled" in words(cancelled.text)
    assert "every 2s" not in cancelled.text
    await visitor.do(f"/jobs/{made.id}/cancel", status=409)
    resumed = await visitor.do(f"/jobs/{made.id}/resume")
    assert "queued" in words(resumed.text)


async def test_parked_questions_are_listed_with_their_errors_as_text(service: Any) -> None:
    service.fleet.engines["good"].error = EngineRejected("good", HOSTILE)
    made = await done(service, limit=60)
    visitor = await Visitor.enter(service)
    piece = await visitor.see(f"/jobs/{made.id}/now")
    assert f'hx-get="/dashboard/jobs/{made.id}/parked"' in piece
    first = await visitor.see(f"/jobs/{made.id}/parked")
    assert "<script>boom" not in first
    assert "boom()" in words(first)
    assert first.count("<tr>") == 51
    rest = await visitor.see(f"/jobs/{made.id}/parked", after=49)
    assert rest.count("<tr>") == 11
    report = await service.http.get(f"/dashboard/jobs/{made.id}/report")
    assert "<script" not in report.text
    assert "<img" not in report.text


async def test_a_list_asks_only_for_jobs_that_go(service: Any) -> None:
    over = await done(service)
    going = await service.parts.jobs.submit(JobSpec("demo", limit=6))
    visitor = await Visitor.enter(service)
    await service.parts.jobs.cancel(going.id)
    page = await visitor.see("/jobs")
    assert "every 2s" not in page
    piece = await visitor.see("/jobs/watch", id=[over.id, going.id])
    assert f'id="state-{going.id}" hx-swap-oob="true"' in piece


async def test_old_jobs_are_on_further_pages(service: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.api.dashboard.jobs.PAGE", 2)
    made = [await service.parts.jobs.submit(JobSpec("demo", limit=n)) for n in (1, 2, 3)]
    visitor = await Visitor.enter(service)
    first, second = await visitor.see("/jobs"), await visitor.see("/jobs", skip=2)
    assert "skip=2" in first
    assert made[0].id not in first
    assert made[0].id in second
    assert made[2].id not in second


async def test_a_key_for_jobs_sees_its_own_and_a_viewer_sees_all(service: Any) -> None:
    theirs = await service.parts.jobs.submit(JobSpec("demo", limit=1), key="key_other")
    admin = await Visitor.enter(service)
    assert theirs.id in await admin.see("/jobs")
    keys = {}
    for role in (Role.JOBS, Role.VIEWER):
        wanted = ApiKey("", str(role), role, "", AT, experts=("good",))
        keys[role] = (await service.parts.keys.create(wanted))[1]
    runner = await Visitor.enter(service, keys[Role.JOBS])
    assert theirs.id not in await runner.see("/jobs")
    for path in ("", "/now", "/parked", "/report", "/files/results.jsonl"):
        await runner.see(f"/jobs/{theirs.id}{path}", status=404)
    await runner.do(f"/jobs/{theirs.id}/cancel", status=404)
    assert "expert:bad" not in await runner.see("/jobs/new")
    await runner.do("/jobs", {"task": "demo", "strategy": "expert:bad"}, status=403)
    mine = (await runner.do("/jobs", {"task": "demo"})).headers["hx-redirect"].rpartition("/")[2]
    assert (await service.parts.jobs.get(mine)).spec.experts == ("good",)
    assert mine in await runner.see("/jobs")
    viewer = await Visitor.enter(service, keys[Role.VIEWER])
    page = await viewer.see(f"/jobs/{theirs.id}")
    assert "hx-post" not in page.partition('<main id="main"')[2].partition("</main>")[0]
    await viewer.do(f"/jobs/{theirs.id}/cancel", status=403)
    await viewer.see("/jobs/new", status=403)


async def test_what_is_done_to_a_job_is_in_the_audit_log(service: Any) -> None:
    visitor = await Visitor.enter(service)
    started = await visitor.do("/jobs", {"task": "demo", "limit": "2"})
    id = started.headers["hx-redirect"].rpartition("/")[2]
    await visitor.do(f"/jobs/{id}/cancel")
    await visitor.do(f"/jobs/{id}/resume")
    noted = [
        change.action for change in await service.parts.audit.page(filters=ChangeFilters(target=id))
    ]
    assert noted == ["job.resume", "job.cancel", "job.create"]
