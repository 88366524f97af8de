"""What a request decides for itself in its ``coterie`` object, over HTTP."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from coterie.db import utcnow
from coterie.errors import EngineUnavailable
from orchestrator.keys.key import ApiKey, Role

pytestmark = pytest.mark.asyncio(loop_scope="module")
HELLO = [{"role": "user", "content": "Which one?\nA. this\nB. that\nC. other"}]
PROSE = [{"role": "user", "content": "Tell me of Paris."}]
RATES = {"best": 0.9, "fair": 0.85, "good": 0.88, "poor": 0.3}
DOLLAR = {"completion_price": 1_000_000, "defaults": {"max_tokens": 10}}
"""An answer of ten tokens costs ten dollars at most, and one that is a word long one."""


def four_engines(kit: Any) -> list[Any]:
    """``best``, ``good`` and ``fair`` are about as good as each other, and agree on nothing."""
    return [
        kit.engine("best", "The answer is (A)."),
        kit.engine("fair", "The answer is (B)."),
        kit.engine("good", "The answer is (C)."),
        kit.engine("poor", "The answer is (B)."),
        kit.engine("shy", "The answer is (A).", entry={"recruit": False}),
    ]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def _four(
    shared_kit: Any, tmp_path_factory: pytest.TempPathFactory, _migrated_file: Path
) -> AsyncIterator[Any]:
    home, made = tmp_path_factory.mktemp("four"), four_engines(shared_kit)
    async with shared_kit.knowing(home, _migrated_file, made, RATES) as found:
        yield found


@pytest.fixture
def four(_four: Any, kit: Any) -> Any:
    return _four.anew(four_engines(kit))


def asked(service: Any) -> list[str]:
    """Who was asked, as often as it was."""
    engines = service.fleet.engines.items()
    return [name for name, engine in engines for _ in engine.asked]


async def ask(service: Any, **options: Any) -> Any:
    return await service.chat(messages=HELLO, coterie=options)


async def test_a_strategy_goes_before_that_of_the_model(four: Any) -> None:
    options = {"strategy": "best-single"}
    response = await four.chat(model="coterie/all", messages=HELLO, coterie=options)
    assert response.headers["x-coterie-strategy"] == "best-single"
    assert asked(four) == ["best"]


@pytest.mark.parametrize("k", [1, 2, 3])
async def test_no_more_than_k_are_asked(four: Any, k: int) -> None:
    response = await ask(four, strategy="all", k=k)
    assert response.status_code == 200
    assert asked(four) == sorted(["best", "good", "fair"][:k])


@pytest.mark.parametrize("strategy", ["symbolic", "cascade", "adaptive", "auto", "symbolic-paper"])
async def test_k_bounds_what_strategies_recruit(four: Any, strategy: str) -> None:
    assert (await ask(four, strategy=strategy, k=2)).status_code == 200
    assert 1 <= len(asked(four)) <= 2


async def test_only_named_experts_are_asked_those_not_recruited_too(four: Any) -> None:
    response = await ask(four, strategy="all", experts=["shy", "poor", "shy"])
    assert response.status_code == 200
    assert asked(four) == ["poor", "shy"]
    record = (await four.http.get(f"/v1/routes/{response.headers['x-request-id']}")).json()
    assert sorted(c["expert"] for c in record["candidates"]) == ["poor", "shy"]


async def test_narrow_requests_leave_what_others_rest_on_as_it_was(four: Any) -> None:
    roster = four.parts.roster
    derived = roster.snapshot.knowledge._derived
    await four.chat(messages=HELLO)
    before, pools = set(derived), set(roster._pools)
    for k in range(40):
        names = [n for i, n in enumerate(("best", "fair", "good", "poor")) if k >> i & 1]
        assert (await ask(four, experts=names or ["shy"])).status_code == 200
    assert set(derived) == before
    assert set(roster._pools) == pools


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"strategy": "guess"}, "choose one of auto"),
        ({"strategy": "oracle"}, "choose one of auto"),
        ({"k": 6}, "COTERIE_MAX_EXPERTS"),
        ({"k": 0}, "greater than or equal to 1"),
        ({"experts": ["best", "who"]}, "no expert 'who'"),
        ({"experts": []}, "at least 1"),
        ({"budget": 0}, "greater than 0"),
        ({"budget": -1}, "greater than 0"),
        ({"aggregator": "who"}, "or vote, synthesis, weighted"),
        ({"aggregator": "learned"}, "never fitted"),
        ({"conversation": ""}, "at least 1 character"),
        ({"colour": "red"}, "Extra inputs are not permitted"),
    ],
)
async def test_what_cannot_be_honoured_is_refused_by_name(
    four: Any, options: dict[str, Any], told: str
) -> None:
    response = await ask(four, **options)
    assert response.status_code == 400
    error = response.json()["error"]
    [name] = options
    assert f"coterie.{name}" in error["param"]
    assert told in error["message"]
    assert asked(four) == []


@pytest.mark.parametrize(
    "options", [{"strategy": "all"}, {"k": 1}, {"experts": ["best"]}, {"aggregator": "vote"}]
)
async def test_an_expert_by_name_leaves_nothing_to_choose(four: Any, options: Any) -> None:
    response = await four.chat(model="best", messages=HELLO, coterie=options)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == f"coterie.{next(iter(options))}"
    assert "asked alone" in response.json()["error"]["message"]


async def test_a_keys_rights_hold_for_what_is_named(four: Any) -> None:
    rights = {"experts": ("best", "fair"), "strategies": ("all",)}
    _, secret = await four.parts.keys.create(ApiKey("", "k", Role.CHAT, "", utcnow(), **rights))
    headers = {"Authorization": f"Bearer {secret}"}

    async def status(**options: Any) -> tuple[int, str]:
        body = {"model": "coterie", "messages": HELLO, "coterie": options}
        response = await four.http.post("/v1/chat/completions", json=body, headers=headers)
        return response.status_code, response.json().get("error", {}).get("code", "")

    assert await status(experts=["good"]) == (403, "model_not_allowed")
    assert await status(aggregator="good") == (403, "model_not_allowed")
    assert await status(strategy="cascade") == (403, "model_not_allowed")
    assert asked(four) == []
    assert (await status(strategy="all", experts=["fair"]))[0] == 200
    assert asked(four) == ["fair"]


# --- aggregator ---------------------------------------------------------------------------------


async def synthesis(service: Any, messages: Any, **options: Any) -> Any:
    response = await service.chat(model="coterie/all", messages=messages, coterie=options)
    assert response.status_code == 200
    return (await service.http.get(f"/v1/routes/{response.headers['x-request-id']}")).json()


async def test_one_writes_the_answer_from_several_where_that_is_wished(four: Any) -> None:
    record = await synthesis(four, HELLO, aggregator="synthesis", k=2)
    assert record["aggregation"]["writer"] == "best"
    assert [c["role"] for c in record["calls"]] == ["answer", "answer", "aggregate"]


async def test_a_named_expert_writes(four: Any) -> None:
    record = await synthesis(four, HELLO, aggregator="shy", k=2)
    assert record["aggregation"]["writer"] == "shy"
    assert record["answer"]["expert"] == "shy"


async def test_nobody_writes_where_the_vote_is_to_stand(four: Any) -> None:
    for engine in four.fleet.engines.values():
        engine.text = (
            f"{engine.name}: " + "Autumn leaves are falling down by the old grey river. " * 3
        )
    record = await synthesis(four, PROSE, aggregator="vote", k=2)
    assert record["synthesis"] is None
    assert "nobody is to write one" in record["aggregation"]["fallback"]
    assert {c["role"] for c in record["calls"]} == {"answer"}


async def test_a_named_vote_judges(four: Any) -> None:
    record = await synthesis(four, HELLO, aggregator="majority", experts=["best", "fair", "poor"])
    assert record["verdict"].startswith("2 of 3 votes")
    assert record["answer"]["expert"] == "fair"


# --- budget -------------------------------------------------------------------------------------


def priced_engines(kit: Any) -> list[Any]:
    """An answer of ``a`` or ``b`` may cost ten dollars, and costs one; ``c``'s costs nothing."""
    return [
        kit.engine("a", "A", entry=DOLLAR),
        kit.engine("b", "B", entry=DOLLAR),
        kit.engine("c", "C"),
    ]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def _priced(
    shared_kit: Any, tmp_path_factory: pytest.TempPathFactory, _migrated_file: Path
) -> AsyncIterator[Any]:
    home, rates = tmp_path_factory.mktemp("priced"), {"a": 0.9, "b": 0.8, "c": 0.6}
    made = priced_engines(shared_kit)
    async with shared_kit.knowing(home, _migrated_file, made, rates) as found:
        yield found


