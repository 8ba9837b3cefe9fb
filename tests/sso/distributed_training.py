"""Run in each process of a training: one training of the tiny model per case, all in one start.

``python -m tests.sso.distributed_training MODEL FOLDER CASE...``; a case that names sharded processes is
trained so where there are several.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch

from sso.fast_forward import ForwardPlan
from sso.objectives import Objective
from sso.ranks import Ranks
from sso.settings import LoraSettings, LossSettings, MethodSettings, TrainingSettings
from sso.trainer import PreferenceTrainer
from sso.training import TrainingRun, train
from tests.sso.training_examples import OBJECTIVES, make_groups

BASE = {
    "learning_rate": 1e-4,
    "schedule": "constant",
    "batch_size": 4,
    "micro_tokens": 300,
    "report_to": (),
}

CASES: dict[str, dict[str, Any]] = {
    **{f"{name}-ipo": {"objective": name} for name in OBJECTIVES},
    **{f"{name}-dpo": {"objective": name, "kind": "dpo"} for name in OBJECTIVES},
    "checkpointed": {"objective": "joint", "gradient_checkpointing": True},
    "lora": {"objective": "generator", "lora": LoraSettings(rank=4)},
    "lora-checkpointed": {
        "objective": "generator",
        "lora": LoraSettings(rank=4),
        "gradient_checkpointing": True,
    },
    "one-bin": {"objective": "joint", "micro_tokens": 100_000},
}


class WholeGradients:
    """Counts passes after which a process held no shard of its gradients: what FSDP2 then keeps instead, out
    of sight, are whole ones, four bytes per weight of the model."""

    def __init__(self) -> None:
        self.count = 0
        self._model: torch.nn.Module | None = None
        step, batch = PreferenceTrainer.training_step, ForwardPlan.batch

        def watched_step(trainer: Any, model: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
            self._model, self._passes = model, 0
            loss = step(trainer, model, *args, **kwargs)
            self._model = None
            return loss

        def watched_batch(plan: Any, members: Any) -> Any:
            if self._model is not None:
                trained = [p for p in self._model.parameters() if p.requires_grad]
                self.count += self._passes > 0 and all(p.grad is None for p in trained)
                self._passes += 1
            return batch(plan, members)

        PreferenceTrainer.training_step = watched_step  # type: ignore[method-assign]
        ForwardPlan.batch = watched_batch  # type: ignore[method-assign]


def main(model: str, folder: str, sharded: bool, names: list[str]) -> None:
    torch.set_num_threads(1)
    ranks, whole = Ranks.join(), WholeGradients()
    for name in names or list(CASES):
        case = dict(CASES[name])
        objective: Objective = OBJECTIVES[case.pop("objective")]
        loss = LossSettings(kind=case.pop("kind", "ipo"))
        settings = MethodSettings(loss=loss, training=TrainingSettings(**{**BASE, **case}))
        out = Path(folder) / name
        report = train(
            Path(model),
            make_groups(7),  # the last batch has three groups: shares of unequal size
            objective,
            settings,
            TrainingRun(out / "model", out / "work", seed=5, sharded=sharded and ranks.world > 1),
        )
        record = {
            "measures": dict(report.measures),
            "counts": dict(report.counts),
            "whole_gradients": whole.count,
        }
        (out / f"report-{ranks.rank}.json").write_text(
            json.dumps({**record, "tokens": report.tokens, "notes": report.notes})
        )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3] == "sharded", sys.argv[4:])
