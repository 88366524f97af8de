"""What an engine is told of its fusions, and what requests may ask of it."""

from __future__ import annotations

import json
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from aggregator.fusion import admission
from aggregator.fusion.configuration import FusionConfiguration
from aggregator.fusion.modes import Contrast, Dynamic, LogLinear, Static
from aggregator.fusion.request import Ask, ask_of, check_ask
from coterie.errors import ConfigurationError, RequestError


def block(**changes: Any) -> dict[str, Any]:
    """A whole block, with parts replaced."""
    whole: dict[str, Any] = {
        "small": {
            "small": {"model": "/models/small"},
            "law": {"model": "/models/small", "adapter": "/adapters/law"},
            "shown": {"model": "/models/small", "prompt": "Q: 1+1? A: 2", "dtype": "float32"},
        },
        "fusions": {
            "lawyer": {"base": "small", "experts": ["law"], "mode": {"kind": "dynamic"}},
            "both": {
                "base": "small",
                "experts": ["law", "shown"],
                "mode": {"kind": "static", "alpha": [0.5, 1.0]},
            },
            "against": {"base": "small", "mode": {"kind": "contrast", "beta": 0.3}},
            "mixed": {"experts": ["law"], "mode": {"kind": "log-linear", "weights": [0.6, 0.4]}},
        },
        "traces": "/traces",
        "slots": 8,
    }
    return whole | changes


def test_what_is_read_is_written_back() -> None:
    read = FusionConfiguration.of(block())
    written = json.loads(json.dumps(read.as_additional_config()))
    assert FusionConfiguration.of_additional_config(written) == read
    assert isinstance(read.fusions["lawyer"].mode, Dynamic)
    assert read.fusions["both"].mode == Static(alpha=(0.5, 1.0))
    assert read.fusions["against"].mode == Contrast(beta=0.3)
    assert isinstance(read.fusions["mixed"].mode, LogLinear)
    assert (read.traces, read.slots) == ("/traces", 8)


def test_parts_are_asked_once_and_only_where_the_mode_asks_them() -> None:
    read = FusionConfiguration.of(block())
    parts = {name: recipe.parts for name, recipe in read.fusions.items()}
    assert parts == {
        "lawyer": ("small", "law"),
        "both": ("small", "law", "shown"),
        "against": ("small",),
        "mixed": ("law",),
    }
    assert read.used() == ("small", "law", "shown")


def test_small_models_share_weights_unless_they_compute_differently() -> None:
    small = FusionConfiguration.of(block()).small
    assert small["small"].weights == small["law"].weights != small["shown"].weights


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"smal": {}}, "'smal', which means nothing there"),
        ({"fusions": {}}, "no fusion is configured"),
        ({"fusions": []}, "'fusions' must be an object"),
        ({"small": {}}, "needs small model 'small', which is not described"),
        ({"small": {"small": {}}}, "names no model"),
        ({"small": {"small": {"model": "/m", "dtype": "int3"}}}, "dtype 'int3' is not known"),
        ({"small": {"small": {"model": 3}}}, "'model' must be a text"),
        ({"small": {"../x": {"model": "/m"}}}, "cannot be a name"),
        ({"fusions": {"f": {"experts": ["law"], "mode": {"kind": "static"}}}}, "names no base"),
        ({"fusions": {"f": {"base": "small", "mode": {"kind": "static"}}}}, "fusion 'f': "),
        ({"fusions": {"f": {"base": "small", "experts": ["law"], "mode": {}}}}, "fusion 'f': "),
        ({"fusions": {"f": {"base": "small", "experts": "law"}}}, "must be a list"),
        ({"fusions": {"f": {"base": "small", "experts": ["law", "law"]}}}, "each small model once"),
        ({"slots": 0}, "'slots' must be a whole number"),
        ({"slots": True}, "'slots' must be a whole number"),
        ({"traces": ""}, "'traces' must be a text"),
    ],
)
def test_a_wrong_block_is_refused_with_the_reason(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        FusionConfiguration.of(block(**changes))


def test_an_engine_without_the_block_is_told_what_to_give() -> None:
    with pytest.raises(ConfigurationError, match="--additional-config"):
        FusionConfiguration.of_additional_config({})


def test_whoever_starts_engines_needs_no_torch() -> None:
    program = "import sys, aggregator.fusion.parts; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=60).returncode == 0


# --- requests -------------------------------------------------------------------------------------


def test_a_request_says_what_it_wants() -> None:
    assert ask_of(None) is None
    assert ask_of({"other": 1}) is None
    assert ask_of({"fusion": "lawyer"}) == Ask("lawyer")
    assert ask_of({"fusion": "lawyer", "fusion_trace": "a-1"}) == Ask("lawyer", "a-1")


@pytest.mark.parametrize(
    "trace", ["../x", "a/b", "/etc/passwd", ".hidden", "", "a" * 200, "a\x00", "a\n", 3, "..", "ä"]
)
def test_a_trace_is_a_plain_name(trace: object) -> None:
    with pytest.raises(RequestError, match="cannot be the name of a trace"):
        ask_of({"fusion": "lawyer", "fusion_trace": trace})


@pytest.mark.parametrize("fusion", [3, ["lawyer"], None])
def test_a_fusion_is_named(fusion: object) -> None:
    with pytest.raises(RequestError, match="must be the name of a fusion"):
        ask_of({"fusion": fusion, "fusion_trace": "a"})


def test_what_an_engine_cannot_do_is_refused_with_the_reason() -> None:
    read = FusionConfiguration.of(block())
    check_ask(Ask("lawyer", "a"), read)
    with pytest.raises(RequestError, match=r"'doctor' is not known.*'against', 'both', 'lawyer'"):
        check_ask(Ask("doctor"), read)
    with pytest.raises(RequestError, match="2 answers are asked for"):
        check_ask(Ask("lawyer", "a"), read, answers=2)
    with pytest.raises(RequestError, match="keeps no traces"):
        check_ask(Ask("lawyer", "a"), FusionConfiguration.of(block(traces=None)))


@pytest.mark.parametrize(
    "arguments",
    [
        ["serve", "large", "--additional-config", json.dumps({"fusion": block()})],
        ["--additional_config=" + json.dumps({"fusion": block()}), "--port", "1"],
    ],
)
def test_a_server_finds_its_fusions_on_its_command_line(arguments: list[str]) -> None:
    assert admission.of_command_line(arguments) == FusionConfiguration.of(block())


def test_a_server_that_cannot_find_them_says_how_to_start_it() -> None:
    with pytest.raises(ConfigurationError, match="on the command line"):
        admission.of_command_line(["serve", "large"])
    with pytest.raises(ConfigurationError, match="is not JSON"):
        admission.of_command_line(["--additional-config"])


def test_vllm_is_given_the_reason_as_it_expects_it() -> None:
    admission.remember(FusionConfiguration.of(block()))
    admission.check_params(SimpleNamespace(extra_args=None, n=1))
    admission.check_params(SimpleNamespace(extra_args={"fusion": "both"}, n=3))
    with pytest.raises(ValueError, match="'doctor' is not known"):
        admission.check_params(SimpleNamespace(extra_args={"fusion": "doctor"}, n=1))
