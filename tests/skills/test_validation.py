"""What the registry refuses, and what it says then."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coterie.errors import RegistryError
from coterie.types import Expert, ExpertKind, Limits
from skills.validation import by_name, check, check_all, check_not_needed, normalised

REMOTE = Expert("remote", ExpertKind.OPENAI, "gpt", endpoint="https://api.example")
LOCAL = Expert("local", ExpertKind.VLLM, "package:small")
LORA = Expert("lora", ExpertKind.LORA, "lora", base="local", adapter="/adapters/lora")
SERVED = Expert("served", ExpertKind.LORA, "sql-lora", base="remote")
MANY = Expert("many", ExpertKind.OPENAI, "gpt", endpoints=("http://a", "http://b"))
ALL = by_name([REMOTE, LOCAL, LORA, SERVED, MANY])


@pytest.mark.parametrize("expert", ALL.values(), ids=lambda e: e.name)
def test_a_good_entry_passes(expert: Expert) -> None:
    check(expert, ALL)


@pytest.mark.parametrize("name", ["a", "0", "qwen2.5-7b_it", "coterie-small", "x" * 64])
def test_good_names(name: str) -> None:
    check(replace(LOCAL, name=name), {})


BAD = [
    (LOCAL, {"name": ""}, "1 to 64 of a-z"),
    (LOCAL, {"name": "Upper"}, "1 to 64 of a-z"),
    (LOCAL, {"name": "-dash"}, "1 to 64 of a-z"),
    (LOCAL, {"name": "a\n"}, "1 to 64 of a-z"),
    (LOCAL, {"name": "x" * 65}, "1 to 64 of a-z"),
    (LOCAL, {"name": "coterie"}, "what clients ask for"),
    (LOCAL, {"name": "coterie/best"}, "what clients ask for"),
    (REMOTE, {"endpoint": None}, "needs 'endpoint'"),
    (REMOTE, {"endpoint": "api.example"}, "not an http"),
    (REMOTE, {"endpoint": "ftp://api.example"}, "not an http"),
    (REMOTE, {"endpoint": "https://"}, "not an http"),
    (REMOTE, {"endpoint": "http://h:port"}, "not an http"),
    (REMOTE, {"endpoint": "https://me:hunter2@api.example"}, "holds credentials"),
    (REMOTE, {"endpoint": "https://api.example?key=hunter2"}, "query or fragment"),
    (REMOTE, {"model": ""}, "kind 'openai' needs 'model'"),
    (REMOTE, {"base": "local"}, "kind 'openai' takes no 'base'"),
    (REMOTE, {"engine_args": {"a": 1}}, "kind 'openai' takes no 'engine_args'"),
    (LOCAL, {"model": ""}, "kind 'vllm' needs 'model'"),
    (REMOTE, {"endpoints": ("http://a", "http://b")}, "both 'endpoint' and 'endpoints'"),
    (MANY, {"endpoints": ("http://a", "http://A/")}, "two of its 'endpoints' are the same"),
    (MANY, {"endpoints": ("http://a", "b:80")}, "not an http"),
    (MANY, {"endpoints": tuple(f"http://h:{i}" for i in range(1, 66))}, "more than 64"),
    (MANY, {"name": "twin", "endpoints": ("http://x", "http://b")}, "'many' is the same model"),
    (LOCAL, {"endpoints": ("http://h",)}, "kind 'vllm' takes no 'endpoints'"),
    (LOCAL, {"limits": Limits(0)}, "'limits' make no sense"),
    (LOCAL, {"limits": Limits(1, -1)}, "'limits' make no sense"),
    (LOCAL, {"limits": Limits(1, 1, float("nan"))}, "'limits' make no sense"),
    (LOCAL, {"endpoint": "http://h"}, "kind 'vllm' takes no 'endpoint'"),
    (LOCAL, {"adapter": "/a"}, "kind 'vllm' takes no 'adapter'"),
    (LORA, {"base": None}, "needs 'base'"),
    (LORA, {"base": "lora"}, "its own base"),
    (LORA, {"base": "nobody"}, "'nobody' is not registered; known are 'local', 'many', 'remote'"),
    (LORA, {"base": "served"}, "'served' is an adapter itself.*'local', 'many', 'remote'"),
    (LORA, {"adapter": None}, "kind 'lora' needs 'adapter'"),
    (SERVED, {"model": ""}, "kind 'lora' needs 'model'"),
    (SERVED, {"adapter": "/a"}, "loads adapters itself"),
    (LORA, {"endpoint": "http://h"}, "kind 'lora' takes no 'endpoint'"),
    (LOCAL, {"context_length": 0}, "'context_length' is 0, but must be above 0"),
    (LOCAL, {"total_params_b": -1.0}, "'total_params_b' is -1.0"),
    (LOCAL, {"active_params_b": float("nan")}, "'active_params_b' is nan"),
    (LOCAL, {"prompt_price": -0.1}, "'prompt_price' is -0.1"),
    (LOCAL, {"completion_price": float("inf")}, "'completion_price' is inf"),
    (REMOTE, {"api_key_env": "sk-hunter2"}, "revoke it"),
    (REMOTE, {"api_key_env": "lower"}, "name of an environment variable"),
    (REMOTE, {"api_key_env": ""}, "name of an environment variable"),
    (LOCAL, {"name": "twin"}, "'local' is the same model on the same engine"),
    (REMOTE, {"name": "twin", "endpoint": "https://API.example/"}, "'remote' is the same model"),
    (LORA, {"name": "twin"}, "'lora' is the same model"),
]


@pytest.mark.parametrize(("good", "changes", "told"), BAD, ids=lambda v: str(v)[:40])
def test_a_bad_entry_is_refused(good: Expert, changes: dict[str, object], told: str) -> None:
    bad = replace(good, **changes)  # type: ignore[arg-type]
    with pytest.raises(RegistryError, match=told) as caught:
        check(bad, ALL)
    assert repr(bad.name) in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_everything_wrong_is_told_at_once() -> None:
    with pytest.raises(RegistryError, match=r"a-z.*needs 'model'.*prompt_price"):
        check(replace(LOCAL, name="NO", model="", prompt_price=-1), {})


@given(st.text(max_size=40))
def test_an_api_key_is_never_echoed(tail: str) -> None:
    key = f"sk-{tail}-hunter2"
    with pytest.raises(RegistryError) as caught:
        check(replace(REMOTE, api_key_env=key), {})
    assert "hunter2" not in str(caught.value)


def test_other_models_of_one_server_are_no_twins() -> None:
    check(replace(REMOTE, name="other", model="gpt-2"), ALL)


def test_an_enabled_adapter_needs_an_enabled_base() -> None:
    off = ALL | {"local": replace(LOCAL, enabled=False)}
    with pytest.raises(RegistryError, match="its base 'local' is not"):
        check(LORA, off)
    check(replace(LORA, enabled=False), off)


def test_a_change_of_a_base_is_checked_against_its_adapters() -> None:
    with pytest.raises(RegistryError, match=r"'served' is refused.*needs 'adapter'"):
        check_all(ALL | {"remote": replace(LOCAL, name="remote", model="x")}, ["remote"])


def test_a_base_that_is_needed_names_who_needs_it() -> None:
    more = ALL | {"second": replace(LORA, name="second", adapter="/b")}
    with pytest.raises(RegistryError, match="'local' cannot be removed: 'lora', 'second' run on"):
        check_not_needed("local", more, action="removed")
    check_not_needed("lora", more, action="removed")
    idle = {name: replace(e, enabled=False) for name, e in more.items()}
    check_not_needed("local", idle, action="removed")


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("http://h:1/v1", "http://h:1"),
        ("http://h/v1/", "http://h"),
        ("http://h/api/v1", "http://h/api"),
        ("http://h/", "http://h"),
        ("http://h", "http://h"),
    ],
)
def test_endpoints_are_kept_in_one_form(given: str, kept: str) -> None:
    assert normalised(replace(REMOTE, endpoint=given)).endpoint == kept


def test_a_list_of_one_endpoint_is_that_one() -> None:
    one = normalised(replace(MANY, endpoints=("http://h:1/v1",)))
    assert (one.endpoint, one.endpoints) == ("http://h:1", ())
    assert normalised(replace(MANY, endpoints=("http://a/", "http://b/v1"))) == MANY
