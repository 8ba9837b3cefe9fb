"""Faster arithmetic for training on a CPU in float32: the same mathematics, other kernels.

torch sends float32 matrix products to MKL, which on CPUs of other makers than its own runs without their
AVX-512 units; oneDNN, also inside torch, does not. The products here call oneDNN, in both
directions, on the tensors as they lie (no transposed copies). ``speed_up`` puts them into a model; models on
other devices or in other precisions are left as they are.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn

CACHED_PRODUCTS, FEW_CACHED_PRODUCTS = 256, 56
"""Compiled products kept, usually and where memory is short; a micro-batch of one pair needs about 40,
one of ten about 250."""


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
    return torch.ops.mkldnn._linear_pointwise(_dense(a), _dense(b), None, "none", [], "")


def _dense(x: Tensor) -> Tensor:
    """Rows or columns one after another: for other strides oneDNN takes its slow reference code."""
    return x if x.is_contiguous() or x.t().is_contiguous() else x.contiguous()


def cache_products(*, few: bool = False) -> None:
    """Bound the compiled products that oneDNN and torch's layer over it keep.

    Every length of a prompt or completion is a shape of its own, at a quarter of a megabyte a
    product, and they keep 1024. They read the limit at the first product of the process: later calls
    change nothing, and what the environment already says stays.
    """
    for name in ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY"):
        os.environ.setdefault(name, str(FEW_CACHED_PRODUCTS if few else CACHED_PRODUCTS))


_in_place = False


@contextmanager
def gradients_in_place() -> Iterator[None]:
    """Let forward passes in this block be ones whose backward adds to ``.grad`` of the vocabulary's weights.

    Autograd would make two more tensors of the embedding's size a backward pass (the output layer's
    part and the look-up's), keep the first to the end and add them up. Only for training by one process:
    what waits for a parameter's gradient (DDP's and FSDP's hooks, ``torch.autograd.grad``) sees none.
    """
    global _in_place
    before, _in_place = _in_place, True
    try:
        yield
    finally:
        _in_place = before


def in_place_gradient(weight: Tensor) -> Tensor | None:
    """The ``.grad`` (made if there is none) that a backward pass may add to itself, or None."""
    hooked = weight._backward_hooks or getattr(weight, "_post_accumulate_grad_hooks", None)
    taken = _in_place and available() and usable(weight)
    if hooked or not (taken and weight.is_leaf and weight.requires_grad):
        return None
    if weight.grad is None:
        weight.grad = torch.zeros_like(weight)
    return weight.grad


class _Embedding(torch.autograd.Function):
    """Rows of ``weight`` whose gradient goes straight into ``weight.grad``, row by row."""

    @staticmethod
    def forward(ctx: Any, ids: Tensor, weight: Tensor, padding: int | None) -> Tensor:
        ctx.save_for_backward(ids)
        ctx.weight, ctx.padding = weight, padding
        return weight[ids]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, None, None]:
        (ids,) = ctx.saved_tensors
        ids, rows = ids.flatten(), grads[0].flatten(0, -2)
        if ctx.padding is not None:
            trained = ids != ctx.padding
            ids, rows = ids[trained], rows[trained]
        ctx.weight.grad.index_add_(0, ids, rows)
        return None, None, None


class _Linear(torch.autograd.Function):
    """x @ weight.T + bias, (..., k) to (..., n)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        flat = _dense(x.flatten(0, -2))
        out = torch.ops.mkldnn._linear_pointwise(flat, _dense(weight), bias, "none", [], "")
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


