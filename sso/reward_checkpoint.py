"""Whether a checkpoint is a reward model, read from its configuration alone."""

from __future__ import annotations

from pathlib import Path

from groundwork.errors import UserError
from groundwork.files import read_json


def require_reward_model(model: Path) -> None:
    """Raises ``UserError`` unless the checkpoint is a reward model: one score per conversation."""
    names, labels = _head(model)
    if not names.endswith("ForSequenceClassification") or labels != 1:
        said = names or "no architecture named"
        labelled = f", {labels} labels" if names.endswith("ForSequenceClassification") else ""
        raise UserError(
            f"{model} is no reward model ({said}{labelled}): sso-bench reward trains one"
        )


def refuse_reward_model(model: Path) -> None:
    """Raises ``UserError`` where the checkpoint gives scores and writes no text."""
    names, _ = _head(model)
    if names.endswith("ForSequenceClassification"):
        raise UserError(f"{model} is a reward model ({names}), which writes no text")


def _head(model: Path) -> tuple[str, int]:
    """The architecture's name and the number of labels (2 where a classifier names none)."""
    file = model / "config.json"
    config = read_json(file) if file.is_file() else {}
    names = config.get("architectures") or [""]
    labels = config.get("id2label")
    return str(names[0]), len(labels) if isinstance(labels, dict) else config.get("num_labels", 2)
