from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model

from aggregator.fusion.merge import merge
from coterie.errors import ConfigurationError
from tests.aggregator.fusion.tiny import model, says


@pytest.fixture
def base(tmp_path: Path) -> Path:
    folder = tmp_path / "base"
    model(1).save_pretrained(folder)
    return folder


def adapter(folder: Path, seed: int, rank: int) -> Path:
    """An adapter of the base with random weights."""
    torch.manual_seed(seed)
    config = LoraConfig(r=rank, lora_alpha=3 * rank, target_modules=["q_proj", "v_proj"])
    adapted = get_peft_model(model(1), config)
    for name, weight in adapted.named_parameters():
        if "lora_B" in name:
            weight.data.normal_(std=0.3)
    adapted.save_pretrained(str(folder))
    return folder


def merged_by_hand(adapters: dict[Path, float]) -> Any:
    """The base with each adapter's difference added to its weights."""
    whole = model(1)
    untouched = dict(model(1).state_dict())
    total = {name: weight.clone() for name, weight in untouched.items()}
    for folder, share in adapters.items():
        tuned = PeftModel.from_pretrained(model(1), str(folder)).merge_and_unload().state_dict()
        for name, weight in total.items():
            weight += share * (tuned[name] - untouched[name])
    whole.load_state_dict(total)
    return whole


def test_a_merge_adds_what_each_adapter_changed(base: Path, tmp_path: Path) -> None:
    adapters = {adapter(tmp_path / "a", 2, 2): 0.7, adapter(tmp_path / "b", 3, 4): -0.4}
    folder = merge(base, adapters, tmp_path / "out")
    merged = PeftModel.from_pretrained(model(1), str(folder)).eval()
    assert torch.allclose(says(merged, 1, 2, 3), says(merged_by_hand(adapters), 1, 2, 3), atol=1e-3)
    assert merged.peft_config["default"].r == 6


def test_nothing_is_no_expert(base: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="at least one adapter"):
        merge(base, {}, tmp_path / "out")
