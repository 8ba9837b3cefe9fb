"""Drives a model: packed behind shared prompts or plain rows, through a chunked output layer or its own.

``sso.forward_probe`` finds the fastest plan that is right for a model; ``install_forward`` makes the model
follow it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from inspect import Parameter, signature
from typing import Any

import torch
from torch import Tensor

from groundwork.memory import return_memory
from groundwork.rope import forget_lengths
from sso.batches import MicroBatch, pack_groups, packed_batch, plain_batch, single_rows
from sso.encoding import EncodedGroup
from sso.logprobs import CHUNK_BYTES, LEAN_CHUNK_BYTES, token_logprobs, whole_logprobs
from sso.packed_attention import PackedAttention


@dataclass(frozen=True)
class ForwardPlan:
    """How a model is driven: packed behind shared prompts or plain rows; chunked head or its own.

    ``rows_together`` False runs every sequence by itself, without padding. Sequences longer than
    ``length_limit`` (rotary angles that follow the length, ``groundwork.rope``) always run so. ``notes``
    say why the plan is not the fast one, for the log and the report; ``chunk_bytes`` is how large the
    logits get that exist at once; ``lean_layers``: ``groundwork.cpu_kernels.speed_up`` is right for the model;
    ``block_mask``: packed sequences are attended by ``sso.block_mask``.
    """

    shared_prefix: bool = True
    chunked_head: bool = True
    rows_together: bool = True
    length_limit: int | None = None
    notes: tuple[str, ...] = ()
    chunk_bytes: int = CHUNK_BYTES
    lean_layers: bool = False
    block_mask: bool = False

    def packs(self, group: EncodedGroup) -> bool:
        """Whether the group runs packed behind its prompts."""
        limit = self.length_limit
        return self.shared_prefix and (limit is None or group.longest <= limit)

    def bins(self, groups: Sequence[EncodedGroup], micro_tokens: int) -> list[list[EncodedGroup]]:
        """The groups of each forward pass, at most ``micro_tokens`` tokens each."""
        packed = [group for group in groups if self.packs(group)]
        plain = [group for group in groups if not self.packs(group)]
        return [
            *pack_groups(packed, micro_tokens, shared_prefix=True),
            *pack_groups(plain, micro_tokens, shared_prefix=False),
        ]

    def batch(self, groups: Sequence[EncodedGroup]) -> MicroBatch:
        """The groups of one bin as a micro-batch."""
        return packed_batch(groups) if self.packs(groups[0]) else plain_batch(groups)


def install_forward(model: Any, plan: ForwardPlan) -> None:
    """Make ``model(batch)`` give the log-probabilities of a micro-batch's completion tokens.

    The call still goes through the module, so that wrappers (DDP, FSDP, DeepSpeed) see it.
    """

    def forward(batch: MicroBatch) -> Tensor:
        return completion_logprobs(model, batch, plan)

    model.forward = forward


def completion_logprobs(model: Any, batch: MicroBatch, plan: ForwardPlan) -> Tensor:
    """Log-probabilities (N,) of the batch's completion tokens under a transformers causal model.

    ``model`` is the unwrapped ``PreTrainedModel``; with ``ForwardPlan.chunked_head`` its backbone and its
    output embeddings are called apart, else its own forward at the needed positions.
    """
    if plan.length_limit is not None:
        forget_lengths(model)
    if batch.layout is None and batch.input_ids.shape[0] > 1:
        too_long = plan.length_limit is not None and batch.input_ids.shape[1] > plan.length_limit
        if too_long or not plan.rows_together:
            parts = [completion_logprobs(model, row, plan) for row in single_rows(batch)]
            return torch.cat(parts)
    device = device_of(model)
    rows, targets = batch.rows.to(device), batch.targets.to(device)
    if plan.chunked_head:
        backbone, head = backbone_and_head(model)
        inputs = model_inputs(backbone, batch, device, plan.block_mask)
        hidden = backbone(**inputs).last_hidden_state.flatten(0, 1)[rows]
        lean = plan.chunk_bytes == LEAN_CHUNK_BYTES and device.type == "cpu"
        if lean and hidden.requires_grad:
            # the output layer's backward pass is over, the layers' is to come
            hidden.register_hook(lambda grad: return_memory())
        bias = getattr(head, "bias", None)
        return token_logprobs(hidden, head.weight, targets, bias, plan.chunk_bytes)
    # the class's forward: the instance's own may have been replaced by ``install_forward``
    forward = type(model).forward
    inputs = model_inputs(model, batch, device, plan.block_mask)
    if batch.input_ids.shape[0] == 1 and "logits_to_keep" in signature(forward).parameters:
        logits = forward(model, **inputs, logits_to_keep=rows).logits.flatten(0, 1)
    else:
        logits = forward(model, **inputs).logits.flatten(0, 1)[rows]
    return whole_logprobs(logits, targets)


def model_inputs(
    module: Any, batch: MicroBatch, device: Any, block_mask: bool = False
) -> dict[str, Any]:
    """The arguments of a transformers model or backbone for this batch, as far as it takes them."""
    inputs: dict[str, Any] = {"input_ids": batch.input_ids.to(device), "use_cache": False}
    if batch.layout is not None:
        # a ready 4D mask stops the model from building one; the attention reads the layout instead
        inputs["attention_mask"] = torch.ones(1, 1, 1, 1, dtype=torch.bool, device=device)
        inputs["position_ids"] = batch.position_ids.to(device)
        inputs["attention_layout"] = PackedAttention(batch.layout, device if block_mask else None)
        return inputs
    if batch.attention_mask is not None and not bool(batch.attention_mask.all()):
        inputs["attention_mask"] = batch.attention_mask.to(device)
    taken = signature(type(module).forward).parameters
    if any(p.kind is Parameter.VAR_KEYWORD for p in taken.values()):
        return inputs
    return {name: value for name, value in inputs.items() if name in taken}


def backbone_and_head(model: Any) -> tuple[Any, Any]:
    """The stack of layers (its output already normed) and the output layer of a causal model."""
    return getattr(model, model.base_model_prefix), model.get_output_embeddings()


def device_of(model: Any) -> torch.device:
    """The device of a model's weights."""
    return next(iter(model.parameters())).device
