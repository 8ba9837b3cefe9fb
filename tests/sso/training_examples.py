"""Small prompt groups, their encoded form and a tiny model, shared by the training tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from sso.batches import MicroBatch, packed_batch, plain_batch
from sso.encoding import EncodedGroup, encode_groups
from sso.fast_forward import ForwardPlan, completion_logprobs
from sso.objectives import Objective, PromptGroup, group_pairs
from sso.records import PreferencePair
from sso.reference_logprobs import split_by_group
from sso.settings import LossSettings, TrainingSettings
from sso.step_math import micro_result

OBJECTIVES = {
    "pair": Objective("pair"),
    "generator": Objective("generator"),
    "generator-plus": Objective("generator-plus"),
    "generator-minus": Objective("generator-minus"),
    "joint": Objective("joint"),
    "joint-without-w": Objective("joint", use_w=False),
    "joint-without-g": Objective("joint", use_g=False),
}


def make_groups(n: int = 4) -> list[PromptGroup]:
    """n queries with a policy pair (y+ > y-), x+ (y+ > y-) and x- (yo > y+), of unequal lengths."""
    pairs = []
    for i in range(n):
        query = f"q{i}"
        user = {"role": "user", "content": "What is " + "number " * i + f"{i}?"}
        good = "A good answer. " * (i % 3 + 1) + str(i)
        bad = "Bad" + "!" * (2 * (i % 4) + 1)
        original = f"Original {i * 37}"
        plain, kind, mean = (
            (user,),
            ({"role": "system", "content": "Be kind and exact."}, user),
            ({"role": "system", "content": "Be vague."}, user),
        )
        for role, prompt, chosen, rejected in (
            ("policy", plain, good, bad),
            ("generator-good", kind, good, bad),
            ("generator-bad", mean, original, good),
        ):
            pairs.append(
                PreferencePair(
                    id=f"{query}/{role}",
                    query_id=query,
                    prompt=prompt,
                    chosen=chosen,
                    rejected=rejected,
                    kind=role,  # type: ignore[arg-type]
                )
            )
    return group_pairs(pairs)


def load(folder: Path, **options: Any) -> tuple[Any, Any]:
    """The tiny model with the shared-prefix attention, and its tokenizer."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from groundwork.attention import register

    model = AutoModelForCausalLM.from_pretrained(
        folder, attn_implementation=register(), dtype=torch.float32, **options
    )
    return model, AutoTokenizer.from_pretrained(folder)


def encode(
    folder: Path, objective: Objective, n: int = 4, **settings: Any
) -> tuple[EncodedGroup, ...]:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    return encode_groups(make_groups(n), objective, tokenizer, TrainingSettings(**settings)).groups


def moved_references(model: Any, groups: tuple[EncodedGroup, ...]) -> dict[str, torch.Tensor]:
    """References that differ from the model's own log-probabilities by fixed amounts."""
    batch = plain_batch(groups)
    with torch.no_grad():
        logps = completion_logprobs(model, batch, ForwardPlan(False, False))
    shift = torch.linspace(-0.4, 0.3, len(logps))
    return split_by_group(logps + shift, groups)


def loss_and_gradient(
    model: Any,
    batches: list[MicroBatch],
    plan: ForwardPlan,
    references: dict[str, torch.Tensor],
    objective: Objective,
    settings: LossSettings,
) -> tuple[float, torch.Tensor]:
    """The mean loss over all groups of the batches, and its gradient as one vector."""
    model.zero_grad()
    total = 0.0
    n = sum(len(batch.groups) for batch in batches)
    for batch in batches:
        logps = completion_logprobs(model, batch, plan)
        loss = micro_result(logps, batch, references, objective, settings).losses.sum() / n
        loss.backward()
        total += loss.item()
    grads = [p.grad.flatten() for p in model.parameters() if p.grad is not None]
    return total, torch.cat(grads)


def plans(groups: tuple[EncodedGroup, ...]) -> dict[str, tuple[list[MicroBatch], ForwardPlan]]:
    """The same groups, batched and driven in every way that must make no difference."""
    return {
        "plain, whole logits, one batch": ([plain_batch(groups)], ForwardPlan(False, False)),
        "plain, chunked": ([plain_batch(groups)], ForwardPlan(False, True)),
        "shared prefix, 4x1": ([packed_batch(groups)], ForwardPlan()),
        "shared prefix, 2x2": ([packed_batch(groups[:2]), packed_batch(groups[2:])], ForwardPlan()),
        "shared prefix, 1x4": ([packed_batch([g]) for g in groups], ForwardPlan()),
        "shared prefix, whole logits": ([packed_batch(groups)], ForwardPlan(True, False)),
        "plain, 1x4": ([plain_batch([g]) for g in groups], ForwardPlan(False, True)),
    }
