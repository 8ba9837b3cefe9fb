"""Calibration: published verdicts fed as a judge shift nothing; flipped ones shift as they must."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.benchmarks import load_protocol
from harness.benchmarks.base import EvalRequest
from harness.benchmarks.calibration import Calibration, calibrate_preferences, calibrate_ratings
from harness.benchmarks.mt_bench.files import read_judgments
from harness.data.sources import DataSource, read_rows
from harness.errors import DataError
from judges import Comparison, Rating, Verdict

MODELS = ("alpaca-7b", "claude-2", "FuseChat-Gemma-2-9B-Instruct", "vicuna-7b-v1.5")
RATED = ("claude-3-opus-20240229", "llama2_chat_7b")


class Replay:
    """A judge that answers from published verdicts, some of them changed."""

    name = snapshot = "replay"
    comparable = True

    def __init__(self, known: dict[Any, float]) -> None:
        self.known = known

    def preferences(self, comparisons: Sequence[Comparison], *, seed: int = 0) -> list[Verdict]:
        return [
            self.verdict(c.item_id, "preference", self.known[c.instruction, c.output_2])
            for c in comparisons
        ]

    def ratings(self, ratings: Sequence[Rating]) -> list[Verdict]:
        return [self.verdict(r.item_id, "rating", self.known[r.item_id]) for r in ratings]

    def verdict(self, item_id: str, kind: Any, value: float) -> Verdict:
        return Verdict(
            item_id=item_id, kind=kind, judge="replay", protocol="p", state="ok", value=value
        )


def request(data_dir: Path, benchmark: str, limit: int | None = None) -> EvalRequest:
    protocol = load_protocol(benchmark, "community")
    return EvalRequest(data=DataSource("dir", data_dir), protocol=protocol, limit=limit)


def annotation_files(data_dir: Path, models: Sequence[str] = MODELS) -> list[Path]:
    return [data_dir / f"alpaca_eval/{model}/annotations.json.gz" for model in models]


def published(files: Sequence[Path]) -> dict[Any, float]:
    return {
        (row["instruction"], row["output_2"]): row["preference"] or 1.5
        for file in files
        for row in read_rows(file)
        if row["preference"] is not None
    }


def flipped(known: dict[Any, float], share: float) -> dict[Any, float]:
    rng = random.Random(7)
    return {key: 3 - v if rng.random() < share else v for key, v in known.items()}


@pytest.mark.parametrize("model", MODELS)
def test_published_annotations_shift_nothing(model: str, data_dir: Path) -> None:
    files = annotation_files(data_dir, [model])
    judge = Replay(published(files))
    found = calibrate_preferences(judge, request(data_dir, "alpaca_eval", 200), files)  # type: ignore[arg-type]
    assert (found.n, found.unusable, found.agreement) == (200, 0, 1.0)
    assert found.agreement_interval is not None
    assert found.agreement_interval[0] < 1
    assert set(found.shifts) == {"win rate", "LC win rate"}
    for shift in found.shifts.values():
        assert (shift.value, shift.low, shift.high) == pytest.approx((0, 0, 0), abs=1e-9)
    for own, theirs in found.biases.values():
        assert own == theirs
    assert found.models == (model,)
    assert found.published == "weighted_alpaca_eval_gpt4_turbo"


def test_a_tenth_of_flipped_verdicts_is_found_within_the_interval(data_dir: Path) -> None:
    """The true shift is that over all items; the sample's interval has to cover it."""
    files = annotation_files(data_dir)
    known = published(files)
    judge = Replay(flipped(known, 0.1))
    sample = calibrate_preferences(judge, request(data_dir, "alpaca_eval", 300), files)  # type: ignore[arg-type]
    whole = calibrate_preferences(judge, request(data_dir, "alpaca_eval"), files)  # type: ignore[arg-type]
    rows = [row for file in files for row in read_rows(file) if row["preference"] is not None]
    moved = [
        judge.known[row["instruction"], row["output_2"]] - (row["preference"] or 1.5)
        for row in rows
    ]
    by_hand = 100 * math.fsum(moved) / len(moved)
    assert whole.shifts["win rate"].value == pytest.approx(by_hand, abs=1e-9)
    for name in ("win rate", "LC win rate"):
        assert sample.shifts[name].low < whole.shifts[name].value < sample.shifts[name].high, name
        assert abs(whole.shifts[name].value) > 0.5, "something to be found"
    assert whole.agreement == pytest.approx(0.9, abs=0.02)


def test_published_ratings_shift_nothing_and_a_point_less_is_a_point(data_dir: Path) -> None:
    files = {
        data_dir / f"mt_bench/model_judgment/gpt-4_single__{model}.jsonl": data_dir
        / f"mt_bench/model_answer/{model}.jsonl"
        for model in RATED
    }
    known = {}
    for path in files:
        model, judgments = read_judgments(path)
        known |= {f"{model}/{j.question_id}/{j.turn}": float(j.score or 0) for j in judgments}
    asked = request(data_dir, "mt_bench")
    same = calibrate_ratings(Replay(known), asked, files)  # type: ignore[arg-type]
    assert (same.n, same.agreement, same.shifts["MT score"].value) == (320, 1.0, 0.0)
    stricter = Replay({key: value - 1 for key, value in known.items()})
    found = calibrate_ratings(stricter, asked, files, again=Replay(known))  # type: ignore[arg-type]
    shift = found.shifts["MT score"]
    assert (shift.value, shift.low, shift.high) == pytest.approx((-1, -1, -1))
    assert found.rerun == {"mean difference": 1.0, "mean absolute difference": 1.0}
    assert "MT score -1.00 (-1.00 to -1.00)" in found.note()
    assert json.loads(json.dumps(found.to_json()))["note"] == found.note()


def test_annotations_of_another_baseline_are_refused(data_dir: Path, tmp_path: Path) -> None:
    rows = read_rows(annotation_files(data_dir, ["alpaca-7b"])[0])[:5]
    path = tmp_path / "annotations.json"
    path.write_text(
        json.dumps([{**row, "output_1": "x", "generator_1": "davinci"} for row in rows])
    )
    with pytest.raises(DataError, match="entry 0 is against davinci, not against the baseline"):
        calibrate_preferences(Replay({}), request(data_dir, "alpaca_eval"), [path])  # type: ignore[arg-type]


def test_lines_name_what_was_measured(data_dir: Path) -> None:
    files = annotation_files(data_dir, ["claude-2"])
    judge = Replay(published(files))
    found: Calibration = calibrate_preferences(
        judge,  # type: ignore[arg-type]
        request(data_dir, "alpaca_eval", 60),
        files,
    )
    labels = dict(found.lines())
    assert labels["answers"].startswith("60 of ")
    assert "shift of LC win rate" in labels
    assert labels["cost"] == "$0.0000"
