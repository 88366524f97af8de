"""How large a fused expert is, and how long its context."""

from __future__ import annotations

from dataclasses import replace

from coterie.types import Expert, ExpertKind, FusionSpec, SmallModel
from orchestrator.routing.hosting import hosting_of
from skills.fused import completed

LARGE = Expert(
    "large",
    ExpertKind.VLLM,
    "org/large",
    context_length=8192,
    total_params_b=30.0,
    active_params_b=3.0,
)
SMALL = Expert("small", ExpertKind.VLLM, "org/small", total_params_b=1.0, enabled=False)
LAW = Expert("law", ExpertKind.LORA, "law", base="small", adapter="/law")
SPEC = FusionSpec(
    "large", SmallModel(expert="small"), (SmallModel(expert="law"), SmallModel("m", params_b=0.5))
)
FUSED = Expert("fused", ExpertKind.FUSION, "", fusion=SPEC)
ALL = (LARGE, SMALL, LAW, FUSED)


def fused(*experts: Expert) -> Expert:
    return next(e for e in completed(experts) if e.name == "fused")


def test_weights_are_held_once_and_run_for_each_part() -> None:
    found = fused(*ALL)
    assert found.total_params_b == 30.0 + 1.0 + 0.5
    assert found.active_params_b == 3.0 + 1.0 + 1.0 + 0.5
    assert found.context_length == 8192


def test_what_the_entry_says_goes_before() -> None:
    own = replace(FUSED, context_length=99, total_params_b=40.0, active_params_b=7.0)
    assert fused(LARGE, SMALL, LAW, own) == own


def test_what_cannot_be_summed_up_is_left_open() -> None:
    found = fused(LARGE, replace(SMALL, total_params_b=None), LAW, FUSED)
    assert (found.total_params_b, found.active_params_b) == (None, None)
    assert fused(FUSED) == FUSED


def test_all_others_stay_as_they_are() -> None:
    assert completed(ALL)[:3] == ALL[:3]


def test_an_engine_holds_the_small_models_of_all_its_fusions() -> None:
    second = replace(
        FUSED, name="other", fusion=replace(SPEC, base=SmallModel("org/2", params_b=2.0))
    )
    assert fused(*ALL, second).total_params_b == 30.0 + 1.0 + 0.5 + 2.0
    assert fused(*ALL, replace(second, enabled=False)).total_params_b == 31.5
    pool = [e for e in completed((*ALL, second)) if e.name in ("large", "fused", "other")]
    assert hosting_of(pool).memory_gb == (67.0,)
    assert hosting_of(pool).engine == (0, 0, 0)
