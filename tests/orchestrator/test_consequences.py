"""What follows is told before it is done."""

from __future__ import annotations

from dataclasses import replace

from coterie.types import (
    Estimate,
    Expert,
    ExpertKind,
    ExpertSource,
    FusionSpec,
    Profile,
    SmallModel,
)
from orchestrator.consequences import Act, Consequences, consequences
from skills.validation import by_name

MANAGED = ExpertSource.MANAGED
BASE = Expert("base", ExpertKind.VLLM, "package:small", source=MANAGED)
LORA = Expert("lora", ExpertKind.LORA, "lora", base="base", adapter="/a", source=MANAGED)
SMALL = Expert("small", ExpertKind.VLLM, "package:tiny", source=MANAGED)
FUSED = Expert(
    "fused",
    ExpertKind.FUSION,
    "",
    fusion=FusionSpec("base", SmallModel("x"), (SmallModel(expert="small"),)),
    source=MANAGED,
)
SERVER = Expert("server", ExpertKind.OPENAI, "m", endpoint="http://h", source=MANAGED)


def of(act: Act, expert: Expert, *others: Expert, running: int = 0) -> Consequences:
    profile = Profile(expert.name, Estimate(0.8, 0.05, 120), {"sql": Estimate(0.7, 0.1, 9)})
    return consequences(act, expert, by_name([expert, *others]), profile=profile, running=running)


def test_what_others_run_on_cannot_go() -> None:
    for act in (Act.DISABLE, Act.DRAIN, Act.REMOVE):
        refused = of(act, BASE, LORA, FUSED, SMALL).refused or ""
        assert "'fused', 'lora' run on its engine" in refused
    assert of(Act.DISABLE, BASE, replace(LORA, enabled=False)).refused is None


def test_a_small_model_may_be_disabled_and_not_removed() -> None:
    assert of(Act.DISABLE, SMALL, BASE, FUSED).refused is None
    assert "'fused' is made of it" in (of(Act.REMOVE, SMALL, BASE, FUSED).refused or "")
    gone = of(Act.REMOVE, SMALL, BASE, replace(FUSED, enabled=False))
    assert gone.refused is None
    assert "cannot be enabled any more: fused" in gone.question


def test_a_declared_one_can_only_be_switched_off() -> None:
    declared = replace(SERVER, source=ExpertSource.DECLARED)
    assert "declared" in (of(Act.REMOVE, declared, BASE).refused or "")
    assert of(Act.DRAIN, declared, BASE).refused is None


def test_a_removal_says_what_is_forgotten() -> None:
    told = of(Act.REMOVE, SERVER, BASE).question
    assert "120 graded answers in 1 skill." in told
    assert "cannot be undone" in told


def test_running_calls_are_cut_off_or_let_end() -> None:
    assert "3 calls it answers now may be cut off" in of(Act.DISABLE, BASE, running=3).question
    assert "3 calls it answers now go on" in of(Act.DRAIN, BASE, running=3).question
    assert "1 call at its server go on" in of(Act.DISABLE, SERVER, BASE, running=1).question


def test_the_last_one_leaves_nobody_to_ask() -> None:
    assert "No expert is left" in of(Act.DISABLE, SERVER).question
    assert "No expert is left" not in of(Act.DISABLE, SERVER, BASE).question
