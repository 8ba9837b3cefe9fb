"""Published judgments give the published AlpacaEval 2.0 figures."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.benchmarks.alpaca_eval import rescore_annotations
from harness.benchmarks.alpaca_eval.alpaca_eval_package import length_controlled_winrate
from harness.benchmarks.alpaca_eval.files import GAMED_FILES, read_annotations
from harness.benchmarks.base import EvalRequest, Outcome
from harness.data.sources import DataSource, read_rows
from leaderboards.records import Score

MODELS = ("alpaca-7b", "claude-2", "FuseChat-Gemma-2-9B-Instruct", "vicuna-7b-v1.5")


@pytest.fixture(scope="module")
def source(data_dir: Path) -> DataSource:
    return DataSource("dir", data_dir)


@pytest.fixture(scope="module")
def replayed(source: DataSource) -> Callable[[str], Outcome]:
    """The outcome of a model's published annotations, computed once."""
    from harness.benchmarks import load_protocol

    request = EvalRequest(data=source, protocol=load_protocol("alpaca_eval", "community"))
    known: dict[str, Outcome] = {}

    def outcome(model: str) -> Outcome:
        if model not in known:
            path = source.path(f"alpaca_eval/{model}/annotations.json")
            known[model] = rescore_annotations(path, request)
        return known[model]

    return outcome


@pytest.fixture(scope="module")
def published(source: DataSource) -> dict[str, dict[str, Any]]:
    rows = read_rows(source.path("alpaca_eval/leaderboard_src_weighted_alpaca_eval_gpt4_turbo.csv"))
    return {row[""]: row for row in rows}


def score_of(outcome: Outcome, metric: str) -> Score:
    [found] = [score for score in outcome.scores if score.metric == metric]
    return found


@pytest.mark.parametrize("model", MODELS)
def test_raw_win_rate_equals_the_leaderboard(
    model: str, replayed: Callable[[str], Outcome], published: dict[str, dict[str, Any]]
) -> None:
    score, row = score_of(replayed(model), "win_rate"), published[model]
    assert score.value == pytest.approx(float(row["win_rate"]), abs=1e-6)
    assert score.stderr == pytest.approx(float(row["standard_error"]), abs=1e-6)
    assert (score.n, score.n_expected, score.n_missing) == (805, 805, 0)
    assert score.marks == ()


@pytest.mark.parametrize("model", MODELS)
def test_length_controlled_win_rate_equals_the_leaderboard(
    model: str, replayed: Callable[[str], Outcome], published: dict[str, dict[str, Any]]
) -> None:
    """To 0.001 points; 0.2 is what the re-derived gamed rows allow in general."""
    score = score_of(replayed(model), "lc_win_rate")
    assert score.value == pytest.approx(
        float(published[model]["length_controlled_winrate"]), abs=0.001
    )
    assert score.stderr is not None
    assert 0.8 < score.stderr < 2.0


@pytest.mark.parametrize("model", MODELS)
def test_length_controlled_win_rate_equals_the_package(
    model: str, source: DataSource, replayed: Callable[[str], Outcome]
) -> None:
    rows = read_annotations(source.path(f"alpaca_eval/{model}/annotations.json"))
    theirs = length_controlled_winrate(rows, source.path(*GAMED_FILES))
    score = score_of(replayed(model), "lc_win_rate")
    assert score.value == pytest.approx(theirs["length_controlled_winrate"], abs=1e-6)
    assert score_of(replayed(model), "win_rate").value == pytest.approx(
        theirs["win_rate"], abs=1e-6
    )
    assert score.stderr is not None
    assert score.stderr > 1.7 * theirs["lc_standard_error"]


@pytest.mark.parametrize("model", MODELS)
def test_length_equals_the_leaderboard(
    model: str, replayed: Callable[[str], Outcome], published: dict[str, dict[str, Any]]
) -> None:
    """The leaderboard cuts the mean to whole characters."""
    value = score_of(replayed(model), "length").value
    assert value is not None
    assert int(value) == int(published[model]["avg_length"])


