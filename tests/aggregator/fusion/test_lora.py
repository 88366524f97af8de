"""Adapters over one base: each row has its own, as PEFT has it for all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from aggregator.fusion.backbone import Backbone, Variant
from aggregator.fusion.configuration import SmallModel
from aggregator.fusion.feeds import Feed
from aggregator.fusion.tokens import ListTokens
from aggregator.fusion.weights import Weights
from coterie.errors import ConfigurationError
from tests.aggregator.fusion.tiny_models import alone, write_adapter, write_model

pytestmark = pytest.mark.filterwarnings("default")  # of transformers and PEFT
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_model(tmp_path_factory.mktemp("base"), seed=1)


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"use_rslora": True},
        {"alpha_pattern": {"v_proj": 1, r"0\.self_attn\.q_proj": 20}},
    ],
)
def test_every_row_has_its_own_adapter_or_none(
    model: str, tmp_path: Path, config: dict[str, object]
) -> None:
    pytest.importorskip("peft")
    folders = {
        name: write_adapter(tmp_path / name, model, seed=i, **config) for i, name in enumerate("ab")
    }
    weights = Weights.load(SmallModel(model, dtype="float32"), CPU)
    for name, folder in folders.items():
        weights.add_adapter(name, folder)
    variants = {"none": Variant(), "a": Variant("a"), "b": Variant("b")}
    backbone = Backbone(weights, variants, slots=8, max_length=32)
    prompts = [[5, 6, 7], [8, 9, 10, 11, 12], [13], [14, 15]]
    wanted = [("a", 0), ("none", 1), ("b", 1), ("none", 2), ("a", 2), ("b", 3)]
    feeds = [Feed(row, name, row, len(prompts[row])) for name, row in wanted]
    found = backbone.run(feeds, ListTokens([(p, ()) for p in prompts], CPU))
    for logits, (name, row) in zip(found, wanted, strict=True):
        expected = alone(model, adapter=folders.get(name)).logits(prompts[row])
        torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"use_dora": True}, "use_dora"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"init_lora_weights": "pissa_niter_4"}, "pissa"),
        ({"peft_type": "LOHA"}, "LOHA"),
        ({"lora_alpha": "much"}, "cannot be read"),
    ],
)
def test_more_than_lora_is_refused(
    model: str, tmp_path: Path, config: dict[str, object], said: str
) -> None:
    weights = Weights.load(SmallModel(model), CPU)
    with pytest.raises(ConfigurationError, match=said):
        weights.add_adapter("law", write_adapter(tmp_path / "law", model, seed=0, **config))


def test_an_adapter_of_another_model_is_refused(model: str, tmp_path: Path) -> None:
    weights = Weights.load(SmallModel(model), CPU)
    other = write_model(tmp_path / "other", seed=2, size=64)
    with pytest.raises(ConfigurationError, match="is of another model"):
        weights.add_adapter("law", write_adapter(tmp_path / "law", other, seed=0))


def test_broken_adapters_are_refused(model: str, tmp_path: Path) -> None:
    weights = Weights.load(SmallModel(model), CPU)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        weights.add_adapter("law", str(tmp_path / "nowhere"))
    folder = Path(write_adapter(tmp_path / "law", model, seed=0))
    tensors = load_file(folder / "adapter_model.safetensors")
    first = next(iter(tensors))
    save_file(
        {name: x for name, x in tensors.items() if name != first},
        folder / "adapter_model.safetensors",
    )
    with pytest.raises(ConfigurationError, match="needs lora_A and lora_B"):
        weights.add_adapter("law", str(folder))
    save_file({**tensors, "strange": tensors[first].clone()}, folder / "adapter_model.safetensors")
    with pytest.raises(ConfigurationError, match="'strange', which is no LoRA weight"):
        weights.add_adapter("law", str(folder))
    (folder / "adapter_model.safetensors").unlink()
    with pytest.raises(ConfigurationError, match="no weights to read"):
        weights.add_adapter("law", str(folder))
    assert json.loads((folder / "adapter_config.json").read_text())["peft_type"] == "LORA"


def test_an_adapter_on_the_head_is_refused(model: str, tmp_path: Path) -> None:
    weights = Weights.load(SmallModel(model), CPU)
    folder = Path(write_adapter(tmp_path / "law", model, seed=0))
    pair = {"A": torch.zeros(2, 32), "B": torch.zeros(96, 2)}
    save_file(
        {f"base_model.model.lm_head.lora_{side}.weight": x for side, x in pair.items()},
        folder / "adapter_model.safetensors",
    )
    with pytest.raises(ConfigurationError, match="changes 'lm_head'"):
        weights.add_adapter("law", str(folder))
