"""Aggregation: scores of any number of run folders, seeds and machines in one tidy frame."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from groundwork.errors import UserError
from leaderboards.identity import group_names
from leaderboards.legacy_info import score_info
from leaderboards.method_figures import BENCHMARK, method_rows
from leaderboards.records import Score
from leaderboards.runs import Evaluation, Run, read_runs
from leaderboards.statistics.paired import quantile
from leaderboards.statistics.proportions import FEW, agresti_coull_error, count_behind, wilson

if TYPE_CHECKING:
    import pandas as pd

COLUMNS: dict[str, str] = {
    "source": "'run' for measured figures, 'paper' for published ones",
    "run": "name of the run",
    "model": "starting model of the run",
    "group": "the experiment: the model, and what distinguishes two experiments on it",
    "arm": "arm of the comparison; 'base' is the starting model",
    "arm_info": "how the arm is shown (benchmark_info.ArmInfo)",
    "loss": "preference loss that the checkpoint was trained on (ipo, dpo); empty for base",
    "setting": "online, offline or reward_model",
    "preset": "the preset that the run started from",
    "iteration": "0 for the starting model, else 1..N",
    "seed": "seed of the run",
    "benchmark": "benchmark, e.g. gsm8k; 'training' for the method's own quantities",
    "metric": "metric of the benchmark, e.g. accuracy",
    "category": "subject or category; empty for the whole benchmark",
    "headline": "whether a summary table shows this metric",
    "value": "the figure, in 'unit'; missing when nothing could be scored",
    "stderr": "one standard error of the mean over items (Agresti and Coull for few right or wrong)",
    "ci_low": "lower end of the 95 % interval: the benchmark's own, or Wilson's of a share",
    "ci_high": "upper end of that interval",
    "unit": "percent (0..100), points (1..10), characters, nats or pairs",
    "n": "items in the figure",
    "n_expected": "items requested",
    "n_truncated": "answers cut at the token limit",
    "n_unparsed": "answers no figure could be read from",
    "n_error": "items that failed",
    "n_missing": "items without an annotation",
    "n_reasoning": "answers with reasoning sections, which are not scored",
    "n_unclosed": "answers that end inside their reasoning",
    "protocol": "protocol id; different ids never share a column unmarked",
    "judge": "judge, if any",
    "data": "where the items came from",
    "marks": "why the figure can't be compared with published ones ('|'-separated codes)",
    "digits": "decimals as published; -1 for measured figures",
    "folder": "evaluation folder with items.jsonl; empty for published figures",
    "notes": "what the stages noted that made the figure (a tuple of sentences)",
    "info": "how the score is shown and judged (benchmark_info.ScoreInfo)",
}


def load_runs(paths: Sequence[Path | str]) -> pd.DataFrame:
    """One row per finished score of the run folders at ``paths`` (columns: ``COLUMNS``).

    A folder that only holds run folders stands for all of them; a partial run counts as far as it
    is. ``frame.attrs["unfinished"]`` lists evaluations left out because they were not finished.

    Raises:
        UserError: no run, a damaged or newer one, NaN scores, or no score at all.
    """
    return frame_of(read_runs(paths))


def frame_of(runs: Sequence[Run]) -> pd.DataFrame:
    """The tidy frame of runs that are already read."""
    groups = group_names(runs)
    rows = [row for run, group in zip(runs, groups, strict=True) for row in _rows(run, group)]
    if not rows:
        raise UserError("no finished scores in the runs named")
    frame = to_frame(rows)
    frame.attrs["unfinished"] = [f"{run.name}: {part}" for run in runs for part in run.unfinished]
    return frame


def to_frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Rows as a frame with exactly the documented columns and stable types."""
    import pandas as pd

    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    for name in ("value", "stderr", "ci_low", "ci_high"):
        frame[name] = pd.to_numeric(frame[name])
    return frame


def _rows(run: Run, group: str) -> list[dict[str, Any]]:
    setting = "offline" if _is_offline(run) else "online"
    rows = [
        _row(run, evaluation, score, group=group, setting=setting)
        for evaluation in run.evaluations
        for score in evaluation.scores
    ]
    return rows + [_method_row(run, own, group=group, setting=setting) for own in method_rows(run)]


