"""Training on a CPU in float32 with less memory: the same mathematics, fewer tensors kept.

``speed_up`` puts into a model gated MLPs that make their product again in the backward pass, and embeddings whose
gradient goes straight into ``.grad``. Models on other devices or in other precisions are left as they are.
Figures: ``benchmarking/training.py``, section ``kernels``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn

CACHED_PRODUCTS, FEW_CACHED_PRODUCTS = 256, 56
"""Compiled products kept, usually and where memory is short; a micro-batch of one pair needs about 40,
one of ten about 250."""


def cache_products(*, few: bool = False) -> None:
    """Bound the compiled bfloat16 products that oneDNN and torch's layer over it keep.

    Every length of a prompt or completion is a shape of its own, at a quarter of a megabyte per
    product, and they keep 1024. They read the limit at the first product of the process: later calls
    change nothing, and variables that are set already stay.
    """
    for name in ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY"):
        os.environ.setdefault(name, str(FEW_CACHED_PRODUCTS if few else CACHED_PRODUCTS))


_in_place = False


@contextmanager
def gradients_in_place() -> Iterator[None]:
    """Let forward passes in this block be ones whose backward adds to ``.grad`` of the vocabulary's weights.

    Autograd would make two more tensors of the embedding's size per backward pass (the output layer's
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
    taken = _in_place and usable(weight)
    if hooked or not (taken and weight.is_leaf and weight.requires_grad):
        return None
    if weight.grad is None:
        weight.grad = torch.zeros_like(weight)
    return weight.grad


def usable(*tensors: Tensor) -> bool:
    """Whether these operands are float32 on a CPU, outside autocast."""
    return not torch.is_autocast_enabled("cpu") and all(
        t.device.type == "cpu" and t.dtype == torch.float32 for t in tensors
    )


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


class _GatedMlp(torch.autograd.Function):
    """down(silu(gate(x)) * up(x)), keeping x, gate(x) and up(x): their product is made again."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, gate: Tensor, up: Tensor, down: Tensor) -> Tensor:
        flat = x.flatten(0, -2)
        g, u = flat @ gate.t(), flat @ up.t()
        ctx.save_for_backward(x, g, u, gate, up, down)
        hidden = nn.functional.silu(g).mul_(u)
        return (hidden @ down.t()).view(*x.shape[:-1], down.shape[0])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, g, u, gate, up, down = ctx.saved_tensors
        grad, flat = grads[0].flatten(0, -2), x.flatten(0, -2)
        need_x, need_gate, need_up, need_down = ctx.needs_input_grad
        activated = nn.functional.silu(g)
        d_down = grad.t() @ (activated * u) if need_down else None
        d_hidden = grad @ down
        d_u = activated.mul_(d_hidden)
        d_g = torch.ops.aten.silu_backward(d_hidden.mul_(u), g)
        d_gate = d_g.t() @ flat if need_gate else None
        d_up = d_u.t() @ flat if need_up else None
        d_x = None
        if need_x:
            d_x = (d_g @ gate).addmm_(d_u, up).view_as(x)
        return d_x, d_gate, d_up, d_down


def _embedding_forward(self: nn.Embedding, input: Tensor) -> Tensor:
    if torch.is_grad_enabled() and in_place_gradient(self.weight) is not None:
        return _Embedding.apply(input, self.weight, self.padding_idx)
    return type(self).forward(self, input)


def _mlp_forward(self: Any, x: Tensor) -> Tensor:
    layers = (self.gate_proj, self.up_proj, self.down_proj)
    if usable(x, *(layer.weight for layer in layers)) and x.numel():
        return _GatedMlp.apply(x, *(layer.weight for layer in layers))
    return type(self).forward(self, x)


def _is_gated_mlp(module: nn.Module) -> bool:
    layers = [getattr(module, name, None) for name in ("gate_proj", "up_proj", "down_proj")]
    return all(type(layer) is nn.Linear and layer.bias is None for layer in layers)


def _computes_the_same(module: Any) -> bool:
    """Whether ``_mlp_forward`` gives what the module gives, on a probe (another activation does not)."""
    if not usable(*module.parameters()):
        return False
    probe = torch.randn(3, module.gate_proj.in_features, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        try:
            expected = module(probe)
        except (TypeError, ValueError, RuntimeError, IndexError):
            return False
        if not isinstance(expected, Tensor):
            return False
        difference = (_mlp_forward(module, probe) - expected).abs().max()
    return bool(difference <= 1e-4 * expected.abs().max())


def speed_up(model: nn.Module) -> int:
    """Give ``model`` the leaner modules where they compute the same; returns how many changed."""
    changed = 0
    for module in model.modules():
        if type(module) is nn.Embedding and module.max_norm is None:
            if not (module.sparse or module.scale_grad_by_freq):
                module.forward = MethodType(_embedding_forward, module)  # type: ignore[method-assign]
                changed += 1
        elif _is_gated_mlp(module) and _computes_the_same(module):
            module.forward = MethodType(_mlp_forward, module)  # type: ignore[method-assign]
            changed += 1
    return changed


def slow_down(model: nn.Module) -> None:
    """Take ``speed_up`` back."""
    for module in model.modules():
        forward = getattr(vars(module).get("forward"), "__func__", None)
        if forward in (_embedding_forward, _mlp_forward):
            del module.forward


class PackedLinear(nn.Module):
    """An ``nn.Linear`` for inference whose weight (out, in) is packed; same call, same result."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None, rows: int) -> None:
        super().__init__()
        self.out_features, self.in_features = weight.shape
        # The operator reads the bias as dense memory, whatever its strides say.
        self.bias = bias.detach().contiguous() if bias is not None else None
        self._packed = torch.ops.mkldnn._reorder_linear_weight(weight.detach(), rows)

    @property
    def weight(self) -> torch.Tensor:
        """(out, in), laid out anew: for models that read the weight instead of calling the layer."""
        return self._packed.to_dense()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(..., in) to (..., out)."""
        out: torch.Tensor = torch.ops.mkldnn._linear_pointwise(
            x, self._packed, self.bias, "none", [], ""
        )
        return out


@torch.inference_mode()
def pack_linears(model: Any, rows: int) -> int:
    """Replace the float32 linear layers of a model on the CPU; returns how many were replaced.

    ``rows`` is the usual number of rows of their inputs (a hint for the layout). Whether oneDNN is
    used depends on the build of torch and the model alone, never on a timing, so that results stay
    the same from run to run. Where its operators are missing or disagree, nothing is replaced.
    """
    if model.device.type != "cpu" or model.dtype != torch.float32 or not _packs(rows):
        return 0
    replaced = 0
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is nn.Linear:
                setattr(parent, name, PackedLinear(child.weight, child.bias, rows))
                replaced += 1
    return replaced


def _packs(rows: int) -> bool:
    """Whether the operators are there and compute a product right."""
    if not torch.backends.mkldnn.is_available():
        return False
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(24, 16, generator=generator)
    x = torch.randn(2, 3, 16, generator=generator)
    try:
        found = PackedLinear(weight, weight[:, 0], rows)(x)
    except (RuntimeError, AttributeError, TypeError):
        return False
    return bool(torch.allclose(found, nn.functional.linear(x, weight, weight[:, 0]), atol=1e-5))
