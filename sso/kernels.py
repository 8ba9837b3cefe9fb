"""Faster arithmetic for training on a CPU in float32: the same mathematics, other kernels.

torch sends float32 matrix products to MKL, which on CPUs of other makers than its own runs without their
AVX-512 units; oneDNN, also inside torch, does not. The products here call oneDNN, in both
directions, on the tensors as they lie (no transposed copies). ``speed_up`` puts them into a model; models on
other devices or in other precisions are left as they are.
"""

from __future__ import annotations

from functools import lru_cache
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn


@lru_cache(maxsize=1)
def available() -> bool:
    """Whether this CPU and this torch have the kernels that make a difference (AVX-512, oneDNN)."""
    return (
        torch.backends.mkldnn.is_available()
        and "AVX512" in torch.backends.cpu.get_cpu_capability()
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    )


def product(a: Tensor, b: Tensor) -> Tensor:
    """a @ b.T for matrices a (m, k) and b (n, k) of any strides, by oneDNN; not differentiable."""
    return torch.ops.mkldnn._linear_pointwise(a, b, None, "none", [], "")


class _Linear(torch.autograd.Function):
    """x @ weight.T + bias, (..., k) to (..., n)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        out = torch.ops.mkldnn._linear_pointwise(x.flatten(0, -2), weight, bias, "none", [], "")
        return out.view(*x.shape[:-1], weight.shape[0])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        grad = grads[0].flatten(0, -2)
        d_x = product(grad, weight.t()).view_as(x) if ctx.needs_input_grad[0] else None
        d_weight = product(grad.t(), x.flatten(0, -2).t()) if ctx.needs_input_grad[1] else None
        d_bias = grad.sum(0) if ctx.needs_input_grad[2] else None
        return d_x, d_weight, d_bias


def usable(*tensors: Tensor) -> bool:
    """Whether the kernels may take these operands as they are."""
    return not torch.is_autocast_enabled("cpu") and all(
        t.device.type == "cpu" and t.dtype == torch.float32 for t in tensors
    )


def _linear_forward(self: nn.Linear, input: Tensor) -> Tensor:
    if usable(input, self.weight) and input.numel():
        return _Linear.apply(input, self.weight, self.bias)
    return nn.functional.linear(input, self.weight, self.bias)


def speed_up(model: nn.Module) -> int:
    """Give the linear layers of ``model`` the faster kernels; returns how many were changed."""
    if not available():
        return 0
    layers = [m for m in model.modules() if type(m) is nn.Linear]
    for layer in layers:
        layer.forward = MethodType(_linear_forward, layer)  # type: ignore[method-assign]
    return len(layers)
