"""How far a judge's figures lie from those of a published judge, on what that judge has judged.

A judge answers again what a published one has answered (AlpacaEval annotations, MT-Bench judgments)
on a stratified sample; every figure is a paired difference on the same items, so that the sample's
difficulty cancels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from harness.benchmarks.alpaca_eval.benchmark import prepare as prepare_alpaca_eval
from harness.benchmarks.alpaca_eval.files import Instruction, read_annotations
from harness.benchmarks.alpaca_eval.lc_interval import pseudo_values
from harness.benchmarks.alpaca_eval.length_control import GLMS, LcUnavailableError, fit_lc
from harness.benchmarks.alpaca_eval.scoring import Judged, comparisons
from harness.benchmarks.base import EvalRequest
from harness.benchmarks.mt_bench.benchmark import prepare as prepare_mt_bench
from harness.benchmarks.mt_bench.files import read_judgments
from harness.benchmarks.mt_bench.rescore import read_score
from harness.data.sources import read_rows
from harness.errors import DataError
from judges import Comparison, Judge, Rating
from judges.agreement import wilson
from judges.protocols.weighted_preference import is_switched
from leaderboards.statistics.errors import clustered_standard_error

NORMAL_95 = 1.959964
WITHIN = 1.0
"""Ratings count as equal within one point of MT-Bench's ten."""


@dataclass(frozen=True)
class Shift:
    """A judge's figure minus the published judge's, with a 95 % interval."""

    value: float
    low: float
    high: float
    n: int

    def text(self) -> str:
        """``+1.2 (-0.3 to 2.7)``."""
        return f"{self.value:+.2f} ({self.low:+.2f} to {self.high:+.2f})"


@dataclass(frozen=True)
class Calibration:
    """A judge beside a published one on the same answers.

    agreement: share of pairs with the same preferred side (AlpacaEval), or of ratings within one
        point (MT-Bench); Wilson interval.
    shifts: by metric; percent for win rates, points for ratings.
    biases: shares by name, the judge's and the published judge's.
    rerun: the same figures of a second pass against the first, where one was made.
    """

    judge: str
    published: str
    benchmark: str
    models: tuple[str, ...]
    n: int
    unusable: int
    agreement: float | None
    agreement_interval: tuple[float, float] | None
    shifts: Mapping[str, Shift]
    biases: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    rerun: Mapping[str, float] = field(default_factory=dict)
    cost_usd: float = 0.0

    def note(self) -> str:
        """One clause for a table's foot-note."""
        shifts = ", ".join(f"{name} {shift.text()}" for name, shift in self.shifts.items())
        return f"judge {self.judge} beside {self.published} on {self.n} answers: {shifts}"

    def lines(self) -> list[tuple[str, str]]:
        """Label and figure of each line that is printed."""
        rows = [
            ("judge", self.judge),
            ("published judge", self.published),
            ("answers", f"{self.n} of {', '.join(self.models)}; {self.unusable} unusable"),
        ]
        if self.agreement is not None and self.agreement_interval is not None:
            low, high = self.agreement_interval
            share = f"{100 * self.agreement:.1f} % ({100 * low:.1f} to {100 * high:.1f})"
            rows.append(("agrees with the published judge", share))
        rows += [(f"shift of {name}", shift.text()) for name, shift in self.shifts.items()]
        for name, (own, theirs) in self.biases.items():
            rows.append((name, f"{100 * own:.1f} % (published judge {100 * theirs:.1f} %)"))
        rows += [(f"second pass: {name}", f"{value:.2f}") for name, value in self.rerun.items()]
        return [*rows, ("cost", f"${self.cost_usd:.4f}")]

    def to_json(self) -> dict[str, Any]:
        """The record in the verdict store, with its foot-note."""
        return {**asdict(self), "note": self.note()}


@dataclass(frozen=True)
class _Pair:
    """One answer, both judges' preferences, and where it stands."""

    model: str
    instruction: Instruction
    output: str
    published: float


