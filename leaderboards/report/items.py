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

from groundwork.checksums import check_output
from leaderboards.benchmark_info import ScoreInfo
from leaderboards.identity import group_names
from leaderboards.legacy_info import score_info
from leaderboards.records import ItemScore, Score
from leaderboards.report.texts import as_text, step_of, thinned
from leaderboards.runs import Evaluation, Run, read_items, read_lines, source_of

TOTAL_LIMIT = 3_000_000
"""Characters of all texts; beyond, only every k-th item of a benchmark is kept, with a remark."""

Entry = dict[str, Any]
Text = dict[str, str]


@dataclass
class Shown:
    """One benchmark: its items' prompts, and for each checkpoint its answers, all by item id."""

    title: str = ""
    prompts: dict[str, str] = field(default_factory=dict)
    gold: dict[str, str] = field(default_factory=dict)
    categories: dict[str, str] = field(default_factory=dict)
    clusters: dict[str, str] = field(default_factory=dict)
    answers: dict[str, dict[str, Entry]] = field(default_factory=dict)
    withheld: bool = False

    @property
    def size(self) -> int:
        texts = sum(map(len, self.prompts.values()))
        return texts + sum(
            len(entry.get("a", "")) + len(entry.get("j", "")) + 60
            for found in self.answers.values()
            for entry in found.values()
        )


def collect(runs: Sequence[Run]) -> tuple[dict[str, Any], list[str]]:
    """(data for the page's script, remarks on what was left out).

    Data: ``{benchmark: {"title", "ids": [...], "prompts": {id: text}, "gold": {id: text},
    "categories": {id: text}, "clusters": {id: name}, "checkpoints": {label: {id: {"a": answer, "m":
    the value that ranks, "w": the verdict in words, "x": extracted, "j": the judge's words, "f":
    flags}}}}}``.
    """
    shown: dict[str, Shown] = {}
    for run in runs:
        for evaluation in in_table_order(run):
            _add(shown, run, evaluation, partial(checkpoint_label, runs, run))
    remarks = [
        f"{name}: texts are withheld (gated)." for name, one in shown.items() if one.withheld
    ]
    step = step_of(sum(one.size for one in shown.values()), TOTAL_LIMIT)
    data = {name: _data(one, step) for name, one in sorted(shown.items())}
    return data, remarks + thinned(step, "item")


def _data(one: Shown, step: int) -> dict[str, Any]:
    everything = dict.fromkeys(item for found in one.answers.values() for item in found)
    groups = list(dict.fromkeys(one.clusters.get(item, item) for item in everything))
    chosen = set(groups[::step])
    ids = [item for item in everything if one.clusters.get(item, item) in chosen]
    kept = set(ids)

    def part(texts: dict[str, Any]) -> dict[str, Any]:
        return {item: text for item, text in texts.items() if item in kept}

    return {
        "title": one.title,
        "ids": ids,
        "prompts": part(one.prompts),
        "gold": part(one.gold),
        "categories": part(one.categories),
        "clusters": part(one.clusters),
        "checkpoints": {label: part(found) for label, found in one.answers.items()},
    }


def info_of(score: Score) -> ScoreInfo:
    """How a score is shown, also where it carries no facts."""
    return score.info or score_info(score.benchmark, score.metric, score.headline)


def checkpoint_label(runs: Sequence[Run], run: Run, score: Score) -> str:
    """A checkpoint's name, with its group where there are several and its seed where it has several.

    Runs that stand in one group differ in seeds, so that the seed distinguishes them.
    """
    names = group_names(runs)
    group = next(name for one, name in zip(runs, names, strict=True) if one is run)
    alike = [other for other, name in zip(runs, names, strict=True) if name == group]
    seeds = {s.seed for other in alike for found in other.evaluations for s in found.scores}
    base = score.arm in ("", "base")
    label = "base" if base else f"{run.arm_info(score.arm).title} {score.iteration}"
    label += f" · seed {score.seed}" if len(seeds) > 1 and not base else ""
    return f"{group}: {label}" if len(set(names)) > 1 else label


def in_table_order(run: Run) -> list[Evaluation]:
    """A run's evaluations: base first, then arm by arm as in a table, by iteration."""

    def place(evaluation: Evaluation) -> tuple[int, str, int]:
        score = evaluation.scores[0] if evaluation.scores else None
        arm = (score.arm if score else "") or "base"
        return run.arm_info(arm).order, arm, score.iteration if score else 0

    return sorted(run.evaluations, key=place)


