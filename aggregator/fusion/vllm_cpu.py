"""Small models' linear layers as vLLM's CPU build multiplies its own.

PyTorch lays a matrix out anew at every product; vLLM does so once (oneDNN's packed layout).  With a
few X"""

from __future__ import annotations

from types import MethodType

from torch import Tensor, nn


def pack(model: nn.Module) -> None:
    """Lays out every linear layer's weights for vLLM's products, which from now on it uses.

    The weights of a packed layer are gone afterwards, but for those that an embedding shares;
    whatever looks at them (adapters, merges) has to come before.
    """
    from vllm.model_executor.layers.utils import dispatch_cpu_unquantized_gemm

    for layer in model.modules():
        if type(layer) is nn.Linear:
            dispatch_cpu_unquantized_gemm(layer, remove_weight=True)
            layer.forward = MethodType(_multiplied, layer)


def _multiplied(layer: nn.Linear, x: Tensor) -> Tensor:
    y: Tensor = layer.cpu_linear(x, layer.weight, layer.bias)
    return y
