"""The page of skills."""

from __future__ import annotations

import asyncio
import re
from typing import Any

from coterie.types import Estimate, Profile
from orchestrator.api.dashboard.heat import EXPERTS, SKILLS, Order, Wanted, heat, lacks
from skills.knowledge import Knowledge


async def enter(service: Any) -> dict[str, str]:
    key = service.parts.access.admin_key
    await service.http.post("/dashboard/login", data={"key": key})
    page = await service.http.get("/dashboard/skills")
    assert page.status_code == 200
    found = re.search(r'"X-CSRF-Token": "([0-9a-f]{64})"', page.text)
    assert found
    return {"X-CSRF-Token": found[1], "HX-Request": "true"}


def known() -> Knowledge:
    """``sql`` was graded often and apart, ``law`` seldom, ``art`` never."""
    skills = {
        "a": {"sql": Estimate(0.9, 0.02, 100), "law": Estimate(0.5, 0.2, 2)},
        "b": {"sql": Estimate(0.3, 0.05, 50), "law": Estimate(0.5, 0.2, 0)},
    }
    return Knowledge.of(Profile(n, Estimate(0.6, 0.1, 50), found) for n, found in skills.items())


def test_order_search_and_what_is_not_known() -> None:
    def names(**wanted: Any) -> list[str]:
        return [r.skill for r in heat(known(), ("art",), ("a", "b"), Wanted(**wanted)).rows]

    assert names() == ["sql", "law", "art"]
    assert names(order=Order.NAME) == ["art", "law", "sql"]
    assert names(order=Order.LACKING) == ["art", "law", "sql"]
    assert names(order=Order.SPREAD)[0] == "sql"
    assert names(q="LA") == ["law"]
    sql = heat(known(), (), ("a", "b", "new"), Wanted(q="sql")).rows[0]
    assert [(c.tone, c.size, c.n) for c in sql.cells] == [(9, 5, 100), (3, 4, 50), (5, 1, 0)]
    assert lacks(known(), ("a", "b", "new"), "law") == ("a", "b", "new")
    assert lacks(known(), ("a", "new")) == ("new",)


def test_a_window_is_all_that_is_made_of_many() -> None:
    many = tuple(f"s{i:04}" for i in range(2000))
    experts = tuple(f"e{i:03}" for i in range(200))
    last = Wanted(order=Order.NAME, row=1990, column=192)
    found = heat(Knowledge(), many, experts, last)
    assert (len(found.rows), len(found.experts)) == (10, 8)
    assert found.row_pages == (1990 - SKILLS, None)
    assert found.column_pages == (192 - EXPERTS, None)


async def test_one_click_profiles_who_lacks_answers_and_progress_is_shown(service: Any) -> None:
    headers = await enter(service)
    data = {"task": "demo", "limit": "3", "skill": "arithmetic"}
    begun = await service.http.post("/dashboard/skills/profile", data=data, headers=headers)
    assert "every 2s" in begun.text
    async with asyncio.timeout(20):
        while "every 2s" in (text := (await service.http.get("/dashboard/skills/profiling")).text):
            await asyncio.sleep(0.02)
    assert "Show what it found" in text
    page = (await service.http.get("/dashboard/skills")).text
    assert "Activate made-up" in page
    back = await service.http.post(
        "/dashboard/skills/snapshots/activate", data={"name": "made-up"}, headers=headers
    )
    assert back.headers["hx-refresh"] == "true"


async def test_keywords_are_merged_and_split(service: Any) -> None:
    headers = await enter(service)
    data = {"keyword": "<b>queries</b>", "skill": "sql"}
    merged = await service.http.post("/dashboard/skills/merge", data=data, headers=headers)
    assert "&lt;b&gt;queries&lt;/b&gt;" in merged.text
    again = await service.http.post("/dashboard/skills/merge", data=data, headers=headers)
    assert again.headers["hx-retarget"] == "#notices"
    split = await service.http.post("/dashboard/skills/split", data=data, headers=headers)
    assert "Nothing is merged" in split.text
