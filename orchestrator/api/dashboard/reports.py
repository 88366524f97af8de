"""Reports of jobs: pages to be framed, and files to be kept.

A report brings its style along, which no page of ours may.  It comes from an address of its own,
under a policy that allows that style and nothing else; the frame it stands in is a sandbox, where
no script runs and nothing of the dashboard can be reached.  Opened by itself it is the same: the
policy itself says ``sandbox``.
"""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, Response, StreamingResponse

from coterie.errors import RequestError
from evals.compare import Comparison, compare
from evals.report.comparison_page import comparison_page
from evals.report.document import as_bytes, comparison_document, document
from evals.report.figures import report
from evals.report.page import report_page
from evals.report.sheets import sheets
from evals.results import RunResult
from orchestrator.api.dashboard.guard import SeesRuns, Visit
from orchestrator.api.dashboard.job_access import job_of
from orchestrator.api.jobs import NDJSON, PAGE, result_body
from orchestrator.jobs.outcome import check_done, result_of

router = APIRouter()

POLICY = "; ".join(
    (
        "default-src 'none'",
        "style-src 'unsafe-inline'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'self'",
        "sandbox",
    )
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
KEPT = 8
MOST = 8
"""Runs that are compared at a time: more cannot be told apart in a drawing."""
SHEETS = ("items.csv", "experts.csv", "categories.csv")

Runs = Annotated[list[str], Query(alias="run", min_length=1, max_length=MOST)]


class Made:
    """Pages that were made lately: to draw one takes seconds.  One is drawn at a time."""

    def __init__(self) -> None:
        self._pages: OrderedDict[tuple[str, ...], str] = OrderedDict()
        self._drawing = asyncio.Lock()

    async def page(self, key: tuple[str, ...], make: Callable[[], str]) -> str:
        """The page kept under ``key``, else what ``make`` makes, in a thread."""
        if key in self._pages:
            return self._pages[key]
        async with self._drawing:
            if key not in self._pages:
                self._pages[key] = await asyncio.to_thread(make)
                while len(self._pages) > KEPT:
                    self._pages.popitem(last=False)
            self._pages.move_to_end(key)
            return self._pages[key]


def made_of(request: Request) -> Made:
    """The pages made by this process."""
    state = request.app.state
    if not hasattr(state, "dashboard_reports"):
        state.dashboard_reports = Made()
    return state.dashboard_reports  # type: ignore[no-any-return]


async def run_of(visit: Visit, id: str) -> RunResult:
    """The run of a job that is done; raises an error that says why there is none."""
    job = await job_of(visit, id)
    check_done(job)
    return await result_of(job, visit.parts.jobs.results)


async def runs_of(visit: Visit, ids: Sequence[str]) -> list[RunResult]:
    """The runs, each once."""
    return [await run_of(visit, id) for id in dict.fromkeys(ids)]


async def comparison_of(visit: Visit, ids: Sequence[str]) -> Comparison:
    """The comparison of the runs; raises an error for those that cannot be compared."""
    runs = await runs_of(visit, ids)
    return await asyncio.to_thread(compare, *runs)


@router.get("/jobs/compare/page")
async def compared(visit: SeesRuns, ids: Runs) -> Response:
    """The page of a comparison, to be framed."""
    runs = await runs_of(visit, ids)
    key = ("compare", *(f"{r.info.id} {r.info.finished}" for r in runs))
    page = await made_of(visit.request).page(
        key, lambda: comparison_page(compare(*runs), script=False)
    )
    return framed(page)


@router.get("/jobs/compare/comparison.json")
async def comparison_file(visit: SeesRuns, ids: Runs) -> Response:
    """The comparison as JSON."""
    found = await comparison_of(visit, ids)
    return _file(as_bytes(comparison_document(found)), "comparison.json", "application/json")


@router.get("/jobs/{id}/report")
async def report_document(visit: SeesRuns, id: str) -> Response:
    """The report's page, to be framed."""
    run = await run_of(visit, id)
    key = ("report", run.info.id, str(run.info.finished))
    page = await made_of(visit.request).page(key, lambda: report_page(report(run), script=False))
    return framed(page)


@router.get("/jobs/{id}/files/{name}")
async def report_file(visit: SeesRuns, id: str, name: str) -> Response:
    """A file of the report; ``results.jsonl`` of any job, as far as it is."""
    if name == "results.jsonl":
        job = await job_of(visit, id)
        return StreamingResponse(
            _lines(visit, job.id), media_type=NDJSON, headers=_attached(f"{job.id}-{name}")
        )
    if name not in ("report.json", *SHEETS):
        raise RequestError(f"a report has no file {name!r}: it has report.json and {SHEETS}")
    run = await run_of(visit, id)
    content = await asyncio.to_thread(_content, run, name)
    media = "application/json" if name.endswith(".json") else "text/csv; charset=utf-8"
    return _file(content, f"{run.info.id}-{name}", media)


def framed(page: str) -> Response:
    """A page that brings its own style: harmless whatever it holds."""
    return HTMLResponse(page.encode("utf-8", "replace"), headers=HEADERS)


def _content(run: RunResult, name: str) -> bytes:
    figures = report(run)
    if name == "report.json":
        return as_bytes(document(figures, run))
    return sheets(figures, run)[name]


async def _lines(visit: Visit, id: str) -> AsyncGenerator[str, None]:
    after = -1
    while found := await visit.parts.jobs.results(id, after, PAGE):
        for position, result in found.items():
            yield json.dumps(result_body(position, result), ensure_ascii=False) + "\n"
        after = max(found)


def _file(content: bytes, name: str, media_type: str) -> Response:
    return Response(content, media_type=media_type, headers=_attached(name))


def _attached(name: str) -> dict[str, str]:
    safe = "".join(c if c.isalnum() or c in "-_." else "_" for c in name if c.isascii())
    return {**HEADERS, "Content-Disposition": f'attachment; filename="{safe}"'}
