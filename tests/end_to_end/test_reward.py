"""Reward models from the command line: mix, training, RewardBench, and as a judge."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Call

SMALL = (
    "--set", "training.reward.batch_size=8", "--set", "training.max_length=4096",
    "--set", "training.micro_tokens=8192", "--quiet",
)  # fmt: skip


def test_train_score_resume_and_judge(call: Call, tiny_model_dir: Path, tmp_path: Path) -> None:
    out = tmp_path / "rm"
    line = ("reward", "--model", tiny_model_dir, "--data", "skywork", "--out", out, *SMALL)
    done = call(*line, "--benchmarks", "rewardbench,rewardbench2")
    assert done.code == 0, done.err
    name = "skywork-80k-v0.2"
    scores = json.loads((out / name / "iter-1/eval/rewardbench/scores.json").read_text())
    average = next(s for s in scores if s["metric"] == "average")
    assert average["value"] is not None
    assert average["arm"] == name
    assert name in done.out
    again = call(*line, "--benchmarks", "rewardbench,rewardbench2")
    assert "0 stages run, 4 were done before" in again.out

    judge = f"reward:{out / name / 'iter-1/reward/model'}"
    pairs = tmp_path / "p.jsonl"
    pairs.write_text(
        json.dumps({"prompt": "q", "chosen": "a b", "rejected": "c", "subset": "hep-go"}) + "\n"
    )
    measured = call("judge", "agreement", pairs, "--judge", judge)
    assert measured.code == 0, measured.err
    assert "RewardBench reasoning" in measured.out
    assert "reward:" in measured.out

    scored = call(
        "eval",
        out / name / "iter-1/reward/model",
        "--benchmarks",
        "rewardbench",
        "--out",
        tmp_path / "ev",
        "--quiet",
    )
    assert scored.code == 0, scored.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("reward", "--model", "MODEL"), "a reward model needs pairs"),
        (("reward", "--model", "MODEL", "--data", "skywrk"), "did you mean 'skywork'"),
        (
            ("reward", "--model", "MODEL", "--data", "skywork", "-b", "gsm8k"),
            "needs a model that writes text",
        ),
        (("reward", "--model", "MODEL", "--data", "WRONG"), "field 'rejected' is missing"),
        (("eval", "MODEL", "-b", "rewardbench"), "is no reward model (LlamaForCausalLM)"),
        (
            ("run", "--model", "MODEL", "--judge", "saved:x"),
            "pairwise verdicts only, none for alpaca_eval",
        ),
        (("run", "--model", "MODEL", "-b", "rewardbench"), "rewardbench scores reward models"),
        (("judge", "agreement", "WRONG2", "--judge", "reward:MODEL"), "is no reward model"),
    ],
)
def test_mistakes_are_one_line(
    call: Call, tiny_model_dir: Path, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    rows = {
        "WRONG": {"prompt": "q", "chosen": "a"},
        "WRONG2": {"prompt": "q", "chosen": "a", "rejected": "b"},
    }
    for name, row in rows.items():
        (tmp_path / name).with_suffix(".jsonl").write_text(json.dumps(row) + "\n")
    places = {"MODEL": str(tiny_model_dir), **{n: str(tmp_path / f"{n}.jsonl") for n in rows}}
    given = [
        places.get(a, a.replace("reward:MODEL", f"reward:{tiny_model_dir}")) for a in arguments
    ]
    done = call(*given, *(() if arguments[0] == "judge" else ("--out", tmp_path / "o")))
    assert done.code == 2
    assert said in done.err
    assert len(done.err.splitlines()) == 1
