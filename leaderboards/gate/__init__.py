"""The regression gate: pass, fail or cannot tell, from paired tests with effects that matter.

``check`` compares a run with a baseline (a run, a baseline file, or one kept in a history);
``save_baseline`` writes the small file that suffices for the paired tests; ``write_outputs`` leaves
JUnit XML, Markdown and JSON.
"""

from __future__ import annotations

from leaderboards.gate.baseline import load_baseline, save_baseline
from leaderboards.gate.check import check
from leaderboards.gate.outputs import gate_text, write_outputs
from leaderboards.gate.policy import GatePolicy, read_policy
from leaderboards.gate.result import GateCheck, GateResult

__all__ = [
    "GateCheck",
    "GatePolicy",
    "GateResult",
    "check",
    "gate_text",
    "load_baseline",
    "read_policy",
    "save_baseline",
    "write_outputs",
]