class _RmsNorm(torch.autograd.Function):
    """weight * x / rms(x), keeping x and one number a row for the backward pass."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        mean_square = torch.linalg.vector_norm(x, dim=-1, keepdim=True).square_().div_(x.shape[-1])
        scale = mean_square.add_(eps).rsqrt_()
        ctx.save_for_backward(x, weight, scale)
        return (x * scale).mul_(weight)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, scale = ctx.saved_tensors
        (grad,) = grads
        normed = x * scale
        d_weight = (grad * normed).flatten(0, -2).sum(0) if ctx.needs_input_grad[1] else None
        d_x = grad * weight
        mean = (d_x * normed).mean(dim=-1, keepdim=True)
        return d_x.addcmul_(normed, mean, value=-1).mul_(scale), d_weight, None


class _GatedMlp(torch.autograd.Function):
    """down(silu(gate(x)) * up(x)), keeping x, gate(x) and up(x): their product is made again."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, gate: Tensor, up: Tensor, down: Tensor) -> Tensor:
        flat = x.flatten(0, -2)
        g, u = product(flat, gate), product(flat, up)
        ctx.save_for_backward(x, g, u, gate, up, down)
        hidden = nn.functional.silu(g).mul_(u)
        return product(hidden, down).view(*x.shape[:-1], down.shape[0])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, g, u, gate, up, down = ctx.saved_tensors
        grad, flat = grads[0].flatten(0, -2), x.flatten(0, -2)
        need_x, need_gate, need_up, need_down = ctx.needs_input_grad
        activated = nn.functional.silu(g)
        d_down = product(grad.t(), (activated * u).t()) if need_down else None
        d_hidden = product(grad, down.t())
        d_u = activated.mul_(d_hidden)
        d_g = torch.ops.aten.silu_backward(d_hidden.mul_(u), g)
        d_gate = product(d_g.t(), flat.t()) if need_gate else None
        d_up = product(d_u.t(), flat.t()) if need_up else None
        d_x = None
        if need_x:
            d_x = product(d_g, gate.t()).add_(product(d_u, up.t())).view_as(x)
        return d_x, d_gate, d_up, d_down


def _embedding_forward(self: nn.Embedding, input: Tensor) -> Tensor:
    if torch.is_grad_enabled() and in_place_gradient(self.weight) is not None:
        return _Embedding.apply(input, self.weight, self.padding_idx)
    return type(self).forward(self, input)


def _norm_forward(self: Any, hidden_states: Tensor) -> Tensor:
    if usable(hidden_states, self.weight):
        return _RmsNorm.apply(hidden_states, self.weight, _epsilon(self))
    return type(self).forward(self, hidden_states)


def _mlp_forward(self: Any, x: Tensor) -> Tensor:
    layers = (self.gate_proj, self.up_proj, self.down_proj)
    if usable(x, *(layer.weight for layer in layers)) and x.numel():
        return _GatedMlp.apply(x, *(layer.weight for layer in layers))
    return type(self).forward(self, x)


def _epsilon(norm: Any) -> float:
    return float(getattr(norm, "variance_epsilon", getattr(norm, "eps", 0.0)) or 0.0)


def _is_gated_mlp(module: nn.Module) -> bool:
    layers = [getattr(module, name, None) for name in ("gate_proj", "up_proj", "down_proj")]
    return all(type(layer) is nn.Linear and layer.bias is None for layer in layers)


def _is_rms_norm(module: nn.Module) -> bool:
    weight = getattr(module, "weight", None)
    named = type(module).__name__.endswith("RMSNorm")
    return named and isinstance(weight, Tensor) and weight.dim() == 1 and _epsilon(module) > 0


def _replace(module: nn.Module, forward: Any, width: int) -> bool:
    """Give the module another forward if that gives the same on a probe; says whether it did."""
    if not usable(*module.parameters()):
        return False
    generator = torch.Generator().manual_seed(0)
    probe = torch.randn(3, width, generator=generator)
    with torch.no_grad():
        expected = module(probe)
        if not isinstance(expected, Tensor):
            return False
        difference = (forward(module, probe) - expected).abs().max()
        if not difference <= 1e-4 * expected.abs().max():
            return False
    module.forward = MethodType(forward, module)  # type: ignore[method-assign]
    return True


def speed_up(model: nn.Module) -> int:
    """Give ``model`` the faster kernels where they compute the same; returns how many modules changed.

    Linear layers, embeddings, RMS norms, and gated MLPs of the Llama kind. The last two are known by their
    shape and checked on a probe (a norm that scales by 1 + weight, another activation: left alone).
    """
    if not available():
        return 0
    changed = 0
    for module in model.modules():
        if type(module) is nn.Linear:
            module.forward = MethodType(_linear_forward, module)  # type: ignore[method-assign]
            changed += 1
        elif type(module) is nn.Embedding and module.max_norm is None:
            if not (module.sparse or module.scale_grad_by_freq):
                module.forward = MethodType(_embedding_forward, module)  # type: ignore[method-assign]
                changed += 1
        elif _is_rms_norm(module):
            changed += _replace(module, _norm_forward, module.weight.shape[0])  # type: ignore
        elif _is_gated_mlp(module):
            changed += _replace(module, _mlp_forward, module.gate_proj.in_features)  # type: ignore
    return changed
