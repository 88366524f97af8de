"""What ``experts.yaml`` may say, and where it says what it may not."""

from __future__ import annotations

import json
from pathlib import Path
from textwrap import dedent

import pytest

from coterie.errors import ConfigurationError
from coterie.types import (
    Capability,
    Expert,
    ExpertKind,
    ExpertSource,
    FusionSpec,
    Limits,
    Sampling,
    Skill,
    SmallModel,
)
from orchestrator.experts_file import (
    ExpertEntry,
    ExpertsFile,
    entry_of,
    json_schema,
    load_experts,
)

SCHEMA = Path(__file__).parents[2] / "docs" / "experts.schema.json"


class Writes:
    """Writes a file and loads it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def load(self, text: str, **variables: str) -> ExpertsFile:
        self.path.write_text(dedent(text), encoding="utf-8")
        return load_experts(self.path, variables)

    def refusal(self, text: str, **variables: str) -> str:
        with pytest.raises(ConfigurationError) as caught:
            self.load(text, **variables)
        return str(caught.value).replace(str(self.path), "FILE")


@pytest.fixture
def file(tmp_path: Path) -> Writes:
    return Writes(tmp_path / "experts.yaml")


def test_an_entry_becomes_an_expert(file: Writes) -> None:
    found = file.load("""
        experts:
          - name: big
            kind: openai
            model: org/big
            endpoint: https://api.example
            description: Knows much.
            context_length: 8192
            total_params_b: 70
            prompt_price: 0.5
            api_key_env: BIG_KEY
            defaults: {temperature: 0.2, stop: ["END"], extra: {logprobs: true}}
            tags: [maths]
            examples: ["1 + 1?"]
            enabled: false
            recruit: false
            capabilities: [tools, images, tools]
    """)
    assert found.experts == (
        Expert(
            name="big",
            kind=ExpertKind.OPENAI,
            model="org/big",
            endpoint="https://api.example",
            description="Knows much.",
            context_length=8192,
            total_params_b=70.0,
            prompt_price=0.5,
            api_key_env="BIG_KEY",
            defaults=Sampling(temperature=0.2, stop=("END",), extra={"logprobs": True}),
            tags=("maths",),
            examples=("1 + 1?",),
            enabled=False,
            recruit=False,
            capabilities=(Capability.TOOLS, Capability.IMAGES),
            source=ExpertSource.DECLARED,
        ),
    )
    assert found.skills is None


def test_an_adapter_is_served_under_its_own_name(file: Writes) -> None:
    found = file.load("""
        experts:
          - {name: base, kind: vllm, model: "package:small", engine_args: {max-model-len: 512}}
          - {name: sql, kind: lora, base: base, adapter: ./adapters/sql}
          - {name: other, kind: lora, base: base, adapter: org/adapter, model: m}
    """)
    base, sql, other = found.experts
    assert base.engine_args == {"max-model-len": 512}
    assert (sql.model, sql.adapter) == ("sql", str(file.path.parent / "adapters/sql"))
    assert (other.model, other.adapter) == ("m", "org/adapter")


def test_paths_start_at_the_file(file: Writes) -> None:
    found = file.load("experts: [{name: a, kind: vllm, model: ../weights}]")
    assert found.experts[0].model == str(file.path.parent.parent / "weights")


def test_shared_defaults_fill_what_an_entry_leaves_open(file: Writes) -> None:
    found = file.load("""
        defaults: {temperature: 0.5, max_tokens: 100}
        experts:
          - {name: a, kind: vllm, model: a, defaults: {temperature: 0}}
          - {name: b, kind: vllm, model: b}
    """)
    assert [e.defaults for e in found.experts] == [
        Sampling(temperature=0, max_tokens=100),
        Sampling(temperature=0.5, max_tokens=100),
    ]


def test_skills_replace_the_taxonomy(file: Writes) -> None:
    found = file.load("""
        experts: []
        skills:
          - {name: sql, description: Writes SQL., examples: ["How many rows?"]}
          - {name: prose, description: Writes prose.}
    """)
    assert found.skills == (
        Skill("sql", "Writes SQL.", ("How many rows?",)),
        Skill("prose", "Writes prose."),
    )


class TestReferences:
    TEXT = """
        experts:
          - name: a
            kind: openai
            endpoint: http://${HOST:-localhost}:${PORT}
            model: ${MODEL:-m}
    """

    def test_they_are_replaced(self, file: Writes) -> None:
        [expert] = file.load(self.TEXT, HOST="h", PORT="1", MODEL="").experts
        assert (expert.endpoint, expert.model) == ("http://h:1", "m")

    def test_an_unset_one_is_named(self, file: Writes) -> None:
        told = file.refusal(self.TEXT)
        assert told.startswith("FILE:5: 'endpoint' of expert 'a' needs the environment variable")
        assert "'PORT'" in told
        assert "${PORT:-DEFAULT}" in told

    def test_elsewhere_they_are_text(self, file: Writes) -> None:
        text = """
            experts:
              - {name: a, kind: vllm, model: m, description: "${X}", api_key_env: "${X}"}
        """
        [expert] = file.load(text, X="secret").experts
        assert (expert.description, expert.api_key_env) == ("${X}", "${X}")


FUSED = """
    experts:
      - {name: large, kind: vllm, model: org/large}
      - name: lifted
        kind: fusion
        fusion:
          large: large
          base: {model: ../small, params_b: 0.5}
          experts:
            - {model: "${SMALL:-org/small}", adapter: ./adapters/law, name: law}
            - {expert: medicine, dtype: float32}
