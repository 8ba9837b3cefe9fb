"""Finds the fastest plan that is right for a model, by its numbers and not by its name.

The yardstick is taken while the model is untouched: every sequence by itself, without padding, through the
model's own forward pass, in the precision of the training. Then the replacements go in, and each
fast form is compared with it: leaner modules, rows side by side, the chunked output layer, shared prefixes.
A form that differs is left out, and the plan's notes say so.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from groundwork.attention import switch_attention
from groundwork.cpu_kernels import gradients_in_place, slow_down, speed_up
from groundwork.rope import length_limit
from sso.batches import MicroBatch, packed_batch, plain_batch
from sso.block_mask import AttentionShape
from sso.encoding import EncodedBranch, EncodedGroup, EncodedPair
from sso.fast_forward import ForwardPlan, completion_logprobs, device_of
from sso.lora import has_lora
from sso.packed_attention import attention_shapes, check_kernel

_log = logging.getLogger(__name__)

TOLERANCE = 1e-3
"""Nats by which a token's log-probability may differ in float32; twice what rounding does elsewhere."""

GRADIENT_TOLERANCE = 5e-3
"""Relative difference of a parameter's gradient that rounding explains."""

_ALONE = ForwardPlan(shared_prefix=False, chunked_head=False, rows_together=False)
_ERRORS = (
    TypeError,
    ValueError,
    RuntimeError,
    AttributeError,
    KeyError,
    IndexError,
    AssertionError,
)

WAVE = 8191
"""Length after which the probe's projection repeats: prime, so that no two rows of a matrix count alike."""

LONG_PROBE_WORK = 4e12
"""Parameters times tokens up to which the longest group of the data takes part in the probe on a CPU."""


@dataclass(frozen=True)
class Yardstick:
    """Log-probabilities of the probe's groups under the untouched model, what rounding does to them, and
    two numbers per parameter of the gradient of their sum over the short groups (empty: not taken)."""

    short: tuple[EncodedGroup, ...]
    long: tuple[EncodedGroup, ...]
    logps: Tensor
    long_logps: Tensor | None
    rounding: float
    gradient: dict[str, tuple[float, float]]


def measure_untouched(
    model: Any, groups: Sequence[EncodedGroup], *, bf16: bool = False, gradients: bool = True
) -> Yardstick:
    """The yardstick of a model as ``transformers`` loads it; ``gradients`` only where all weights train.

    Raises:
        RuntimeError: the model does not run, or gives numbers that are not finite.
    """
    short = tuple(probe_groups(model.config.get_text_config().vocab_size))
    longest = longest_probed(model, groups)
    long = () if longest is None else (_longest_branch(longest),)
    model.eval()
    try:
        logps = _logps(model, plain_batch(short), _ALONE, bf16=bf16)
        exact = _logps(model, plain_batch(short), _ALONE) if bf16 else logps
        long_logps = _logps(model, plain_batch(long), _ALONE, bf16=bf16) if long else None
        takes = gradients and not bf16
        gradient = _gradient(model, plain_batch(short), _ALONE) if takes else {}
    except _ERRORS as error:
        raise RuntimeError(f"the model does not run: {_line(error)}") from error
    _require_finite(logps)
    rounding = float((logps - exact).abs().max())
    return Yardstick(short, long, logps, long_logps, rounding, gradient)


def check_finite(model: Any, *, bf16: bool = False) -> None:
    """That a model runs and gives numbers, where its plan is known and no yardstick is taken.

    Raises:
        RuntimeError: as ``measure_untouched``.
    """
    short = probe_groups(model.config.get_text_config().vocab_size)
    model.eval()
    try:
        logps = _logps(model, plain_batch(short), _ALONE, bf16=bf16)
    except _ERRORS as error:
        raise RuntimeError(f"the model does not run: {_line(error)}") from error
    _require_finite(logps)


def _require_finite(logps: Tensor) -> None:
    if not bool(torch.isfinite(logps).all()):
        raise RuntimeError("the model gives log-probabilities that are not finite")


def _longest_branch(group: EncodedGroup) -> EncodedGroup:
    """The branch of a group that makes it long, with all its completions."""
    longest = max(group.branches, key=lambda b: len(b.prompt) + max(map(len, b.completions)))
    # pairs are looked at by the loss alone: any will do
    return EncodedGroup(group.id, (longest,), {"policy": EncodedPair("", 0, 0, 0)})


