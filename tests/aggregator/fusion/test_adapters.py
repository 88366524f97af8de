"""Both of vLLM's interfaces: one suite, driven by what vLLM's runners tell their processors.

Every row is compared with the mode's formula over models that read its tokens alone.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

pytest.importorskip("vllm")

from vllm import SamplingParams
from vllm.exceptions import VLLMValidationError
from vllm.v1.sample.logits_processor import validate_logits_processors_parameters
from vllm.v1.worker.gpu.sample.logits_processor import (
    build_custom_logits_processors_params_validator,
)

from aggregator.fusion.modes import mode_of
from aggregator.fusion.plain import fuse_row
from coterie.errors import ConfigurationError
from tests.aggregator.fusion.engines import (
    RUNNERS,
    V1,
    V2,
    Request,
    RunnerV1,
    RunnerV2,
    vllm_config,
)
from tests.aggregator.fusion.tiny_models import (
    Alone,
    alone,
    write_adapter,
    write_model,
    write_tokenizer,
)

pytestmark = pytest.mark.filterwarnings("default")  # of transformers, PEFT and vLLM

EXAMPLE = "w50 w51 w52"
DYNAMIC = {"kind": "dynamic", "solver": "grid", "step": 0.25}


class Setting:
    """Small models on disk, the block that names them, and each of them alone."""

    def __init__(self, folder: Path) -> None:
        self.tokenizer = str(folder / "large")
        write_tokenizer(folder / "large")
        base = write_model(folder / "base", "llama", seed=1)
        other = write_model(folder / "other", "mistral", seed=2, size=64, sliding_window=8)
        law = write_adapter(folder / "law", base, seed=3)
        self.traces = folder / "traces"
        small = {"base": {"model": base}, "law": {"model": base, "adapter": law}}
        small |= {"other": {"model": other}, "shown": {"model": base, "prompt": EXAMPLE}}
        fusions = {
            "lawyer": {"base": "base", "experts": ["law"], "mode": DYNAMIC},
            "both": {"base": "base", "experts": ["law", "other"], "mode": DYNAMIC},
            "shown": {
                "base": "base",
                "experts": ["shown"],
                "mode": {"kind": "static", "alpha": 1.5},
            },
            "against": {"base": "other", "mode": {"kind": "contrast"}},
            "mixed": {"experts": ["law"], "mode": {"kind": "log-linear"}},
        }
        self.block: dict[str, Any] = {"small": small, "fusions": fusions}
        self.block |= {"traces": str(self.traces)}
        self._alone: dict[str, Alone] = {
            "base": alone(base),
            "law": alone(base, adapter=law),
            "other": alone(other),
            "shown": Alone(alone(base).model, (50, 51, 52)),
        }
        self.small = lru_cache(maxsize=None)(self._small)

    def _small(self, name: str, tokens: tuple[int, ...]) -> Tensor:
        return self._alone[name].logits(tokens)

    def expected(self, request: Request) -> tuple[Tensor, tuple[float, ...]]:
        """The fused logits and α of a request's next token."""
        if not request.extra:
            return request.large, ()
        recipe = self.block["fusions"][request.extra["fusion"]]
        tokens = (*request.prompt, *request.output)
        base = self.small(recipe.get("base") or "base", tokens)
        experts = [self.small(name, tokens) for name in recipe.get("experts", [])]
        return fuse_row(request.large, base, experts, mode_of(recipe["mode"]))

    def config(self, **changes: Any) -> Any:
        return vllm_config(self.block | changes, self.tokenizer)


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory) -> Setting:
    pytest.importorskip("peft")
    return Setting(tmp_path_factory.mktemp("fusion"))


@pytest.fixture(scope="module", params=sorted(RUNNERS))
def runner(request: pytest.FixtureRequest, setting: Setting) -> type[RunnerV1] | type[RunnerV2]:
    return RUNNERS[request.param]


def check(setting: Setting, found: dict[int, Tensor], requests: list[Request]) -> None:
    by_id = {id(request): request for request in requests}
    for key, logits in found.items():
        expected, _ = setting.expected(by_id[key])
        torch.testing.assert_close(logits.double(), expected.double(), rtol=2e-3, atol=5e-3)


def wanting(fusion: str | None, number: int, **extra: str) -> Request:
    prompt = [(11 * number + i * i) % 90 for i in range(1 + number % 7)]
    return Request(prompt, {"fusion": fusion, **extra} if fusion else None)


