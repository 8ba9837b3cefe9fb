"""The results room: tables, plots, the report, the history and the gate.

In come run folders (``run.json``, ``stage.json``, ``scores.json``, ``items.jsonl``); out go tables,
plots, one HTML report, a history and the verdict of the CI gate. Records: ``ItemScore``, ``Score``.

    frame = load_runs(["runs/first"])           # one tidy row per score
    table = iteration_table(frame)              # rows base, Iter1..N by arm
    text = render_table(["runs/first"], format="md")  # the same, as text

Everything but the records is imported on first use, so that importing the room stays cheap.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from groundwork.errors import UserError
from leaderboards.records import ItemScore, Score

_LAZY: dict[str, str] = {
    "load_runs": "leaderboards.score_frame",
    "over_seeds": "leaderboards.score_frame",
    "build_table": "leaderboards.build_table",
    "iteration_table": "leaderboards.build_table",
    "render_table": "leaderboards.render",
    "prospect": "leaderboards.statistics.planned_power",
    "write_report": "leaderboards.report",
    "check": "leaderboards.gate.check",
    "GatePolicy": "leaderboards.gate.policy",
    "GateResult": "leaderboards.gate.result",
    "read_policy": "leaderboards.gate.policy",
    "save_baseline": "leaderboards.gate.baseline",
    "load_baseline": "leaderboards.gate.baseline",
    "gate_text": "leaderboards.gate.outputs",
    "write_outputs": "leaderboards.gate.outputs",
}

__all__ = ["ItemScore", "UserError", "Score", *_LAZY]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'leaderboards' has no attribute {name!r}")