def _method_row(run: Run, own: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A quantity of the method as a row like a score's."""
    return {
        **dict.fromkeys(COLUMNS, ""),
        **dict.fromkeys(_COUNTS, 0),
        **dict.fromkeys(("ci_low", "ci_high"), math.nan),
        **own,
        **fields,
        "source": "run",
        "run": run.name,
        "model": run.model,
        "arm_info": run.arm_info(own["arm"]),
        "loss": run.arm_loss(own["arm"]),
        "preset": _preset(run),
        "benchmark": BENCHMARK,
        "protocol": BENCHMARK,
        "headline": False,
        "digits": -1,
        "notes": (),
    }


def _row(run: Run, evaluation: Evaluation, score: Score, **fields: Any) -> dict[str, Any]:
    arm = score.arm or "base"
    return {
        **score.model_dump(exclude={"v", "settings", "model", "info"}),
        **_uncertainty(score),
        **fields,
        "source": "run",
        "run": run.name,
        "model": run.model or score.model,
        "arm": arm,
        "arm_info": run.arm_info(arm),
        "loss": "" if arm == "base" else evaluation.loss,
        "preset": _preset(run),
        "marks": "|".join(score.marks),
        "digits": -1,
        "folder": str(evaluation.folder),
        "notes": evaluation.notes,
        "info": score.info or score_info(score.benchmark, score.metric, score.headline),
    }


def _uncertainty(score: Score) -> dict[str, float]:
    """The 95 % interval of a share of right answers (Wilson), and, where right or wrong answers are
    few, the standard error of Agresti and Coull: 0 of 14 is not known exactly."""
    if score.value is None:
        return {}
    if score.unit != "percent":  # equal values of few items leave their error unknown
        return {"stderr": math.nan} if score.stderr == 0 else {}
    right = count_behind(score.value, score.stderr, score.n)
    if right is None:
        return {}
    found: dict[str, float] = {}
    if score.ci_low is None and score.ci_high is None:
        low, high = wilson(right, score.n)
        found.update(ci_low=100 * low, ci_high=100 * high)
    if min(right, score.n - right) < FEW:
        found["stderr"] = 100 * agresti_coull_error(right, score.n)
    return found


def _preset(run: Run) -> str:
    config = run.info.get("config")
    return str(config.get("preset") or "") if isinstance(config, dict) else ""


def _is_offline(run: Run) -> bool:
    config = run.info.get("config")
    return isinstance(config, dict) and config.get("mode") == "offline"


def over_seeds(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Collapse seeds: one record per checkpoint, benchmark, metric, category and protocol.

    Added fields: ``seeds`` (number of seeds), ``seed_sd`` (standard deviation between seeds),
    ``parts`` ((seed, record) pairs, for paired tests). With several seeds ``stderr`` is the root of
    the mean squared item error plus the squared standard error of the mean over seeds: the items are
    the same for every seed, so their error does not shrink with more seeds. ``ci_low`` and
    ``ci_high`` add the two half widths (1.96 item errors; Student's t with seeds - 1 degrees of
    freedom for the seeds) in quadrature.
    """
    parts: dict[tuple[Any, ...], dict[int, dict[str, Any]]] = {}
    for record in frame.to_dict("records"):
        row = {str(name): value for name, value in record.items()}
        parts.setdefault(tuple(row[name] for name in _CHECKPOINT), {}).setdefault(row["seed"], row)
    return [collapse(seeds) for seeds in parts.values()]


_CHECKPOINT = (
    "source", "group", "arm", "loss", "setting", "iteration", "benchmark", "metric", "category",
    "protocol",
)  # fmt: skip


def collapse(seeds: dict[int, dict[str, Any]]) -> dict[str, Any]:
    """One record of ``over_seeds`` from the rows of one checkpoint and metric, by seed."""
    records = list(seeds.values())
    row = {**records[0], "seeds": len(records), "seed_sd": math.nan, "parts": tuple(seeds.items())}
    if len(records) > 1 and not any(math.isnan(record["value"]) for record in records):
        row.update(_mean_over_seeds(records))
    return row


def _mean_over_seeds(records: list[dict[str, Any]]) -> dict[str, Any]:
    values = [record["value"] for record in records]
    within, between = item_and_seed_errors(values, [record["stderr"] for record in records])
    mean = statistics.fmean(values)
    half = math.hypot(1.959964 * within, quantile(0.975, len(records) - 1) * between)
    marks = sorted({mark for record in records for mark in record["marks"].split("|") if mark})
    return {
        "value": mean,
        "stderr": math.hypot(within, between),
        "ci_low": mean - half,
        "ci_high": mean + half,
        "seed_sd": statistics.stdev(values),
        "marks": "|".join(marks),
        "notes": tuple(dict.fromkeys(note for record in records for note in record["notes"])),
        **{name: sum(record[name] for record in records) for name in _COUNTS},
    }


def item_and_seed_errors(
    values: Sequence[float], stderrs: Sequence[float | None]
) -> tuple[float, float]:
    """Two standard errors of a mean over seeds: of the items (root mean square of ``stderrs``; a
    missing one counts as 0) and of the seeds (standard deviation over the root of their number; 0 for
    a single seed). Both in the unit of ``values``."""
    known = [0.0 if error is None or math.isnan(error) else error for error in stderrs]
    within = statistics.fmean(error**2 for error in known) ** 0.5
    between = statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else 0.0
    return within, between


_COUNTS = (
    "n",
    "n_expected",
    "n_truncated",
    "n_unparsed",
    "n_error",
    "n_missing",
    "n_reasoning",
    "n_unclosed",
)
