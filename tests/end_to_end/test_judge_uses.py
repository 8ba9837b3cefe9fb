"""A judge per benchmark: each is asked what is its own, and plan, tables and record name it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.judge_settings import JudgeSettings
from tests.end_to_end.conftest import Call, small
from tests.judges.faulty_server import FaultyServer
from tests.judges.judge_servers import KINDS


def test_each_benchmark_asks_its_own_judge(
    call: Call, tiny_model_dir: Path, tmp_path: Path
) -> None:
    with FaultyServer(KINDS["old"]) as letters, FaultyServer(KINDS["reasoning"]) as ratings:
        few = small(tiny_model_dir, tmp_path / "run", "-b", "alpaca_eval,mt_bench")
        judged = ["--judge", "judge-1", "--judge-url", letters.url]
        judged += ["--set", f"judge.mt_bench=thinker@{ratings.url}"]
        plan = call("plan", *few, *judged, "--iters", "0")
        done = call("eval", few[1], *few[2:], *judged)
        assert done.code == 0, done.err
        assert all(body["model"] == "thinker" for body in ratings.bodies)
        assert all(body["model"] == "judge-1" for body in letters.bodies)
        assert any("[[" in str(body) for body in ratings.bodies)
        assert not any("[[" in str(body) for body in letters.bodies)
    named = f"judges: alpaca_eval judge-1@{letters.url}, mt_bench thinker@{ratings.url}"
    assert named in plan.out, plan.err
    described = json.loads((tmp_path / "run" / "run.json").read_text())["judges"]
    assert {use: facts["judge"] for use, facts in described.items()} == {
        "alpaca_eval": "judge-1",
        "mt_bench": "thinker",
    }
    scores = [s for f in (tmp_path / "run").rglob("scores.json") for s in json.loads(f.read_text())]
    by = {score["benchmark"]: score["judge"] for score in scores if score["judge"]}
    assert by["alpaca_eval"].startswith("judge-1")
    assert by["mt_bench"].startswith("thinker")


@pytest.mark.parametrize(
    ("settings", "use", "expected"),
    [
        ({}, "pairs", ("local", None)),
        ({"name": "a", "base_url": "http://h/v1"}, "mt_bench", ("a", "http://h/v1")),
        ({"name": "a", "base_url": "http://h/v1", "pairs": "local"}, "pairs", ("local", None)),
        ({"name": "a", "base_url": "http://h/v1", "pairs": "b"}, "pairs", ("b", "http://h/v1")),
        ({"name": "a", "pairs": "org/b@http://i/v1"}, "pairs", ("org/b", "http://i/v1")),
        ({"name": "a", "pairs": "b"}, "gsm8k", ("a", None)),
    ],
)
def test_the_judge_of_a_use(
    settings: dict[str, str], use: str, expected: tuple[str, str | None]
) -> None:
    assert JudgeSettings.model_validate(settings).judge_of(use) == expected
