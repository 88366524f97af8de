"""Keys that are planted show up nowhere: not in logs, errors, metrics, why-records or pages."""

from __future__ import annotations

import json
import logging
import sqlite3
from pathlib import Path

import pytest

from tests.flows.gateway import Call, answers, gateway, servers

EXPERTS_KEY = "sk-planted-0f9e8d7c6b5a"
CALLERS_KEY = "sk-callers-1a2b3c4d5e6f"
METRICS_KEY = "sk-metrics-9f8e7d6c5b4a"


async def echoes_the_key(call: Call) -> None:
    """As some servers do with a key that they refuse."""
    told = {"error": {"message": f"Incorrect API key provided: {EXPERTS_KEY}."}}
    await call.says(json.dumps(told), "401 Unauthorized")


async def breaks_with_the_key(call: Call) -> None:
    await call.says(f"Traceback: headers = Bearer {EXPERTS_KEY}", "500 Internal Server Error")


async def talks_of_the_key(call: Call) -> None:
    await call.says(f"<html>{EXPERTS_KEY}</html>", kind="text/html")


async def test_planted_keys_show_up_nowhere(
    tmp_path: Path, sqlite_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    acts = (echoes_the_key, breaks_with_the_key, talks_of_the_key, answers)
    async with servers(*acts) as upstreams:
        experts = [
            {"name": f"e{i}", "endpoint": upstream.url, "api_key_env": "PLANTED_KEY"}
            for i, upstream in enumerate(upstreams)
        ]
        environ = {
            "PLANTED_KEY": EXPERTS_KEY,
            "COTERIE_LOG_LEVEL": "DEBUG",
            "COTERIE_CONTENTS_KEY": CALLERS_KEY * 2,
            "COTERIE_METRICS_KEY": METRICS_KEY,
            "COTERIE_ACCESS_LOG": "1",
        }
        async with gateway(tmp_path, experts, database_url=sqlite_url, **environ) as found:
            seen: list[str] = []
            headers = {"Authorization": f"Bearer {CALLERS_KEY}"}
            messages = [{"role": "user", "content": "How many?"}]
            for model in ("coterie", "coterie/all", "e0", "e1", "e2", "e3"):
                for stream in (False, True):
                    body = {"model": model, "messages": messages, "stream": stream}
                    for key in (headers, {}):
                        response = await found.http.post(
                            "/v1/chat/completions", json=body, headers=key
                        )
                        seen += [response.text, str(response.headers)]
            for name in ("e0", "e1", "e2", "e3"):
                tried = await found.http.post(f"/admin/experts/{name}/test", headers=found.admin)
                seen.append(tried.text)
            for path in (
                "/v1/routes?limit=100",
                "/v1/routes/export",
                "/admin/experts",
                "/admin/audit",
                "/admin/keys",
                "/health/readiness",
                "/v1/models",
            ):
                seen.append((await found.http.get(path, headers=found.admin)).text)
            scraped = await found.http.get("/metrics", headers=found.admin)
            assert 'coterie_expert_calls_total{expert="e0"' in scraped.text
            seen.append(scraped.text)
            wrong = {"name": "new", "kind": "openai", "model": "m", "api_key_env": EXPERTS_KEY}
            refused = await found.http.post("/admin/experts", json=wrong, headers=found.admin)
            assert refused.status_code == 400
            seen.append(refused.text)
            admin_key = found.parts.access.admin_key
    seen.append(caplog.text)
    seen.append(_everything_in(sqlite_url.removeprefix("sqlite:///")))
    everything = "\n".join(seen)
    assert "How many?" in everything, "records and logs were looked at"
    for secret in (EXPERTS_KEY, CALLERS_KEY, METRICS_KEY, admin_key):
        assert secret not in everything


def _everything_in(file: str) -> str:
    """Every value in the database, the why-records among them."""
    with sqlite3.connect(file) as connection:
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master")]
        known = [t for t in tables if not t.startswith(("sqlite_", "ix_", "pk_"))]
        rows = []
        for table in known:
            try:
                rows += connection.execute(f'SELECT * FROM "{table}"').fetchall()
            except sqlite3.OperationalError:
                continue  # an index
    connection.close()
    return "\n".join(map(str, rows))
