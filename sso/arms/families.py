"""Arms that differ in one choice share their steps here; each arm's own file makes the choice."""

from __future__ import annotations

from groundwork.stage_result import StageResult
from sso.arms.base import Arm, Step, StepContext
from sso.arms.pair_files import PAIRS
from sso.arms.steps import (
    GENERATOR_PAIRS,
    contrastive_step,
    fresh_pairs_step,
    train_step,
)
from sso.objectives import Objective, ObjectiveName
from sso.sampling import Role

SAMPLED = ("principles", "sampling")
TRAINED = ("loss", "training")


def generator_arm(
    name: str,
    title: str,
    order: int,
    *,
    l_minus_prefers: Role,
    trains_on: ObjectiveName = "generator",
    ablation: bool = False,
) -> Arm:
    """Sample, train a generator, sample fresh pairs from it, train the policy on those.

    ``l_minus_prefers`` is the side that L- prefers to y+ under x- (docs/method.md, "The arms");
    ``trains_on`` is the generator's objective.
    """

    def sample(ctx: StepContext) -> StageResult:
        return contrastive_step(ctx, trains_on_original=True, l_minus_prefers=l_minus_prefers)

    def generator(ctx: StepContext) -> StageResult:
        return train_step(ctx, [("sample", GENERATOR_PAIRS)], trains_on)

    def policy(ctx: StepContext) -> StageResult:
        return train_step(ctx, [("pairs", PAIRS)], "pair")

    steps = (
        Step("sample", "sample", ("policy",), SAMPLED, sample, queries="generator"),
        Step("generator", "train", ("policy", "sample"), TRAINED, generator),
        Step("pairs", "sample", ("policy", "sample", "generator"), SAMPLED, fresh_pairs_step),
        Step("policy", "train", ("policy", "pairs"), TRAINED, policy),
    )
    return Arm(name, title, order, steps, judged="pairs", ablation=ablation)


def joint_arm(name: str, title: str, order: int, *, use_w: bool = True, use_g: bool = True) -> Arm:
    """Sample, then train the policy once on the first version's loss, or on parts of it."""
    objective = Objective("joint", use_w=use_w, use_g=use_g)
    ablation = not (use_w and use_g)

    def sample(ctx: StepContext) -> StageResult:
        prefers: Role | None = "original" if use_g else None
        return contrastive_step(ctx, trains_on_original=True, l_minus_prefers=prefers)

    def policy(ctx: StepContext) -> StageResult:
        generator = [("sample", GENERATOR_PAIRS)] if use_g else []
        return train_step(ctx, [("sample", PAIRS), *generator], objective)

    steps = (
        Step("sample", "sample", ("policy",), SAMPLED, sample),
        Step("policy", "train", ("policy", "sample"), TRAINED, policy),
    )
    return Arm(name, title, order, steps, judged="sample", ablation=ablation)


def contrastive_arm(name: str, title: str, order: int, *, ablation: bool = False) -> Arm:
    """Sample y+ and y-, then train the policy on them."""

    def sample(ctx: StepContext) -> StageResult:
        return contrastive_step(ctx, trains_on_original=False)

    def policy(ctx: StepContext) -> StageResult:
        return train_step(ctx, [("sample", PAIRS)], "pair")

    steps = (
        Step("sample", "sample", ("policy",), SAMPLED, sample),
        Step("policy", "train", ("policy", "sample"), TRAINED, policy),
    )
    return Arm(name, title, order, steps, judged="sample", ablation=ablation)
