"""Why-records through the running service: found, exported, judged, routed otherwise, erased."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from coterie.db import utcnow
from coterie.types import Estimate, Profile
from orchestrator.feedback_grading import TASK
from skills.answer_store import AnswerStore
from skills.knowledge import Knowledge
from skills.snapshot import SnapshotInfo, pack


async def call(service: Any, method: str, path: str, **fields: Any) -> Any:
    return await service.http.request(method, path, headers=service.admin, **fields)


async def asked(service: Any, question: str = "How many?", **fields: Any) -> str:
    """The id of a request that was answered, and is written."""
    said = [{"role": "user", "content": question}]
    answer = await service.chat(messages=said, **fields)
    id = str(answer.headers["x-request-id"])
    async with asyncio.timeout(5):
        while service.parts.traces._waiting:
            await asyncio.sleep(0.01)
    return id


async def listed(service: Any, **params: Any) -> dict[str, Any]:
    found = await call(service, "GET", "/v1/routes", params=params)
    assert found.status_code == 200, found.text
    return dict(found.json())


class TestFinding:
    async def test_requests_are_listed_newest_first_page_by_page(self, service: Any) -> None:
        ids = [await asked(service) for _ in range(3)]
        first = await listed(service, limit=2, count=True)
        assert [r["id"] for r in first["data"]] == ids[:0:-1]
        assert (first["count"], first["count_is_exact"]) == (3, True)
        rest = await listed(service, limit=2, cursor=first["next"])
        assert [r["id"] for r in rest["data"]] == ids[:1]
        assert rest["next"] is None

    async def test_a_line_tells_what_came_of_it(self, service: Any) -> None:
        await asked(service, "How many herons? " * 20)
        [line] = (await listed(service, expert="good", as_expert="chosen"))["data"]
        assert (line["outcome"], line["answered_by"]) == ("answered", "good")
        assert len(line["question"]) == 200
        assert line["experts"]["good"] == "chosen"
        assert line["latency_ms"] > 0
        assert (await listed(service, expert="nobody"))["data"] == []

    @pytest.mark.parametrize(
        "wrong", [{"as_expert": "x"}, {"outcome": "x"}, {"cost_from": -1}, {"cursor": "x"}]
    )
    async def test_a_filter_that_is_none_is_refused(self, service: Any, wrong: Any) -> None:
        assert (await call(service, "GET", "/v1/routes", params=wrong)).status_code == 400

    async def test_they_are_not_for_everyone(self, service: Any) -> None:
        for method, path in (
            ("GET", "/v1/routes"),
            ("GET", "/v1/routes/export"),
            ("DELETE", "/v1/routes/x"),
            ("DELETE", "/v1/routes?key=x"),
            ("POST", "/v1/routes/x/what-if"),
        ):
            assert (await service.http.request(method, path, json={})).status_code == 401

    async def test_an_export_is_every_record_whole(
        self, service: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("orchestrator.api.records.EXPORTED_AT_ONCE", 2)
        ids = [await asked(service) for _ in range(3)]
        found = await call(service, "GET", "/v1/routes/export", params={"expert": "good"})
        records = [json.loads(line) for line in found.text.splitlines()]
        assert [r["id"] for r in records] == ids[::-1]
        assert records[0]["answers"][0]["text"] == "forty two it is"
        assert "attachment" in found.headers["content-disposition"]


class TestFeedback:
    async def test_a_right_answer_grades_everyone_that_answered(self, service: Any) -> None:
        id = await asked(service, model="bad")
        said = {"verdict": "bad", "answer": "42", "note": "one too few"}
        given = await service.http.post(f"/v1/routes/{id}/feedback", json=said)
        assert given.status_code == 200, given.text
        assert given.json()["graded"] == {"bad": False}
        record = (await service.http.get(f"/v1/routes/{id}")).json()
        assert record["feedback"]["answer"] == "42"
        assert record["feedback"]["by"] == "anonymous"
        [line] = (await listed(service, feedback="bad"))["data"]
        assert line["feedback"]["note"] == "one too few"
        assert (await listed(service, feedback="good"))["data"] == []
        [answer] = await AnswerStore(service.parts.database).answers(task=TASK)
        assert (answer.expert, answer.correct, answer.output) == ("bad", False, "41")

    async def test_the_last_word_on_a_question_counts(self, service: Any) -> None:
        ids = [await asked(service, model="bad") for _ in range(2)]
        for id, verdict in zip(ids, ("good", "bad"), strict=True):
            said = {"verdict": verdict}
            await service.http.post(f"/v1/routes/{id}/feedback", json=said)
        store = AnswerStore(service.parts.database)
        assert [a.correct for a in await store.answers(task=TASK)] == [False]
        assert len(await store.questions(TASK)) == 1
        gone = await service.http.delete(f"/v1/routes/{ids[1]}/feedback")
        assert gone.status_code == 204
        assert await store.answers(task=TASK) == []
        assert await store.questions(TASK) == []

    async def test_a_snapshot_learns_from_it_only_where_that_is_wanted(self, service: Any) -> None:
        id = await asked(service, model="bad")
        await service.http.post(f"/v1/routes/{id}/feedback", json={"verdict": "good"})
        archive = service.parts.archive
        without = await archive.make("without")
        archive._without = frozenset()
        learned = await archive.make("with")
        assert (without.answers, learned.answers) == (0, 1)
        assert "bad" in (await archive.load("with")).profiles

    async def test_what_was_not_answered_cannot_be_judged(self, service: Any) -> None:
        service.fleet.engines.clear()
        id = await asked(service)
        refused = await service.http.post(f"/v1/routes/{id}/feedback", json={"verdict": "bad"})
        assert refused.status_code == 400
        assert "has no answer" in refused.text

    async def test_an_unknown_request_cannot_be_judged(self, service: Any) -> None:
        refused = await service.http.post("/v1/routes/x/feedback", json={"verdict": "bad"})
        assert refused.status_code == 404


class TestWhatIf:
    async def test_it_is_routed_by_another_strategy(self, service: Any) -> None:
        id = await asked(service)
        body = {"strategy": "best-single", "confidence": 0.99}
        found = (await call(service, "POST", f"/v1/routes/{id}/what-if", json=body)).json()
        assert found["after"]["strategy"] == "best-single"
        assert found["before"]["id"] == found["after"]["id"] == id
        assert len(service.fleet.engines["good"].asked) == 1  # only the first time

    async def test_it_is_routed_by_another_snapshot(self, service: Any) -> None:
        id = await asked(service)
        known = Knowledge.of(
            [Profile(n, Estimate(p, 0.01, 90)) for n, p in (("good", 0.1), ("bad", 0.9))]
        )
        made = SnapshotInfo("other", utcnow(), encoder=service.parts.settings.embedding_model)
        await service.parts.archive.snapshots.add(made, pack(known))
        await service.parts.archive.snapshots.activate("made-up")
        body = {"snapshot": "other"}
        found = (await call(service, "POST", f"/v1/routes/{id}/what-if", json=body)).json()
        assert (found["before"]["chosen"], found["after"]["chosen"]) == (["good"], ["bad"])
        assert found["changes"] == {"added": ["bad"], "removed": ["good"]}

    @pytest.mark.parametrize("wrong", [{"strategy": "x"}, {"snapshot": "x"}])
    async def test_what_there_is_not_is_refused(self, service: Any, wrong: Any) -> None:
        id = await asked(service)
        found = await call(service, "POST", f"/v1/routes/{id}/what-if", json=wrong)
        assert found.status_code == 404

    async def test_a_question_that_was_not_kept_is_told(self, service: Any) -> None:
        made = {"id": "r1", "created_at": "2026-01-02T03:04:05+00:00", "contents": "none"}
        service.parts.traces.save({**made, "question": "a secret"})
        found = await call(service, "POST", "/v1/routes/r1/what-if", json={})
        assert found.status_code == 400
        assert "was not kept" in found.text


class TestErasing:
    async def test_a_request_is_erased_with_all_that_came_of_it(self, service: Any) -> None:
        id = await asked(service)
        await service.http.post(f"/v1/routes/{id}/feedback", json={"verdict": "good"})
        assert (await call(service, "DELETE", f"/v1/routes/{id}")).status_code == 204
        assert (await service.http.get(f"/v1/routes/{id}")).status_code == 404
        assert (await listed(service))["data"] == []
        store = AnswerStore(service.parts.database)
        assert await store.answers(task=TASK) == []
        assert await store.questions(TASK) == []
        assert (await call(service, "DELETE", f"/v1/routes/{id}")).status_code == 404

    async def test_all_requests_of_a_key_are_erased_and_no_others(self, service: Any) -> None:
        for _ in range(2):
            await asked(service)
        service.parts.traces.save({"id": "other", "key": "somebody"})
        found = await call(service, "DELETE", "/v1/routes", params={"key": "anonymous"})
        assert found.json() == {"erased": 2}
        assert await service.parts.traces.get("other") is not None
