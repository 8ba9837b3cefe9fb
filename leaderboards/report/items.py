"""The items that the report's browser shows: prompts, answers and verdicts of every checkpoint.

Texts of a gated benchmark never enter a report; its items show their verdicts only.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from leaderboards.benchmark_info import ScoreInfo
from leaderboards.identity import group_names
from leaderboards.legacy_info import score_info
from leaderboards.records import ItemScore, Score
from leaderboards.runs import Evaluation, Run, read_items, read_lines, source_of

ANSWER_LIMIT = 6_000
"""Characters of one text that are kept; longer ones are cut in the middle, visibly."""
TOTAL_LIMIT = 3_600_000
"""Characters of all texts; beyond, only every k-th item of a benchmark is kept, and that is told."""

Entry = dict[str, Any]


@dataclass
class Shown:
    """One benchmark: its items' prompts, and for each checkpoint its answers, all by item id."""

    prompts: dict[str, str] = field(default_factory=dict)
    categories: dict[str, str] = field(default_factory=dict)
    answers: dict[str, dict[str, Entry]] = field(default_factory=dict)
    metric: str = ""
    withheld: bool = False

    @property
    def size(self) -> int:
        texts = sum(map(len, self.prompts.values()))
        return texts + sum(
            len(entry.get("a", "")) + 60
            for found in self.answers.values()
            for entry in found.values()
        )


