"""The pages about experts, over HTTP."""

from __future__ import annotations

import asyncio
import json
import re
from datetime import timedelta
from typing import Any

import pytest

from coterie.db import utcnow
from coterie.types import Estimate, Expert, ExpertKind, ExpertSource, Limits, Profile
from orchestrator.keys.key import ApiKey, Role
from skills.knowledge import Knowledge
from skills.snapshot import SnapshotInfo, pack
from tests.orchestrator.dashboard.visitor import Visitor

ENTRY = {
    "name": "new",
    "endpoint": "http://127.0.0.1:9/new",
    "model": "m",
    "enabled": "on",
    "recruit": "on",
}


@pytest.fixture
async def admin(service: Any) -> Visitor:
    return await Visitor.enter(service)


async def test_the_table_says_how_each_expert_stands(admin: Visitor, service: Any) -> None:
    await service.chat(model="good")
    page = await admin.see("/experts")
    assert 'href="/dashboard/experts/good"' in page
    assert "declared" in page
    assert "at 127.0.0.1:9" in page
    assert ".95 <small>± .10</small>" in page


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("text=goo", ["good"]),
        ("state=disabled", []),
        ("kind=vllm", []),
        ("source=declared&sort=-success", ["good", "bad"]),
        ("sort=success", ["bad", "good"]),
        ("page=99", ["bad", "good"]),
        ("sort=nonsense", ["bad", "good"]),
    ],
)
async def test_it_is_filtered_and_sorted(admin: Visitor, query: str, names: list[str]) -> None:
    found = await admin.get(f"/experts?{query}", piece=True)
    assert "<html" not in found.text
    assert re.findall(r'id="expert-(\w+)"', found.text) == names


async def test_many_are_shown_a_page_at_a_time(admin: Visitor) -> None:
    await admin.parts.registry.put([server(i) for i in range(120)])
    page = await admin.see("/experts?text=server&page=3")
    assert page.count('id="expert-server-') == 20
    assert "Page 3 of 3" in page


async def test_an_expert_is_added_changed_and_removed(admin: Visitor) -> None:
    added = await admin.post("/experts/_new?kind=openai", ENTRY | {"tags": "fast, small"})
    assert added.headers["hx-redirect"] == "/dashboard/experts/new"
    form = await admin.see("/experts/new/edit")
    assert 'value="fast, small"' in form
    changed = {**ENTRY, "description": "better", "prompt_price": "0.5"}
    assert (await admin.post("/experts/new/edit", changed)).status_code == 204
    found = await admin.parts.registry.get("new")
    assert (found.description, found.prompt_price, found.tags) == ("better", 0.5, ())
    assert found.recruit
    named = {name: value for name, value in ENTRY.items() if name != "recruit"}
    await admin.post("/experts/new/edit", named)
    assert not (await admin.parts.registry.get("new")).recruit
    assert not re.search(r'name="recruit" checked', await admin.see("/experts/new/edit"))
    assert (await admin.post("/experts/new/remove")).headers["hx-redirect"] == "/dashboard/experts"
    actions = [c.action for c in await admin.parts.audit.page()]
    assert actions == ["expert.remove", "expert.replace", "expert.replace", "expert.add"]


async def test_servers_and_limits_go_through_the_form(admin: Visitor) -> None:
    entry = {name: value for name, value in ENTRY.items() if name != "endpoint"}
    more = {"endpoints": "[http://a:1/v1, http://b:2]", "limits": "{concurrency: 4, queue: 0}"}
    assert (await admin.post("/experts/_new?kind=openai", entry | more)).status_code == 204
    found = await admin.parts.registry.get("new")
    assert found.endpoints == ("http://a:1", "http://b:2")
    assert found.limits == Limits(4, 0)
    form = await admin.see("/experts/new/edit")
    assert "- http://b:2" in form
    assert "concurrency: 4" in form
    assert "at a:1 and 1 more" in await admin.see("/experts/new")