def longest_probed(model: Any, groups: Sequence[EncodedGroup]) -> EncodedGroup | None:
    """The longest group of the data that the probe takes; ``None`` where each is too long for it."""
    limit = length_limit(model.config)
    fitting = [g for g in groups if limit is None or g.longest <= limit]
    longest = max(fitting, key=lambda group: group.longest, default=None)
    if longest is None or device_of(model).type == "cuda":
        return longest
    work = 2 * sum(p.numel() for p in model.parameters()) * longest.longest
    return longest if work < LONG_PROBE_WORK else None


def probe_forward_plan(
    model: Any,
    yardstick: Yardstick,
    *,
    bf16: bool = False,
    sharded: bool = False,
    device: torch.device | None = None,
) -> ForwardPlan:
    """Put the replacements into ``model`` that compute what it computed, and say how to drive it.

    ``model`` is the one that ``yardstick`` was taken from, adapters added or not. Where it will be
    ``sharded``, layers stay as they are: the leaner ones read weights outside their own modules. ``device``
    is where it will train, if not where it is.
    """
    notes: list[str] = []
    check = _Check(model, yardstick, bf16)
    leaner = not sharded and speed_up(model) > 0
    limit = length_limit(model.config)
    plan = ForwardPlan(shared_prefix=False, length_limit=limit, lean_layers=leaner)
    if check.plain(plan, gradients=True):
        plan = _one_by_one(model, check, replace(plan, chunked_head=False), notes)
    with attention_shapes() as shapes:
        why = _share_prefixes(model, check, replace(plan, shared_prefix=True))
    if why:
        notes.append(f"plain batches instead of shared prefixes: {why}")
    else:
        plan = replace(plan, shared_prefix=True)
    if plan.shared_prefix and (device or device_of(model)).type == "cuda":
        plan = _behind_block_mask(check, plan, shapes, device or device_of(model), notes)
    if plan.length_limit is not None:
        notes.append(
            f"sequences of more than {plan.length_limit} tokens run one at a time: their rotary "
            "angles depend on the length"
        )
    for note in notes:
        _log.warning("%s: %s", type(model).__name__, note)
    return replace(plan, notes=tuple(notes))


def _one_by_one(model: Any, check: _Check, plan: ForwardPlan, notes: list[str]) -> ForwardPlan:
    """Which of the plain forms differ, where all together do; each one left out adds a note."""
    if plan.lean_layers and (why := check.plain(plan, gradients=True)):
        slow_down(model)
        plan = replace(plan, lean_layers=False)
        if not check.plain(plan, gradients=True):
            notes.append(f"the model's own layers instead of the leaner ones: {why}")
    if why := check.plain(plan):
        plan = replace(plan, rows_together=False)
        notes.append(f"one sequence at a time instead of rows side by side: {why}")
    if why := check.plain(replace(plan, chunked_head=True), gradients=True):
        notes.append(f"the model's own output layer instead of the chunked one: {why}")
        return plan
    return replace(plan, chunked_head=True)


def follow_plan(model: Any, plan: ForwardPlan) -> None:
    """Put the replacements into ``model`` that a plan found by another process needs."""
    if plan.lean_layers:
        speed_up(model)
    if plan.shared_prefix:
        switch_attention(model)


def _share_prefixes(model: Any, check: _Check, plan: ForwardPlan) -> str:
    """Switch the attention where packed sequences then give the same; else why not, nothing changed."""
    if state := recurrent_part(model):
        return f"it has {state}"
    try:
        before = switch_attention(model)
    except ValueError as error:
        return str(error)
    if why := check.packed(plan):
        switch_attention(model, before)
    return why


def _behind_block_mask(
    check: _Check,
    plan: ForwardPlan,
    shapes: set[AttentionShape],
    device: torch.device,
    notes: list[str],
) -> ForwardPlan:
    """The plan with FlexAttention where it compiles on the GPU and gives the same; else a note says why not.

    A model that is not there yet (it will be sharded) is not driven by it: attention has no weights.
    """
    masked, why = replace(plan, block_mask=True), ""
    try:
        for shape in shapes:
            check_kernel(shape, torch.bfloat16 if check.bf16 else torch.float32, device)
    except Exception as error:  # compilers raise errors of their own kinds
        why = _line(error)
    if not why and device_of(check.model).type == device.type:
        why = check.packed(masked)
    if why:
        notes.append(f"attention in parts instead of FlexAttention: {why}")
    return plan if why else masked


