"""What the error file says of a request is what chat would have said of it."""

from __future__ import annotations

from typing import Any

import pytest

from coterie.errors import (
    EngineError,
    EngineProtocolError,
    EngineRejected,
    EngineTimeout,
    EngineUnavailable,
)
from orchestrator.failing import error_of, failure_of
from orchestrator.protocol.errors import status_and_body

ERRORS = {
    "too-long": EngineRejected("bad", "too long", status=413, code="context_length_exceeded"),
    "refused": EngineRejected("bad", "will not read that", status=422),
    "no-model": EngineRejected("bad", "no such model", status=404, code="model_not_found"),
    "no-key": EngineRejected("bad", "denied", status=401, code="access_denied"),
    "silent": EngineTimeout("bad", "silent"),
    "overloaded": EngineUnavailable("bad", "overloaded"),
    "gibberish": EngineProtocolError("bad", "what it says is no JSON"),
}
each_error = pytest.mark.parametrize("error", ERRORS.values(), ids=ERRORS)


@each_error
def test_an_error_comes_back_from_its_value(error: EngineError) -> None:
    found = error_of(failure_of(error))
    assert type(found) is type(error)
    assert status_and_body(found) == status_and_body(error)


@each_error
@pytest.mark.parametrize("model", ["bad", "coterie/symbolic"])
async def test_an_error_line_is_what_chat_would_have_said(
    service: Any, of: Any, line: Any, error: EngineError, model: str
) -> None:
    for engine in service.fleet.engines.values():
        engine.error = error
    service.parts.jobs._ground.units._tries = 1
    batches = of(service)
    batches.start()
    batch = await batches.run([line("1", model=model)])
    [failed] = await batches.lines(batch.error_file_id)
    live = await service.chat(model=model)
    assert failed["response"]["status_code"] == live.status_code
    assert failed["response"]["body"] == live.json()


async def test_what_was_kept_before_there_were_codes_is_unavailable(
    service: Any, of: Any, line: Any
) -> None:
    from sqlalchemy import update

    from orchestrator.jobs.tables import JobItemRow

    service.fleet.engines["bad"].error = ERRORS["refused"]
    batches = of(service)
    made = await batches.create([line("1", model="bad")])
    await service.parts.batches._clerk.round()
    service.parts.jobs.start()
    job = made.id.replace("batch_", "job-")
    async for progress in service.parts.jobs.watch(job, every_s=0.02):
        assert not progress.finished or progress.parked
    async with service.parts.database.transaction() as session:
        await session.execute(update(JobItemRow).values(refusal=None))
    batches.start()
    [failed] = await batches.lines((await batches.over(made.id)).error_file_id)
    assert failed["response"]["status_code"] == 503
    assert "will not read that" in failed["response"]["body"]["error"]["message"]