async def test_capabilities_go_through_the_form(admin: Visitor) -> None:
    entry = ENTRY | {"capabilities": "[tools, images]"}
    assert (await admin.post("/experts/_new?kind=openai", entry)).status_code == 204
    assert "- images" in await admin.see("/experts/new/edit")
    for given, kept in (("[]", ()), ("", None)):
        await admin.post("/experts/new/edit", ENTRY | {"capabilities": given})
        assert (await admin.parts.registry.get("new")).capabilities == kept


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"capabilities": "[smell]"}, "'json_schema' or 'logprobs'"),
        ({"endpoints": "[http://a:1, http://b:2]"}, "both 'endpoint' and 'endpoints'"),
        ({"limits": "{concurrency: 0}"}, "concurrency: should be greater than or equal to 1"),
        ({"name": "Not Allowed"}, "a letter or a digit"),
        ({"context_length": "-3"}, "greater than 0"),
        ({"defaults": "temperature: [cold"}, "not YAML"),
        ({"defaults": "temperature: cold"}, "temperature: should be a valid number"),
        ({"endpoint": "ftp://nowhere"}, "http(s) URL"),
        ({"api_key_env": "sk-secret"}, "name of an environment variable"),
        ({"name": "good"}, "registered already"),
    ],
)
async def test_a_form_that_is_wrong_says_where(
    admin: Visitor, fields: dict[str, str], told: str
) -> None:
    refused = await admin.post("/experts/_new?kind=openai", {**ENTRY, **fields})
    assert refused.status_code == 422
    assert told in refused.text.replace("&#39;", "'")
    assert "new" not in {e.name for e in await admin.parts.registry.list()}


async def test_what_does_not_answer_is_added_only_untried(admin: Visitor, service: Any) -> None:
    service.fleet.unreachable.add("new")
    refused = await admin.post("/experts/_new?kind=openai", ENTRY | {"verify": "on"})
    assert "connection refused" in refused.text
    tested = await admin.post("/experts/_probe?kind=openai", ENTRY)
    assert "No connection: connection refused" in tested.text
    assert (await admin.post("/experts/_new?kind=openai", ENTRY)).status_code == 204


async def test_a_declared_expert_is_switched_and_not_changed(admin: Visitor) -> None:
    assert (await admin.get("/experts/good/edit")).status_code == 400
    assert (await admin.post("/experts/good/edit", ENTRY)).status_code == 400
    assert (await admin.post("/experts/good/remove")).status_code == 400
    page = await admin.see("/experts/good")
    assert 'id="act-edit"' not in page
    assert 'id="act-remove"' not in page
    for act in ("disable", "enable", "drain"):
        done = await admin.post(f"/experts/good/{act}")
        assert done.headers["hx-trigger"] == "experts-changed"
    assert (await admin.parts.registry.get("good")).enabled is False


async def test_a_file_is_looked_at_before_it_is_applied(admin: Visitor) -> None:
    exported = await admin.see("/experts/_export")
    text = exported + "- {name: more, kind: openai, model: m, endpoint: 'http://h:1'}\n"
    looked = await admin.post("/experts/_preview", {"text": text})
    assert "Added: 1" in looked.text
    assert "Left as it is: 2" in looked.text
    assert "more" not in {e.name for e in await admin.parts.registry.list()}
    digest = re.search(r'name="digest" value="(\w+)"', looked.text)
    assert digest
    stale = await admin.post("/experts/_import", {"text": text, "digest": "other"})
    assert "has changed meanwhile" in stale.text
    done = await admin.post("/experts/_import", {"text": text, "digest": digest[1]})
    assert done.headers["hx-redirect"] == "/dashboard/experts"
    assert (await admin.parts.registry.get("more")).source is ExpertSource.MANAGED
    again = await admin.post("/experts/_preview", {"text": text})
    assert "Nothing would change" in again.text


async def test_a_file_that_is_wrong_changes_nothing(admin: Visitor) -> None:
    found = await admin.post("/experts/_preview", {"text": "experts: [{name: a, kind: vllm}]"})
    assert found.status_code == 400
    assert "needs &#39;model&#39;" in found.text


