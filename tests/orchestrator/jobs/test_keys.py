"""Another definition of an expert is another expert: its old answers are not its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from coterie.types import Expert, ExpertKind, FusionSpec, SmallModel
from orchestrator.jobs.keys import revision

LARGE = Expert("large", ExpertKind.VLLM, "org/large")
SMALL = Expert("small", ExpertKind.VLLM, "org/small")
LAW = Expert("law", ExpertKind.LORA, "law", base="small", adapter="org/law")
SPEC = FusionSpec("large", SmallModel("org/small"), (SmallModel(expert="law"),))
FUSED = Expert("fused", ExpertKind.FUSION, "", fusion=SPEC)
ALL = {e.name: e for e in (LARGE, SMALL, LAW, FUSED)}


def with_(**changes: object) -> Expert:
    return replace(FUSED, fusion=replace(SPEC, **changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "changed",
    [
        with_(mode={"kind": "static"}),
        with_(base=SmallModel("org/other")),
        with_(base=SmallModel("org/small", prompt="Q")),
        with_(base=SmallModel("org/small", dtype="float32")),
        with_(base=SmallModel("org/small", overrides={"a": 1})),
        with_(experts=(*SPEC.experts, SmallModel("org/small", adapter="x"))),
    ],
)
def test_another_fusion_is_another_revision(changed: Expert) -> None:
    assert revision(changed, ALL) != revision(FUSED, ALL)


@pytest.mark.parametrize(
    "changed",
    [
        replace(LARGE, model="org/larger"),
        replace(SMALL, model="org/smaller"),  # through the adapter on it
        replace(LAW, adapter="org/law-2"),
    ],
)
def test_another_part_is_another_revision(changed: Expert) -> None:
    assert revision(FUSED, ALL | {changed.name: changed}) != revision(FUSED, ALL)


def test_names_and_sizes_shape_no_answer() -> None:
    same = with_(base=SmallModel("org/small", name="x", params_b=3.0))
    assert revision(same, ALL) == revision(FUSED, ALL)


def test_an_adapters_contents_count(tmp_path: Path) -> None:
    def weights(text: str) -> str:
        (tmp_path / "adapter_model.safetensors").write_text(text)
        return revision(with_(experts=(SmallModel("m", adapter=str(tmp_path)),)), ALL)

    assert len({weights("a"), weights("bb")}) == 2


def test_what_is_no_fusion_keeps_its_revision() -> None:
    """Answers that are stored stay found."""
    kept = "6c092c7e4f3c3d71f9480ee0313177472e969a0a6fe7dc20762319ded5ba0fb2"
    assert revision(LARGE, ALL) == kept
