"""A published table from runs to figures beside the paper's, resumed, shared with another table; mistakes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Call

NAMES = ("Llama3-8B-SFT", "Qwen2-7B-SFT")


def arguments(model: Path, out: Path, *names: str) -> list[str]:
    settings = {
        "engine.kind": "fake", "writer.model": model, "writer.kind": "fake", "writer.device": "auto",
        "queries.per_iteration": 6, "queries.generator": 3, "sampling.max_new_tokens": 24,
        "training.max_length": 4096, "training.micro_tokens": 4096, "pair_accuracy.limit": 2,
        "launch.own_process": "false",
    }  # fmt: skip
    found = ["--scale", "quick", "--out", str(out), "--quiet"]
    for name in names:
        found += ["--model", f"{name}={model}"]
    for key, value in settings.items():
        found += ["--set", f"{key}={value}"]
    return found


def test_a_table_is_run_resumed_and_shared(
    call: Call, tiny_model_dir: Path, tmp_path: Path
) -> None:
    done = call("reproduce", "v2:table4", *arguments(tiny_model_dir, tmp_path, *NAMES))
    assert done.code == 0, done.err
    assert "v2:table4" in done.out
    assert "12 of 12 published figures have one of ours beside them" in " ".join(done.out.split())
    assert "Quick scale" in done.out
    run = tmp_path / "quick-v2"
    before = {p: p.stat().st_mtime_ns for p in run.rglob("stage.json")}
    again = call("reproduce", "v2:table4", *arguments(tiny_model_dir, tmp_path, *NAMES))
    assert again.out == done.out
    assert {p: p.stat().st_mtime_ns for p in run.rglob("stage.json")} == before
    assert (tmp_path / "tables" / "v2-table4.md").is_file()

    figure = call("reproduce", "v2:figure3", *arguments(tiny_model_dir, tmp_path, "Llama3-8B-SFT"))
    assert figure.code == 0, figure.err
    assert (tmp_path / "tables" / "v2-figure3.pdf").is_file()
    kept = {p: t for p, t in before.items() if "pbaa/" not in str(p)}
    assert {p: p.stat().st_mtime_ns for p in kept} == kept
    described = json.loads((run / "run.json").read_text())
    assert set(described["arms"]) == {"pbaa-generator", "sso", "pbaa"}
    shown = call(
        "reproduce", "v2:table4", "--show", *arguments(tiny_model_dir, tmp_path, *NAMES), "-f", "md"
    )
    assert shown.code == 0, shown.err
    assert "| " in shown.out


def test_a_run_of_other_settings_takes_what_is_the_same(
    call: Call, tiny_model_dir: Path, tmp_path: Path
) -> None:
    own = arguments(tiny_model_dir, tmp_path, "Llama3-8B-SFT")
    assert call("reproduce", "v2:figure3", *own).code == 0
    swept = call("reproduce", "sweep:gamma", *[a for a in own if a != "--quiet"])
    assert swept.code == 0, swept.err
    assert "sso/iter-1/sample: taken from quick-v2" in swept.out
    assert "sso/iter-1/generator: taken from quick-v2-loss.gamma=0.1" not in swept.out
    over = call("reproduce", "overhead", *own)
    assert over.code == 0, over.err
    assert "x pbaa" in over.out


def test_the_list_and_the_plan_run_nothing(call: Call, tmp_path: Path) -> None:
    listed = call("reproduce")
    assert "v2:table1" in listed.out
    assert "sweep:gamma" in listed.out
    planned = call("reproduce", "v1:table1", "--plan", "--out", tmp_path)
    assert planned.code == 0, planned.err
    assert "run llama3.1-8b-sft: " in planned.out
    assert {path.name for path in tmp_path.iterdir()} <= {"cache"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("reproduce", "v2:tabel1"), "did you mean 'v2:table1'"),
        (("reproduce", "v3:table1"), "no table or figure 'v3:table1' in either version"),
        (("reproduce", "v1:table1"), "--model Llama3.1-8B-SFT=FOLDER"),
        (("reproduce", "v1:table1", "--model", "Llama=x"), "v1:table1 has no model 'Llama'"),
        (("reproduce", "v1:table1", "--model", "x"), "expected NAME=MODEL"),
        (("reproduce", "v1:table1", "--scale", "quik"), "did you mean 'quick'"),
        (("reproduce", "v2:table1", "--show"), "no finished figure of v2:table1 yet"),
        (("reproduce", "v2:table1", "--set", "x"), "expected key=value"),
        (
            ("run", "--preset", "v2-llama3-8b-sft", "--methods", "sso-joint"),
            "sso-joint is an arm of the paper's v1",
        ),
        (
            ("run", "--preset", "llama3.1-8b-instruct", "--methods", "sso-plus"),
            "sso-plus is an arm of the paper's v2",
        ),
    ],
)
def test_mistakes_are_one_line(
    call: Call, tmp_path: Path, given: tuple[str, ...], said: str
) -> None:
    more = (
        ("--out", tmp_path)
        if given[0] == "reproduce"
        else ("--data", "sample", "--model", tmp_path / "m")
    )
    done = call(*given, *more)
    assert done.code == 2
    assert said in done.err
    assert given[0] == "run" or len(done.err.splitlines()) == 1
