"""Training a checkpoint on prompt groups: the one entry that the arms call."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sso.objectives import Objective, PromptGroup
from sso.settings import MethodSettings


@dataclass(frozen=True)
class TrainingReport:
    """What a training did. ``counts``: groups, pairs, steps, dropped by reason, truncated;
    ``measures``: loss, margins and accuracies by pair kind, KL to ref, grad norm, speed, memory;
    ``tokens``: tokens that went through the model in training (shared prompts once an epoch).
    """

    counts: Mapping[str, int] = field(default_factory=dict)
    measures: Mapping[str, float] = field(default_factory=dict)
    tokens: int = 0


def train(
    model: Path,
    examples: Sequence[PromptGroup],
    objective: str | Objective,
    settings: MethodSettings,
    out: Path,
    *,
    seed: int,
    work: Path,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> TrainingReport:
    """Train the checkpoint ``model`` on ``examples`` and write a complete checkpoint to ``out``.

    Reads ``settings.loss`` and ``settings.training``. ``work`` keeps what a killed run resumes
    from (mid-stage checkpoints, reference log-probabilities) and ``curve.jsonl``, a record a step.
    """
    from sso.trainer import run_training

    return run_training(model, examples, objective, settings, out, seed, work, progress)
