"""Run by the two-process test in each process: one training of the tiny model."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch

from sso.settings import LossSettings, MethodSettings, TrainingSettings
from sso.training import TrainingRun, train
from tests.sso.training_examples import make_groups


def main(model: str, folder: str, micro_tokens: int) -> None:
    torch.set_num_threads(1)
    settings = MethodSettings(
        loss=LossSettings(kind="ipo"),
        training=TrainingSettings(
            learning_rate=1e-3,
            schedule="constant",
            batch_size=4,
            micro_tokens=micro_tokens,
            report_to=(),
        ),
    )
    report = train(
        Path(model),
        make_groups(7),  # the last batch has three groups: shares of unequal size
        "joint",
        settings,
        TrainingRun(Path(folder) / "model", Path(folder) / "work", seed=5),
    )
    rank = torch.distributed.get_rank() if torch.distributed.is_initialized() else 0
    record = {"measures": dict(report.measures), "counts": dict(report.counts)}
    (Path(folder) / f"report-{rank}.json").write_text(
        json.dumps({**record, "tokens": report.tokens})
    )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