async def test_an_experts_page_tells_all_of_it(admin: Visitor, service: Any) -> None:
    await service.chat(model="good")
    await service.chat()
    await settled(service)
    page = await admin.see("/experts/good")
    assert "forty two it is" in page
    assert "sql" in page
    assert "Latency of a call" in page
    assert "Declared in the server" in page
    chart = re.search(r'<script type="application/json" id="[^"]*">(.*?)</script>', page)
    assert chart
    assert len(json.loads(chart[1])["labels"]) == 31  # days without calls, too
    skills = await admin.get("/experts/good/_skills?text=sq&sort=ahead", piece=True)
    assert ".95" in skills.text
    assert ".20 to .95" in skills.text
    none = await admin.get("/experts/good/_skills?text=zzz", piece=True)
    assert "No skill matches" in none.text


async def test_its_history_is_told_by_snapshot(admin: Visitor, service: Any) -> None:
    archive = service.parts.archive
    later = Knowledge.of([Profile("good", Estimate(0.7, 0.02, 99), {"sql": Estimate(0.5, 0.1, 9)})])
    info = SnapshotInfo("later", utcnow() + timedelta(minutes=1), note="<b>graded</b>")
    await archive.snapshots.add(info, pack(later))
    page = (await admin.get("/experts/good/_history?skill=sql", piece=True)).text
    assert "later" in page
    assert "made-up" in page
    assert ".70 <small>± .04" in page
    assert "&lt;b&gt;graded" in page


async def test_secrets_are_not_shown(admin: Visitor) -> None:
    engine = Expert(
        "engine",
        ExpertKind.VLLM,
        "m",
        engine_args={"api-key": "sk-told", "max-num-batched-tokens": 5, "hf_token": "hf-told"},
        enabled=False,
    )
    await admin.parts.registry.put([engine])
    page = await admin.see("/experts/engine")
    assert "told" not in page
    assert "max-num-batched-tokens: 5" in page


async def test_an_unknown_expert_is_told(admin: Visitor) -> None:
    assert (await admin.get("/experts/nobody")).status_code == 404
    assert (await admin.get("/experts/_nothing")).status_code == 404


async def test_a_viewer_sees_and_changes_nothing(service: Any) -> None:
    _, secret = await service.parts.keys.create(ApiKey("", "looks on", Role.VIEWER, "", utcnow()))
    viewer = await Visitor.enter(service, secret)
    page = await viewer.see("/experts")
    assert "/_new" not in page
    assert 'id="disable-' not in page
    one = await viewer.see("/experts/good")
    assert 'id="act-' not in one
    for path in ("/experts/good/disable", "/experts/_new?kind=openai", "/experts/_preview"):
        assert (await viewer.post(path)).status_code == 403
    for path in ("/experts/_new", "/experts/_export", "/experts/_import", "/experts/good/_log"):
        assert (await viewer.get(path)).status_code == 403


async def test_a_fresh_overview_says_what_to_do_next(admin: Visitor) -> None:
    page = await admin.see("")
    assert "What to do next" in page
    assert "No requests in this day" in page


async def test_the_overview_tells_traffic(admin: Visitor, service: Any) -> None:
    for _ in range(3):
        await service.chat()
    await settled(service)
    for looked in ("hour", "day", "week", "month", "nonsense"):
        page = await admin.see(f"?range={looked}")
        assert "Requests a" in page
        assert "<dd>3</dd>" in page.replace("\n", "")
    assert "What to do next" not in page
    assert "Experts" in (await admin.get("/_now", piece=True)).text


async def settled(service: Any) -> None:
    """Waits until what was asked is written."""
    while service.parts.traces._waiting:
        await asyncio.sleep(0.01)


def server(number: int) -> Expert:
    return Expert(
        f"server-{number}", ExpertKind.OPENAI, f"m{number}", endpoint="http://127.0.0.1:9"
    )
