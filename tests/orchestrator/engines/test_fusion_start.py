"""What an engine's fusions need is found, or told to be missing, before the engine starts."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from aggregator.fusion.configuration import SmallModel as Small
from coterie.errors import ConfigurationError
from coterie.types import Expert, ExpertKind, FusionSpec, SmallModel
from orchestrator.engines.fusion_arguments import EngineFusion
from orchestrator.engines.fusion_start import check_fusion, prepare_fusion
from orchestrator.engines.vllm import VllmSpec
from tests.imitation.start import write_interpreter

WORDS = {"a": 0, "b": 1, "c": 2}


def model(folder: Path, words: dict[str, int] | None = None) -> str:
    """A model's folder, as far as its tokenizer."""
    folder.mkdir(parents=True)
    vocabulary = {"model": {"vocab": words or WORDS}}
    (folder / "tokenizer.json").write_text(json.dumps(vocabulary))
    return str(folder)


def adapter(folder: Path) -> str:
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text(json.dumps({"r": 4}))
    return str(folder)


@pytest.fixture
def spec(tmp_path: Path) -> FusionSpec:
    small = model(tmp_path / "small")
    law = SmallModel(small, adapter=adapter(tmp_path / "law"))
    return FusionSpec("large", SmallModel(small), (law,))


def prepare(tmp_path: Path, spec: FusionSpec, large: str = "org/large") -> EngineFusion:
    told = VllmSpec("large", large, None, {}, {}, {"lifted": spec})
    python = str(write_interpreter(tmp_path))
    return prepare_fusion(told, large, home=tmp_path / "home", python=python, environ={})


def test_everything_is_found(tmp_path: Path, spec: FusionSpec) -> None:
    ready = prepare(tmp_path, spec, model(tmp_path / "large"))
    small = str(tmp_path / "small")
    assert dict(ready.configuration.small) == {
        "small": Small(small),
        "law": Small(small, adapter=str(tmp_path / "law")),
    }
    assert ready.configuration.traces == str(tmp_path / "home/fusion/traces/large")
    assert Path(ready.configuration.traces).is_dir()
    assert ready.runner.number == 2


def test_another_interpreter_finds_our_code_and_nothing_else(
    tmp_path: Path, spec: FusionSpec
) -> None:
    for _ in range(2):  # the links are made once
        ready = prepare(tmp_path, spec)
    assert sorted(p.name for p in Path(ready.packages).iterdir()) == ["aggregator", "coterie"]
    code = "import aggregator.fusion.configuration as c; print(c.__file__)"
    found = subprocess.run(
        [sys.executable, "-S", "-c", code],
        env={"PYTHONPATH": ready.packages},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.startswith(ready.packages)


def test_a_link_that_leads_elsewhere_is_replaced(tmp_path: Path, spec: FusionSpec) -> None:
    ready = prepare(tmp_path, spec)
    link = Path(ready.packages) / "aggregator"
    link.unlink()
    link.symlink_to(tmp_path)
    prepare(tmp_path, spec)
    assert (link / "fusion").is_dir()


def test_another_vocabulary_is_refused(tmp_path: Path, spec: FusionSpec) -> None:
    large = model(tmp_path / "large", {"a": 1, "b": 0, "c": 2})
    with pytest.raises(ConfigurationError, match=r"fusion 'lifted': .*different vocabularies"):
        prepare(tmp_path, spec, large)


def test_a_missing_adapter_is_named(tmp_path: Path, spec: FusionSpec) -> None:
    odd = replace(spec, experts=(SmallModel("org/small", adapter="/none", name="odd"),))
    with pytest.raises(ConfigurationError, match=r"fusion 'lifted': .*'odd'.*adapter_config"):
        prepare(tmp_path, odd)


def test_a_fusion_can_be_tried_before_it_is_registered(tmp_path: Path, spec: FusionSpec) -> None:
    large = Expert("large", ExpertKind.VLLM, model(tmp_path / "large"))
    fused = Expert("fused", ExpertKind.FUSION, "", fusion=spec)
    everyone = {"large": large}
    check_fusion(fused, everyone, tmp_path / "home")
    other = replace(large, model=model(tmp_path / "other", {"z": 0}))
    with pytest.raises(ConfigurationError, match=r"fusion .fused.: .*different vocabularies"):
        check_fusion(fused, {"large": other}, tmp_path / "home")
    check_fusion(fused, {}, tmp_path / "home")  # the registry's own rules tell of that
