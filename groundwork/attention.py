"""Attention of our own in transformers models: one registered implementation, driven by layouts.

A model whose attention goes through transformers' interface takes it with ``switch_attention``; a forward
call then passes ``attention_layout``, the object that computes each layer's attention from its queries,
keys and values. Calls without a layout are plain SDPA.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

NAME = "sso_bench"

CHANGES_THE_RESULT = ("s_aux", "softcap", "logits_soft_cap", "position_bias")
"""Arguments of transformers' attention interface that no layout computes."""


class AttentionLayout(Protocol):
    """One forward call: where its keys and values go, and what its queries see.

    No query of it looks back more than ``longest`` tokens.
    """

    @property
    def longest(self) -> float: ...

    def attend(
        self,
        layer: int,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        *,
        scale: float | None,
        dropout: float = 0.0,
    ) -> Tensor:
        """Attention (B, H, T, D) of one layer: query (B, H, T, D), key and value (B, Hkv, T, D)."""


def register() -> str:
    """Make the implementation known to transformers; returns its name."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    AttentionInterface.register(NAME, attention)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    return NAME


def switch_attention(model: Any, name: str | None = None) -> str:
    """Give the model the registered attention, or the implementation ``name``; returns the one it had.

    Raises:
        ValueError: the model's class does not let one choose its attention.
    """
    before = str(model.config._attn_implementation)
    try:
        model.set_attn_implementation(name or register())
    except (ValueError, NotImplementedError, ImportError, AttributeError) as error:
        raise ValueError(f"{type(model).__name__} keeps its own attention: {error}") from None
    return before


def attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    attention_layout: AttentionLayout | None = None,
    **options: Any,
) -> tuple[Tensor, None]:
    """Transformers' attention signature: query (B, H, T, D), key and value (B, Hkv, T, D).

    Returns (B, T, H, D).

    Raises:
        ValueError: the model's attention has a part that layouts do not compute (sinks, soft caps, ...).
    """
    if attention_layout is None:
        from transformers.integrations.sdpa_attention import sdpa_attention_forward

        return sdpa_attention_forward(module, query, key, value, attention_mask, **options)
    if reason := unsupported(options, attention_layout.longest):
        raise ValueError(reason)
    out = attention_layout.attend(
        int(getattr(module, "layer_idx", -1)),
        query,
        key,
        value,
        scale=options.get("scaling"),
        dropout=float(options.get("dropout") or 0.0),
    )
    return out.transpose(1, 2).contiguous(), None


def unsupported(options: Mapping[str, Any], longest: float) -> str:
    """Why no layout computes what these arguments ask of attention; empty where one does."""
    part = next((name for name in CHANGES_THE_RESULT if options.get(name) is not None), None)
    if part is not None:
        return f"its attention takes {part!r}"
    window = options.get("sliding_window")
    if window is not None and longest > window:
        return f"its attention looks back {window} tokens"
    return ""
