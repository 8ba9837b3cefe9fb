"""``sso-bench verdicts``: in, out and counted, and the mistakes named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Call
from tests.judges.faulty_server import FaultyServer
from tests.judges.judge_examples import comparisons, judge_on


def test_there_and_back(call: Call, tmp_path: Path) -> None:
    store = tmp_path / "v.sqlite"
    with FaultyServer() as server:
        judge = judge_on(server, store)
        judge.preferences(comparisons(3))
    assert judge.identity in call("verdicts", "stats", "--store", store).out
    out = tmp_path / "all.jsonl"
    done = call("verdicts", "export", out, "--store", store)
    assert (done.code, done.out) == (0, f"written: {out}, 3 rows\n")
    again = call("verdicts", "import", out, "--store", tmp_path / "w.sqlite")
    assert (again.code, again.out) == (0, f"read: {out}, 3 rows\n")
    annotated = call(
        "verdicts", "export", tmp_path / "a.json", "-f", "alpaca_eval", "--judge", judge.identity,
        "--store", store,
    )  # fmt: skip
    assert annotated.code == 0
    assert len(json.loads((tmp_path / "a.json").read_text())) == 3


def test_fastchat_judgments_need_their_prompts(call: Call, data_dir: Path, tmp_path: Path) -> None:
    file = data_dir / "mt_bench/model_judgment/gpt-4_single__llama2_chat_7b.jsonl"
    given = ["verdicts", "import", file, "-f", "fastchat", "--store", tmp_path / "v.sqlite"]
    done = call(*given)
    assert (done.code, "needs --prompts FILE" in done.err) == (2, True)
    done = call(*given, "--prompts", data_dir / "mt_bench/judge_prompts.jsonl")
    assert (done.code, "160 rows" in done.out) == (0, True)


@pytest.mark.parametrize(
    ("args", "match"),
    [
        (
            ["export", "x.json", "-f", "alpaca_evl"],
            "no format 'alpaca_evl' (did you mean 'alpaca_eval'?)",
        ),
        (["export", "x.json", "-f", "fastchat"], "needs --judge NAME"),
        (["import", "absent.jsonl"], "no such file: absent.jsonl"),
    ],
)
def test_mistakes(call: Call, tmp_path: Path, args: list[str], match: str) -> None:
    done = call("verdicts", *args, "--store", tmp_path / "v.sqlite")
    assert (done.code, match in done.err) == (2, True), done.err