def collect(runs: Sequence[Run]) -> tuple[dict[str, Any], list[str]]:
    """(data for the page's script, remarks on what was left out).

    Data: ``{benchmark: {"ids": [...], "metric": the one that ranks, "prompts": {id: text},
    "categories": {id: text}, "checkpoints": {label: {id: {"a": answer, "v": {metric: value}, "x":
    extracted, "j": the judge's words, "f": flags}}}}}``.
    """
    shown: dict[str, Shown] = {}
    for run, group in zip(runs, group_names(runs), strict=True):
        for evaluation in run.evaluations:
            _add(shown, run, evaluation, partial(_label, runs, run, group))
    remarks = [
        f"{name}: texts are withheld (gated)." for name, one in shown.items() if one.withheld
    ]
    total = sum(one.size for one in shown.values())
    step = max(1, -(-total // TOTAL_LIMIT))
    if step > 1:
        remarks.append(f"To keep the page small, every {_ordinal(step)} item is shown here.")
    return {name: _data(one, step) for name, one in sorted(shown.items())}, remarks


def _ordinal(number: int) -> str:
    return {2: "second", 3: "third"}.get(number, f"{number}th")


def _data(one: Shown, step: int) -> dict[str, Any]:
    ids = list(dict.fromkeys(item for found in one.answers.values() for item in found))[::step]
    kept = set(ids)
    return {
        "ids": ids,
        "metric": one.metric,
        "prompts": {item: text for item, text in one.prompts.items() if item in kept},
        "categories": {item: text for item, text in one.categories.items() if item in kept},
        "checkpoints": {
            label: {item: entry for item, entry in found.items() if item in kept}
            for label, found in one.answers.items()
        },
    }


def _info(score: Score) -> ScoreInfo:
    return score.info or score_info(score.benchmark, score.metric, score.headline)


def _add(
    shown: dict[str, Shown], run: Run, evaluation: Evaluation, label: Callable[[Score], str]
) -> None:
    items = read_items(evaluation.folder)
    headline = [score for score in evaluation.scores if score.headline and not score.category]
    score = next(iter(headline or evaluation.scores), None)
    if not items or score is None:
        return
    info = _info(score)
    one = shown.setdefault(score.benchmark, Shown(metric=_item_metric(items, score, info)))
    gated = info.gated and "sample-data" not in score.marks
    one.withheld = one.withheld or gated
    texts = {} if gated else _texts(run, evaluation, score.benchmark, info)
    found = one.answers.setdefault(label(score), {})
    for item in items:
        text = texts.get(item.item_id) or texts.get(item.cluster) or {}
        found[item.item_id] = _entry(item, text)
        if text.get("prompt"):
            one.prompts.setdefault(item.item_id, text["prompt"])
        if item.category:
            one.categories.setdefault(item.item_id, item.category)


def _label(runs: Sequence[Run], run: Run, group: str, score: Score) -> str:
    """A checkpoint's name, with its group where there are several and its seed where it has several.

    Runs that stand in one group differ in seeds, so that the seed tells them apart.
    """
    groups = group_names(runs)
    alike = [other for other, name in zip(runs, groups, strict=True) if name == group]
    seeds = {s.seed for other in alike for found in other.evaluations for s in found.scores}
    base = score.arm in ("", "base")
    label = "base" if base else f"{run.arm_info(score.arm).title} {score.iteration}"
    label += f" · seed {score.seed}" if len(seeds) > 1 and not base else ""
    return f"{group}: {label}" if len(set(groups)) > 1 else label


def _item_metric(items: Sequence[ItemScore], score: Score, info: ScoreInfo) -> str:
    known = next((item.values for item in items if item.values), {})
    wanted = (score.metric, *info.item_metrics)
    return next((name for name in wanted if name in known), next(iter(known), ""))


def _entry(item: ItemScore, text: dict[str, str]) -> Entry:
    flags = [name for name in ("truncated", "unparsed") if getattr(item, name)]
    entry: Entry = {"v": {name: round(value, 4) for name, value in item.values.items()}}
    for key, name in (("a", "output"), ("j", "judgment")):
        if text.get(name):
            entry[key] = text[name]
    if item.extracted is not None and text:
        entry["x"] = item.extracted[:200]
    if item.error:
        flags.append(f"error: {item.error[:200]}" if text else "error")
    return {**entry, "f": flags} if flags else entry


def _texts(
    run: Run, evaluation: Evaluation, benchmark: str, info: ScoreInfo
) -> dict[str, dict[str, str]]:
    """Item id to prompt, answer and the judge's words, from what the evaluation saved."""
    folder = evaluation.folder
    if info.kind == "pairs":
        return _pairs(run, evaluation)
    rows = _lines(folder / "outputs.jsonl")
    found = {
        str(row.get("item_id")): {
            "prompt": as_text(row.get("question") or row.get("prompt")),
            "output": as_text(row.get("output")),
        }
        for row in rows
    }
    for row, annotation in zip(rows, _annotations(folder), strict=False):
        text = found[str(row.get("item_id"))]
        text["prompt"] = text["prompt"] or as_text(annotation.get("instruction"))
        if baseline := as_text(annotation.get("output_1")):
            text["prompt"] += f"\n\n[the baseline's answer]\n{baseline}"
    for path in sorted(folder.glob("model_judgment/*.jsonl")):
        for row in _lines(path):
            item = f"{benchmark}/{row.get('question_id')}/turn-{row.get('turn')}"
            found.get(item, {})["judgment"] = as_text(row.get("judgment"))
    return found


def _lines(path: Path) -> list[Entry]:
    return list(read_lines(path)) if path.is_file() else []


def _pairs(run: Run, evaluation: Evaluation) -> dict[str, dict[str, str]]:
    """The pairs that were judged, both sides as one text: those of the stage whose file the score's
    stage read."""
    found = {}
    for row in _lines(judged_pairs(run, evaluation)):
        sides = "\n\n".join(
            f"[{side}]\n{as_text(row.get(side))}" for side in ("chosen", "rejected")
        )
        found[str(row.get("id"))] = {"prompt": as_text(row.get("prompt")), "output": sides}
    return found


def judged_pairs(run: Run, evaluation: Evaluation) -> Path:
    """The file of pairs that a pair-accuracy stage read: the one whose checksum its record holds,
    else (a record without checksums) the fresh pairs of the generator before the first sample."""
    records = {str(stage.get("stage")): stage for stage in run.stages}
    name = evaluation.folder.relative_to(run.path).as_posix()
    source = source_of(name, records, "pairs", "pairs.jsonl") if name in records else ""
    if source:
        return run.path / source / "pairs.jsonl"
    beside = sorted(evaluation.folder.parent.glob("*/pairs.jsonl"))
    first = [path for path in beside if path.parent.name == "pairs"]
    return next(iter(first or beside), evaluation.folder / "pairs.jsonl")


def _annotations(folder: Path) -> list[Entry]:
    path = folder / "annotations.json"
    if not path.is_file():
        return []
    rows = json.loads(path.read_text(encoding="utf-8"))
    return [row for row in rows if isinstance(row, dict)]


def as_text(value: Any) -> str:
    """A prompt or an answer as one text: turns of a chat by role, several answers one by one."""
    if value is None:
        return ""
    if isinstance(value, list):
        return shortened("\n\n".join(_turn(turn) for turn in value))
    return shortened(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _turn(turn: Any) -> str:
    if isinstance(turn, dict) and "content" in turn:
        return f"[{turn.get('role', 'turn')}]\n{turn['content']}"
    return turn if isinstance(turn, str) else json.dumps(turn, ensure_ascii=False)


def shortened(text: str, limit: int = ANSWER_LIMIT) -> str:
    """The text, its middle left out where it is longer than ``limit``."""
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}\n[... {len(text) - 2 * half} characters left out ...]\n{text[-half:]}"