@pytest.fixture
def priced(_priced: Any, kit: Any) -> Any:
    return _priced.anew(priced_engines(kit))


@pytest.mark.parametrize(
    ("budget", "who"), [(30, "abc"), (20, "abc"), (15, "a"), (10, "a"), (9, "c"), (1, "c")]
)
async def test_no_more_are_asked_than_the_budget_reaches_for(
    priced: Any, budget: float, who: str
) -> None:
    options = {"budget": budget, "aggregator": "vote"}
    response = await priced.chat(model="coterie/all", messages=HELLO, coterie=options)
    assert response.status_code == 200
    assert "".join(asked(priced)) == who
    assert response.json()["usage"]["cost_usd"] <= budget


async def test_a_writer_beyond_the_budget_leaves_the_best_vote(priced: Any) -> None:
    record = await synthesis(priced, HELLO, aggregator="a", budget=10.5, experts=["a", "c"])
    first, *_ = record["aggregation"]["failures"]
    assert (first["expert"], first["code"]) == ("a", "over_budget")
    assert record["aggregation"]["writer"] == "c"
    assert record["cost_usd"] == 1


async def test_substitutes_too_are_within_the_budget(priced: Any, kit: Any) -> None:
    broken = EngineUnavailable("a", "it is gone")
    broken.usage = kit.engine("a", "A")._usage()
    priced.fleet.engines["a"].error = broken
    options = {"budget": 10.5, "strategy": "best-single"}
    response = await priced.chat(messages=HELLO, coterie=options)
    assert response.status_code == 503
    assert asked(priced) == ["a"]


