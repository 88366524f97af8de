"""Linear layers that vLLM multiplies say what PyTorch's say."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

pytest.importorskip("peft")
pytest.importorskip("vllm")

from aggregator.fusion import vllm_cpu
from aggregator.fusion.backbone import Backbone, Variant
from aggregator.fusion.configuration import SmallModel
from aggregator.fusion.feeds import Feed
from aggregator.fusion.tokens import ListTokens
from aggregator.fusion.weights import Weights
from tests.aggregator.fusion.tiny_models import write_adapter, write_model

pytestmark = pytest.mark.filterwarnings("default")  # of transformers, PEFT and vLLM
CPU = torch.device("cpu")


def said(weights: Weights) -> torch.Tensor:
    """What the base and the adapter say of prompts of three lengths."""
    backbone = Backbone(weights, {"none": Variant(), "law": Variant("law")}, slots=6, max_length=32)
    prompts = [[5, 6, 7], [8, 9, 10, 11, 12], [13]]
    feeds = [
        Feed(row, name, row, len(p)) for name in ("none", "law") for row, p in enumerate(prompts)
    ]
    return backbone.run(feeds, ListTokens([(p, ()) for p in prompts], CPU))


def can_pack(dtype: torch.dtype) -> bool:
    """Whether this processor has oneDNN's product for the type (bfloat16: not on plain AVX2)."""
    from vllm import _custom_ops

    try:
        _custom_ops.create_onednn_mm(torch.ones(64, 64, dtype=dtype).t(), 32)
    except RuntimeError:
        return False
    return True


@pytest.mark.parametrize(("dtype", "off"), [("float32", 1e-4), ("bfloat16", 0.05)])
def test_packed_layers_say_the_same(tmp_path: Path, dtype: str, off: float) -> None:
    model = write_model(tmp_path / "base", seed=1)
    weights = Weights.load(SmallModel(model, dtype=dtype), CPU)
    weights.add_adapter("law", write_adapter(tmp_path / "law", model, seed=2))
    before = said(weights)
    vllm_cpu.pack(weights.model)
    after = said(weights)
    assert not torch.equal(before[:3], before[3:])
    torch.testing.assert_close(after, before, rtol=0, atol=off * float(before.std()))
    linear = [m for m in weights.model.modules() if type(m) is torch.nn.Linear]
    assert linear
    packed = can_pack(getattr(torch, dtype))
    assert all((layer.weight.numel() == 0) is packed for layer in linear)
    assert weights.vocabulary == len(weights.model.get_input_embeddings().weight)
