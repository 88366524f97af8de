"""The bench of aggregators: from stored answers to a table, over REST and on the command line."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest

from coterie.types import GradedAnswer, Question, SkillWeight, Usage
from evals.tasks import load_task
from skills.answer_store import AnswerStore
from skills.questions import StoredQuestion

SAID = {"good": "It is (A).", "bad": "It is (B).", "third": "It is (B)."}
ITEMS = load_task("demo").items("val", 6)
ALGEBRA, LAW = ((SkillWeight(name, 1.0, 1.0),) for name in ("algebra", "law"))


@pytest.fixture
async def bench(service: Any, kit: Any) -> Any:
    """A service whose three experts have answered six questions, of which good got four right."""
    service.fleet.engines["third"] = kit.engine("third", "who knows")
    entry = {"name": "third", "kind": "openai", "model": "m", "endpoint": "http://127.0.0.1:9"}
    added = await service.http.post(
        "/admin/experts?verify=false", json=entry, headers=service.admin
    )
    assert added.status_code < 300, added.text
    graded = [
        GradedAnswer(e, "demo", item.id, (), said, said, e == "good" and n < 4, Usage(5, 7), 0.1)
        for n, item in enumerate(ITEMS)
        for e, said in SAID.items()
    ]
    store = AnswerStore(service.parts.database)
    await store.save_answers(graded)
    reader = service.parts.profiling.reader
    questions = [
        StoredQuestion(
            "demo",
            item.id,
            item.question.text,
            skills=ALGEBRA if n < 2 else LAW,
            encoder=reader.encoder,
            taxonomy=reader.taxonomy,
        )
        for n, item in enumerate(ITEMS)
    ]
    await store.save_questions(questions)
    return service


async def asked(service: Any, **fields: Any) -> dict[str, Any]:
    """Puts the trials to the experts; how that ended."""
    body = {"task": "demo", "aggregation": True, **fields}
    started = await service.http.post("/admin/profiles", json=body, headers=service.admin)
    assert started.status_code == 202, started.text
    async with asyncio.timeout(20):
        while True:
            found = await service.http.get("/admin/profiles", headers=service.admin)
            state = found.json()["profiling"]
            if state["status"] != "running":
                return dict(state)
            await asyncio.sleep(0.02)


async def table(service: Any, query: str = "") -> Any:
    return await service.http.get(f"/admin/aggregation?task=demo{query}", headers=service.admin)


async def test_candidates_stand_beside_the_rules_on_the_same_trials(bench: Any) -> None:
    before = (await table(bench)).json()
    assert (before["trials"], before["experts"]) == (6, [])
    assert (await asked(bench, experts=["good", "bad"]))["status"] == "done"
    found = (await table(bench)).json()
    assert {s["name"] for s in found["experts"]} == {"good", "bad"}
    vote, reliable, possible = found["rules"]
    right = possible["all"]["correct"]
    assert [s["all"]["n"] for s in found["rules"]] == [6, 6, 6]
    assert right >= 3  # three are shown, good's among them
    assert reliable["all"]["correct"] == right
    assert vote["mixed"]["correct"] == 0  # two of three say (B)
    answering = {s["name"]: s["answering"]["correct"] for s in found["experts"]}
    assert answering == {"good": 4, "bad": 0}
    assert all(s["gain"]["n"] == 6 for s in found["experts"])


async def test_what_was_asked_is_stored_once_and_kept_apart(bench: Any) -> None:
    await asked(bench, experts=["good"], limit=4)
    engine = bench.fleet.engines["good"]
    assert len(engine.asked) == 4
    await asked(bench, experts=["good"])
    assert len(engine.asked) == 6
    await asked(bench, experts=["good"], seed=1)
    store = AnswerStore(bench.parts.database)
    kept = await store.answers("good", "aggregation/demo")
    assert len(kept) == len(engine.asked) > 6
    assert len(await store.answers("good", "demo")) == 6
    profile = bench.parts.roster.snapshot.knowledge.profiles["good"]
    assert profile.overall.n == 6
    assert profile.aggregation.n == len(kept)
    assert {s for a in kept for s in a.skills} == set()
    assert set(profile.aggregation_skills) == {"algebra", "law"}


async def test_trials_may_be_about_some_skills_alone(bench: Any) -> None:
    await asked(bench, experts=["good"], skills=["algebra"])
    assert len(bench.fleet.engines["good"].asked) == 2
    found = (await table(bench, "&skill=algebra")).json()
    assert (found["trials"], found["experts"][0]["all"]["n"]) == (2, 2)
    assert (await table(bench, "&skill=cooking")).json()["error"]["param"] == "skills"
    failed = await asked(bench, skills=["cooking"])
    assert "algebra, law" in failed["error"]
    body = {"task": "demo", "skills": ["algebra"]}
    refused = await bench.http.post("/admin/profiles", json=body, headers=bench.admin)
    assert refused.status_code == 400


async def test_without_stored_answers_it_says_what_to_do(service: Any) -> None:
    found = await table(service)
    assert found.status_code == 400
    assert "coterie skills profile" in found.json()["error"]["message"]


async def test_an_expert_is_shown_what_its_context_holds(bench: Any) -> None:
    long = " ".join(["so"] * 3000)
    answers = [
        GradedAnswer(e, "demo", ITEMS[0].id, (), f"{e} {long} end", "x", e == "good", Usage(), 0.1)
        for e in SAID
    ]
    await AnswerStore(bench.parts.database).save_answers(answers)
    entry = {"name": "small", "kind": "openai", "model": "m", "endpoint": "http://127.0.0.1:9"}
    bench.fleet.engines["small"] = type(bench.fleet.engines["good"])("small", "41")
    entry = {**entry, "model": "tiny", "context_length": 2048}
    added = await bench.http.post("/admin/experts?verify=false", json=entry, headers=bench.admin)
    assert added.status_code < 300, added.text
    await asked(bench, experts=["good", "small"])
    shown = {n: max(map(_size, bench.fleet.engines[n].asked)) for n in ("good", "small")}
    assert shown["good"] > 27_000
    assert shown["small"] < 4_000


def _size(question: Question) -> int:
    return len(question.text)


# --- the command --------------------------------------------------------------------------------


async def test_one_command_asks_and_shows(bench: Any, coterie: Any) -> None:
    run = await coterie("aggregator", "bench", "--experts", "good,bad", "--limit", "5")
    assert run.exit_code == 0, run.output
    assert "5 trials" in run.output
    for told in ("good", "bad", "majority vote", "most reliable shown", "answering"):
        assert told in run.output
    asked_so_far = _asked(bench)
    again = await coterie("aggregator", "bench", "--limit", "5", "--stored", "--json")
    assert [s["name"] for s in json.loads(again.output)["experts"]] in (
        ["good", "bad"],
        ["bad", "good"],
    )
    assert _asked(bench) == asked_so_far


async def test_nobody_asked_is_told(bench: Any, coterie: Any) -> None:
    run = await coterie("aggregator", "bench", "--stored", "--skills", "law", "--seed", "3")
    assert "4 trials" in run.output
    assert "no expert was asked" in run.output


def _asked(service: Any) -> Sequence[int]:
    return [len(e.asked) for _, e in sorted(service.fleet.engines.items())]