@pytest.mark.parametrize("named", ["model", "experts"])
async def test_a_budget_that_reaches_for_nobody_is_refused(priced: Any, named: str) -> None:
    options: dict[str, Any] = {"budget": 9.0}
    if named == "experts":
        options["experts"] = ["a", "b"]
    model = "a" if named == "model" else "coterie"
    response = await priced.chat(model=model, messages=HELLO, coterie=options)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "coterie.budget"
    assert "'a', may cost $10" in response.json()["error"]["message"]
    assert asked(priced) == []
    shorter = await priced.chat(model=model, messages=HELLO, coterie=options, max_tokens=9)
    assert shorter.status_code == 200


# --- explanation and conversation ---------------------------------------------------------------


async def test_an_explanation_comes_with_the_answer(four: Any) -> None:
    told = (await ask(four, explain=True, strategy="all")).json()["coterie"]
    assert told["strategy"] == "all"
    assert told["reason"] == "all 4 are asked"
    assert told["chosen"] == ["best", "good", "fair", "poor"]
    assert told["skills"] == [{"skill": "sql", "weight": 1.0, "similarity": 0.7}]
    assert told["votes"]["B"] == ["fair", "poor"]
    assert [c["expert"] for c in told["candidates"]] == ["best", "good", "fair", "poor"]
    assert "answers" not in told
    assert "key" not in told
    assert "coterie" not in (await ask(four, k=1)).json()


