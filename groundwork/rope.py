"""Rotary positions whose angles depend on the length of the sequence: LongRoPE and dynamic NTK.

Up to a length they are the angles of any model; beyond it every token's angle follows from the longest
position of its forward pass, so that a sequence computed beside another one gives other numbers than alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def length_limit(config: Any) -> int | None:
    """The longest sequence whose angles do not depend on its length; None if there is no such limit."""
    text = config.get_text_config() if hasattr(config, "get_text_config") else config
    limits = []
    for parameters in _parameter_sets(text):
        kind = str(parameters.get("rope_type") or parameters.get("type") or "")
        trained = parameters.get("original_max_position_embeddings")
        if kind in ("longrope", "su"):
            trained = trained or getattr(text, "original_max_position_embeddings", None)
        elif "dynamic" not in kind:
            continue
        limits.append(int(trained or text.max_position_embeddings))
    return min(limits, default=None)


def _parameter_sets(config: Any) -> Iterator[Mapping[str, Any]]:
    """The rotary parameters: one set, or one per kind of layer."""
    parameters = getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None)
    if isinstance(parameters, Mapping):
        inner = [value for value in parameters.values() if isinstance(value, Mapping)]
        yield from inner or [parameters]


def forget_lengths(model: Any) -> None:
    """Take the model's rotary angles back to their start: dynamic NTK keeps those of the longest
    sequence it has met."""
    for module in model.modules():
        start = getattr(module, "original_inv_freq", None)
        cached = getattr(module, "max_seq_len_cached", None)
        first = getattr(module, "original_max_seq_len", None)
        if start is not None and cached is not None and first is not None and cached != first:
            module.register_buffer("inv_freq", start.to(module.inv_freq.device), persistent=False)
            module.max_seq_len_cached = first