def recurrent_part(model: Any) -> str:
    """A part whose state runs through a packed sequence (a convolution, a recurrence), or an empty string."""
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Conv1d | torch.nn.RNNBase):
            return f"a {type(module).__name__} ({name})"
    return ""


class _Check:
    """Compares forms of a model with its yardstick; every method returns the reason against a form, or nothing."""

    def __init__(self, model: Any, yardstick: Yardstick, bf16: bool) -> None:
        self.model, self.yardstick, self.bf16 = model, yardstick, bf16

    def plain(self, plan: ForwardPlan, *, gradients: bool = False) -> str:
        return self._compare(plan, plain_batch, gradients)

    def packed(self, plan: ForwardPlan) -> str:
        return self._compare(plan, packed_batch, True)

    def _compare(self, plan: ForwardPlan, batch: Any, gradients: bool) -> str:
        yard = self.yardstick
        try:
            found = _logps(self.model, batch(yard.short), plan, bf16=self.bf16)
            if why := self._difference(found, yard.logps):
                return why
            if yard.long_logps is not None:
                both = batch((*yard.short, *yard.long))
                found = _logps(self.model, both, plan, bf16=self.bf16)
                expected = torch.cat([yard.logps, yard.long_logps])
                if why := self._difference(found, expected):
                    return why
            if gradients and yard.gradient and not has_lora(self.model):
                return _gradient_difference(
                    _gradient(self.model, batch(yard.short), plan), yard.gradient
                )
        except _ERRORS as error:
            return _line(error)
        return ""

    def _difference(self, found: Tensor, expected: Tensor) -> str:
        difference = float((found - expected).abs().max())
        scale = max(1.0, float(expected.abs().max()) / 10)
        if difference <= TOLERANCE * scale + 3 * self.yardstick.rounding:
            return ""
        return f"a probe differs from the model's own log-probabilities by {difference:.2g} nats"


def _logps(model: Any, batch: MicroBatch, plan: ForwardPlan, *, bf16: bool = False) -> Tensor:
    with torch.no_grad(), _precision(model, bf16):
        return completion_logprobs(model, batch, plan).float()


def _gradient(model: Any, batch: MicroBatch, plan: ForwardPlan) -> dict[str, tuple[float, float]]:
    """Norm and one projection of every parameter's gradient of the summed log-probabilities."""
    model.zero_grad()
    with gradients_in_place():
        completion_logprobs(model, batch, plan).sum().backward()
    found = {}
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            found[name] = _two_numbers(parameter.grad)
    model.zero_grad()
    return found


def _two_numbers(gradient: Tensor) -> tuple[float, float]:
    """Norm and one projection: the sum of sin(i mod ``WAVE``) times the i-th number, both in double."""
    flat = gradient.flatten()
    wave = torch.arange(WAVE, dtype=torch.float64, device=flat.device).sin_()
    whole = flat.numel() // WAVE * WAVE
    folded = flat[:whole].view(-1, WAVE).sum(0, dtype=torch.float64)
    rest = flat[whole:].double()
    norm = torch.linalg.vector_norm(flat, dtype=torch.float64)
    return float(norm), float(folded @ wave + rest @ wave[: rest.numel()])


def _gradient_difference(
    found: dict[str, tuple[float, float]], expected: dict[str, tuple[float, float]]
) -> str:
    largest = max((norm for norm, _ in expected.values()), default=0.0)
    for name, (norm, projection) in expected.items():
        other = found.get(name, (0.0, 0.0))
        slack = GRADIENT_TOLERANCE * norm + 1e-5 * largest
        if abs(other[0] - norm) > slack or abs(other[1] - projection) > slack:
            return f"a probe gives another gradient of {name}"
    return ""


def _precision(model: Any, bf16: bool) -> AbstractContextManager[Any]:
    if not bf16:
        return nullcontext()
    return torch.autocast(device_of(model).type, dtype=torch.bfloat16)


def _line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__} {text[0] if text else ''}".strip()


def probe_groups(vocabulary: int) -> list[EncodedGroup]:
    """Two groups of arbitrary but fixed token ids, short and of unequal lengths."""

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
