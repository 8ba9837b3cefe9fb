"""Linear layers through oneDNN on the CPU, in full float32.

torch sends a float32 linear layer to MKL, which on CPUs of other makers than Intel does not use
AVX-512: on an AMD EPYC with it, oneDNN's kernels do the same product 2.2 times as fast (measured
by ``benchmarking/generation.py``). Weights are packed once, into the layout that its kernels read.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


class PackedLinear(nn.Module):
    """An ``nn.Linear`` for inference whose weight (out, in) is packed; same call, same result."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None, rows: int) -> None:
        super().__init__()
        self.out_features, self.in_features = weight.shape
        # The operator reads the bias as dense memory, whatever its strides say.
        self.bias = bias.detach().contiguous() if bias is not None else None
        self._packed = torch.ops.mkldnn._reorder_linear_weight(weight.detach(), rows)

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
    if model.device.type != "cpu" or model.dtype != torch.float32 or not _available(rows):
        return 0
    replaced = 0
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is nn.Linear:
                setattr(parent, name, PackedLinear(child.weight, child.bias, rows))
                replaced += 1
    return replaced


def _available(rows: int) -> bool:
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
