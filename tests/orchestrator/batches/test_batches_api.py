"""The Batch API through the official client, against the real service."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest

from coterie.errors import EngineRejected


async def test_a_batch_is_answered_as_chat_answers(batches: Any, line: Any) -> None:
    made = await batches.create([line("one"), line("two", model="bad")], metadata={"who": "me"})
    assert (made.object, made.status, made.errors) == ("batch", "validating", None)
    assert made.expires_at - made.created_at == 24 * 3600
    done = await batches.over(made.id)
    assert done.status == "completed"
    assert done.metadata == {"who": "me"}
    counts = done.request_counts
    assert (counts.total, counts.completed, counts.failed) == (2, 2, 0)
    assert done.usage.total_tokens == 9 + 6
    assert done.created_at <= done.in_progress_at <= done.finalizing_at <= done.completed_at
    assert done.error_file_id is None
    one, two = await batches.lines(done.output_file_id)
    live = (await batches.service.chat(model="coterie/symbolic")).json()
    assert one["custom_id"] == "one"
    assert one["error"] is None
    assert one["response"]["status_code"] == 200
    assert one["id"] == f"batch_req_{one['response']['request_id']}"
    kept = one["response"]["body"]
    assert {**kept, "id": "", "created": 0} == {**live, "id": "", "created": 0}
    assert two["response"]["body"]["model"] == "bad"
    assert two["response"]["body"]["choices"][0]["message"]["content"] == "41"


async def test_each_line_is_asked_as_it_says(batches: Any, line: Any) -> None:
    tools = [{"type": "function", "function": {"name": "look"}}]
    batch = await batches.run(
        [
            line("warm", "A?", model="good", temperature=0.7, max_tokens=7, seed=11),
            line("tools", "B?", model="good", tools=tools, temperature=0, stop="END"),
            line("all", "C?", model="coterie/all"),
        ]
    )
    assert batch.status == "completed"
    engines = batches.service.fleet.engines
    asked = dict(
        zip([q.text for q in engines["good"].asked], engines["good"].samplings, strict=True)
    )
    assert (asked["A?"].temperature, asked["A?"].max_tokens, asked["A?"].seed) == (0.7, 7, 11)
    assert asked["B?"].extra == {"tools": tools}
    assert (asked["B?"].stop, asked["B?"].seed) == (("END",), None)
    assert [q.text for q in engines["bad"].asked] == ["C?"]
    third = (await batches.lines(batch.output_file_id))[2]["response"]["body"]
    assert third["usage"]["prompt_tokens"] == 10


async def test_the_message_comes_back_whole(batches: Any, line: Any) -> None:
    calls = [{"id": "1", "type": "function", "function": {"name": "look", "arguments": "{}"}}]
    engine = batches.service.fleet.engines["good"]
    complete = engine.complete

    async def with_calls(*args: Any) -> Any:
        completion = await complete(*args)
        completion.message["tool_calls"] = calls
        return completion

    engine.complete = with_calls
    batch = await batches.run([line("one", model="good")])
    [found] = await batches.lines(batch.output_file_id)
    assert found["response"]["body"]["choices"][0]["message"]["tool_calls"] == calls


async def test_what_experts_refuse_is_in_the_error_file(batches: Any, line: Any) -> None:
    engine = batches.service.fleet.engines["bad"]
    engine.error = EngineRejected("bad", "will not read that")
    batch = await batches.run([line("1", model="bad"), line("2", model="good")])
    assert batch.status == "completed"
    assert (batch.request_counts.completed, batch.request_counts.failed) == (1, 1)
    [failed] = await batches.lines(batch.error_file_id)
    assert (failed["custom_id"], failed["error"]) == ("1", None)
    assert failed["response"]["status_code"] == 400
    assert "will not read that" in failed["response"]["body"]["error"]["message"]
    assert [f["custom_id"] for f in await batches.lines(batch.output_file_id)] == ["2"]


async def test_a_batch_without_a_single_answer_has_no_output(batches: Any, line: Any) -> None:
    for engine in batches.service.fleet.engines.values():
        engine.error = EngineRejected(engine.name, "no")
    batch = await batches.run([line("1"), line("2")])
    assert (batch.status, batch.output_file_id) == ("completed", None)
    assert len(await batches.lines(batch.error_file_id)) == 2


async def test_wrong_lines_are_told_by_their_numbers_and_nothing_is_paid(
    batches: Any, line: Any
) -> None:
    wrong = b"\n".join(
        [
            b'{"custom_id": "a"',
            b"",
            *(
                json.dumps(found).encode()
                for found in [
                    line("ok"),
                    line("ok"),
                    {**line("b"), "url": "/v1/embeddings"},
                    {**line("c"), "method": "GET"},
                    {k: v for k, v in line("d").items() if k != "custom_id"},
                    line("e", model="nobody"),
                    line("f", temperature=9),
                    line("g", stream=True),
                    line("h", model="coterie/oracle"),
                ]
            ),
        ]
    )
    batch = await batches.run(wrong)
    assert (batch.status, batch.output_file_id, batch.error_file_id) == ("failed", None, None)
    assert batch.failed_at is not None
    assert [(e.line, e.code, e.param) for e in batch.errors.data] == [
        (1, "invalid_json_line", None),
        (4, "duplicate_custom_id", "custom_id"),
        (5, "invalid_url", "url"),
        (6, "invalid_method", "method"),
        (7, "missing_required_parameter", "custom_id"),
        (8, "model_not_found", "body.model"),
        (9, "invalid_request", "body.temperature"),
        (10, "invalid_request", "body.stream"),
        (11, "model_not_found", "body.model"),
    ]
    assert "line 3" in batch.errors.data[1].message
    assert all(not e.asked for e in batches.service.fleet.engines.values())


@pytest.mark.parametrize("body", [b"", b"\n \r\n\n"])
async def test_a_file_without_requests_fails(batches: Any, body: bytes) -> None:
    batch = await batches.run(body)
    assert batch.status == "failed"
    assert [(e.code, e.line) for e in batch.errors.data] == [("empty_file", None)]


async def test_a_batch_that_is_cancelled_keeps_what_was_answered(batches: Any, line: Any) -> None:
    batches.hang("good", "slow")
    names = ("quick", "slow", "slow too")
    made = await batches.create([line(name, name, model="good") for name in names])
    await batches.until_stored(made.id, 1)
    stopping = await batches.client.batches.cancel(made.id)
    assert stopping.status == "cancelling"
    batch = await batches.over(made.id)
    assert batch.status == "cancelled"
    assert batch.cancelling_at <= batch.cancelled_at
    assert (batch.request_counts.completed, batch.request_counts.failed) == (1, 2)
    assert [f["custom_id"] for f in await batches.lines(batch.output_file_id)] == ["quick"]
    left = await batches.lines(batch.error_file_id)
    assert [(f["custom_id"], f["response"]) for f in left] == [("slow", None), ("slow too", None)]
    assert left[0]["error"]["code"] == "batch_cancelled"
    with pytest.raises(openai.ConflictError, match="is cancelled"):
        await batches.client.batches.cancel(made.id)


async def test_a_batch_is_cancelled_before_it_is_looked_through(service: Any, of: Any) -> None:
    batches = of(service)
    made = await batches.create(b"nothing right")
    assert (await batches.client.batches.cancel(made.id)).status == "cancelling"
    batches.start()
    assert (await batches.over(made.id)).status == "cancelled"


async def test_batches_are_listed_page_by_page(service: Any, of: Any) -> None:
    batches = of(service)
    made = [(await batches.create(b"{}")).id for _ in range(5)]
    page = await service.openai.batches.list(limit=2)
    assert [b.id for b in page.data] == made[:2:-1]
    assert page.has_more is True
    assert [b.id async for b in service.openai.batches.list(limit=2)] == made[::-1]
    with pytest.raises(openai.NotFoundError):
        await service.openai.batches.list(after="batch_none")


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"endpoint": "/v1/embeddings"}, "'/v1/embeddings' is not offered"),
        ({"completion_window": "1h"}, "completion_window"),
        ({"metadata": {"k" * 65: "v"}}, "metadata"),
        ({"output_expires_after": {"anchor": "created_at", "seconds": 5}}, "seconds"),
    ],
)
async def test_what_is_not_offered_is_refused_at_once(
    service: Any, of: Any, fields: dict[str, Any], told: str
) -> None:
    given = {
        "input_file_id": await of(service).upload(b"{}"),
        "endpoint": "/v1/chat/completions",
        "completion_window": "24h",
        **fields,
    }
    with pytest.raises(openai.BadRequestError, match=told):
        await service.openai.batches.create(**given)


async def test_a_file_that_is_not_there_is_refused_at_once(service: Any) -> None:
    with pytest.raises(openai.NotFoundError, match="file-none"):
        await service.openai.batches.create(
            input_file_id="file-none", endpoint="/v1/chat/completions", completion_window="24h"
        )
    for call in (service.openai.batches.retrieve, service.openai.batches.cancel):
        with pytest.raises(openai.NotFoundError, match="batch_none"):
            await call("batch_none")


async def test_an_output_is_no_input(batches: Any, line: Any) -> None:
    batch = await batches.run([line("1")])
    with pytest.raises(openai.BadRequestError, match="batch_output"):
        await batches.client.batches.create(
            input_file_id=batch.output_file_id,
            endpoint="/v1/chat/completions",
            completion_window="24h",
        )


async def test_output_is_kept_as_long_as_was_asked(batches: Any, line: Any) -> None:
    keep = {"anchor": "created_at", "seconds": 7200}
    batch = await batches.run([line("1")], output_expires_after=keep)
    file = await batches.client.files.retrieve(batch.output_file_id)
    assert (file.purpose, file.filename) == ("batch_output", f"{batch.id}_output.jsonl")
    assert file.expires_at - file.created_at == 7200


async def test_a_thousand_lines(batches: Any, line: Any) -> None:
    models = ("good", "bad", "coterie/symbolic", "coterie/all")
    lines = [line(f"n{i}", f"How many is {i}?", model=models[i % 4]) for i in range(1000)]
    batch = await batches.run(lines)
    assert batch.status == "completed"
    assert batch.request_counts.completed == 1000
    found = await batches.lines(batch.output_file_id)
    assert [f["custom_id"] for f in found] == [f"n{i}" for i in range(1000)]
    asked = [q.text for e in batches.service.fleet.engines.values() for q in e.asked]
    assert len(asked) == 1250


async def test_other_batches_of_a_file_draw_anew_unless_nothing_is_drawn(
    batches: Any, line: Any
) -> None:
    lines = [line("drawn", "A?", model="good", temperature=1), line("not", "B?", temperature=0)]
    await batches.run(lines)
    await batches.run(lines)
    asked = batches.service.fleet.engines["good"].asked
    assert sorted(q.text for q in asked) == ["A?", "A?", "B?"]


async def test_jobs_show_it_as_one_of_theirs(batches: Any, line: Any) -> None:
    batch = await batches.run([line("1")])
    id = batch.id.replace("batch_", "job-")
    job = await batches.service.http.get(f"/v1/jobs/{id}", headers=batches.service.admin)
    assert job.json()["state"] == "done"
    assert job.json()["spec"]["task"] == "batch"


async def test_batches_need_the_chat_key_where_chat_does(
    kit: Any, tmp_path: Any, sqlite_url: str
) -> None:
    settings = {"COTERIE_REQUIRE_KEY": "1"}
    async with kit.running(tmp_path, sqlite_url, [kit.engine("a")], **settings) as service:
        for path in ("/v1/files", "/v1/files/x", "/v1/files/x/content", "/v1/batches"):
            assert (await service.http.get(path)).status_code == 401
        posted = await service.http.post("/v1/files", files={"file": b"{}"})
        assert posted.status_code == 401
        key = {"Authorization": f"Bearer {service.parts.access.chat_key}"}
        assert (await service.http.get("/v1/batches", headers=key)).json()["data"] == []


async def test_what_is_not_graded_is_not_counted_as_wrong(
    batches: Any, line: Any, coterie: Any
) -> None:
    batches.service.fleet.engines["bad"].error = EngineRejected("bad", "no")
    batch = await batches.run([line("1"), line("2"), line("3", model="bad")])
    id = batch.id.replace("batch_", "job-")
    told = (await batches.service.http.get(f"/v1/jobs/{id}", headers=batches.service.admin)).json()
    assert told["progress"]["correct"] is None
    for found in (await coterie("jobs", "list"), await coterie("jobs", "show", id)):
        text = " ".join(found.stdout.replace("│", " ").split())
        assert found.exit_code == 0, found.output
        assert "% right" not in text
    assert "3 of 3 items, – right, answered 2 of 3, 1 parked" in text
