"""What a reader of another tool's files gives: the results of one model on one benchmark."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from groundwork.errors import UserError
from groundwork.files import read_json
from harness.benchmarks import get_benchmark
from leaderboards.benchmark_info import BenchmarkInfo, InfoColumn
from leaderboards.records import ItemScore, Score

FAMILIES: dict[str, str] = {
    r"gsm8k(_cot|_llama|_cot_llama|_cot_zeroshot)?": "gsm8k",
    r"(leaderboard_)?mmlu_pro(_llama)?|mmlu_pro_0_shot": "mmlu_pro",
    r"mmlu(_continuation|_generative|_llama|_0_shot|_5_shot)?|mmlu_flan\w*": "mmlu",
    r"(leaderboard_)?gpqa(_(main|diamond|extended))?(_\w*shot)?": "gpqa",
    r"minerva_math(500)?|hendrycks_math(500)?|math|math_?500": "math",
    r"(leaderboard_)?ifeval": "ifeval",
}
"""Task names of other tools (whole names) to the benchmark whose column their figures stand in."""
UNBOUNDED = re.compile("perplexity|bits_per_byte|likelihood|brier|mcc|ter|chrf|bleu|rouge")
"""Metrics that are no shares from 0 to 1."""


@dataclass(frozen=True)
class ImportedResult:
    """Scores and item scores of one model on one benchmark, and the file that they come from."""

    model: str
    benchmark: str
    scores: tuple[Score, ...]
    items: tuple[ItemScore, ...]
    source: Path
    version: str = ""


def benchmark_of(task: str) -> str:
    """The benchmark of ours that a task of another tool asks, else the task's own name."""
    name = task.rsplit("/", 1)[-1].lower().replace("-", "_")
    return next((ours for form, ours in FAMILIES.items() if re.fullmatch(form, name)), name)


def info_of(benchmark: str) -> BenchmarkInfo:
    """How the benchmark is shown; one that this program lacks gets a column of its own name."""
    from harness.benchmarks.registry import BENCHMARKS

    if benchmark in BENCHMARKS:
        return get_benchmark(benchmark).info
    return BenchmarkInfo(benchmark, (InfoColumn(benchmark, benchmark),))


def imported_mark(tool: str) -> str:
    """The mark of every figure of another tool."""
    return f"imported: prompts and grading of {tool}"


def figure(value: Any, metric: str) -> float | None:
    """A share as percent, any other figure as it is; None for what is no finite number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return 100 * float(value) if is_share(metric) else float(value)


def is_share(metric: str) -> bool:
    """Whether the metric's figures are shares from 0 to 1."""
    return UNBOUNDED.search(metric) is None


def object_of(path: Path, what: str) -> Mapping[str, Any]:
    """The JSON object in a file.

    Raises:
        UserError: no JSON, or no object; the file is named.
    """
    found = read_json(path)
    if not isinstance(found, dict):
        raise UserError(f"{path} is not {what}: no JSON object")
    return found


def short(settings: Mapping[str, Any]) -> dict[str, str]:
    """Settings of a score: texts as they are, anything else as JSON, empty ones left out."""
    return {
        key: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for key, value in settings.items()
        if value not in (None, "", [], {})
    }
