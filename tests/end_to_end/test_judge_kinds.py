"""Runs judged by servers that take different parameters: they go through, and say what is adapted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Call, small
from tests.judges.faulty_server import FaultyServer
from tests.judges.judge_servers import KINDS, refusing


@pytest.mark.parametrize("kind", KINDS)
def test_an_evaluation_goes_through_with_each_kind(
    kind: str, call: Call, tiny_model_dir: Path, tmp_path: Path
) -> None:
    with FaultyServer(KINDS[kind]) as server:
        judged = ["--judge", "judge-1", "--judge-url", server.url]
        few = small(tiny_model_dir, tmp_path / "run", "-b", "alpaca_eval,mt_bench")
        done = call("eval", few[1], *few[2:], *judged)
    assert done.code == 0, done.err
    adapted = json.loads((tmp_path / "run" / "run.json").read_text())["judge"]["adapted"]
    assert (adapted == []) == (kind in ("old", "five-logprobs"))
    for line in adapted:
        assert line in done.out + done.err, "said when it is found"
    files = [*(tmp_path / "run").rglob("scores.json")]
    scores = [score for file in files for score in json.loads(file.read_text())]
    judged_scores = [score for score in scores if score["benchmark"] in ("alpaca_eval", "mt_bench")]
    assert len({score["benchmark"] for score in judged_scores}) == 2
    for score in judged_scores:
        assert (score["n"], score["n_error"]) == (score["n_expected"], 0), score


def test_a_run_with_a_reasoning_judge(call: Call, tiny_model_dir: Path, tmp_path: Path) -> None:
    with FaultyServer(KINDS["reasoning"]) as server:
        judged = ["--judge", "judge-1", "--judge-url", server.url, "--max-calls", "500"]
        few = small(tiny_model_dir, tmp_path / "run", "-b", "alpaca_eval")
        done = call("run", "--iters", "1", *few, *judged)
    assert done.code == 0, done.err
    assert "no temperature" in done.out + done.err


def test_a_judge_that_refuses_every_parameter_set_stops_before_anything_is_done(
    call: Call, tiny_model_dir: Path, tmp_path: Path
) -> None:
    with FaultyServer(refusing) as server:
        judged = ["--judge", "judge-1", "--judge-url", server.url]
        few = small(tiny_model_dir, tmp_path / "run", "-b", "alpaca_eval")
        done = call("eval", few[1], *few[2:], *judged)
    assert done.code == 2
    assert "accepts no parameter set that this program has" in done.err
    assert not list((tmp_path / "run").rglob("outputs.jsonl"))
