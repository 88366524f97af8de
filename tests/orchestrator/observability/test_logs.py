"""Log lines carry the request's id; as JSON each is one object."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from contextvars import copy_context
from pathlib import Path
from typing import Any

import pytest

from orchestrator.observability.logs import REQUEST_ID, TRACE_ID, JsonFormatter, PlainFormatter

log = logging.getLogger("coterie.tests")


@pytest.fixture
def lines() -> Iterator[Any]:
    """What is logged, as JSON."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    logger = logging.getLogger("coterie")
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    logger.removeHandler(handler)
    logger.setLevel(before)


def record(message: str, *args: object, **more: Any) -> logging.LogRecord:
    made = logging.LogRecord("n", logging.WARNING, __file__, 1, message, args, None)
    made.__dict__.update(more)
    return made


def written(formatter: logging.Formatter, made: logging.LogRecord, id: str = "") -> str:
    def inside() -> str:
        REQUEST_ID.set(id)
        TRACE_ID.set("")
        return formatter.format(made)

    return copy_context().run(inside)


def test_a_line_is_one_object_whatever_it_says() -> None:
    line = written(JsonFormatter(), record('two\nlines "%s"', "ü\u2028"), "r1")
    assert "\n" not in line
    told = json.loads(line)
    assert told["message"] == 'two\nlines "ü\u2028"'
    assert (told["level"], told["logger"], told["request_id"]) == ("WARNING", "n", "r1")
    assert told["time"].endswith("+00:00")


def test_outside_of_a_request_there_is_no_id() -> None:
    assert "request_id" not in json.loads(written(JsonFormatter(), record("x")))
    assert written(PlainFormatter(), record("x")).endswith("n: x")


def test_a_line_for_people_has_the_id_behind_it() -> None:
    assert written(PlainFormatter(), record("x"), "r1").endswith("n: x [r1]")


def test_an_exception_is_in_its_object() -> None:
    try:
        raise ValueError("made up")
    except ValueError as error:
        made = record("x", exc_info=(ValueError, error, error.__traceback__))
    told = json.loads(written(JsonFormatter(), made))
    assert "ValueError: made up" in told["exception"]


@pytest.fixture
async def logging_service(kit: Any, tmp_path: Path, sqlite_url: str) -> Any:
    engines = [kit.engine("a")]
    made = kit.running(tmp_path, sqlite_url, engines, COTERIE_LOG_FORMAT="json")
    async with made as service:
        yield service


async def test_every_request_is_a_line(logging_service: Any, lines: Any) -> None:
    service = logging_service
    key = await service.parts.keys.identify(service.parts.access.admin_key)
    secret = "sk-in-the-address"
    response = await service.http.get(
        f"/admin/keys?token={secret}", headers={**service.admin, "x-request-id": "theirs-1"}
    )
    [told] = lines()
    assert told["logger"] == "coterie.access"
    assert (told["method"], told["path"], told["status"]) == ("GET", "/admin/keys", 200)
    assert told["ms"] > 0
    assert told["key_id"] == key.id
    assert told["request_id"] == response.headers["x-request-id"]
    assert told["client_request_id"] == response.headers["x-client-request-id"] == "theirs-1"
    assert secret not in str(told)
    assert service.parts.access.admin_key not in str(told)


async def test_a_path_cannot_break_a_line(logging_service: Any, lines: Any) -> None:
    await logging_service.http.get("/nothing%0a2026-01-01 INFO forged")
    [told] = lines()
    assert "\n" not in told["message"]
    assert told["path"].startswith("/nothing%0a")


@pytest.mark.parametrize("theirs", ["a b", "x" * 129, "é", '"'])
async def test_an_id_that_is_none_is_not_kept(
    logging_service: Any, lines: Any, theirs: str
) -> None:
    response = await logging_service.http.get(
        "/health", headers=[(b"x-request-id", theirs.encode("latin-1"))]
    )
    assert "x-client-request-id" not in response.headers
    assert "client_request_id" not in lines()[0]


async def test_a_plain_server_logs_no_requests_unless_it_is_told_to(
    service: Any, lines: Any
) -> None:
    await service.http.get("/health")
    assert lines() == []


async def test_a_line_of_the_service_tells_the_request_it_was_written_in(
    logging_service: Any, lines: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def look(question: Any) -> Any:
        logging.getLogger("coterie.made_up").warning("looking")
        return await before(question)

    inference = logging_service.parts.inference
    before = inference.infer
    monkeypatch.setattr(inference, "infer", look)
    response = await logging_service.chat()
    ids = {line["request_id"] for line in lines()}
    assert len(lines()) == 2
    assert ids == {response.headers["x-request-id"]}
