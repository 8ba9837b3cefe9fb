"""The baseline file: the same verdict as its run, no text, damage refused."""

import json

import numpy as np
import pytest

from groundwork.errors import UserError
from leaderboards import check, save_baseline
from leaderboards.gate.baseline import load_baseline, stored_id
from tests.leaderboards.example_runs import add_eval, coin_flips, start_run


@pytest.fixture
def runs(tmp_path):
    """(baseline, unchanged run, worse run): GSM8K with 600 items, MT-Bench with 80 questions."""
    rng = np.random.default_rng(1)
    base = np.array(coin_flips(600, 0.6, 0))
    jitter, worse = base.copy(), base.copy()
    jitter[:6] = 1 - jitter[:6]
    worse[np.flatnonzero(base == 1)[:60]] = 0
    ratings = rng.integers(3, 9, 160).astype(float)
    questions = [f"q{i // 2}" for i in range(160)]
    made = []
    for name, flips, rated in (
        ("main", base, ratings),
        ("same", jitter, ratings + rng.normal(0, 0.3, 160)),
        ("worse", worse, ratings),
    ):
        run = start_run(tmp_path, name)
        add_eval(run, "gsm8k", flips.tolist())
        add_eval(run, "mt_bench", rated.tolist(), metric="average", item_metric="rating",
                 unit="points", clusters=questions)  # fmt: skip
        made.append(run)
    return made


def test_a_baseline_file_gives_the_same_verdict_as_the_run(runs, tmp_path):
    path = save_baseline(runs[0], tmp_path / "out" / "baseline.json")
    for run in runs[1:]:
        by_run, by_file = check(run, runs[0]), check(run, path)
        assert by_file.checks == by_run.checks
    assert path.stat().st_size < 20_000


def test_a_baseline_holds_no_text(tmp_path):
    run = start_run(tmp_path)
    ids = ["What is the mass of the particle?", "gpqa/17"]
    outputs = [{"item_id": i, "output": "secret question text"} for i in ids]
    add_eval(run, "gpqa", [1, 0], ids=ids, outputs=outputs)
    path = save_baseline(run, tmp_path / "baseline.json")
    text = path.read_text()
    assert "particle" not in text
    assert "secret" not in text
    assert stored_id("gpqa/17") == "gpqa/17"
    assert check(run, path).checks[0].difference == 0.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: {**c, "kind": "other"}, "not a baseline file"),
        (lambda c: {**c, "schema": 9}, "has schema 9; this release reads up to 1"),
        (lambda c: {**c, "scores": []}, "holds no scores"),
        (
            lambda c: {**c, "scores": [{**c["scores"][0], "value": float("nan")}]},
            "score 1 is damaged",
        ),
        (lambda c: {**c, "scores": [{**c["scores"][0], "values": "01"}]}, "600 items but 2 values"),
    ],
)
def test_bad_baselines(runs, tmp_path, change, message):
    path = save_baseline(runs[0], tmp_path / "baseline.json")
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    with pytest.raises(UserError, match=message):
        check(runs[1], path)
    path.write_text('{"kind": "sso-bench base')
    with pytest.raises(UserError, match="damaged or half written"):
        load_baseline(path)
