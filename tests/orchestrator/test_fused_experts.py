"""A fused expert from the registry to the answer, over an imitated engine.

What is mixed is not imitated; that the engine is told of it, and asked for it, is.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import pytest_asyncio

from coterie.types import Question, SkillWeight
from orchestrator.api.app import create_app
from orchestrator.bootstrap import build
from orchestrator.engines.fleet import Fleet
from orchestrator.jobs.runner import Pace
from orchestrator.parts import Parts
from orchestrator.settings import Settings
from skills.infer import Inferred
from tests.imitation.answers import answer_tokens
from tests.imitation.start import write_interpreter

pytestmark = pytest.mark.asyncio(loop_scope="module")

TURNS = [{"role": "user", "content": "Is the contract void? (A) yes (B) no"}]
PACE = {"imitate_platform": "cpu", "imitate_step_s": 0.0005, "max_num_seqs": 8}


@dataclass
class Fused:
    """The service over an imitated engine that serves ``large`` and ``lifted``."""

    parts: Parts
    http: httpx.AsyncClient

    async def chat(self, model: str = "lifted", **fields: Any) -> httpx.Response:
        body = {"model": model, "messages": TURNS, "temperature": 0, **fields}
        return await self.http.post("/v1/chat/completions", json=body)

    async def says(self, model: str, **fields: Any) -> str:
        answer = (await self.chat(model, **fields)).json()
        return str(answer["choices"][0]["message"]["content"])

    async def why(self, answer: httpx.Response) -> dict[str, Any]:
        id = answer.headers["x-request-id"]
        return dict((await self.http.get(f"/v1/routes/{id}")).json())

    async def admin(self, method: str, path: str, body: Any = None) -> httpx.Response:
        key = {"Authorization": f"Bearer {self.parts.access.admin_key}"}
        return await self.http.request(method, f"/admin/experts{path}", json=body, headers=key)

    async def ready(self) -> None:
        assert isinstance(self.parts.fleet, Fleet)
        await self.parts.fleet.wait_ready(20.0)

    async def batch(self, model: str) -> str:
        """What a batch of one request is answered."""
        body = {"model": model, "messages": TURNS, "temperature": 0}
        line = {"custom_id": "1", "method": "POST", "url": "/v1/chat/completions", "body": body}
        sent = {"file": ("in.jsonl", json.dumps(line).encode())}
        file = await self.http.post("/v1/files", data={"purpose": "batch"}, files=sent)
        wanted = {"endpoint": line["url"], "completion_window": "24h"}
        made = await self.http.post(
            "/v1/batches", json={"input_file_id": file.json()["id"], **wanted}
        )
        async with asyncio.timeout(30):
            while (found := made.json())["status"] not in ("completed", "failed"):
                await asyncio.sleep(0.05)
                made = await self.http.get(f"/v1/batches/{found['id']}")
        answers = await self.http.get(f"/v1/files/{found['output_file_id']}/content")
        choice = answers.json()["response"]["body"]["choices"][0]
        return str(choice["message"]["content"])

    @property
    def traces(self) -> list[Path]:
        return list(self.parts.settings.home.rglob("*.jsonl"))


def expected(fusion: str | None) -> str:
    voice = f"large fused as {fusion}" if fusion else "large"
    return "".join(answer_tokens(voice, TURNS, temperature=0))


def adapter(folder: Path) -> str:
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps({"r": 4}))
    return str(folder)


class Nothing:
    """Skill inference that finds one and the same skill in everything."""

    async def infer(self, question: Question) -> Inferred:
        vector = np.array([0.6, 0.8], dtype=np.float32)
        return Inferred((SkillWeight("law", 1.0, 0.7),), vector)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fused(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Fused]:
    tmp_path = tmp_path_factory.mktemp("fused")
    law = {"name": "law", "kind": "lora", "base": "small", "adapter": adapter(tmp_path / "law")}
    fusion = {"large": "large", "base": {"expert": "small"}, "experts": [{"expert": "law"}]}
    experts = [
        {"name": "large", "kind": "vllm", "model": "org/large", "engine_args": PACE},
        {"name": "small", "kind": "vllm", "model": "org/small", "enabled": False},
        {**law, "enabled": False},
        {"name": "lifted", "kind": "fusion", "fusion": fusion},
    ]
    config = tmp_path / "experts.yaml"
    config.write_text(json.dumps({"experts": experts}))
    environ = {
        "PATH": os.environ["PATH"],
        "COTERIE_HOME": str(tmp_path / "home"),
        "COTERIE_CONFIG": str(config),
        "COTERIE_VLLM_PYTHON": str(write_interpreter(tmp_path)),
    }
    async with build(Settings.load(environ), inference=Nothing()) as parts:
        transport = httpx.ASGITransport(app=create_app(parts))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
            running = Fused(parts, http)
            await running.ready()
            yield running


async def test_it_is_asked_by_its_name_in_the_engine_of_its_large_model(fused: Fused) -> None:
    assert await fused.says("large") == expected(None)
    assert await fused.says("lifted") == expected("lifted") != expected(None)
    body = (await fused.admin("GET", "")).json()
    assert [p["serves"] for p in body["processes"]] == [["large", "lifted"]]
    assert {e["name"] for e in body["experts"] if e["healthy"]} == {"large", "lifted"}
    models = (await fused.http.get("/v1/models")).json()["data"]
    assert "coterie:fusion" in {m["owned_by"] for m in models}


async def test_batches_ask_it_as_chat_does(fused: Fused) -> None:
    fused.parts.jobs._pace = Pace(page=16, poll_s=0.0, most_s=0.01, beat_s=0.02, republish_s=0.05)
    fused.parts.batches._look_s = 0.02
    fused.parts.jobs.start()
    fused.parts.batches.start()
    assert await fused.batch("lifted") == expected("lifted")


async def test_it_votes_like_any_other(fused: Fused) -> None:
    answer = await fused.chat("coterie/majority")
    assert set(answer.headers["x-coterie-experts"].split(",")) == {"large", "lifted"}


async def test_its_alpha_is_in_the_why_record_where_it_was_asked_for(fused: Fused) -> None:
    answer = await fused.chat(coterie={"trace": True}, max_tokens=5)
    record = await fused.why(answer)
    [trace] = record["alpha"]
    assert trace["expert"] == "lifted"
    assert [list(step) for step in trace["steps"]] == [["law"]] * 5
    assert (trace["left_out"], trace["problem"]) == (0, "")
    assert fused.traces == []


async def test_a_stream_is_traced_too(fused: Fused) -> None:
    answer = await fused.chat(coterie={"trace": True}, stream=True)
    assert answer.text.endswith("data: [DONE]\n\n")
    assert [t["expert"] for t in (await fused.why(answer))["alpha"]] == ["lifted"]


async def test_nothing_is_traced_unasked_or_without_fusion(fused: Fused) -> None:
    assert "alpha" not in await fused.why(await fused.chat())
    assert (await fused.why(await fused.chat("large", coterie={"trace": True})))["alpha"] == []
    assert fused.traces == []


async def test_a_trace_that_is_not_there_is_told(
    fused: Fused, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.roster.trace_id", lambda request, expert: "elsewhere")
    [trace] = (await fused.why(await fused.chat(coterie={"trace": True})))["alpha"]
    assert trace["expert"] == "lifted"
    assert "no trace of it" in trace["problem"]


@pytest.mark.parametrize("model", ["large", "lifted"])
@pytest.mark.parametrize("field", ["fusion", "fusion_trace"])
async def test_callers_do_not_set_what_is_fused(fused: Fused, model: str, field: str) -> None:
    answer = await fused.chat(model, vllm_xargs={field: "lifted"})
    assert answer.status_code == 400
    assert repr(field) in answer.json()["error"]["message"]
    other = await fused.says("lifted", vllm_xargs={"session_id": "s"})
    assert other == expected("lifted")


async def test_an_option_that_coterie_does_not_have_is_refused(fused: Fused) -> None:
    assert (await fused.chat(coterie={"tracing": True})).status_code == 400


async def test_what_cannot_be_fused_is_refused_before_the_engine_is_touched(fused: Fused) -> None:
    first = fused.parts.fleet.describe()
    odd = {"model": "org/small", "adapter": "/none"}
    entry: dict[str, Any] = {
        "name": "odd",
        "kind": "fusion",
        "fusion": {"large": "large", "base": {"model": "org/small"}, "experts": [odd]},
    }
    refused = await fused.admin("POST", "", entry)
    assert refused.status_code == 400
    assert "adapter_config.json" in refused.json()["error"]["message"]
    entry["fusion"]["large"] = "lifted"
    refused = await fused.admin("POST", "", entry)
    assert "is of kind 'fusion'" in refused.json()["error"]["message"]
    entry["fusion"] |= {"large": "large", "mode": {"kind": "contrast"}}
    refused = await fused.admin("POST", "", entry)
    assert "wants no small experts" in refused.json()["error"]["message"]
    assert fused.parts.fleet.describe() == first


async def test_the_large_model_is_not_disabled_under_it(fused: Fused) -> None:
    refused = await fused.admin("POST", "/large/disable")
    assert refused.status_code == 400
    assert "'lifted' runs on its engine" in refused.json()["error"]["message"]


async def test_a_change_of_its_fusions_starts_the_engine_again(fused: Fused) -> None:
    first = fused.parts.fleet.describe()[0]
    entry = {
        "name": "second",
        "kind": "fusion",
        "fusion": {
            "large": "large",
            "base": {"model": "org/small"},
            "experts": [{"model": "org/small", "prompt": "Q: 1 + 1? A: 2", "name": "shown"}],
            "mode": {"kind": "static", "alpha": 0.5},
        },
    }
    added = await fused.admin("POST", "", entry)
    assert added.status_code == 201, added.text
    assert added.json()["fusion"]["mode"] == {"kind": "static", "alpha": 0.5}
    await fused.ready()
    assert fused.parts.fleet.describe()[0] != first
    assert await fused.says("second") == expected("second")
    assert await fused.says("lifted") == expected("lifted")
