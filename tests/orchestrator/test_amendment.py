"""A file of experts: what it would change, and what is written into one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from coterie.errors import ConfigurationError
from coterie.types import (
    Capability,
    Expert,
    ExpertKind,
    ExpertSource,
    FusionSpec,
    Sampling,
    SmallModel,
)
from orchestrator.amendment import Fate, amend
from orchestrator.experts_file import load_experts, read_experts, write_experts

MANAGED = ExpertSource.MANAGED
SERVER = Expert("server", ExpertKind.OPENAI, "m", endpoint="http://h:1", source=MANAGED)
EVERYTHING = (
    replace(
        SERVER,
        name="full",
        description='ends: [with] #what YAML reads\n- otherwise: \u2028 \'and "quotes"',
        context_length=4096,
        total_params_b=7.5,
        active_params_b=1.5,
        prompt_price=0.25,
        completion_price=1.5,
        api_key_env="SOME_KEY",
        defaults=Sampling(0.5, 0.9, 100, ("\n\n", "END"), 7, {"vllm_xargs": {"fusion": "x"}}),
        tags=("yes", "1.5", "null"),
        examples=("What?\nTwo lines.",),
        enabled=False,
        capabilities=(Capability.TOOLS, Capability.LOGPROBS),
    ),
    SERVER,
    Expert(
        "engine", ExpertKind.VLLM, "package:small", engine_args={"max-num-seqs": 8}, source=MANAGED
    ),
    Expert(
        "adapted", ExpertKind.LORA, "adapted", base="engine", adapter="/adapters/a", source=MANAGED
    ),
    Expert(
        "fused",
        ExpertKind.FUSION,
        "",
        fusion=FusionSpec(
            "engine",
            SmallModel("org/base", params_b=0.5),
            (SmallModel(expert="adapted", name="law"), SmallModel("org/base", prompt="Example.")),
            {"kind": "static", "alpha": 0.7},
        ),
        source=MANAGED,
    ),
)


def test_what_is_written_reads_back_the_same(tmp_path: Path) -> None:
    text = write_experts(EVERYTHING)
    assert read_experts(text) == EVERYTHING
    (tmp_path / "experts.yaml").write_text(text)
    declared = tuple(replace(e, source=ExpertSource.DECLARED) for e in EVERYTHING)
    assert load_experts(tmp_path / "experts.yaml").experts == declared


def test_nothing_that_goes_without_saying_is_written() -> None:
    assert write_experts([SERVER]) == (
        "experts:\n- name: server\n  kind: openai\n  model: m\n  endpoint: http://h:1\n"
    )


def test_an_entry_is_added_changed_unchanged_or_the_servers_own() -> None:
    new = replace(SERVER, name="new", model="n")
    other = replace(SERVER, name="other", model="o")
    changed = replace(other, tags=("fast",), endpoint="http://h:1/v1/")
    own = replace(SERVER, name="own", source=ExpertSource.DECLARED)
    found = amend([SERVER, other, own], [new, SERVER, changed, replace(own, model="x")])
    assert [(c.expert.name, c.fate) for c in found.changes] == [
        ("new", Fate.ADDED),
        ("server", Fate.SAME),
        ("other", Fate.CHANGED),
        ("own", Fate.DECLARED),
    ]
    assert [e.name for e in found.put] == ["new", "other"]
    [difference] = found.changes[2].differences
    assert (difference.field, difference.before, difference.after) == ("tags", None, '["fast"]')


def test_the_digest_is_of_what_would_be_done() -> None:
    changed = replace(SERVER, tags=("fast",))
    assert amend([SERVER], [changed]).digest == amend([SERVER], [changed]).digest
    assert amend([SERVER], [changed]).digest != amend([], [changed]).digest


def test_a_variable_of_the_server_is_not_read_into_an_entry(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SECRET", "told")
    text = "experts: [{name: a, kind: openai, model: '${SECRET}', endpoint: 'http://h'}]"
    [expert] = read_experts(text)
    assert expert.model == "${SECRET}"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("experts: [", "not YAML"),
        ("- a", "list of experts"),
        ("experts: [{name: a, kind: openai, modle: m}]", "'model'"),
        ("experts:\n- {name: a, kind: vllm, model: m}\n- {name: a, kind: vllm, model: n}", ":3"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(text: str, told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        read_experts(text)
