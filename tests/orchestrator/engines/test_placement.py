"""Which engine serves which expert."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

from coterie.types import Expert, ExpertKind, FusionSpec, SmallModel
from orchestrator.engines.placement import Placement, make_plan

HOSTED = Expert("hosted", ExpertKind.OPENAI, "gpt", endpoint="http://a", api_key_env="KEY")
OWN = Expert("own", ExpertKind.VLLM, "org/model")
LORA = Expert("lora", ExpertKind.LORA, "", base="own", adapter="/lora")
REMOTE = Expert("remote", ExpertKind.LORA, "tuned", base="hosted")


def test_each_kind_has_its_place() -> None:
    plan = make_plan([HOSTED, OWN, LORA, REMOTE])
    assert plan.placements == {
        "hosted": Placement(HOSTED, "gpt", endpoints=("http://a",), api_key_env="KEY"),
        "own": Placement(OWN, "own", process="own"),
        "lora": Placement(LORA, "lora", process="own"),
        "remote": Placement(REMOTE, "tuned", endpoints=("http://a",), api_key_env="KEY"),
    }
    assert list(plan.processes) == ["own"]
    assert plan.processes["own"].adapters == {"lora": "/lora"}
    assert not plan.problems


def test_a_fusion_is_asked_as_its_large_model_and_told_to_that_engine() -> None:
    small = Expert("small", ExpertKind.VLLM, "org/small", enabled=False)
    spec = FusionSpec("own", SmallModel(expert="small"), (SmallModel("org/small", adapter="/a"),))
    fused = Expert("fused", ExpertKind.FUSION, "", fusion=spec)
    plan = make_plan([OWN, LORA, small, fused])
    assert not plan.problems
    placement = plan.placements["fused"]
    assert (placement.model, placement.process) == ("own", "own")
    assert list(plan.processes) == ["own"]
    assert plan.processes["own"].adapters == {"lora": "/lora"}
    [made] = plan.processes["own"].fusions.values()
    assert made.base == SmallModel("org/small", name="small")
    gone = make_plan([OWN, LORA, small, replace(fused, enabled=False)])
    assert gone.processes["own"] == make_plan([OWN, LORA]).processes["own"]
    assert not plan.processes["own"].differs_in_adapters_alone(gone.processes["own"])


def test_a_fusion_that_cannot_be_is_its_own_problem() -> None:
    spec = FusionSpec("own", SmallModel(expert="nobody"), (SmallModel("m"),))
    fused = Expert("fused", ExpertKind.FUSION, "", fusion=spec)
    far = replace(fused, name="far", fusion=replace(spec, large="hosted"))
    plan = make_plan([HOSTED, OWN, fused, far])
    assert list(plan.placements) == ["hosted", "own"]
    assert "'nobody'" in plan.problems["fused"]
    assert "'hosted' is not a registered expert of kind vllm" in plan.problems["far"]


def test_a_disabled_base_still_serves_its_adapters() -> None:
    plan = make_plan([replace(OWN, enabled=False), LORA])
    assert list(plan.placements) == ["lora"]
    assert list(plan.processes) == ["own"]


def test_a_disabled_expert_needs_nothing() -> None:
    assert not make_plan([replace(OWN, enabled=False)]).processes


def test_what_is_wrong_with_one_is_no_problem_of_another() -> None:
    unknown = replace(OWN, name="odd", kind=cast("Any", "gguf"))
    plan = make_plan(
        [
            OWN,
            unknown,
            replace(HOSTED, name="homeless", endpoint=None),
            replace(LORA, name="baseless", base="nobody"),
            replace(LORA, name="bare", adapter=None),
            replace(LORA, name="second", base="lora"),
        ]
    )
    assert list(plan.placements) == ["own"]
    assert set(plan.problems) == {"odd", "homeless", "baseless", "bare", "second"}
    assert "'gguf'" in plan.problems["odd"]
    assert "openai, embeddings, vllm, lora" in plan.problems["odd"]
    assert "'nobody'" in plan.problems["baseless"]
