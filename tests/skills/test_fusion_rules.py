"""What the registry refuses of a fusion, and what it says then."""

from __future__ import annotations

from dataclasses import replace

import pytest

from coterie.errors import RegistryError
from coterie.types import Expert, ExpertKind, FusionSpec, SmallModel
from skills.validation import by_name, check, check_all, check_not_needed

LARGE = Expert("large", ExpertKind.VLLM, "org/large")
SMALL = Expert("small", ExpertKind.VLLM, "org/small", enabled=False)
LAW = Expert("law", ExpertKind.LORA, "law", base="small", adapter="/law", enabled=False)
REMOTE = Expert("remote", ExpertKind.OPENAI, "gpt", endpoint="https://api.example")
SERVED = Expert("served", ExpertKind.LORA, "sql-lora", base="remote")
SPEC = FusionSpec("large", SmallModel(expert="small"), (SmallModel(expert="law"),))
FUSED = Expert("fused", ExpertKind.FUSION, "", fusion=SPEC)
ALL = by_name([LARGE, SMALL, LAW, REMOTE, SERVED, FUSED])


def spec(**changes: object) -> Expert:
    return replace(FUSED, fusion=replace(SPEC, **changes))  # type: ignore[arg-type]


GOOD = {
    "of registered experts, disabled ones too": FUSED,
    "of weights": spec(base=SmallModel("org/s"), experts=(SmallModel("org/s", adapter="/a"),)),
    "of a base and the same with examples": spec(
        base=SmallModel("org/s"), experts=(SmallModel("org/s", prompt="Q: A:", name="shown"),)
    ),
    "a contrast with its base alone": spec(experts=(), mode={"kind": "contrast"}),
    "a mixture without a base": spec(base=None, mode={"kind": "log-linear"}),
}


@pytest.mark.parametrize("name", GOOD)
def test_a_good_fusion_passes(name: str) -> None:
    check(GOOD[name], ALL)


BAD = {
    "nothing in it": (replace(FUSED, fusion=None), "needs 'fusion'"),
    "no large": (spec(large=""), "needs 'large', one of the experts of kind 'vllm' .*'large'"),
    "an unknown large": (spec(large="none"), "'none' is not registered; .* 'large', 'small'"),
    "itself": (spec(large="fused"), "cannot be its own large"),
    "a large elsewhere": (spec(large="remote"), "of kind 'openai'; models are fused inside"),
    "an adapter as large": (spec(large="law"), "of kind 'lora'; models are fused inside"),
    "a disabled large": (spec(large="small"), "its large model 'small' is not; enable"),
    "an unknown base": (spec(base=SmallModel(expert="none")), "base: no expert 'none'"),
    "nothing as base": (spec(base=SmallModel()), "its small base needs either 'expert'"),
    "two things as base": (spec(base=SmallModel("m", expert="small")), "and not both"),
    "no base": (spec(base=None), "no small base; only the mode 'log-linear'"),
    "no experts": (spec(experts=()), "no small experts; only the mode 'contrast'"),
    "an expert elsewhere": (
        spec(experts=(SmallModel(expert="remote"),)),
        "expert 'remote', 'remote', is served elsewhere",
    ),
    "an adapter elsewhere": (spec(experts=(SmallModel(expert="served"),)), "served elsewhere"),
    "an adapter on a registered one": (
        spec(experts=(SmallModel(expert="law", adapter="/b"),)),
        "takes no 'adapter' of its own",
    ),
    "the base as expert": (
        spec(experts=(SmallModel(expert="small", name="x"),)),
        "'x' is its small base, so that nothing",
    ),
    "an expert twice": (
        spec(experts=(SmallModel(expert="law"), SmallModel(expert="law", name="x"))),
        "there twice",
    ),
    "a name twice": (
        spec(experts=(SmallModel("m", adapter="/a/law"), SmallModel("m", adapter="/b/law"))),
        "several of its small experts are called 'law'",
    ),
    "an odd size": (spec(base=SmallModel("m", params_b=0.0)), "'params_b' of its small base is 0"),
    "what other kinds have": (replace(FUSED, model="m"), "kind 'fusion' takes no 'model'"),
    "engine arguments": (replace(FUSED, engine_args={"a": 1}), "takes no 'engine_args'"),
    "a twin": (replace(FUSED, name="twin"), "'fused' is the same model"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_fusion_is_refused(name: str) -> None:
    expert, told = BAD[name]
    with pytest.raises(RegistryError, match=told):
        check(expert, ALL)


def test_a_fusion_is_no_part_of_another() -> None:
    for role in ({"base": SmallModel(expert="fused")}, {"experts": (SmallModel(expert="fused"),)}):
        with pytest.raises(RegistryError, match="a fusion cannot be part of another"):
            check(replace(spec(**role), name="second"), ALL)
    with pytest.raises(RegistryError, match="'fused' is of kind 'fusion'"):
        check(replace(spec(large="fused"), name="second"), ALL)
    on_it = Expert("lora", ExpertKind.LORA, "lora", base="fused", adapter="/a")
    with pytest.raises(RegistryError, match="its base 'fused' is a fusion itself"):
        check(on_it, ALL)


@pytest.mark.parametrize(
    "key", ["speculative_config", "--speculative-config", "spec-method", "spec_tokens", "sc"]
)
def test_speculative_decoding_is_refused(key: str) -> None:
    guessing = replace(LARGE, engine_args={key: {"method": "ngram"}})
    with pytest.raises(RegistryError, match=f"decodes speculatively \\('{key}'\\)"):
        check(FUSED, ALL | {"large": guessing})
    check(FUSED, ALL | {"large": replace(LARGE, engine_args={key: None})})


def test_prompts_that_are_no_tokens_are_refused() -> None:
    blind = replace(LARGE, engine_args={"enable-prompt-embeds": True})
    with pytest.raises(RegistryError, match="takes prompts as embeddings"):
        check(FUSED, ALL | {"large": blind})


def test_what_the_engine_is_told_of_fusions_is_not_told_twice() -> None:
    own = replace(LARGE, engine_args={"additional-config": {"fusion": {}}})
    with pytest.raises(RegistryError, match=r"additional_config\.fusion"):
        check(FUSED, ALL | {"large": own})


def test_other_kinds_take_no_fusion() -> None:
    with pytest.raises(RegistryError, match="kind 'vllm' takes no 'fusion'"):
        check(replace(LARGE, fusion=SPEC), ALL)


def test_another_mode_is_another_model() -> None:
    check(replace(spec(mode={"kind": "static", "alpha": 1}), name="second"), ALL)


def test_a_change_of_a_part_is_checked_against_its_fusions() -> None:
    moved = replace(REMOTE, name="small", model="x")
    with pytest.raises(RegistryError, match=r"'fused' is refused.*served elsewhere"):
        check_all({k: v for k, v in ALL.items() if k != "law"} | {"small": moved}, ["small"])
    guessing = replace(LARGE, engine_args={"spec-method": "ngram"})
    with pytest.raises(RegistryError, match="'fused' is refused"):
        check_all(ALL | {"large": guessing}, ["large"])


def test_the_large_model_is_needed_and_a_part_only_while_it_is_registered() -> None:
    with pytest.raises(RegistryError, match="'large' cannot be disabled: 'fused' runs on its"):
        check_not_needed("large", ALL, action="disabled")
    with pytest.raises(RegistryError, match="'law' cannot be removed: 'fused' is made of it"):
        check_not_needed("law", ALL, action="removed")
    check_not_needed("law", ALL, action="disabled")
    idle = ALL | {"fused": replace(FUSED, enabled=False)}
    check_not_needed("large", idle, action="removed")