def calibrate_preferences(
    judge: Judge, request: EvalRequest, files: Sequence[Path], *, again: Judge | None = None
) -> Calibration:
    """Ask a judge about published AlpacaEval annotations (one file per model).

    Args:
        request: data and protocol; its limit draws the instructions, the same for each model.
        again: the same judge asked afresh, for the noise of a second pass.

    Raises:
        DataError: annotations of another baseline or of none of the instructions.
    """
    task = prepare_alpaca_eval(request)
    pairs, published = _published_pairs(files, task.instructions)
    asked = [
        Comparison(
            item_id=f"{p.model}/{p.instruction.index}",
            instruction=p.instruction.instruction,
            output_1=p.instruction.baseline_output,
            output_2=p.output,
        )
        for p in pairs
    ]
    verdicts = judge.preferences(asked)
    usable = [(p, v.value) for p, v in zip(pairs, verdicts, strict=True) if v.value is not None]
    if not usable:
        raise DataError(f"{judge.name} gave no usable verdict on {len(pairs)} answers")
    same = sum(_side(p.published) == _side(value) for p, value in usable)
    difference = [100 * (value - p.published) for p, value in usable]
    clusters = [p.instruction.index for p, _ in usable]
    shifts = {"win rate": _shift(difference, clusters)}
    if (lc := _lc_differences(usable, task)) is not None:
        shifts["LC win rate"] = _shift(lc, clusters)
    rerun = {}
    if again is not None:
        second = [v.value for v in again.preferences(asked)]
        rerun = _rerun([v.value for v in verdicts], second, 100.0)
    return Calibration(
        judge=judge.snapshot,
        published=published,
        benchmark="alpaca_eval",
        models=tuple(dict.fromkeys(p.model for p in pairs)),
        n=len(usable),
        unusable=len(pairs) - len(usable),
        agreement=same / len(usable),
        agreement_interval=wilson(same, len(usable)),
        shifts=shifts,
        biases=_biases(usable),
        rerun=rerun,
        cost_usd=sum(v.cost_usd for v in verdicts),
    )


def calibrate_ratings(
    judge: Judge, request: EvalRequest, files: Mapping[Path, Path], *, again: Judge | None = None
) -> Calibration:
    """Ask a judge about published MT-Bench judgments.

    Args:
        files: judgment file -> the model's answers (FastChat's ``model_answer``).

    Raises:
        DataError: a judged turn without an answer, or judgments of none of the questions.
    """
    questions = {q.question_id: q for q in prepare_mt_bench(request).questions}
    asked: list[Rating] = []
    published: list[float] = []
    clusters, models, judges = [], [], set()
    for path, answers in files.items():
        model, judgments = read_judgments(path)
        turns = {str(r["question_id"]): r["choices"][0]["turns"] for r in read_rows(answers)}
        for judgment in judgments:
            question, score = questions.get(judgment.question_id), read_score(judgment)
            if question is None or score is None:
                continue
            if len(turns.get(judgment.question_id, ())) < judgment.turn:
                raise DataError(f"{answers}: no answer to question {judgment.question_id}")
            chat: list[str] = []
            for turn in range(judgment.turn):
                chat += [question.turns[turn], turns[judgment.question_id][turn]]
            asked.append(
                Rating(
                    item_id=f"{model}/{judgment.question_id}/{judgment.turn}",
                    category=question.category,
                    turns=tuple(chat),
                    references=question.references[: judgment.turn],
                )
            )
            published.append(score)
            clusters.append(judgment.question_id)
            judges.add(judgment.judge)
        models.append(model)
    if not asked:
        raise DataError("no published judgment is about a question of the sample")
    verdicts = judge.ratings(asked)
    usable = [
        (v.value, theirs, cluster)
        for v, theirs, cluster in zip(verdicts, published, clusters, strict=True)
        if v.value is not None
    ]
    if not usable:
        raise DataError(f"{judge.name} gave no usable rating of {len(asked)} answers")
    near = sum(abs(own - theirs) <= WITHIN for own, theirs, _ in usable)
    rerun = {}
    if again is not None:
        second = [v.value for v in again.ratings(asked)]
        rerun = _rerun([v.value for v in verdicts], second, 1.0)
    return Calibration(
        judge=judge.snapshot,
        published=", ".join(sorted(judges)),
        benchmark="mt_bench",
        models=tuple(models),
        n=len(usable),
        unusable=len(asked) - len(usable),
        agreement=near / len(usable),
        agreement_interval=wilson(near, len(usable)),
        shifts={"MT score": _shift([a - b for a, b, _ in usable], [c for _, _, c in usable])},
        rerun=rerun,
        cost_usd=sum(v.cost_usd for v in verdicts),
    )