VALIDATORS: dict[str, Callable[[SamplingParams], None]] = {
    "v1": partial(validate_logits_processors_parameters, [V1]),
    "v2": lambda params: build_custom_logits_processors_params_validator([V2])(params),
}
FUSIONS = [None, "lawyer", "both", "shown", "against", "mixed"]
EVENT = st.tuples(
    st.sampled_from(["come", "come", "go", "preempt", "resume", "swap", "step", "step", "step"]),
    st.integers(0, 1000),
)


def go_on(
    setting: Setting,
    engine: RunnerV1 | RunnerV2,
    running: list[Request],
    events: list[tuple[str, int]],
    rng: random.Random,
) -> None:
    waiting: list[Request] = []
    for event, number in events:
        if event == "come" and len(running) < 8:
            running.append(wanting(FUSIONS[number % len(FUSIONS)], number))
            engine.add(running[-1])
        elif event in ("go", "preempt") and running:
            engine.remove(request := running.pop(number % len(running)))
            waiting += [request] if event == "preempt" else []
        elif event == "resume" and waiting and len(running) < 8:
            running.append(waiting.pop(number % len(waiting)))
            running[-1].output = list(running[-1].output)  # a resumed request has a new list
            engine.add(running[-1])
        elif event == "swap":
            engine.shuffle(rng)
        elif event == "step":
            part = frozenset(id(r) for r in running if not r.output and number % 4 == 0)
            found = engine.step(part)
            check(setting, found, running)
            for request in running:
                if id(request) in found:
                    request.output.append((number + len(request.prompt)) % 90)


def test_every_row_is_fused_as_if_it_were_alone(
    setting: Setting, runner: type[RunnerV1] | type[RunnerV2]
) -> None:
    engine = runner(setting.config())

    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(EVENT, min_size=8, max_size=40), st.integers(0, 99))
    def run(events: list[tuple[str, int]], seed: int) -> None:
        running: list[Request] = []
        try:
            go_on(setting, engine, running, events, random.Random(seed))
        finally:
            for request in running:
                engine.remove(request)
            engine.step()

    run()


def test_plain_requests_are_not_touched(
    setting: Setting, runner: type[RunnerV1] | type[RunnerV2]
) -> None:
    engine = runner(setting.config())
    requests = [wanting(None, number) for number in range(3)]
    for request in requests:
        engine.add(request)
    for _ in range(2):
        found = engine.step()
        assert all(torch.equal(found[id(request)], request.large) for request in requests)
    engine.add(wanting("lawyer", 5))
    found = engine.step()
    assert all(torch.equal(found[id(request)], request.large) for request in requests)


