"""An expert that fails in whatever way: the chat is answered while any candidate lives."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from tests.flows.gateway import (
    Act,
    Call,
    Gateway,
    answers,
    completion,
    event,
    gateway,
    servers,
    text_of,
)

ANSWER = "forty two it is"
WITHIN_S = 4.0
"""Longest wait for an answer where a server may be silent for 0.3 s."""


async def hangs(call: Call) -> None:
    await call.end.wait()


async def begins_and_hangs(call: Call) -> None:
    await call.head(kind="text/event-stream" if call.streams else "application/json")
    await call.end.wait()


async def drips(call: Call) -> None:
    """One byte at a time, none of which says anything."""
    await call.head(kind="text/event-stream" if call.streams else "application/json")
    while not call.end.is_set():
        await call.send(": \n" if call.streams else " ")
        await asyncio.sleep(0.05)


async def answers_500(call: Call) -> None:
    await call.says('{"error": {"message": "out of memory"}}', "500 Internal Server Error")


async def answers_503_for_long(call: Call) -> None:
    await call.says("{}", "503 Service Unavailable", retry_after="3600")


async def denies(call: Call) -> None:
    await call.says("{}", "401 Unauthorized")


async def redirects(call: Call) -> None:
    await call.says("", "307 Temporary Redirect", location="http://127.0.0.1:1/")


async def speaks_no_http(call: Call) -> None:
    await call.send(b"\x00\x01\xff SSH-2.0-whatever\r\n")


async def answers_html(call: Call) -> None:
    await call.says("<html>Welcome!</html>", kind="text/html")


async def answers_another_form(call: Call) -> None:
    await call.says('{"choices": "none"}')


async def answers_what_was_not_asked(call: Call) -> None:
    """Whole where a stream was asked for, and the other way round."""
    if call.streams:
        await call.says(completion())
    else:
        await call.says(event(delta={"content": "hm"}), kind="text/event-stream")


async def answers_bytes(call: Call) -> None:
    await call.says("\x00\ufffd" * 50, kind="application/octet-stream")


async def answers_half(call: Call) -> None:
    await call.head(content_length="400", kind="application/json")
    await call.send(completion()[:20])


async def hangs_up(call: Call) -> None:
    """Without a word."""


async def answers_nested(call: Call) -> None:
    bomb = "[" * 100_000
    await call.says(f'{{"choices": {bomb}' if not call.streams else f"data: {bomb}\n\n")


async def answers_nothing(call: Call) -> None:
    await call.says(completion("") if not call.streams else event(finish_reason="stop"))


async def answers_no_number(call: Call) -> None:
    await call.says(completion().replace("7", "NaN"))


ACTS = (
    hangs,
    begins_and_hangs,
    drips,
    answers_500,
    answers_503_for_long,
    denies,
    redirects,
    speaks_no_http,
    answers_html,
    answers_another_form,
    answers_what_was_not_asked,
    answers_bytes,
    answers_half,
    hangs_up,
    answers_nested,
    answers_nothing,
    answers_no_number,
)


@asynccontextmanager
async def failing(
    home: Path, database_url: str, acts: Sequence[Act]
) -> AsyncIterator[tuple[Gateway, list[tuple[str, bool]]]]:
    """A gateway, and the experts that fail: one of each kind for streams.  ``good`` answers."""
    both = [(act, stream) for act in acts for stream in (False, True)]
    async with servers(*(act for act, _ in both), answers) as upstreams:
        names = [f"{act.__name__.replace('_', '-')}-{stream:d}" for act, stream in both]
        experts = [
            {"name": name, "endpoint": upstream.url}
            for name, upstream in zip([*names, "good"], upstreams, strict=True)
        ]
        async with gateway(home, experts, database_url=database_url) as found:
            yield found, [(name, stream) for name, (_, stream) in zip(names, both, strict=True)]


async def asked_with(
    found: Gateway, experts: Sequence[str], *, stream: bool, model: str = "coterie/best-single"
) -> httpx.Response:
    """What comes back, in time, where nobody but ``experts`` may be asked."""
    key = await found.new_key(experts=list(experts))
    began = time.monotonic()
    response = await found.chat(stream=stream, model=model, key=key)
    assert time.monotonic() - began < WITHIN_S, experts
    return response


async def test_another_expert_answers(tmp_path: Path, sqlite_url: str) -> None:
    async with failing(tmp_path, sqlite_url, ACTS) as (found, bad):

        async def check(name: str, stream: bool) -> None:
            response = await asked_with(found, [name, "good"], stream=stream)
            assert response.status_code == 200, (name, response.text)
            assert text_of(response) == ANSWER, name
            record = await found.record_of(response)
            assert name in json.dumps(record["failures"])

        await asyncio.gather(*(check(name, stream) for name, stream in bad))
        assert (await found.http.get("/health/readiness")).status_code == 200


@pytest.mark.parametrize("by_name", [False, True])
async def test_where_nobody_else_is_the_caller_is_told_in_time(
    tmp_path: Path, sqlite_url: str, by_name: bool
) -> None:
    async with failing(tmp_path, sqlite_url, ACTS) as (found, bad):

        async def check(name: str, stream: bool) -> None:
            model = name if by_name else "coterie"
            response = await asked_with(found, [name], stream=stream, model=model)
            assert response.status_code in (502, 503, 504), (name, response.text)
            assert response.json()["error"]["message"]
            assert int(response.headers["retry-after"]) > 0

        await asyncio.gather(*(check(name, stream) for name, stream in bad))


async def test_a_dead_expert_is_replaced_and_comes_back(tmp_path: Path, sqlite_url: str) -> None:
    async with servers(answers, answers) as (first, second):
        experts = [{"name": "a", "endpoint": first.url}, {"name": "b", "endpoint": second.url}]
        async with gateway(tmp_path, experts, database_url=sqlite_url) as found:
            assert (await found.chat()).headers["x-coterie-experts"] == "a"
            await first.stop()
            for _ in range(4):
                assert (await found.chat()).headers["x-coterie-experts"] == "b"
            first.calls.clear()
            await first.start()
            async with asyncio.timeout(10):
                while (await found.chat()).headers["x-coterie-experts"] != "a":
                    await asyncio.sleep(0.05)


async def breaks_off(call: Call) -> None:
    """After half an answer, whose tokens have gone out."""
    await call.head(kind="text/event-stream")
    await call.send(event(delta={"content": "forty"}))
    await asyncio.sleep(0.05)


async def falls_silent(call: Call) -> None:
    await call.head(kind="text/event-stream")
    await call.send(event(delta={"content": "forty"}))
    await call.end.wait()


async def keeps_pinging(call: Call) -> None:
    await call.head(kind="text/event-stream")
    await call.send(event(delta={"content": "forty"}))
    while not call.end.is_set():
        await call.send(": ping\n\n")
        await asyncio.sleep(0.02)


async def turns_to_garbage(call: Call) -> None:
    await call.head(kind="text/event-stream")
    await call.send(event(delta={"content": "forty"}), "data: {{{{\n\n", *[event()] * 3)


HALVES = (breaks_off, falls_silent, keeps_pinging, turns_to_garbage)


async def test_half_a_stream_ends_with_an_error_event(tmp_path: Path, sqlite_url: str) -> None:
    async with failing(tmp_path, sqlite_url, HALVES) as (found, bad):

        async def check(name: str) -> None:
            response = await asked_with(found, [name], stream=True, model=name)
            assert response.status_code == 200
            said, _, code = text_of(response).partition("|")
            assert said == "forty"
            assert code in ("expert_failed", "expert_unavailable", "expert_timeout")
            assert response.text.endswith("data: [DONE]\n\n")
            assert (await found.record_of(response))["status"] == "failed"

        await asyncio.gather(*(check(name) for name, _ in bad))


async def test_what_utf_8_cannot_say_is_replaced(tmp_path: Path, sqlite_url: str) -> None:
    async def says_halves(call: Call) -> None:
        text = completion("x").replace('"x"', '"half \\ud83d, whole \\ud83d\\ude00, nul \\u0000"')
        if not call.streams:
            await call.says(text)
            return
        await call.head(kind="text/event-stream")
        await call.send(event(delta={"content": "x"}).replace('"x"', '"half \\ud83d"'))
        await call.send(event(finish_reason="stop"), f"data: {text}\n\n")

    async with servers(says_halves) as (odd,):
        experts = [{"name": "odd", "endpoint": odd.url}]
        async with gateway(tmp_path, experts, database_url=sqlite_url) as found:
            plain = await found.chat()
            assert text_of(plain) == "half \ufffd, whole \U0001f600, nul \x00"
            assert (await found.record_of(plain))["status"] == "answered"
            assert text_of(await found.chat(stream=True)) == "half \ufffd"
