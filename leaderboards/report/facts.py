"""What the report shows besides scores: runs, comparability, judge, costs, settings, as plain values."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from leaderboards.footnotes import reason
from leaderboards.identity import group_names
from leaderboards.method_figures import BENCHMARK
from leaderboards.runs import Run

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Facts:
    """A table of texts and numbers."""

    title: str
    heads: Sequence[str]
    rows: Sequence[Sequence[Any]]


def runs_table(runs: Sequence[Run]) -> Facts:
    """What was run: one line per run."""
    rows = []
    for run, group in zip(runs, group_names(runs), strict=True):
        info, git = run.info, run.info.get("git") or {}
        config = info.get("config")
        data = info.get("data") or (config.get("data") if isinstance(config, dict) else "")
        arms = [run.arm_info(arm).title for arm in run.arms if arm != "base"]
        commit = str(git.get("commit") or "")[:12] + (" (changed)" if git.get("dirty") else "")
        rows.append(
            [
                run.name,
                group,
                run.model,
                ", ".join(arms),
                str(info.get("iterations", "")),
                ", ".join(map(str, info.get("seeds") or [])),
                str(data or ""),
                str(info.get("created", "")),
                commit,
            ]
        )
    heads = ["Run", "Shown as", "Model", "Arms", "Iterations", "Seeds", "Data", "Created", "Commit"]
    return Facts("Runs", heads, rows)


def notes(runs: Sequence[Run]) -> list[str]:
    """What the stages noted, each sentence once, with the stages that noted it."""
    found: dict[str, list[str]] = {}
    for run in runs:
        for stage in run.stages:
            for note in stage.get("notes") or ():
                name = str(stage.get("stage"))
                found.setdefault(str(note), []).append(
                    f"{run.name}: {name}" if len(runs) > 1 else name
                )
    lines = []
    for note, stages in found.items():
        more = f" and {len(stages) - 3} more" if len(stages) > 3 else ""
        lines.append(f"{note} ({', '.join(stages[:3])}{more})")
    return lines + [
        f"Not finished and left out: {run.name}: {part}"
        for run in runs
        for part in run.unfinished[:6]
    ]


def comparability(frame: pd.DataFrame | None) -> Facts:
    """What can't be compared and why: marks, protocols, items, by benchmark."""
    heads = ["Benchmark", "Items", "Cut", "Unparsed", "Failed", "Missing",
             "Against published figures", "Protocol", "Judge"]  # fmt: skip
    rows = []
    parts: Any = [] if frame is None else _whole(frame).groupby("benchmark")
    for benchmark, part in parts:
        codes = sorted({code for marks in part["marks"] for code in marks.split("|") if code})
        protocols = sorted(part["protocol"].unique())
        why = "; ".join(reason(code) for code in codes) or "nothing stands against it"
        if len(protocols) > 1:
            why += f"; {len(protocols)} protocols, not to be compared with each other"
        counts = ("n_truncated", "n_unparsed", "n_error", "n_missing")
        rows.append(
            [
                str(benchmark),
                int(part["n_expected"].max()),
                *(int(part[name].max()) for name in counts),
                why,
                ", ".join(protocols),
                ", ".join(sorted(filter(None, part["judge"].unique()))),
            ]
        )
    return Facts("What can be compared with what", heads, rows)


def _whole(frame: pd.DataFrame) -> pd.DataFrame:
    """The scores of whole benchmarks."""
    return frame[(frame["benchmark"] != BENCHMARK) & (frame["category"].fillna("") == "")]


def judges(runs: Sequence[Run]) -> list[tuple[str, list[str], dict[str, Any]]]:
    """(run, sentences, recorded facts) of every run that a judge took part in."""
    found = []
    for run in runs:
        recorded = run.info.get("judge")
        if not (isinstance(recorded, dict) and recorded):
            scores = [score for evaluation in run.evaluations for score in evaluation.scores]
            names = sorted({score.judge for score in scores if score.judge})
            recorded = {"judges": ", ".join(names)} if names else {}
        if recorded:
            found.append((run.name, judge_sentences(recorded), recorded))
    return found


def judge_sentences(recorded: Mapping[str, Any]) -> list[str]:
    """What the judge is worth, in words: its measured agreement with people."""
    lines = []
    agreement = recorded.get("agreement")
    for name, part in agreement.items() if isinstance(agreement, dict) else ():
        if isinstance(part, dict) and isinstance(part.get("accuracy"), int | float):
            lines.append(f"On {name} {_agreement(part)}")
    model = agreement.get("model") if isinstance(agreement, dict) else None
    if lines and model:
        lines.append(f"Measured with {model} as the judge.")
    if recorded.get("comparable") is False:
        lines.append("Its figures can't be compared with those of the published judge.")
    return lines or ["The run holds no measured agreement of this judge with people."]


def _agreement(part: Mapping[str, Any]) -> str:
    accuracy, n = float(part["accuracy"]), part.get("pairs") or part.get("n") or 0
    interval = part.get("interval")
    span, worth = "", ""
    if isinstance(interval, list | tuple) and len(interval) == 2:
        low, high = (float(end) for end in interval)
        span = f" (95 %: {100 * low:.0f} to {100 * high:.0f} %)"
        if low <= 0.5 <= high:
            worth = " That can't be told from a coin: small differences it reports mean little."
        elif low > 0.5:
            worth = " That is better than a coin."
        else:
            worth = " That is worse than a coin."
    return f"it agrees with people on {100 * accuracy:.0f} % of {n} pairs{span}.{worth}"


def costs(runs: Sequence[Run]) -> dict[str, Facts]:
    """Time, tokens, memory and money: sums by kind, and every stage."""
    sums: dict[str, list[float]] = {}
    rows = []
    for run in runs:
        for stage in run.stages:
            seconds, dollars = _number(stage, "seconds"), _number(stage, "cost_usd")
            tokens, memory = _number(stage, "tokens"), _number(stage, "peak_memory_gb")
            kind = str(stage.get("kind", ""))
            name = f"{run.name}: {stage.get('stage')}" if len(runs) > 1 else str(stage.get("stage"))
            rows.append([name, kind, seconds, int(tokens), memory, dollars])
            entry = sums.setdefault(kind, [0, 0.0, 0.0, 0.0])
            for i, value in enumerate((1, seconds, tokens, dollars)):
                entry[i] += value
    total = [sum(entry[i] for entry in sums.values()) for i in range(4)]
    short = [
        [kind or "other", int(entry[0]), entry[1] / 60, int(entry[2]), entry[3]]
        for kind, entry in (*sums.items(), ("all stages", total))
    ]
    by_kind = Facts(
        "Time and cost by kind", ["Kind", "Stages", "Minutes", "Tokens", "Cost ($)"], short
    )
    heads = ["Stage", "Kind", "Seconds", "Tokens", "Peak memory (GB)", "Cost ($)"]
    return {"by_kind": by_kind, "stages": Facts("Time and cost of every stage", heads, rows)}


def _number(stage: Mapping[str, Any], name: str) -> float:
    value = stage.get(name)
    return float(value) if isinstance(value, int | float) else 0.0


def settings(runs: Sequence[Run]) -> list[tuple[str, dict[str, Any], str]]:
    """(run, versions, configuration as text) of every run."""
    found = []
    for run in runs:
        versions = run.info.get("versions")
        config = json.dumps(run.info.get("config"), indent=2, ensure_ascii=False)
        found.append((run.name, versions if isinstance(versions, dict) else {}, config))
    return found
