"""What the fusions on one engine come to."""

from __future__ import annotations

from dataclasses import replace

import pytest

from aggregator.fusion.configuration import FusionConfiguration
from aggregator.fusion.configuration import SmallModel as Small
from coterie.errors import ConfigurationError
from coterie.types import Expert, ExpertKind, FusionSpec, SmallModel
from orchestrator.engines.fusion_plan import configuration_of, resolved

SMALL = Expert("small", ExpertKind.VLLM, "org/small", engine_args={"dtype": "float32"})
LAW = Expert("law", ExpertKind.LORA, "law", base="small", adapter="/law")
REMOTE = Expert("remote", ExpertKind.OPENAI, "gpt", endpoint="http://a")
EVERYONE = {e.name: e for e in (SMALL, LAW, REMOTE)}
SPEC = FusionSpec("large", SmallModel(expert="small"), (SmallModel(expert="law"),))


def test_registered_experts_become_their_weights() -> None:
    found = resolved(SPEC, EVERYONE)
    assert found.base == SmallModel("org/small", dtype="float32", name="small")
    assert found.experts == (SmallModel("org/small", adapter="/law", dtype="float32", name="law"),)


def test_what_a_part_says_itself_goes_before() -> None:
    part = SmallModel(expert="law", dtype="bfloat16", prompt="Q", name="x")
    [found] = resolved(replace(SPEC, experts=(part,)), EVERYONE).experts
    assert (found.dtype, found.prompt, found.name) == ("bfloat16", "Q", "x")


@pytest.mark.parametrize("name", ["nobody", "remote"])
def test_what_is_not_ours_to_load_is_told(name: str) -> None:
    with pytest.raises(ConfigurationError, match=repr(name)):
        resolved(replace(SPEC, base=SmallModel(expert=name)), EVERYONE)


def test_a_size_makes_no_other_engine() -> None:
    sized = replace(SPEC, base=SmallModel(expert="small", params_b=1.0))
    assert resolved(sized, EVERYONE) == resolved(SPEC, EVERYONE)


def test_the_engine_is_told_of_every_small_model_once() -> None:
    one = resolved(SPEC, EVERYONE)
    other = replace(one, mode={"kind": "static", "alpha": 0.5})
    found = configuration_of({"two": other, "one": one}, traces="/traces")
    assert dict(found.small) == {
        "small": Small("org/small", dtype="float32"),
        "law": Small("org/small", adapter="/law", dtype="float32"),
    }
    assert [found.fusions[n].base for n in ("one", "two")] == ["small", "small"]
    assert [found.fusions[n].experts for n in ("one", "two")] == [("law",), ("law",)]
    assert found.traces == "/traces"
    assert FusionConfiguration.of(found.as_dict()) == found


def test_names_that_are_taken_or_odd_are_changed() -> None:
    experts = (SmallModel("m", adapter="/a", name="x"), SmallModel("m", adapter="/my law+"))
    first = FusionSpec("large", SmallModel("m", name="x"), experts)
    found = configuration_of({"first": first})
    assert set(found.small) == {"x", "x-2", "my-law-"}
    assert found.fusions["first"].experts == ("x-2", "my-law-")
    assert FusionConfiguration.of(found.as_dict()) == found


def test_a_mode_that_does_not_fit_is_told_with_its_fusion() -> None:
    with pytest.raises(ConfigurationError, match="'odd'"):
        configuration_of({"odd": FusionSpec("large", SmallModel("m"), mode={"kind": "dynamic"})})
