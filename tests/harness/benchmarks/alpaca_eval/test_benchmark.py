"""AlpacaEval end to end with an engine and a judge that answer by rule."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from groundwork.errors import UserError
from harness.benchmarks.alpaca_eval import BENCHMARK, rescore_annotations
from harness.benchmarks.alpaca_eval.alpaca_eval_package import length_controlled_winrate
from harness.benchmarks.alpaca_eval.length_control import GLMS
from harness.benchmarks.base import EvalRequest, Outcome, ProtocolSpec
from harness.data.sources import DataSource
from harness.errors import DataError
from leaderboards.records import Score
from tests.harness.benchmarks.judged_fakes import RuleEngine, RuleJudge

N = 24
SETTINGS = {
    "max_new_tokens": 64,
    "temperature": 0.7,
    "top_p": 0.9,
    "annotator": "weighted_alpaca_eval_gpt4_turbo",
    "glm": "length_controlled_v1",
}


@pytest.fixture
def data(tmp_path: Path) -> DataSource:
    """24 instructions of two kinds with a baseline, and gamed rows."""
    folder = tmp_path / "data" / "alpaca_eval"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    rows = [
        {
            "instruction": f"Task {k}",
            "output": "x" * int(rng.integers(20, 200)),
            "generator": "the-baseline",
            "dataset": "even" if k % 2 == 0 else "odd",
        }
        for k in range(N)
    ]
    (folder / "gpt4_1106_preview_model_outputs.json").write_text(json.dumps(rows))
    lines = ["model,preference,index,std_delta_len,instruction_difficulty,not_gamed_baseline"]
    for name, shift, preference in (("verbose", -1, 0.7), ("concise", 1, 0.3)):
        for k in range(N):
            length, difficulty = shift + 0.1 * (k % 5), (k % 7) / 3 - 1
            lines.append(f"{name},{preference},{k},{length},{difficulty},False")
    (folder / "df_gamed.csv").write_text("\n".join(lines) + "\n")
    return DataSource("dir", tmp_path / "data")


def request_for(data: DataSource, **changes: Any) -> EvalRequest:
    spec = ProtocolSpec("alpaca_eval/community", "alpaca_eval", 1, "", SETTINGS)
    return EvalRequest(data=data, protocol=spec, **changes)


def answer(chat: list[dict[str, str]]) -> str:
    number = int(chat[-1]["content"].split()[1])
    return " " + "y" * (30 + 5 * number) + "\n"


def prefer(comparison: Any) -> float | None:
    """1 + k/23 for item k; item 7 has no readable reply."""
    number = int(comparison.instruction.split()[1])
    return None if number == 7 else 1 + number / 23


def run(
    data: DataSource, folder: Path, judge: RuleJudge, **changes: Any
) -> tuple[Outcome, RuleEngine]:
    engine = RuleEngine(answer)
    folder.mkdir(exist_ok=True)
    request = request_for(data, **changes)
    BENCHMARK.generate(request, engine, folder)
    return BENCHMARK.score(request, folder, judge), engine


def by_metric(outcome: Outcome) -> dict[str, Score]:
    return {score.metric: score for score in outcome.scores}


def test_figures_by_hand(data: DataSource, tmp_path: Path) -> None:
    outcome, engine = run(data, tmp_path / "eval", RuleJudge(prefer))
    scores = by_metric(outcome)
    shares = [100 * k / 23 for k in range(N) if k != 7]
    assert scores["win_rate"].value == pytest.approx(np.mean(shares))
    assert scores["win_rate"].stderr == pytest.approx(np.std(shares, ddof=1) / np.sqrt(23))
    assert scores["length"].value == 30 + 5 * 23 / 2  # white space round an answer is not counted
    assert (scores["length"].unit, scores["length"].n) == ("characters", N)
    for metric in ("win_rate", "lc_win_rate"):
        score = scores[metric]
        assert (score.n, score.n_expected, score.n_unparsed, score.n_missing) == (23, N, 1, 0)
    assert [s.metric for s in outcome.scores if s.headline] == ["lc_win_rate"]
    call = engine.calls[0]
    assert (call["temperature"], call["top_p"], call["max_new_tokens"]) == (0.7, 0.9, 64)
    assert call["prompts"][3] == [{"role": "user", "content": "Task 3"}]
    assert len(set(call["seeds"])) == N


def test_length_control_equals_the_package_on_the_saved_files(
    data: DataSource, tmp_path: Path
) -> None:
    outcome, _ = run(data, tmp_path / "eval", RuleJudge(prefer))
    rows = json.loads((tmp_path / "eval" / "annotations.json").read_text())
    theirs = length_controlled_winrate(
        rows, data.path("alpaca_eval/df_gamed.csv"), GLMS["length_controlled_v1"]
    )
    scores = by_metric(outcome)
    assert scores["lc_win_rate"].value == pytest.approx(
        theirs["length_controlled_winrate"], abs=1e-6
    )
    assert scores["win_rate"].value == pytest.approx(theirs["win_rate"], abs=1e-9)
    assert theirs["n_total"] == 23


def test_the_package_reads_the_saved_file_as_it_is(data: DataSource, tmp_path: Path) -> None:
    """As ``alpaca_eval`` does when it recomputes metrics: pandas, all columns."""
    from unittest import mock

    import pandas as pd
    import sklearn

    outcome, _ = run(data, tmp_path / "eval", RuleJudge(prefer))
    frame = pd.read_json(tmp_path / "eval" / "annotations.json")
    gamed = str(data.path("alpaca_eval/df_gamed.csv"))
    with sklearn.config_context():
        from alpaca_eval.metrics import glm_winrate

        with mock.patch.object(glm_winrate, "hf_hub_download", return_value=gamed):
            theirs = glm_winrate.get_length_controlled_winrate(frame, save_weights_dir=None)
    ours = by_metric(outcome)["lc_win_rate"].value
    assert ours == pytest.approx(theirs["length_controlled_winrate"], abs=1e-6)


def test_item_values_average_to_the_scores(data: DataSource, tmp_path: Path) -> None:
    outcome, _ = run(data, tmp_path / "eval", RuleJudge(prefer))
    scores = by_metric(outcome)
    assert [item.item_id for item in outcome.items[:2]] == ["alpaca_eval/0", "alpaca_eval/1"]
    assert outcome.items[7].unparsed
    assert "win_rate" not in outcome.items[7].values
    lc = [100 * item.values["lc_win_rate"] for item in outcome.items]
    assert np.mean(lc) == pytest.approx(scores["lc_win_rate"].value)
    raw = [100 * i.values["win_rate"] for i in outcome.items if "win_rate" in i.values]
    assert np.mean(raw) == pytest.approx(scores["win_rate"].value)


def test_saved_annotations_give_the_same_figures(data: DataSource, tmp_path: Path) -> None:
    outcome, _ = run(data, tmp_path / "eval", RuleJudge(prefer))
    again = rescore_annotations(tmp_path / "eval" / "annotations.json", request_for(data))
    for first, second in zip(outcome.scores, again.scores, strict=True):
        for field in ("metric", "value", "stderr", "ci_low", "ci_high", "n", "n_expected",
                      "n_unparsed", "n_missing", "marks"):  # fmt: skip
            assert getattr(first, field) == getattr(second, field)
    assert [i.values for i in again.items] == [i.values for i in outcome.items]


def test_missing_rows_count_as_missing_and_keep_their_difficulty(
    data: DataSource, tmp_path: Path
) -> None:
    run(data, tmp_path / "eval", RuleJudge(prefer))
    path = tmp_path / "eval" / "annotations.json"
    kept = [row for row in json.loads(path.read_text()) if row["index"] not in (2, 3)]
    path.write_text(json.dumps(kept))
    outcome = rescore_annotations(path, request_for(data))
    score = by_metric(outcome)["lc_win_rate"]
    assert (score.n, score.n_expected, score.n_missing, score.n_unparsed) == (21, N, 2, 1)
    gamed = data.path("alpaca_eval/df_gamed.csv")
    right = length_controlled_winrate(kept, gamed)["length_controlled_winrate"]
    assert score.value == pytest.approx(right, abs=1e-6)
    bare = [{k: v for k, v in row.items() if k != "index"} for row in kept]
    quirk = rescore_annotations(path, request_for(data), by_position=True)
    theirs = length_controlled_winrate(bare, gamed)["length_controlled_winrate"]
    assert by_metric(quirk)["lc_win_rate"].value == pytest.approx(theirs, abs=1e-6)
    assert abs(theirs - right) > 1e-4


def test_protocol_id_knows_judge_reading_and_settings(data: DataSource, tmp_path: Path) -> None:
    judges = [
        RuleJudge(prefer),
        RuleJudge(prefer, name="gpt-4o"),
        RuleJudge(prefer, asked="alpaca-eval-2/abc/parsed"),
    ]
    ids = {run(data, tmp_path / "eval", judge)[0].scores[0].protocol for judge in judges}
    longer = run(data, tmp_path / "eval", judges[0], overrides={"max_new_tokens": 128})[0]
    ids.add(longer.scores[0].protocol)
    assert len(ids) == 4


@pytest.mark.parametrize(
    ("judge", "marks"),
    [
        (RuleJudge(prefer), ()),
        (RuleJudge(prefer, name="gpt-4o"), ("other-judge",)),
        (RuleJudge(prefer, asked="alpaca-eval-2/abc/parsed"), ("other-judge",)),
        (RuleJudge(prefer, name="local", comparable=False), ("local-judge",)),
    ],
)
def test_marks(data: DataSource, tmp_path: Path, judge: RuleJudge, marks: tuple[str, ...]) -> None:
    outcome, _ = run(data, tmp_path / "eval", judge)
    assert all(score.marks == marks for score in outcome.scores)
    assert all(score.judge == judge.snapshot for score in outcome.scores)


def test_limit_draws_both_kinds_and_the_same_items_again(data: DataSource, tmp_path: Path) -> None:
    first, _ = run(data, tmp_path / "a", RuleJudge(prefer), limit=8)
    second, _ = run(data, tmp_path / "b", RuleJudge(prefer), limit=8)
    assert [i.item_id for i in first.items] == [i.item_id for i in second.items]
    assert sorted(i.category for i in first.items) == ["even"] * 4 + ["odd"] * 4
    assert first.scores[0].marks == ("item-limit",)
    assert first.scores[0].n_expected == 8
    again = rescore_annotations(tmp_path / "a" / "annotations.json", request_for(data, limit=8))
    assert [s.value for s in again.scores] == [s.value for s in first.scores]
    assert [(s.n_missing, s.marks) for s in again.scores] == [(0, ("item-limit",))] * 3


def test_too_few_items_withhold_length_control_and_keep_the_rest(
    data: DataSource, tmp_path: Path
) -> None:
    outcome, _ = run(data, tmp_path / "eval", RuleJudge(lambda c: 1.25), limit=4)
    scores = by_metric(outcome)
    assert scores["lc_win_rate"].value is None
    assert "4 judged instructions" in scores["lc_win_rate"].settings["withheld"]
    assert scores["win_rate"].value == 25.0


def test_sample_data_use_the_reduced_model(data: DataSource, tmp_path: Path) -> None:
    sample = DataSource("sample", data.root, "1")
    (data.root / "alpaca_eval" / "df_gamed.csv").unlink()
    outcome, _ = run(sample, tmp_path / "eval", RuleJudge(prefer))
    score = by_metric(outcome)["lc_win_rate"]
    assert score.settings["glm"] == "length_controlled_neutral"
    assert score.marks == ("sample-data",)
    assert score.ci_low < score.value < score.ci_high  # type: ignore[operator]


def test_package_files(data: DataSource, tmp_path: Path) -> None:
    run(data, tmp_path / "eval", RuleJudge(prefer))
    outputs = json.loads((tmp_path / "eval" / "model_outputs.json").read_text())
    assert outputs[1] == {
        "dataset": "odd",
        "instruction": "Task 1",
        "output": "y" * 35,
        "generator": "rule-model-rule",
    }
    rows = json.loads((tmp_path / "eval" / "annotations.json").read_text())
    assert rows[7]["preference"] is None
    assert rows[7]["state"] == "unparsed"
    assert rows[8]["preference"] == pytest.approx(1 + 8 / 23)
    assert {row["annotator"] for row in rows} == {"weighted_alpaca_eval_gpt4_turbo"}
    assert rows[0]["generator_1"] == "the-baseline"


def test_workload_counts_answers_and_calls(data: DataSource) -> None:
    load = BENCHMARK.workload(request_for(data, limit=6))
    assert (load.items, load.judge_calls, load.new_tokens) == (6, 6, 6 * 64)


def test_real_data_without_gamed_rows_is_an_error(data: DataSource) -> None:
    (data.root / "alpaca_eval" / "df_gamed.csv").unlink()
    with pytest.raises(DataError, match=r"df_gamed\.csv"):
        BENCHMARK.workload(request_for(data))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows[3].pop("instruction"), "entry 3 has no 'instruction'"),
        (lambda rows: rows[3].update(preference=2.5), "entry 3 has preference 2.5"),
        (lambda rows: rows[3].update(preference="m"), "entry 3 has no usable 'preference'"),
        (lambda rows: rows[3].update(instruction="Task 4"), "'Task 4' is judged twice"),
        (lambda rows: rows[3].update(instruction="Other"), "no instruction of the request"),
        (lambda rows: rows[3].update(generator_2="b"), "several generator_2s"),
    ],
)
def test_faulty_annotations_are_named(
    data: DataSource, tmp_path: Path, change: Any, message: str
) -> None:
    run(data, tmp_path / "eval", RuleJudge(prefer))
    path = tmp_path / "eval" / "annotations.json"
    rows = json.loads(path.read_text())
    change(rows)
    path.write_text(json.dumps(rows))
    with pytest.raises(DataError, match=message):
        rescore_annotations(path, request_for(data))


def test_scoring_before_generating_is_an_error(data: DataSource, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"outputs\.jsonl"):
        BENCHMARK.score(request_for(data), tmp_path, RuleJudge(prefer))
    with pytest.raises(UserError, match="needs a judge"):
        BENCHMARK.score(request_for(data), tmp_path, None)


def test_shipped_sample_runs_under_every_shipped_protocol(tmp_path: Path) -> None:
    from harness.benchmarks import get_benchmark, load_protocols
    from harness.data import open_source

    for spec in load_protocols("alpaca_eval"):
        request = EvalRequest(data=open_source("sample"), protocol=spec)
        engine = RuleEngine(lambda chat: "An answer to: " + chat[-1]["content"])
        get_benchmark("alpaca_eval").generate(request, engine, tmp_path)
        judge = RuleJudge(lambda c: 1 + len(c.output_2) / (len(c.output_1) + len(c.output_2)))
        outcome = get_benchmark("alpaca_eval").score(request, tmp_path, judge)
        scores = by_metric(outcome)
        assert scores["win_rate"].n == scores["win_rate"].n_expected >= 40
        assert scores["lc_win_rate"].value is not None
        assert {"sample-data", *spec.marks} == set(scores["lc_win_rate"].marks)
        assert engine.calls[0]["max_new_tokens"] == spec.settings["max_new_tokens"]


def test_with_the_real_judge_over_http(data: DataSource, tmp_path: Path) -> None:
    """A server that gives the longer output 0.9, whichever is shown first."""
    import math
    import re

    from tests.judges.faulty_server import FaultyServer, completion
    from tests.judges.judge_examples import judge_on

    def reply(body: dict[str, Any]) -> dict[str, Any]:
        shown = re.findall(r"(x{20,}|y{20,})", body["messages"][-1]["content"])
        share = 0.9 if len(shown[0]) > len(shown[1]) else 0.1
        tops = [
            {"token": "m", "logprob": math.log(share), "bytes": [109]},
            {"token": "M", "logprob": math.log(1 - share), "bytes": [77]},
        ]
        content = {"content": [{**tops[0], "top_logprobs": tops}]}
        return completion("m", finish="length", logprobs=content, model=body["model"])

    folder = tmp_path / "eval"
    folder.mkdir()
    BENCHMARK.generate(request_for(data), RuleEngine(answer), folder)
    with FaultyServer(reply) as server:
        judge = judge_on(server, tmp_path / "verdicts.sqlite")
        outcome = BENCHMARK.score(request_for(data), folder, judge)
        BENCHMARK.score(request_for(data), folder, judge)
    assert len(server.received) == N  # the second scoring cost nothing
    rows = json.loads((folder / "annotations.json").read_text())
    wanted = [1.9 if len(r["output_2"]) > len(r["output_1"]) else 1.1 for r in rows]
    assert [r["preference"] for r in rows] == pytest.approx(wanted)
    assert len({r["judge_protocol"] for r in rows}) == 1
    assert rows[0]["judge_protocol"].endswith("/top5")
    score = by_metric(outcome)["win_rate"]
    assert score.value == pytest.approx(100 * (np.mean(wanted) - 1))
    assert score.marks == ("other-judge",)