def _published_pairs(
    files: Sequence[Path], instructions: Sequence[Instruction]
) -> tuple[list[_Pair], str]:
    """Published preferences of the drawn instructions, and who gave them."""
    known = {i.instruction: i for i in instructions}
    pairs: list[_Pair] = []
    annotators: set[str] = set()
    for path in files:
        found = len(pairs)
        for number, row in enumerate(read_annotations(path)):
            instruction = known.get(row["instruction"])
            if instruction is None or row["preference"] is None:
                continue
            if row["output_1"] != instruction.baseline_output:
                raise DataError(
                    f"{path}: entry {number} is against {row.get('generator_1', 'another model')}, "
                    f"not against the baseline {instruction.baseline}"
                )
            preference = row["preference"] or 1.5  # 0 is alpaca_eval's mark of a tie
            model = str(row.get("generator_2") or path.parent.name)
            pairs.append(_Pair(model, instruction, row["output_2"], float(preference)))
            annotators.add(str(row.get("annotator", "")))
        if len(pairs) == found:
            raise DataError(f"{path}: no annotation is about an instruction of the sample")
    return pairs, ", ".join(sorted(annotators))


def _lc_differences(usable: Sequence[tuple[_Pair, float]], task: Any) -> list[float] | None:
    """Per answer, the difference of the two judges' LC pseudo-values; ``None`` without a fit."""
    differences = np.zeros(len(usable))
    for model in dict.fromkeys(p.model for p, _ in usable):
        places = [i for i, (p, _) in enumerate(usable) if p.model == model]
        values = []
        for own in (True, False):
            judged = [
                Judged(p.instruction, p.output, value if own else p.published)
                for p, value in (usable[i] for i in places)
            ]
            data = comparisons(judged, task.control)
            try:
                fit = fit_lc(data, task.control.gamed, GLMS[task.settings["glm"]])
            except LcUnavailableError:
                return None
            values.append(pseudo_values(data, fit, task.control.gamed))
        differences[places] = values[0] - values[1]
    return [float(d) for d in differences]


def _shift(differences: Sequence[float], clusters: Sequence[object]) -> Shift:
    mean = math.fsum(differences) / len(differences)
    error = clustered_standard_error(list(differences), clusters)
    half = 0.0 if math.isnan(error) else NORMAL_95 * error
    return Shift(mean, mean - half, mean + half, len(differences))


def _biases(usable: Sequence[tuple[_Pair, float]]) -> dict[str, tuple[float, float]]:
    """Shares of decided verdicts for the answer shown first, and for the longer one."""
    found: dict[str, tuple[float, float]] = {}
    for name, prefers in (("prefers the first shown", _first), ("prefers the longer", _longer)):
        shares = []
        for values in ([v for _, v in usable], [p.published for p, _ in usable]):
            marks = [prefers(p, v) for (p, _), v in zip(usable, values, strict=True)]
            known = [float(mark) for mark in marks if mark is not None]
            shares.append(math.fsum(known) / len(known) if known else math.nan)
        if not any(map(math.isnan, shares)):
            found[name] = (shares[0], shares[1])
    return found


def _first(pair: _Pair, value: float) -> bool | None:
    if value == 1.5:
        return None
    return (value > 1.5) == is_switched(pair.instruction.instruction)


def _longer(pair: _Pair, value: float) -> bool | None:
    lengths = len(pair.output) - len(pair.instruction.baseline_output)
    return None if value == 1.5 or not lengths else (value > 1.5) == (lengths > 0)


def _side(preference: float) -> int:
    return 0 if preference == 1.5 else 1 if preference < 1.5 else 2


def _rerun(
    first: Sequence[float | None], second: Sequence[float | None], scale: float
) -> dict[str, float]:
    """Mean and mean absolute difference of a second pass."""
    both = [(a, b) for a, b in zip(first, second, strict=True) if a is not None and b is not None]
    if not both:
        return {}
    return {
        "mean difference": scale * math.fsum(b - a for a, b in both) / len(both),
        "mean absolute difference": scale * math.fsum(abs(b - a) for a, b in both) / len(both),
    }


def published_files(root: Path, models: Sequence[str] = ()) -> tuple[list[Path], dict[Path, Path]]:
    """AlpacaEval annotations of a data folder, and MT-Bench judgments with the answers they judge.

    Raises:
        DataError: the folder has neither (of these models).
    """
    annotations = [
        path
        for path in sorted((root / "alpaca_eval").glob("*/annotations.json*"))
        if not models or path.parent.name in models
    ]
    judgments = {}
    for path in sorted((root / "mt_bench" / "model_judgment").glob("*_single*.jsonl*")):
        model = path.name.partition("__")[2].partition(".jsonl")[0]
        answers = root / "mt_bench" / "model_answer" / f"{model}.jsonl"
        if answers.is_file() and (not models or model in models):
            judgments[path] = answers
    if not annotations and not judgments:
        raise DataError(
            f"{root} has no published verdicts: alpaca_eval/MODEL/annotations.json, or "
            "mt_bench/model_judgment/gpt-4_single__MODEL.jsonl with mt_bench/model_answer/MODEL.jsonl"
        )
    return annotations, judgments