async def test_the_why_record_tells_what_was_wished_for(four: Any) -> None:
    wished = {"strategy": "all", "k": 2, "experts": ["fair", "good", "poor"], "aggregator": "fair"}
    options = {**wished, "budget": 1, "conversation": "mine"}
    response = await four.chat(messages=HELLO, coterie=options)
    record = (await four.http.get(f"/v1/routes/{response.headers['x-request-id']}")).json()
    assert record["wishes"] == {
        "strategy": "all",
        "k": 2,
        "experts": ["fair", "good", "poor"],
        "budget_usd": 1,
        "writes": True,
        "writer": "fair",
    }
    plain = await four.chat(messages=HELLO)
    record = (await four.http.get(f"/v1/routes/{plain.headers['x-request-id']}")).json()
    assert "wishes" not in record


async def test_a_streams_explanation_comes_before_its_usage(four: Any) -> None:
    body = {
        "model": "coterie",
        "messages": HELLO,
        "stream": True,
        "stream_options": {"include_usage": True},
        "coterie": {"explain": True},
    }
    async with four.http.stream("POST", "/v1/chat/completions", json=body) as response:
        lines = [line async for line in response.aiter_lines() if line.startswith("data: {")]
    *_, told, usage = (json.loads(line.removeprefix("data: ")) for line in lines)
    assert told["choices"] == []
    assert told["coterie"]["strategy"] == "symbolic"
    assert usage["usage"]["total_tokens"] > 0
    assert "coterie" not in usage


async def test_a_named_conversation_stays_with_its_expert_whatever_is_sent(four: Any) -> None:
    for engine in four.fleet.engines.values():
        engine.text = "The answer is (A)."

    async def who(text: str, **options: Any) -> str:
        said = [{"role": "user", "content": text}]
        response = await four.chat(messages=said, coterie={"k": 1, **options})
        return str(response.headers["x-coterie-experts"])

    await four.chat(model="good", messages=HELLO, coterie={"conversation": "c1"})
    assert await who("Something else") == "best"
    assert await who("Something else", conversation="c1") == "good"
    assert await who("Something else", conversation="c2") == "best"


async def test_a_named_conversation_moves_where_another_is_clearly_better(four: Any) -> None:
    await four.chat(model="poor", messages=HELLO, coterie={"conversation": "c1"})
    response = await four.chat(messages=HELLO, coterie={"k": 1, "conversation": "c1"})
    assert response.headers["x-coterie-experts"] == "best"


async def test_a_conversation_of_one_key_is_not_anothers(four: Any) -> None:
    await four.chat(model="good", messages=HELLO, coterie={"conversation": "c1"})
    _, secret = await four.parts.keys.create(ApiKey("", "k", Role.CHAT, "", utcnow()))
    headers = {"Authorization": f"Bearer {secret}"}
    body = {"model": "coterie", "messages": PROSE, "coterie": {"k": 1, "conversation": "c1"}}
    response = await four.http.post("/v1/chat/completions", json=body, headers=headers)
    assert response.headers["x-coterie-experts"] == "best"


@pytest.mark.parametrize(("path", "field"), [("responses", "input"), ("completions", "prompt")])
async def test_other_endpoints_take_the_object_too_but_for_the_explanation(
    four: Any, path: str, field: str
) -> None:
    body = {"model": "coterie", field: "Which?", "coterie": {"experts": ["fair"]}}
    response = await four.http.post(f"/v1/{path}", json=body)
    assert response.status_code == 200
    assert response.headers["x-coterie-experts"] == "fair"
    body["coterie"] = {"explain": True}
    response = await four.http.post(f"/v1/{path}", json=body)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "coterie.explain"