def test_missing_annotations_are_counted(source: DataSource, tmp_path: Path) -> None:
    from harness.benchmarks import load_protocol

    rows = read_annotations(source.path("alpaca_eval/vicuna-7b-v1.5/annotations.json"))
    path = tmp_path / "annotations.json"
    path.write_text(json.dumps([row for k, row in enumerate(rows) if k not in (3, 400)]))
    request = EvalRequest(data=source, protocol=load_protocol("alpaca_eval", "community"))
    score = score_of(rescore_annotations(path, request), "lc_win_rate")
    assert (score.n, score.n_expected, score.n_missing) == (803, 805, 2)
    assert score.value == pytest.approx(7.617, abs=0.1)
    # alpaca_eval pairs every row after a gap with its neighbour's difficulty.
    quirk = score_of(rescore_annotations(path, request, by_position=True), "lc_win_rate")
    theirs = length_controlled_winrate(read_annotations(path), source.path(*GAMED_FILES))
    assert quirk.value == pytest.approx(theirs["length_controlled_winrate"], abs=1e-6)
    assert quirk.value != pytest.approx(score.value, abs=0.05)


def test_correlation_with_arena_comes_out_as_published(source: DataSource) -> None:
    """Spearman over the models that have both figures."""
    from scipy.stats import spearmanr

    rows = read_rows(source.path("alpaca_eval/benchmarks_correlation.csv"))
    arena = "Arena Elo\n[Feb 2, 2024]"

    def correlation(column: str) -> tuple[float, int]:
        pairs = [(float(r[arena]), float(r[column])) for r in rows if r[arena] and r[column]]
        return float(spearmanr(*np.array(pairs).T).statistic), len(pairs)

    assert correlation("LC AlpacaEval 2.0") == (pytest.approx(0.97462953, abs=1e-8), 37)
    assert correlation("AlpacaEval 2.0") == (pytest.approx(0.9305, abs=5e-5), 37)
    assert correlation("MT-bench\n(multi-turn)") == (pytest.approx(0.9331, abs=5e-5), 33)


def test_item_values_make_the_paired_difference_s_standard_error(
    source: DataSource, replayed: Callable[[str], Outcome]
) -> None:
    """Two models on the same instructions: the items' differences against a joint bootstrap."""
    from harness.benchmarks.alpaca_eval.files import read_length_control
    from harness.benchmarks.alpaca_eval.lc_interval import bootstrap_win_rates
    from harness.benchmarks.alpaca_eval.length_control import Comparisons, fit_lc, preference_share

    control = read_length_control(source.path(*GAMED_FILES))
    draws, items = [], []
    for model in ("claude-2", "FuseChat-Gemma-2-9B-Instruct"):
        rows = read_annotations(source.path(f"alpaca_eval/{model}/annotations.json"))
        data = Comparisons(
            preference_share([row["preference"] for row in rows]),
            np.array([len(r["output_1"]) - len(r["output_2"]) for r in rows], float),
            np.array([control.difficulty[k] for k in range(len(rows))]),
        )
        fit = fit_lc(data, control.gamed)
        draws.append(bootstrap_win_rates(data, fit, control.gamed, replicates=1000, seed=1))
        items.append([100 * item.values["lc_win_rate"] for item in replayed(model).items])
    jointly = (draws[0] - draws[1]).std(ddof=1)
    difference = np.array(items[0]) - np.array(items[1])
    assert difference.std(ddof=1) / np.sqrt(805) == pytest.approx(jointly, rel=0.08)
    lc = [score_of(replayed(m), "lc_win_rate").value for m in ("claude-2", MODELS[2])]
    assert lc[0] is not None
    assert lc[1] is not None
    assert difference.mean() == pytest.approx(lc[0] - lc[1], abs=1e-6)
