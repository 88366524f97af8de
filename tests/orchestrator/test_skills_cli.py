"""`coterie skills`, against a running server."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestrator.cli import show, show_skills
from skills.keyword_store import KeywordStore


async def as_json(coterie: Any, *args: str) -> Any:
    shown = await coterie("skills", *args, "--json")
    assert shown.exit_code == 0, shown.output
    return json.loads(shown.output)


async def test_skills_are_profiled_and_shown(coterie: Any) -> None:
    run = await coterie("skills", "profile", "good", "--limit", "7")
    assert run.exit_code == 0, run.output
    assert "profiled in" in run.output
    shown = await coterie("skills", "show")
    assert "overall" in shown.output
    body = await as_json(coterie, "show")
    assert body["profiling"]["status"] == "done"
    assert body["snapshot"] in run.output


async def test_experts_are_named_either_way(coterie: Any, service: Any) -> None:
    args = ("--benchmark", "demo", "--split", "val", "--limit", "2", "--name", "two")
    run = await coterie("skills", "profile", "--experts", "good,bad", *args)
    assert run.exit_code == 0, run.output
    assert [len(service.fleet.engines[name].asked) for name in ("good", "bad")] == [2, 2]
    run = await coterie("skills", "profile", "good", "--experts", "bad", "--task", "demo")
    assert run.exit_code == 0, run.output
    assert (await as_json(coterie, "snapshots"))["snapshots"][0]["parent"] == "two"


async def test_one_expert_is_shown_alone(coterie: Any) -> None:
    shown = await coterie("skills", "show", "--expert", "good")
    assert "0.95 ± 0.05" in shown.output
    assert "bad" not in shown.output
    body = await as_json(coterie, "show", "--expert", "good")
    assert [p["expert"] for p in body["profiles"]] == ["good"]
    failed = await coterie("skills", "show", "--expert", "nobody")
    assert "'nobody'; there is 'bad', 'good'" in str(failed.exception)


async def test_one_skill_is_shown_best_first(coterie: Any) -> None:
    shown = (await coterie("skills", "show", "--skill", "sql")).output
    assert shown.index("good") < shown.index("bad")
    body = await as_json(coterie, "show", "--skill", "sql", "--expert", "bad")
    assert [(p["expert"], list(p["skills"])) for p in body["profiles"]] == [("bad", ["sql"])]
    failed = await coterie("skills", "show", "--skill", "x")
    assert "there is 'sql'" in str(failed.exception)


def test_many_experts_have_a_row_each_best_first() -> None:
    def profile(name: str, mean: float) -> dict[str, Any]:
        estimate = {"mean": mean, "sd": 0.1, "n": 3.0}
        return {"expert": name, "overall": estimate, "skills": {"sql": estimate}}

    with show.console.capture() as captured:
        show.profiles({"profiles": [profile(f"expert-{i:02}", i / 20) for i in range(12)]})
    assert "sql .55±.10" in captured.get()
    assert captured.get().index("expert-11") < captured.get().index("expert-00")


def test_an_effort_is_told() -> None:
    estimate = {"mean": 0.5, "sd": 0.1, "n": 3.0}
    effort = {"prompt_tokens": None, "completion_tokens": 12.4, "latency_s": 0.5, "n": 3.0}
    profile = {"expert": "a", "overall": estimate, "aggregation": estimate, "skills": {}}
    with show.console.capture() as captured:
        show_skills.expert({**profile, "effort": effort})
    assert "an answer takes 12 tokens, 0.50 s (mean of 3)" in captured.get()
    assert "aggregation" in captured.get()


async def test_a_rollback_is_one_command(coterie: Any, service: Any) -> None:
    await coterie("skills", "profile", "--limit", "2", "--name", "second")
    await coterie("skills", "profile", "--limit", "3", "--name", "third")
    listed = await coterie("skills", "snapshots")
    assert "* " in listed.output
    assert "profiled on demo val: bad, good" in listed.output
    back = await coterie("skills", "rollback")
    assert "snapshot second is active" in back.output
    assert service.parts.roster.snapshot.knowledge.name == "second"
    assert "snapshot made-up is active" in (await coterie("skills", "rollback")).output
    failed = await coterie("skills", "rollback")
    assert "it is the first" in str(failed.exception)
    assert "snapshot third is active" in (await coterie("skills", "rollback", "third")).output
    route = await coterie("route", "How many?")
    assert "third" in route.output


async def test_a_parent_that_was_removed_is_told(coterie: Any, service: Any) -> None:
    await coterie("skills", "profile", "--limit", "2")
    await service.parts.archive.snapshots.remove("made-up")
    failed = await coterie("skills", "rollback")
    assert "its parent 'made-up' was removed" in str(failed.exception)


async def test_synonyms_are_suggested(coterie: Any, service: Any) -> None:
    async def embed(texts: Sequence[str]) -> NDArray[np.float32]:
        vectors = {"sql": (1.0, 0.0), "sql joins": (0.96, 0.28), "poetry": (0.0, 1.0)}
        return np.array([vectors.get(t, (0.6, 0.8)) for t in texts], dtype=np.float32)

    assert "no keyword" in (await coterie("skills", "synonyms", "suggest")).output
    parts = service.parts
    parts.coterie.services = replace(parts.coterie.services, embed=embed)
    await KeywordStore(parts.database).put("k", {"sql joins": 1.0, "poetry": 0.5, "SQL": 1.0})
    shown = await coterie("skills", "synonyms", "suggest", "--threshold", "0.9")
    assert "sql joins" in shown.output
    assert "poetry" not in shown.output
    found = await as_json(coterie, "synonyms", "suggest", "--threshold", "0.9")
    assert [(s["keyword"], s["skill"]) for s in found["suggestions"]] == [("sql joins", "sql")]


async def test_synonyms_are_merged_listed_and_split(coterie: Any) -> None:
    assert "no keyword" in (await coterie("skills", "synonyms", "list")).output
    merged = await coterie("skills", "synonyms", "merge", "joins", "sql")
    assert merged.exit_code == 0, merged.output
    assert "administrator" in (await coterie("skills", "synonyms", "list")).output
    assert (await as_json(coterie, "synonyms", "list"))["synonyms"][0]["skill"] == "sql"
    assert (await coterie("skills", "synonyms", "split", "joins")).exit_code == 0
    failed = await coterie("skills", "synonyms", "split", "joins")
    assert "joins" in str(failed.exception)
