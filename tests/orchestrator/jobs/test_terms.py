"""What a job goes by holds everything its experts are made of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

import pytest

from coterie.errors import JobError, RequestError
from coterie.types import (
    JSON,
    Capability,
    Expert,
    ExpertKind,
    FusionSpec,
    Question,
    Route,
    Sampling,
    SmallModel,
)
from orchestrator.deliberation import Matter
from orchestrator.jobs.job import JobSpec
from orchestrator.jobs.own_item import OwnItem
from orchestrator.jobs.terms import Terms, fix
from orchestrator.routing import Policy, Query
from skills.knowledge import Knowledge

LARGE = Expert("large", ExpertKind.VLLM, "org/large")
SMALL = Expert("small", ExpertKind.VLLM, "org/small", enabled=False)
LAW = Expert("law", ExpertKind.LORA, "law", base="small", adapter="org/law", enabled=False)
OTHER = Expert("other", ExpertKind.VLLM, "org/other")
SPEC = FusionSpec("large", SmallModel("org/small"), (SmallModel(expert="law"),))
FUSED = Expert("fused", ExpertKind.FUSION, "", fusion=SPEC)
ALL = {e.name: e for e in (LARGE, SMALL, LAW, OTHER, FUSED)}


def terms(experts: Mapping[str, Expert]) -> Terms:
    """The terms of a job that asks the fused expert, as they come back from the database."""
    spec = JobSpec("demo", experts=("fused",))
    fixed = json.loads(json.dumps(fix(spec, experts, Knowledge(), Policy())))
    return Terms.of(spec, fixed, Knowledge(), {}, secret=False)


def test_the_parts_of_a_fusion_are_kept_with_it() -> None:
    found = terms(ALL)
    assert set(found.experts) == {"fused", "large", "law", "small"}
    assert found.pool.names == ("fused",)
    found.check(ALL)
    found.check(ALL | {"other": replace(OTHER, model="org/another")})


@pytest.mark.parametrize(
    "changed",
    [
        replace(FUSED, fusion=replace(SPEC, mode={"kind": "static"})),
        replace(LARGE, model="org/larger"),
        replace(SMALL, model="org/smaller"),
        replace(LAW, adapter="org/law-2"),
    ],
)
def test_a_change_of_a_part_is_told(changed: Expert) -> None:
    with pytest.raises(JobError, match="'fused' has changed"):
        terms(ALL).check(ALL | {changed.name: changed})


def test_what_says_nothing_of_answers_may_change() -> None:
    terms(ALL).check(ALL | {"law": replace(LAW, description="of contracts", enabled=True)})


def test_who_is_not_recruited_is_in_a_job_that_names_it() -> None:
    experts = ALL | {"fused": replace(FUSED, recruit=False)}
    knowledge, policy = Knowledge(), Policy()
    assert fix(JobSpec("demo"), experts, knowledge, policy)["pool"] == ["large", "other"]
    named = JobSpec("demo", experts=("fused", "other"))
    assert fix(named, experts, knowledge, policy)["pool"] == ["fused", "other"]
    alone = JobSpec("demo", strategy="expert:fused")
    assert fix(alone, experts, knowledge, policy)["pool"] == ["fused"]
    with pytest.raises(RequestError, match="no expert is enabled that may be recruited"):
        fix(JobSpec("demo"), {"large": replace(LARGE, recruit=False)}, knowledge, policy)


def test_an_item_is_put_to_who_is_capable_of_what_it_needs() -> None:
    tools = (Capability.TOOLS,)
    able = {n: replace(OTHER, name=n, model=n, capabilities=tools) for n in ("a", "b")}
    experts = {**able, "mute": replace(OTHER, name="mute", model="mute", capabilities=())}
    spec = JobSpec("batch")
    fixed = json.loads(json.dumps(fix(spec, experts, Knowledge(), Policy())))
    found = Terms.of(spec, fixed, Knowledge(), {}, secret=False)
    route = Route("symbolic", (), (), ("a",), (), "")

    def matter(**extra: JSON) -> Matter:
        item = OwnItem("1", Question.of("Hi"), "", "", sampling=Sampling(extra=extra))
        return found.matter(item, Query(), route)

    plain, calls = matter(), matter(tools=[{"type": "function"}])
    assert plain.pool is found.pool
    assert plain.policy is found.policy
    assert calls.pool is not None
    assert calls.pool.names == ("a", "b")
    assert calls.policy.most == 1
    assert matter(tools=[{"type": "function"}]).pool is calls.pool
    named = matter(tools=[{"type": "function"}], tool_choice="none")
    assert named.policy is found.policy
    assert matter(logprobs=True).pool is found.pool  # nobody says that it has them
