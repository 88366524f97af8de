"""What stands before the dashboard's pages."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest


async def log_in(service: Any, **fields: str) -> httpx.Response:
    key = service.parts.access.admin_key
    response: httpx.Response = await service.http.post(
        "/dashboard/login", data={"key": key, **fields}
    )
    return response


async def token(service: Any) -> str:
    page = await service.http.get("/dashboard/login", headers={"Accept": "text/html"})
    assert page.status_code == 200
    found = re.search(r'"X-CSRF-Token": "([0-9a-f]{64})"', (await home(service)).text)
    assert found
    return found[1]


async def home(service: Any) -> httpx.Response:
    response: httpx.Response = await service.http.get("/dashboard")
    return response


async def test_the_servers_address_leads_to_the_login_and_back_to_the_page(service: Any) -> None:
    first = await service.http.get("/")
    assert first.headers["location"] == "/dashboard"
    asked = await service.http.get("/dashboard/experts?state=up")
    assert asked.status_code == 303
    assert asked.headers["location"] == "/dashboard/login?back=%2Fdashboard%2Fexperts%3Fstate%3Dup"
    answered = await log_in(service, back="/dashboard/experts?state=up")
    assert answered.status_code == 303
    assert answered.headers["location"] == "/dashboard/experts?state=up"


@pytest.mark.parametrize(
    "back",
    [
        "https://elsewhere.example/dashboard",
        "//elsewhere.example/dashboard",
        "/dashboard.elsewhere.example",
        "javascript:alert(1)",
        "/v1/models",
    ],
)
async def test_a_login_leads_to_no_other_site(service: Any, back: str) -> None:
    assert (await log_in(service, back=back)).headers["location"] == "/dashboard"


async def test_the_cookie_is_not_for_scripts_and_not_for_other_sites(service: Any) -> None:
    cookie = (await log_in(service)).headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "Path=/dashboard" in cookie
    assert service.parts.access.admin_key not in cookie


async def test_a_wrong_key_is_refused_and_not_repeated(service: Any) -> None:
    found = await service.http.post("/dashboard/login", data={"key": "ctr_mistaken"})
    assert found.status_code == 401
    assert "ctr_mistaken" not in found.text
    assert "set-cookie" not in found.headers


async def test_a_forged_cookie_is_nobody(service: Any) -> None:
    service.http.cookies.set("coterie_session", "WyJhZG1pbi1maWxlIiwieCJd.Zx.forged")
    assert (await service.http.get("/dashboard/experts")).status_code == 303


async def test_a_change_without_the_sessions_token_is_refused(service: Any) -> None:
    await log_in(service)
    refused = await service.http.post("/dashboard/logout")
    assert refused.status_code == 403
    assert "token" in refused.text
    other = await service.http.post("/dashboard/logout", headers={"X-CSRF-Token": "0" * 64})
    assert other.status_code == 403


async def test_a_change_from_another_sites_page_is_refused(service: Any) -> None:
    found = await service.http.post(
        "/dashboard/login",
        data={"key": service.parts.access.admin_key},
        headers={"Sec-Fetch-Site": "cross-site"},
    )
    assert found.status_code == 403


async def test_pages_run_nothing_that_is_not_ours(service: Any) -> None:
    page = await service.http.get("/dashboard/login")
    policy = page.headers["content-security-policy"]
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert page.headers["cache-control"] == "no-store"
    assert not re.search(r"<script(?![^>]*\bsrc=)(?![^>]*application/json)", page.text)
    assert not re.search(r"\son[a-z]+=|\sstyle=", page.text)


async def test_scripts_and_styles_are_served_and_kept(service: Any) -> None:
    page = await service.http.get("/dashboard/login")
    files = re.findall(r'(?:src|href)="(/dashboard/static/[^"]+)"', page.text)
    assert len(files) >= 4
    for file in files:
        found = await service.http.get(file)
        assert found.status_code == 200
        assert "immutable" in found.headers["cache-control"]


async def test_an_error_is_a_page_in_a_browser_and_a_notice_in_a_piece_of_one(
    service: Any,
) -> None:
    await log_in(service)
    page = await service.http.get("/dashboard/nothing-here")
    assert page.status_code == 404
    assert page.headers["content-type"].startswith("text/html")
    piece = await service.http.get("/dashboard/nothing-here", headers={"HX-Request": "true"})
    assert piece.headers["hx-retarget"] == "#notices"
    assert "<html" not in piece.text
