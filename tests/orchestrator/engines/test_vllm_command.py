"""How vLLM is started."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.fusion.configuration import FusionConfiguration
from aggregator.fusion.configuration import SmallModel as SmallConfig
from coterie.errors import ConfigurationError
from coterie.types import JSON, Expert, ExpertKind, FusionSpec, SmallModel
from orchestrator.engines.fusion_arguments import EngineFusion
from orchestrator.engines.fusion_plan import configuration_of
from orchestrator.engines.process import Command
from orchestrator.engines.runner import Runner
from orchestrator.engines.vllm import (
    LORA_RANKS,
    Adapter,
    VllmSpec,
    build_command,
    read_adapter,
)

ENVIRON = {
    "PATH": "/bin",
    "HOME": "/home/ann",
    "CUDA_VISIBLE_DEVICES": "0",
    "HF_HOME": "/hf",
    "HF_TOKEN": "hush",
    "OPENAI_API_KEY": "hush",
    "VLLM_API_KEY": "hush",
    "AWS_SECRET": "hush",
    "DATABASE_URL": "hush",
    "REDIS_URL": "hush",
    "COTERIE_MASTER_KEY": "hush",
    "PGPASSWORD": "hush",
}


def _spec(**engine_args: JSON) -> VllmSpec:
    return VllmSpec("law", "org/model", 2048, engine_args, {})


def _build(spec: VllmSpec, *adapters: Adapter, model: str = "org/model") -> Command:
    return build_command(
        spec, model=model, adapters=adapters, port=8123, python="py", environ=ENVIRON
    )


def test_a_base_listens_on_the_loopback_under_its_experts_name() -> None:
    assert _build(_spec()).argv == (
        *("py", "-m", "vllm.entrypoints.openai.api_server", "--host", "127.0.0.1"),
        *("--port", "8123", "--model", "org/model", "--served-model-name", "law"),
        "--max-model-len=2048",
    )


def test_adapters_are_served_beside_it() -> None:
    argv = _build(_spec(), Adapter("a", "/x y", 9), Adapter("b", "/b=c", 2)).argv
    assert {"--max-loras=3", "--max-lora-rank=16", "--enable-lora"} <= set(argv)
    place = argv.index("--lora-modules")
    modules = [json.loads(module) for module in argv[place + 1 :]]
    assert modules == [{"name": "a", "path": "/x y"}, {"name": "b", "path": "/b=c"}]


@given(st.integers(1, 512))
def test_the_rank_is_the_smallest_that_vllm_allows(rank: int) -> None:
    argv = _build(_spec(), Adapter("a", "/a", rank)).argv
    chosen = next(int(word.partition("=")[2]) for word in argv if "max-lora-rank" in word)
    assert chosen in LORA_RANKS
    assert rank <= chosen
    assert not [other for other in LORA_RANKS if rank <= other < chosen]


def test_too_large_a_rank_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="513"):
        _build(_spec(), Adapter("a", "/a", 513))


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (True, ["--some-key"]),
        (False, ["--no-some-key"]),
        (None, []),
        (3, ["--some-key=3"]),
        (0.5, ["--some-key=0.5"]),
        ("--odd", ["--some-key=--odd"]),
        ({"a": [1]}, ['--some-key={"a": [1]}']),
        (["a", "b"], ['--some-key=["a", "b"]']),
    ],
)
def test_engine_arguments_become_options(value: JSON, words: list[str]) -> None:
    for key in ("some_key", "some-key", "--some-key"):
        argv = _build(VllmSpec("law", "m", None, {key: value}, {})).argv
        assert list(argv[argv.index("law") + 1 :]) == words


def test_the_experts_own_arguments_win() -> None:
    argv = _build(_spec(**{"max-model-len": 99})).argv
    assert [word for word in argv if "max-model-len" in word] == ["--max-model-len=99"]


@pytest.mark.parametrize("key", ["host", "--port", "served-model-name", "api_key", "a b", "-"])
def test_what_coterie_sets_may_not_be_set(key: str) -> None:
    with pytest.raises(ConfigurationError, match="'law'"):
        _build(_spec(**{key: "x"}))


def test_the_hubs_token_goes_only_where_the_hub_is_needed(tmp_path: Path) -> None:
    assert _build(_spec()).env["HF_TOKEN"] == "hush"
    assert "hush" not in _build(_spec(), model=str(tmp_path)).env.values()


FUSION = EngineFusion(
    configuration_of(
        {"lifted": FusionSpec("law", SmallModel("/s"), (SmallModel("/s", adapter="/a"),))},
        traces="/traces",
    ),
    Runner(2),
    "/packages",
)


def _fused(fusion: EngineFusion = FUSION, **engine_args: JSON) -> Command:
    return build_command(
        _spec(**engine_args),
        model="org/model",
        adapters=[Adapter("a", "/a", 4)],
        port=8123,
        python="py",
        environ=ENVIRON | {"PYTHONPATH": "/mine"},
        fusion=fusion,
    )


def test_fusions_are_one_processor_and_one_block() -> None:
    command = _fused()
    [told] = [w for w in command.argv if w.startswith("--additional-config=")]
    block = json.loads(told.partition("=")[2])
    assert FusionConfiguration.of_additional_config(block) == FUSION.configuration
    place = command.argv.index("--logits-processors")
    assert command.argv[place + 1 : place + 3] == (
        "aggregator.fusion.vllm_v2:Fusion",
        "--enable-lora",
    )
    assert command.env["VLLM_USE_V2_MODEL_RUNNER"] == "1"
    assert command.env["PYTHONPATH"] == "/packages:/mine"


def test_what_the_engine_has_of_its_own_stays() -> None:
    argv = _fused(additional_config={"x": 1}, logits_processors="mine:P").argv
    [told] = [w for w in argv if w.startswith("--additional-config=")]
    assert json.loads(told.partition("=")[2]).keys() == {"x", "fusion"}
    place = argv.index("--logits-processors")
    assert argv[place + 1 : place + 3] == ("mine:P", "aggregator.fusion.vllm_v2:Fusion")
    several = _build(_spec(logits_processors=["a:A", "b:B"])).argv
    assert several[-3:] == ("--logits-processors", "a:A", "b:B")


def test_more_than_a_process_can_be_told_is_refused() -> None:
    wordy = SmallModel("/s", prompt="x" * 110_000)
    fusion = configuration_of({"lifted": FusionSpec("law", SmallModel("/s"), (wordy,))})
    with pytest.raises(ConfigurationError, match="shorten the prompts"):
        _fused(EngineFusion(fusion, Runner(1), "/packages"))
    with pytest.raises(ConfigurationError, match="must map names to values"):
        _fused(additional_config="{}")


def test_the_hub_is_needed_while_any_model_is_there_alone(tmp_path: Path) -> None:
    def env(small: str) -> Mapping[str, str]:
        fusion = configuration_of({"f": FusionSpec("law", SmallModel(small), (SmallModel("/a"),))})
        both = replace(fusion, small={n: SmallConfig(small) for n in fusion.small})
        return build_command(
            _spec(),
            model=str(tmp_path),
            adapters=[],
            port=1,
            python="py",
            environ=ENVIRON,
            fusion=EngineFusion(both, Runner(1), "/p"),
        ).env

    assert "HF_HUB_OFFLINE" not in env("org/small")
    assert env(str(tmp_path))["HF_HUB_OFFLINE"] == "1"


def test_secrets_stay_behind() -> None:
    env = _build(_spec()).env
    assert {name for name, value in env.items() if value == "hush"} == {"HF_TOKEN"}
    assert env["PATH"] == "/bin"
    assert env["CUDA_VISIBLE_DEVICES"] == "0"
    assert env["VLLM_NO_USAGE_STATS"] == env["DO_NOT_TRACK"] == env["VLLM_CPU_KVCACHE_SPACE"] == "1"


def test_an_expert_may_bring_its_own_environment() -> None:
    env = _build(_spec(env={"VLLM_CPU_KVCACHE_SPACE": 4, "OMP_NUM_THREADS": "2"})).env
    assert env["VLLM_CPU_KVCACHE_SPACE"] == "4"
    assert env["OMP_NUM_THREADS"] == "2"


def test_a_local_model_needs_no_hub(tmp_path: Path) -> None:
    assert "HF_HUB_OFFLINE" not in _build(_spec()).env
    assert _build(_spec(), model=str(tmp_path)).env["HF_HUB_OFFLINE"] == "1"


def test_an_adapters_rank_is_the_largest_it_uses(tmp_path: Path) -> None:
    config = {"r": 8, "rank_pattern": {"q_proj": 24}}
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    assert read_adapter("law", str(tmp_path)) == Adapter("law", str(tmp_path), 24)


@pytest.mark.parametrize("text", [None, "", "{}", "[]", '{"r": "x"}'])
def test_a_folder_without_an_adapter_is_refused(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "adapter_config.json").write_text(text)
    with pytest.raises(ConfigurationError, match=r"adapter_config\.json"):
        read_adapter("law", str(tmp_path))


def test_what_does_not_concern_the_engine_does_not_change_the_spec() -> None:
    first = Expert("law", ExpertKind.VLLM, "org/model", context_length=99)
    second = Expert(
        "law", ExpertKind.VLLM, "org/model", context_length=99, description="x", prompt_price=1.0
    )
    loras = [Expert(name, ExpertKind.LORA, "", base="law", adapter=name) for name in "ab"]
    assert VllmSpec.of(first, loras) == VllmSpec.of(second, loras[::-1])
    assert VllmSpec.of(first, loras) != VllmSpec.of(first, loras[:1])
