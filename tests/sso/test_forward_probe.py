"""Every architecture of ``tests/architectures.py`` in training: log-probabilities and gradients are the
untouched model's, whichever plan the probe chose."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

from sso.encoding import EncodedBranch, EncodedGroup, EncodedPair
from sso.fast_forward import ForwardPlan, completion_logprobs
from sso.forward_probe import measure_untouched, probe_forward_plan
from tests.architectures import ARCHITECTURES, VOCABULARY, build


def sequence(start: int, length: int) -> tuple[int, ...]:
    generator = torch.Generator().manual_seed(start)
    return tuple(torch.randint(3, VOCABULARY, (length,), generator=generator).tolist())


def group(name: str, prompt: int, *completions: int) -> EncodedGroup:
    """A group of one prompt and completions of these lengths."""
    texts = tuple(
        sequence(hash((prompt, n, length)) % 10**6, length) for n, length in enumerate(completions)
    )
    branch = EncodedBranch(sequence(prompt, prompt), texts)
    return EncodedGroup(name, (branch,), {"policy": EncodedPair(name, 0, 0, 1)})


GROUPS = (group("short", 9, 5, 8), group("long", 21, 14, 3), group("mid", 12, 2, 11))
"""Some fit the window and the rotary limit of the matrix (16, 24), some do not."""


def alone(model: Any) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Log-probabilities of every completion token, each sequence by itself through ``model.forward``, and
    the gradient of their sum."""
    model.zero_grad()
    found = []
    for member in GROUPS:
        (branch,) = member.branches
        for completion in branch.completions:
            fresh = copy.deepcopy(model) if "dynamic" in str(model.config) else model
            ids = torch.tensor([[*branch.prompt, *completion]])
            # the last token predicts nothing and is no input: rotary angles may follow the length
            logps = fresh(input_ids=ids[:, :-1], use_cache=False).logits[0].float().log_softmax(-1)
            picked = logps.gather(1, ids[0, 1:, None])[len(branch.prompt) - 1 :, 0]
            picked.sum().backward()
            if fresh is not model:
                for ours, theirs in zip(model.parameters(), fresh.parameters(), strict=True):
                    if theirs.grad is not None:
                        ours.grad = theirs.grad if ours.grad is None else ours.grad + theirs.grad
            found.append(picked.detach())
    grads = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    return torch.cat(found), grads


def planned(model: Any, plan: ForwardPlan) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """The same, driven by a plan in bins of several groups, in the order of the groups."""
    model.zero_grad()
    parts: dict[str, torch.Tensor] = {}
    for members in plan.bins(GROUPS, 10_000):
        logps = completion_logprobs(model, plan.batch(members), plan)
        logps.sum().backward()
        sizes = [member.completion_tokens for member in members]
        for member, part in zip(members, logps.detach().split(sizes), strict=True):
            parts[member.id] = part
    grads = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    return torch.cat([parts[member.id] for member in GROUPS]), grads


def close(found: torch.Tensor, expected: torch.Tensor, bf16: bool) -> bool:
    """Equal but for rounding: 2e-3 nats, in bfloat16 0.05 on average."""
    difference = (found - expected).abs()
    return float(difference.mean()) < 0.05 if bf16 else float(difference.max()) < 2e-3


@pytest.mark.slow
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_training_computes_what_the_untouched_model_computes(name: str) -> None:
    model = build(name)
    expected, gradients = alone(copy.deepcopy(model))
    plan = probe_forward_plan(model, measure_untouched(model, GROUPS))
    found, others = planned(model, plan)
    assert close(found, expected, bf16=False), plan
    largest = max(float(g.abs().max()) for g in gradients.values())
    for parameter, gradient in gradients.items():
        difference = float((others[parameter] - gradient).abs().max())
        assert difference < 2e-3 * largest, (parameter, plan)
    # a second pass after others of other lengths must not differ: nothing may keep a state
    again, _ = planned(model, plan)
    assert float((again - found).abs().max()) < 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_training_in_bfloat16_computes_what_the_untouched_model_computes(name: str) -> None:
    model = build(name)
    untouched = copy.deepcopy(model)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        expected, _ = alone(untouched)
    plan = probe_forward_plan(model, measure_untouched(model, GROUPS, bf16=True), bf16=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found, _ = planned(model, plan)
    assert close(found, expected, bf16=True), plan


@pytest.mark.parametrize(
    "roles", [("policy",), ("generator-good", "generator-bad"), ("annotated",)]
)
def test_the_probe_takes_the_groups_of_every_objective(roles: tuple[str, ...]) -> None:
    """A probe that fails on its own groups would quietly give every training the slow plan."""
    model = build("llama")
    member = EncodedGroup(
        "g", GROUPS[1].branches, {role: EncodedPair(role, 0, 0, 1) for role in roles}
    )
    plan = probe_forward_plan(model, measure_untouched(model, [member]))
    assert plan.notes == ()
    assert plan.shared_prefix
    assert plan.chunked_head