def _add(
    shown: dict[str, Shown], run: Run, evaluation: Evaluation, label: Callable[[Score], str]
) -> None:
    items = read_items(evaluation.folder)
    headline = [score for score in evaluation.scores if score.headline and not score.category]
    score = next(iter(headline or evaluation.scores), None)
    if not items or score is None:
        return
    info = info_of(score)
    one = shown.setdefault(score.benchmark, Shown(title=info.title))
    gated = info.gated and "sample-data" not in score.marks
    one.withheld = one.withheld or gated
    texts = {} if gated else _texts(run, evaluation, score.benchmark, info)
    verdict = _Verdicts(items, score, info)
    found = one.answers.setdefault(label(score), {})
    for item in items:
        text = texts.get(item.item_id) or texts.get(item.cluster) or {}
        found[item.item_id] = _entry(item, text, verdict)
        for kept, name in ((one.prompts, "prompt"), (one.gold, "gold")):
            if text.get(name):
                kept.setdefault(item.item_id, text[name])
        if item.category and info.kind != "pairs":
            one.categories.setdefault(item.item_id, item.category)
        if item.cluster:
            one.clusters.setdefault(item.item_id, item.cluster)


class _Verdicts:
    """The value of each item that ranks two answers, and the same in words.

    A model-based metric has pseudo-values by item; the raw one, where the items hold it, is shown.
    """

    def __init__(self, items: Sequence[ItemScore], score: Score, info: ScoreInfo) -> None:
        known = {name for item in items for name in item.values}
        wanted = (*info.item_metrics, score.metric, *sorted(known))
        self._metric = next((name for name in wanted if name in known), "")
        values = {item.values[self._metric] for item in items if self._metric in item.values}
        self._binary = values <= {0.0, 1.0} and score.unit == "percent"
        self._unit, self._kind = score.unit, info.kind

    def value(self, item: ItemScore) -> float | None:
        found = item.values.get(self._metric)
        return None if found is None else round(found, 4)

    def words(self, item: ItemScore) -> str:
        value = self.value(item)
        if self._kind == "pairs":
            return f"judge: {item.category}" if item.category else ""
        if value is None:
            return "no value"
        if self._unit == "points":
            return f"rated {value:.1f}".removesuffix(".0")
        if self._unit == "characters":
            return f"{value:.0f} characters"
        if self._binary:
            return "right" if value else "wrong"
        result = "tie" if value == 0.5 else "win" if value > 0.5 else "loss"
        return f"{result} ({100 * value:.0f} %)"


def _entry(item: ItemScore, text: Text, verdict: _Verdicts) -> Entry:
    flags = [name for name in ("truncated", "unparsed") if getattr(item, name)]
    entry: Entry = {"m": verdict.value(item), "w": verdict.words(item)}
    for key, name in (("a", "output"), ("j", "judgment")):
        if text.get(name):
            entry[key] = text[name]
    if item.extracted is not None and text:
        entry["x"] = item.extracted[:200]
    if item.error:
        flags.append(f"error: {item.error[:200]}" if text else "error")
    return {**entry, "f": flags} if flags else entry


def _texts(run: Run, evaluation: Evaluation, benchmark: str, info: ScoreInfo) -> dict[str, Text]:
    """Item id to prompt, gold answer, answer and the judge's words, as the evaluation saved them."""
    folder = evaluation.folder
    if info.kind == "pairs":
        return _pairs(run, evaluation)
    rows = _lines(folder / "outputs.jsonl")
    found = {
        str(row.get("item_id")): {
            "prompt": as_text(row.get("question") or row.get("prompt")),
            "gold": _gold(row.get("target")),
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


def _gold(target: Any) -> str:
    """The right answer behind an item, as its target holds it; empty where there is none."""
    if not isinstance(target, dict):
        return as_text(target)
    return as_text(next((target[k] for k in ("answer", "solution") if target.get(k)), None))


def _lines(path: Path) -> list[Entry]:
    return list(read_lines(path)) if path.is_file() else []


def _pairs(run: Run, evaluation: Evaluation) -> dict[str, Text]:
    """The pairs that were judged, both sides as one text."""
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
    check_output(path)
    rows = json.loads(path.read_text(encoding="utf-8"))
    return [row for row in rows if isinstance(row, dict)]
