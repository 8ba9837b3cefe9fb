"""Drives a model: packed behind shared prompts or plain rows, through a chunked output layer or its own.

``sso.forward_probe`` finds the fastest plan that is right for a model; ``install_forward`` makes the model
follow it.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from inspect import signature
from typing import Any

import torch
from torch import Tensor

from groundwork.attention import switch_attention
from groundwork.memory import return_memory
from sso.attention import PackedAttention
from sso.batches import MicroBatch
from sso.logprobs import CHUNK_BYTES, LEAN_CHUNK_BYTES, token_logprobs, whole_logprobs

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ForwardPlan:
    """How a model is driven: packed behind shared prompts or plain rows; chunked head or its own.

    ``reason`` says why the plan is not the fast one, for the log and the report; ``chunk_bytes`` how
    large the logits get that exist at once.
    """

    shared_prefix: bool = True
    chunked_head: bool = True
    reason: str = ""
    chunk_bytes: int = CHUNK_BYTES


def completion_logprobs(
    model: Any, batch: MicroBatch, plan: ForwardPlan, device: Any = None
) -> Tensor:
    """Log-probabilities (N,) of the batch's completion tokens under a transformers causal model.

    ``model`` is the unwrapped ``PreTrainedModel``; with ``ForwardPlan.chunked_head`` its backbone and its
    output embeddings are called apart, else its own forward at the needed positions.
    """
    device = device if device is not None else batch.input_ids.device
    inputs = model_inputs(batch, device)
    rows, targets = batch.rows.to(device), batch.targets.to(device)
    if plan.chunked_head:
        backbone, head = backbone_and_head(model)
        hidden = backbone(**inputs).last_hidden_state.flatten(0, 1)[rows]
        if plan.chunk_bytes == LEAN_CHUNK_BYTES and hidden.requires_grad:
            # the output layer's backward pass is over, the layers' is to come
            hidden.register_hook(lambda grad: return_memory())
        bias = getattr(head, "bias", None)
        return token_logprobs(hidden, head.weight, targets, bias, plan.chunk_bytes)
    base = model.get_base_model() if hasattr(model, "peft_config") else model
    # the class's forward: the instance's own may have been replaced by ``install_forward``
    forward = type(base).forward
    if batch.input_ids.shape[0] == 1 and "logits_to_keep" in signature(forward).parameters:
        logits = forward(base, **inputs, logits_to_keep=rows).logits.flatten(0, 1)
    else:
        logits = forward(base, **inputs).logits.flatten(0, 1)[rows]
    return whole_logprobs(logits, targets)


def model_inputs(batch: MicroBatch, device: Any) -> dict[str, Any]:
    """What a transformers model is called with for this batch."""
    inputs: dict[str, Any] = {
        "input_ids": batch.input_ids.to(device),
        "position_ids": batch.position_ids.to(device),
        "use_cache": False,
    }
    if batch.layout is not None:
        # a ready 4D mask stops the model from building one; the attention reads the layout instead
        inputs["attention_mask"] = torch.ones(1, 1, 1, 1, dtype=torch.bool, device=device)
        inputs["attention_layout"] = PackedAttention(batch.layout)
    elif batch.attention_mask is not None:
        inputs["attention_mask"] = batch.attention_mask.to(device)
    return inputs


def backbone_and_head(model: Any) -> tuple[Any, Any]:
    """The stack of layers (its output already normed) and the output layer of a causal model."""
    base = model.get_base_model() if hasattr(model, "peft_config") else model
    return getattr(base, base.base_model_prefix), base.get_output_embeddings()


def install_forward(model: Any, plan: ForwardPlan) -> None:
    """Make ``model(batch)`` give the log-probabilities of a micro-batch's completion tokens.

    The call still goes through the module, so that wrappers (DDP, FSDP, DeepSpeed) see it.
    """

    def forward(batch: MicroBatch) -> torch.Tensor:
        return completion_logprobs(model, batch, plan, device_of(model))

    model.forward = forward


def set_shared_attention(model: Any) -> None:
    """Switch the model to the shared-prefix attention where its class lets one choose."""
    try:
        switch_attention(model)
    except ValueError as error:
        _log.info("%s", error)


def device_of(model: Any) -> torch.device:
    return next(iter(model.parameters())).device
