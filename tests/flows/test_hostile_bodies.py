"""Bodies that no client means, sent to a running gateway: answered or refused, never a 500."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.flows.served import Served, served_from

CHAT, ROUTES = "/v1/chat/completions", "/v1/routes"
GOOD = {"model": "coterie", "messages": [{"role": "user", "content": "How many?"}]}
TEXT = st.text(st.characters() | st.sampled_from("\x00\ud800\udfff\u202e\U0001f600"), max_size=20)
NUMBER = st.integers() | st.floats() | st.sampled_from([10**30, -(10**400), 1e308, float("inf")])
VALUE = st.recursive(
    st.none() | st.booleans() | NUMBER | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
MESSAGE = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "system", "tool", "assistant", "developer"])},
    optional={"content": TEXT | VALUE, "name": VALUE, "tool_calls": VALUE},
)
FIELDS = [
    *("temperature", "top_p", "max_tokens", "max_completion_tokens", "stop", "seed", "n", "stream"),
    *("stream_options", "coterie", "tools", "tool_choice", "response_format", "logprobs", "user"),
    *("metadata", "vllm_xargs", "anything"),
]
BODY = st.fixed_dictionaries(
    {"model": st.just("coterie") | st.just("a") | TEXT, "messages": st.lists(MESSAGE, max_size=3)},
    optional=dict.fromkeys(FIELDS, VALUE),
)
MANY = settings(
    max_examples=150,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, _migrated_file: Path) -> Iterator[Served]:
    with served_from(_migrated_file, tmp_path_factory.mktemp("bodies")) as found:
        yield found


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    with requests.Session() as made:
        yield made


def send(served: Served, session: requests.Session, body: bytes, path: str = CHAT) -> Any:
    headers = {"content-type": "application/json"}
    response = session.post(served.url + path, data=body, headers=headers, timeout=10)
    assert response.status_code < 500, response.text
    if response.headers["content-type"].startswith("text/event-stream"):
        assert "internal_error" not in response.text
        assert response.text.endswith("data: [DONE]\n\n")
    elif response.status_code != 200:
        assert response.json()["error"]["message"]
    return response


@MANY
@given(body=BODY, path=st.sampled_from([CHAT, CHAT, ROUTES]))
def test_bodies_in_nearly_the_right_form(
    served: Served, session: requests.Session, body: dict[str, Any], path: str
) -> None:
    send(served, session, json.dumps(body).encode(), path)


@MANY
@given(junk=st.binary(max_size=60), at=st.integers(0, 80), instead=st.integers(0, 9))
def test_bodies_with_bytes_that_do_not_belong_there(
    served: Served, session: requests.Session, junk: bytes, at: int, instead: int
) -> None:
    good = json.dumps(GOOD).encode()
    send(served, session, good[:at] + junk + good[at + instead :])


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"[" * 100_000, "nested deeper"),
        (b'{"a":' * 100_000, "nested deeper"),
        (json.dumps(GOOD)[:-1].encode() + b', "x": ' + b"[" * 65 + b"]" * 65 + b"}", "deeper"),
        (json.dumps(GOOD)[:-1].encode() + b', "seed": ' + b"9" * 5000 + b"}", "out of range"),
        (json.dumps(GOOD)[:-1].encode() + b', "temperature": 1e999}', "out of range"),
        (json.dumps(GOOD)[:-1].encode() + b', "top_p": NaN}', "no numbers"),
        (b'{"model": "\xff\xfe"}', "body"),
        (b"\x00", "JSON"),
        (b"", "body"),
    ],
)
def test_what_nobody_means_is_refused(
    served: Served, session: requests.Session, body: bytes, told: str
) -> None:
    response = send(served, session, body)
    assert response.status_code == 400
    assert told in response.json()["error"]["message"]


@pytest.mark.parametrize(("text", "status"), [("nul \x00, \U0001f600", 200), ("\ud800", 400)])
def test_text_that_databases_and_utf_8_cannot_take(
    served: Served, session: requests.Session, text: str, status: int
) -> None:
    messages = [{"role": "user", "content": text}]
    for stream in (False, True):
        body = json.dumps({**GOOD, "messages": messages, "stream": stream}).encode()
        assert send(served, session, body).status_code == status


def test_memory_is_bounded_whatever_is_sent(served: Served, session: requests.Session) -> None:
    me = psutil.Process()
    send(served, session, b"[" * 1_000_000)
    before = me.memory_info().rss
    for body in (
        b"[" * 16_000_000,
        b'{"a":[' + b"[]," * 5_000_000 + b"0]}",
        b'"' + b"a" * 17_000_000 + b'"',
        b'{"messages":"' + b"\\u0041" * 2_500_000 + b'"}',
    ):
        assert send(served, session, body).status_code in (400, 413)
    assert me.memory_info().rss - before < 200_000_000


@pytest.mark.parametrize("path", ["/v1/routes/%00", "/v1/models/%00", "/v1/files/a%00b", "/%00"])
def test_nul_in_an_address_is_refused(served: Served, session: requests.Session, path: str) -> None:
    for url in (served.url + path, f"{served.url}/v1/routes?model=%00"):
        response = session.get(url, timeout=10, headers=served.headers)
        assert response.status_code == 400
        assert "NUL" in response.json()["error"]["message"]


@pytest.mark.parametrize("path", ["/admin/audit?before={}", "/v1/jobs/x/results?after={}"])
@pytest.mark.parametrize("number", [2**31, 2**63, 10**30])
def test_numbers_that_no_database_takes_are_refused(
    served: Served, session: requests.Session, path: str, number: int
) -> None:
    url = served.url + path.format(number)
    assert session.get(url, timeout=10, headers=served.headers).status_code == 400
