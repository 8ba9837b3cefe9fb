"""Finds the fastest plan that is right for a model: shared prefixes or plain rows, chunked head or its own.

What a configuration says is checked first (sliding windows); then a short probe compares the fast forms
with the model's own forward pass. So a model whose attention ignores the layout, whose state is
recurrent, or whose output layer does more than a product is found by its numbers, not by its name.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import torch

from sso.batches import MicroBatch, packed_batch, plain_batch
from sso.encoding import EncodedBranch, EncodedGroup, EncodedPair
from sso.fast_forward import ForwardPlan, completion_logprobs, device_of

_log = logging.getLogger(__name__)

_TOLERANCE = {torch.float32: 2e-3, torch.bfloat16: 0.25, torch.float16: 0.05}
"""Largest difference of a token's log-probability, in nats, that rounding explains."""


def probe_forward_plan(model: Any, groups: Sequence[EncodedGroup]) -> ForwardPlan:
    """The fastest plan that is right for this model and these groups, with the reason if it is not the fast one.

    ``model`` must be loaded with the shared-prefix attention implementation where it takes it.
    """
    longest = max(len(b.prompt) + len(c) for g in groups for b in g.branches for c in b.completions)
    blocked = window_reason(model.config, longest)
    probe = probe_groups(model.config.get_text_config().vocab_size)
    with torch.no_grad():
        training = model.training
        model.eval()
        expected = _try(model, plain_batch(probe), ForwardPlan(False, False))
        if isinstance(expected, str):
            raise RuntimeError(f"the model does not run: {expected}")
        head = _mismatch(model, plain_batch(probe), ForwardPlan(False, True), expected)
        shared = blocked or _mismatch(
            model, packed_batch(probe), ForwardPlan(True, not head), expected
        )
        model.train(training)
    reasons = []
    if shared:
        reasons.append(f"plain batches instead of shared prefixes: {shared}")
    if head:
        reasons.append(f"the model's own output layer instead of the chunked one: {head}")
    plan = ForwardPlan(not shared, not head, "; ".join(reasons))
    if plan.reason:
        _log.warning("%s: %s", type(model).__name__, plan.reason)
    return plan


def window_reason(config: Any, longest: int) -> str:
    """Why sequences of this length do not fit the model's attention window; empty if they do."""
    text = config.get_text_config()
    layers = getattr(text, "layer_types", None) or ()
    windowed = any(kind in ("sliding_attention", "chunked_attention") for kind in layers)
    if not layers:
        windowed = getattr(text, "use_sliding_window", True)
    window = getattr(text, "sliding_window", None) or getattr(text, "attention_chunk_size", None)
    if windowed and window is not None and longest > window:
        return f"its attention looks back {window} tokens and a sequence has {longest}"
    return ""


def _mismatch(model: Any, batch: MicroBatch, plan: ForwardPlan, expected: torch.Tensor) -> str:
    """Why a form is not usable, or an empty string."""
    found = _try(model, batch, plan)
    if isinstance(found, str):
        return found
    tolerance = _TOLERANCE.get(model.dtype, 2e-3)
    difference = float((found - expected).abs().max())
    if difference <= tolerance * max(1.0, float(expected.abs().max()) / 10):
        return ""
    return f"a probe differs from the model's own log-probabilities by {difference:.2g} nats"


def _try(model: Any, batch: MicroBatch, plan: ForwardPlan) -> torch.Tensor | str:
    try:
        return completion_logprobs(model, batch, plan, device_of(model)).float()
    except (TypeError, ValueError, RuntimeError, AttributeError, KeyError, IndexError) as error:
        return f"{type(error).__name__} {str(error).splitlines()[0] if str(error) else ''}".strip()


def probe_groups(vocabulary: int) -> list[EncodedGroup]:
    """Two short groups of arbitrary but fixed token ids."""

    def ids(start: int, n: int) -> tuple[int, ...]:
        return tuple((start * 7919 + i * 104729) % vocabulary for i in range(n))

    branches = (
        EncodedBranch(ids(1, 13), (ids(2, 6), ids(3, 9))),
        EncodedBranch(ids(4, 7), (ids(5, 1), ids(6, 8))),
    )
    return [
        EncodedGroup(str(i), (branch,), {"policy": EncodedPair(str(i), 0, 0, 1)})
        for i, branch in enumerate(branches)
    ]