"""


def test_a_fusion_is_read_whole(file: Writes) -> None:
    folder = file.path.parent
    expert = file.load(FUSED, SMALL="/models/small").experts[1]
    assert (expert.kind, expert.model) == (ExpertKind.FUSION, "")
    assert expert.fusion == FusionSpec(
        "large",
        SmallModel(str(folder.parent / "small"), params_b=0.5),
        (
            SmallModel("/models/small", adapter=str(folder / "adapters/law"), name="law"),
            SmallModel(expert="medicine", dtype="float32"),
        ),
        {"kind": "dynamic"},
    )


def test_a_variable_of_a_small_model_is_told_with_its_place(file: Writes) -> None:
    told = file.refusal(FUSED.replace(":-org/small", ""))
    assert told.startswith("FILE:10: 'model' of expert 'lifted' needs the environment variable")


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("base: {modle: m}", "FILE:6: unknown key 'modle'; did you mean 'model'?"),
        ("bse: {model: m}", "FILE:6: unknown key 'bse'; did you mean 'base'?"),
        ("experts: [{xyzzy: m}]", "FILE:6: unknown key 'xyzzy'; known are expert, model"),
        ("mode: {kind: dinamic}", "mode: kind is 'dinamic'; it must be one of dynamic, static"),
        ("mode: {kind: static, beta: 1}", "fusion static has no 'beta'"),
        ("mode: {kind: contrast}", "fusion contrast wants no small experts"),
    ],
)
def test_what_is_wrong_in_a_fusion_is_told(file: Writes, written: str, told: str) -> None:
    lines = {"base": "base: {model: m}", "experts": "experts: [{expert: a}]"}
    lines[written.partition(":")[0].replace("bse", "base")] = written
    text = "\n".join(f"    {line}" for line in lines.values())
    entry = f"experts:\n- name: a\n  kind: fusion\n  fusion:\n    large: b\n{text}\n"
    problem = file.refusal(entry)
    assert told.removeprefix("FILE:6: ") in problem
    assert "FILE:" in problem


BAD = {
    "unknown key": (
        "experts:\n- name: a\n  kind: vllm\n  modle: m\n",
        "FILE:4: unknown key 'modle'; did you mean 'model'?",
    ),
    "unknown key at the top": (
        "expert: []\nexperts: []\n",
        "FILE:1: unknown key 'expert'; did you mean 'experts'?",
    ),
    "unknown key far from any": (
        "experts: []\nskills: [{name: a, description: b, xyzzy: 1}]\n",
        "FILE:2: unknown key 'xyzzy'; known are name, description, examples",
    ),
    "unknown key in defaults": (
        "experts:\n- {name: a, kind: vllm, defaults: {\n  temprature: 1}}\n",
        "FILE:3: unknown key 'temprature'; did you mean 'temperature'?",
    ),
    "missing key": ("experts:\n- kind: vllm\n", "FILE:2: the key 'name' is missing"),
    "wrong kind": (
        "experts:\n- name: a\n  kind: gguf\n",
        "FILE:3: 'experts.0.kind' should be 'openai', 'embeddings', 'vllm', 'lora' or 'fusion'",
    ),
    "wrong name": (
        "experts:\n- name: A\n  kind: vllm\n",
        "FILE:2: 'experts.0.name' String should match pattern",
    ),
    "wrong number": (
        "experts:\n- name: a\n  kind: vllm\n  prompt_price: -1\n",
        "FILE:4: 'experts.0.prompt_price' should be greater than or equal to 0",
    ),
    "a name twice": (
        "experts:\n- {name: a, kind: vllm}\n- {name: b, kind: vllm}\n- {name: a, kind: vllm}\n",
        "FILE:4: 'a' is the name of the entry at FILE:2 already",
    ),
    "a skill twice": (
        "experts: []\nskills:\n- {name: a, description: b}\n- {name: a, description: c}\n",
        "FILE:4: 'a' is the name of the entry at FILE:3 already",
    ),
    "a key twice": (
        "experts:\n- name: a\n  kind: vllm\n  name: b\n",
        "FILE:4: the key 'name' was given in line 2 already",
    ),
    "no YAML": ("experts:\n- [a\n", "FILE:3: this is not YAML"),
    "a foreign tag": ("experts: !!python/name:os.system\n", "FILE:1: this is not YAML"),
    "an unknown alias": ("experts: *nobody\n", "FILE:1: this is not YAML"),
    "a control character": ("experts: '\x07'\n", "FILE: this is not YAML"),
    "two documents": ("experts: []\n---\nexperts: []\n", "FILE:2: this is not YAML"),
    "an alias of itself": ("experts: &a [*a]\n", "FILE:1: "),
    "nothing": ("", "FILE: the file must hold a list of experts under the key 'experts'"),
    "a list": ("- name: a\n", "FILE: the file must hold a list"),
    "no experts": ("skills:\n- {name: a, description: b}\n", "the key 'experts' is missing"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_is_told_with_its_place(file: Writes, name: str) -> None:
    text, told = BAD[name]
    assert told in file.refusal(text)


def test_everything_wrong_is_told_at_once(file: Writes) -> None:
    told = file.refusal("experts:\n- {name: A, kind: vllm}\n- {name: b, kind: x, modle: m}\n")
    assert [line.split(":")[1] for line in told.splitlines()] == ["2", "3", "3"]


def test_a_value_is_never_echoed(file: Writes) -> None:
    assert "hunter2" not in file.refusal("experts:\n- {name: a, kind: hunter2}\n")


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"cannot be read \(No such file.*COTERIE_CONFIG"):
        load_experts(tmp_path / "none.yaml")


def test_an_entry_of_the_api_becomes_a_managed_expert() -> None:
    entry = ExpertEntry.model_validate({"name": "a", "kind": "vllm", "model": "m"})
    assert entry.to_domain(source=ExpertSource.MANAGED) == Expert(
        "a", ExpertKind.VLLM, "m", source=ExpertSource.MANAGED
    )


def test_the_committed_schema_is_current() -> None:
    assert json.loads(SCHEMA.read_text(encoding="utf-8")) == json_schema(), (
        "run: python -m orchestrator.experts_file > docs/experts.schema.json"
    )


def test_servers_and_limits_of_an_entry(file: Writes) -> None:
    found = file.load(
        """
        experts:
          - name: big
            kind: openai
            model: org/big
            endpoints: ["http://${HOST}:1", "http://b:2"]
            limits: {concurrency: 8, queue_s: 2.5}
        """,
        HOST="a",
    )
    [expert] = found.experts
    assert expert.servers == expert.endpoints == ("http://a:1", "http://b:2")
    assert expert.limits == Limits(8, 64, 2.5)
    assert ExpertEntry(**entry_of(expert)).to_domain(source=expert.source) == expert
