"""Profiling, snapshots and synonyms through the running service."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from sqlalchemy import text

from coterie.db import Database
from coterie.types import GradedAnswer, Reading, Usage
from evals.tasks import load_task
from orchestrator.profiling import EXTRACTION
from skills.answer_store import AnswerStore

DEMO = {"task": "demo", "limit": 7}


async def profiled(service: Any, **fields: Any) -> dict[str, Any]:
    """Profiles on seven questions of the demo; what ``GET /admin/profiles`` says then."""
    started = await post(service, "/admin/profiles", {**DEMO, **fields})
    assert started.status_code == 202, started.text
    async with asyncio.timeout(20):
        while True:
            body = (await get(service, "/admin/profiles")).json()
            if body["profiling"]["status"] != "running":
                return dict(body)
            await asyncio.sleep(0.02)


async def post(service: Any, path: str, body: Any = None) -> Any:
    return await service.http.post(path, json=body, headers=service.admin)


async def get(service: Any, path: str) -> Any:
    return await service.http.get(path, headers=service.admin)


async def route(service: Any) -> dict[str, Any]:
    body = {"model": "coterie", "messages": [{"role": "user", "content": "How many?"}]}
    return dict((await service.http.post("/v1/routes", json=body)).json())


def test_profiling_reads_answers_as_the_votes_do() -> None:
    asked = "Which?\n(A) this\n(B) that"
    assert (EXTRACTION.choices(asked), EXTRACTION.choices("Why?")) == (("this", "that"), ())
    assert EXTRACTION.reading(asked, "So the answer is (B).") is Reading.STATED
    assert EXTRACTION.reading(asked, "B") is Reading.NAMED
    assert EXTRACTION.reading(asked, "Hard to say.") is Reading.NOTHING


class TestProfiling:
    async def test_it_makes_a_snapshot_and_routes_by_it(self, service: Any) -> None:
        body = await profiled(service)
        assert body["profiling"]["status"] == "done"
        progress = {p["expert"]: p["done"] for p in body["profiling"]["progress"]}
        assert progress == {"good": 7, "bad": 7}
        assert body["profiles"][0]["overall"]["n"] == 7
        assert body["snapshot"] == body["profiling"]["snapshot"] != "made-up"
        assert (await route(service))["snapshot"] == body["snapshot"]
        knowledge = service.parts.roster.snapshot.knowledge
        assert knowledge.memory is not None
        assert knowledge.memory.experts == ("bad", "good")
        assert len(set(knowledge.memory.categories)) == 7

    async def test_aggregation_is_graded_apart_on_stored_answers(
        self, service: Any, kit: Any
    ) -> None:
        refused = await profiled(service, aggregation=True)
        assert "make a trial" in refused["profiling"]["error"]
        service.fleet.engines["third"] = kit.engine("third", "who knows")
        entry = {"name": "third", "kind": "openai", "model": "m", "endpoint": "http://127.0.0.1:9"}
        await post(service, "/admin/experts?verify=false", entry)
        graded = [
            GradedAnswer(e, "demo", i.id, (), f"{e} says", e, e == "bad", Usage(5, 7), 0.1)
            for i in load_task("demo").items("val", 6)
            for e in ("good", "bad", "third")
        ]
        await AnswerStore(service.parts.database).save_answers(graded)
        body = await profiled(service, aggregation=True, limit=4, experts=["good", "bad"])
        assert body["profiling"]["status"] == "done", body["profiling"]["error"]
        found = {p["expert"]: p for p in body["profiles"]}
        assert found["good"]["aggregation"]["n"] == found["bad"]["aggregation"]["n"] == 4
        assert found["third"]["aggregation"] is None
        assert found["good"]["overall"]["n"] == 6  # an aggregation is no answer
        asked = service.fleet.engines["good"].asked[-1].text
        assert all(f"{e} says" in asked for e in ("good", "bad", "third"))
        assert "reliability" not in asked

    async def test_an_answered_request_says_which_snapshot_it_used(self, service: Any) -> None:
        answered = await service.chat()
        record = await service.http.get(f"/v1/routes/{answered.headers['x-request-id']}")
        assert record.json()["snapshot"] == "made-up"

    async def test_more_of_it_asks_and_reads_only_what_is_new(self, service: Any) -> None:
        first = await profiled(service, experts=["good"])
        engines, read = service.fleet.engines, service.parts.inference.read
        asked = len(engines["good"].asked)
        read.clear()
        second = await profiled(service, limit=9)
        assert (len(engines["good"].asked), len(engines["bad"].asked)) == (asked + 2, 9)
        assert len(read) == 2
        assert {p["expert"]: p["overall"]["n"] for p in second["profiles"]} == {"good": 9, "bad": 9}
        snapshots = (await get(service, "/admin/snapshots")).json()["snapshots"]
        parents = {s["name"]: (s["parent"], s["answers"]) for s in snapshots}
        assert parents[second["snapshot"]] == (first["snapshot"], 18)
        assert parents[first["snapshot"]] == ("made-up", 7)

    async def test_a_snapshots_name_is_checked_before_anyone_is_asked(self, service: Any) -> None:
        taken = await post(service, "/admin/profiles", {**DEMO, "name": "made-up"})
        assert taken.status_code == 409
        assert service.fleet.engines["good"].asked == []
        body = await profiled(service, name="mine")
        assert body["snapshot"] == "mine"

    async def test_experts_are_graded_on_ones_own_questions(
        self, service: Any, tmp_path: Path
    ) -> None:
        path = tmp_path / "sums.csv"
        path.write_text("question,answer,split\n1 + 1?,2,val\n1 + 2?,3,val\n")
        body = await profiled(service, task=f"file:{path}", limit=None)
        assert body["profiling"]["status"] == "done", body["profiling"]["error"]
        kept = await AnswerStore(service.parts.database).questions("sums")
        assert [q.text for q in kept] in (["1 + 1?", "1 + 2?"], ["1 + 2?", "1 + 1?"])

    async def test_an_unknown_task_or_split_is_told(self, service: Any) -> None:
        unknown = await post(service, "/admin/profiles", {"task": "x"})
        assert "demo" in unknown.json()["error"]["message"]
        body = await profiled(service, split="x")
        assert body["profiling"]["status"] == "failed"
        assert "'val', 'test'" in body["profiling"]["error"]
        assert body["snapshot"] == "made-up"


class TestSnapshots:
    async def test_going_back_and_forth_changes_who_is_asked(self, service: Any) -> None:
        assert (await route(service))["chosen"] == ["good"]
        await profiled(service, name="new")  # nobody is right about anything
        assert (await route(service))["chosen"] != ["good"]
        back = await post(service, "/admin/snapshots/made-up/activate")
        assert back.status_code == 200
        assert back.json()["active"]
        found = await route(service)
        assert (found["chosen"], found["snapshot"]) == (["good"], "made-up")
        listed = (await get(service, "/admin/snapshots")).json()
        assert listed["active"] == "made-up"
        assert [s["name"] for s in listed["snapshots"] if not s["active"]] == ["new"]

    async def test_one_is_made_of_what_is_stored(self, service: Any) -> None:
        made = await post(service, "/admin/snapshots", {"name": "now", "note": "to try"})
        assert made.status_code == 201
        assert made.json()["answers"] == 0
        assert (made.json()["note"], made.json()["parent"]) == ("to try", "made-up")
        assert (await route(service))["snapshot"] == "now"

    async def test_what_cannot_be_is_refused(self, service: Any) -> None:
        taken = await post(service, "/admin/snapshots", {"name": "made-up"})
        assert (taken.status_code, taken.json()["error"]["code"]) == (409, "snapshot_exists")
        unknown = await post(service, "/admin/snapshots/x/activate")
        assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "snapshot_not_found")
        active = await service.http.delete("/admin/snapshots/made-up", headers=service.admin)
        assert (active.status_code, active.json()["error"]["code"]) == (400, "snapshot_refused")
        await post(service, "/admin/snapshots", {"name": "now"})
        gone = await service.http.delete("/admin/snapshots/made-up", headers=service.admin)
        assert gone.status_code == 204

    async def test_what_another_process_activates_is_used(self, service: Any) -> None:
        await post(service, "/admin/snapshots", {"name": "now"})
        await service.parts.archive.snapshots.activate("made-up")
        await service.parts.refresh()
        assert (await route(service))["snapshot"] == "made-up"

    async def test_a_refresh_reads_the_body_only_if_another_is_active(self, service: Any) -> None:
        before = service.parts.roster.snapshot.knowledge
        await service.parts.refresh()
        assert service.parts.roster.snapshot.knowledge is before

    async def test_a_damaged_one_leaves_what_was_known_before(self, service: Any) -> None:
        await post(service, "/admin/snapshots", {"name": "now"})
        await service.parts.archive.snapshots.activate("made-up")
        async with service.parts.database.transaction() as session:
            await session.execute(text("UPDATE snapshots SET body = X'78' WHERE name = 'made-up'"))
        await service.parts.refresh()
        assert (await route(service))["snapshot"] == "now"
        assert (await get(service, "/admin/profiles")).json()["snapshot"] == "now"


class TestRemoval:
    async def test_an_expert_of_the_same_name_inherits_nothing(self, service: Any) -> None:
        entry = {"name": "new", "kind": "openai", "model": "m", "endpoint": "http://127.0.0.1:9"}
        service.fleet.engines["new"] = service.fleet.engines["good"]
        await post(service, "/admin/experts", entry)
        body = await profiled(service)
        assert "new" in {p["expert"] for p in body["profiles"]}
        await service.http.delete("/admin/experts/new", headers=service.admin)
        await post(service, "/admin/experts", {**entry, "model": "another"})
        body = (await get(service, "/admin/profiles")).json()
        assert {p["expert"] for p in body["profiles"]} == {"good", "bad"}
        assert "new" not in service.parts.roster.snapshot.knowledge.profiles

    async def test_what_left_the_file_is_forgotten_at_the_start(
        self, kit: Any, tmp_path: Path, sqlite_url: str
    ) -> None:
        async with kit.running(tmp_path, sqlite_url, [kit.engine("a"), kit.engine("b")]) as service:
            await profiled(service)
        async with kit.running(tmp_path, sqlite_url, [kit.engine("a")]) as service:
            assert set(service.parts.roster.snapshot.knowledge.profiles) == {"a"}
            snapshots = (await get(service, "/admin/snapshots")).json()["snapshots"]
            assert [s["note"] for s in snapshots if s["active"]] == ["removed: b"]


class TestStart:
    async def test_the_active_snapshot_outlives_a_restart(
        self, kit: Any, tmp_path: Path, sqlite_url: str
    ) -> None:
        async with kit.running(tmp_path, sqlite_url, [kit.engine("a")]) as service:
            name = (await profiled(service))["snapshot"]
        async with kit.running(tmp_path, sqlite_url, [kit.engine("a")]) as service:
            assert (await route(service))["snapshot"] == name
            assert len((await get(service, "/admin/snapshots")).json()["snapshots"]) == 1

    async def test_answers_from_before_snapshots_make_the_first(
        self, kit: Any, tmp_path: Path, sqlite_url: str
    ) -> None:
        async with kit.running(tmp_path, sqlite_url, [kit.engine("a")]) as service:
            await profiled(service)
        database = Database(sqlite_url)
        async with database.transaction() as session:
            for table in ("active_snapshot", "snapshots", "questions"):
                await session.execute(text(f"DELETE FROM {table}"))
        await database.close()
        async with kit.running(tmp_path, sqlite_url, [kit.engine("a")]) as service:
            body = (await get(service, "/admin/profiles")).json()
            assert {p["expert"]: p["overall"]["n"] for p in body["profiles"]} == {"a": 7}
            assert body["snapshot"]


class TestSynonyms:
    async def test_they_are_merged_listed_and_split(self, service: Any) -> None:
        merged = await post(service, "/admin/synonyms/merge", {"keyword": "Joins", "skill": "sql"})
        assert merged.status_code == 200, merged.text
        [found] = (await get(service, "/admin/synonyms")).json()["synonyms"]
        assert found == {
            "keyword": "joins",
            "skill": "sql",
            "similarity": 1.0,
            "by": "administrator",
        }
        await post(service, "/admin/synonyms/split", {"keyword": "joins"})
        assert (await get(service, "/admin/synonyms")).json() == {"synonyms": []}

    async def test_nothing_is_merged_into_a_skill_nobody_knows(self, service: Any) -> None:
        refused = await post(service, "/admin/synonyms/merge", {"keyword": "x", "skill": "y"})
        assert refused.status_code == 400
        assert "'sql'" in refused.json()["error"]["message"]
        again = await post(service, "/admin/synonyms/split", {"keyword": "x"})
        assert again.status_code == 400
