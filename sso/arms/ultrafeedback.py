"""Training on annotated preferences: L_base over this iteration's share of UltraFeedback binarized,
or of any file of prompt, chosen, rejected."""

from __future__ import annotations

from groundwork.stage_result import StageResult
from sso.arms.base import Arm, Step, StepContext
from sso.arms.pair_files import PAIRS
from sso.arms.steps import annotated_pairs_step, train_step


def _policy(ctx: StepContext) -> StageResult:
    return train_step(ctx, [("pairs", PAIRS)], "pair")


ARM = Arm(
    name="ultrafeedback",
    title="UltraFeedback",
    order=10,
    steps=(
        Step("pairs", "sample", ("policy", "preferences"), ("sampling",), annotated_pairs_step),
        Step("policy", "train", ("policy", "pairs"), ("loss", "training"), _policy),
    ),
    judged="pairs",
    uses_queries=False,
    uses_preferences=True,
)