def test_masked_tokens_stay_masked(
    setting: Setting, runner: type[RunnerV1] | type[RunnerV2], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = runner(setting.config())
    large = torch.full((96,), -torch.inf)
    large[10:20] = torch.arange(10.0)
    monkeypatch.setattr(Request, "large", large)
    requests = [wanting(fusion, number) for number, fusion in enumerate(FUSIONS)]
    for request in requests:
        engine.add(request)
    found = engine.step()
    check(setting, found, requests)
    for logits in found.values():
        assert not logits[:10].isfinite().any()
        assert not logits[20:].isfinite().any()
        assert logits[10:20].isfinite().any()


def test_memory_goes_with_the_requests(
    setting: Setting, runner: type[RunnerV1] | type[RunnerV2]
) -> None:
    engine = runner(setting.config())
    backbones = engine.fusion._rows._sidecar.backbones
    requests = [wanting(fusion, number) for number, fusion in enumerate(FUSIONS)]
    for request in requests:
        engine.add(request)
    engine.step()
    assert all(backbone.cache_bytes for backbone in backbones)
    for request in requests:
        engine.remove(request)
    for _ in range(40):
        engine.step()
    assert not any(backbone.cache_bytes for backbone in backbones)
    assert not any(backbone.held for backbone in backbones)


def test_fewer_slots_than_requests_only_take_longer(
    setting: Setting, runner: type[RunnerV1] | type[RunnerV2]
) -> None:
    engine = runner(setting.config(slots=2))
    requests = [wanting("both", number) for number in range(5)]
    for request in requests:
        engine.add(request)
    for _ in range(3):
        check(setting, engine.step(), requests)
        for request in requests:
            request.output.append(30 + len(request.output))
    assert all(backbone.held <= 4 for backbone in engine.fusion._rows._sidecar.backbones)


def test_alpha_is_traced_for_whoever_asks(
    setting: Setting, runner: type[RunnerV1] | type[RunnerV2]
) -> None:
    engine = runner(setting.config())
    request = wanting("both", 9, fusion_trace="mine")
    engine.add(wanting("both", 3))
    engine.add(request)
    alphas = []
    for step in range(4):
        if step == 2:
            engine.remove(request)
            engine.step()
            engine.add(request)
        engine.step()
        alphas.append(setting.expected(request)[1])
        request.output.append(21 + step)
    lines = [json.loads(line) for line in (setting.traces / "mine.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [0, 1, 2, 3]
    for line, (law, other) in zip(lines, alphas, strict=True):
        assert line["alpha"] == pytest.approx({"law": law, "other": other}, abs=1e-4)
    assert [path.name for path in setting.traces.iterdir()] == ["mine.jsonl"]


def test_a_request_that_is_long_away_comes_back_as_it_was(setting: Setting) -> None:
    engine = RunnerV2(setting.config())
    stays, goes = wanting("lawyer", 5), wanting("both", 6)
    engine.add(stays)
    engine.add(goes)
    engine.step()
    for _ in range(40):
        engine.step(away=frozenset([id(goes)]))
    assert [backbone.held for backbone in engine.fusion._rows._sidecar.backbones] == [2, 0]
    goes.output.append(31)
    check(setting, engine.step(), [stays, goes])


def test_a_prompt_that_is_not_read_to_its_end_is_not_read_by_small_models(setting: Setting) -> None:
    engine = RunnerV2(setting.config())
    request = wanting("both", 6)
    engine.add(request)
    engine.step(frozenset([id(request)]))
    assert not any(backbone.held for backbone in engine.fusion._rows._sidecar.backbones)
    check(setting, engine.step(), [request])


def test_small_models_that_nobody_asks_for_do_not_run(
    setting: Setting, runner: type[RunnerV1] | type[RunnerV2]
) -> None:
    engine = runner(setting.config())
    engine.add(wanting("lawyer", 5))
    engine.add(wanting(None, 6))
    engine.step()
    held = [backbone.held for backbone in engine.fusion._rows._sidecar.backbones]
    assert held == [2, 0]  # base and law on one set of weights; the other one has nothing to do


@pytest.mark.parametrize("version", sorted(RUNNERS))
def test_a_request_that_cannot_be_fused_is_refused_at_the_door(
    setting: Setting, version: str
) -> None:
    RUNNERS[version](setting.config())
    validate = VALIDATORS[version]
    validate(wanting("lawyer", 1).params)
    validate(wanting(None, 1).params)
    with pytest.raises(VLLMValidationError, match=r"'doctor' is not known.*has 'against'"):
        validate(wanting("doctor", 1).params)
    with pytest.raises(VLLMValidationError, match="cannot be the name of a trace"):
        validate(wanting("lawyer", 1, fusion_trace="../up").params)


# --- what does not start --------------------------------------------------------------------------


def test_speculative_decoding_is_refused(
    setting: Setting, runner: type[RunnerV1] | type[RunnerV2]
) -> None:
    config = vllm_config(setting.block, setting.tokenizer, speculative_config={"method": "ngram"})
    with pytest.raises(ConfigurationError, match="speculative decoding"):
        runner(config)


def test_prompts_without_tokens_are_refused(setting: Setting) -> None:
    config = vllm_config(setting.block, setting.tokenizer, enable_prompt_embeds=True)
    with pytest.raises(ConfigurationError, match="--enable-prompt-embeds"):
        RunnerV1(config)


def test_other_vocabularies_are_refused_naming_both(setting: Setting, tmp_path: Path) -> None:
    write_tokenizer(tmp_path, word="v")
    with pytest.raises(ConfigurationError, match=r"different vocabularies.*'v0' and 'w0'"):
        RunnerV1(vllm_config(setting.block, str(tmp_path)))


def test_missing_parts_are_refused_all_at_once(setting: Setting) -> None:
    small = setting.block["small"]
    small = small | {"law": small["law"] | {"adapter": "/no/adapter"}, "other": {"model": "/no/m"}}
    with pytest.raises(ConfigurationError, match="'law': /no/adapter; 'other': /no/m"):
        RunnerV1(setting.config(small=small))


def test_a_prompt_of_no_tokens_is_refused(setting: Setting) -> None:
    small = setting.block["small"]
    small = small | {"shown": small["shown"] | {"prompt": " \n"}}
    with pytest.raises(ConfigurationError, match="'shown': its prompt has no tokens"):
        RunnerV1(setting.config(small=small))


def test_a_small_model_with_too_little_context_is_refused(setting: Setting) -> None:
    config = vllm_config(setting.block, setting.tokenizer, max_model_len=511)
    with pytest.raises(ConfigurationError, match="give --max-model-len 509 or less"):
        RunnerV1(config)


def test_a_folder_that_cannot_hold_traces_is_refused(setting: Setting, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="cannot be used"):
        RunnerV1(setting.config(traces=str(tmp_path / "file" / "traces")))
