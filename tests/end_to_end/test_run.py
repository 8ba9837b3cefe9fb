"""``sso-bench run`` from the command line to the table, on a tiny model and the fake engine."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Call, small

BENCHMARKS = {"alpaca_eval", "mt_bench", "gpqa", "mmlu_pro", "math", "gsm8k"}


def scores(run: Path) -> dict[str, list[dict[str, object]]]:
    """All scores of a run by stage folder."""
    return {
        file.parent.relative_to(run).as_posix(): json.loads(file.read_text())
        for file in sorted(run.rglob("scores.json"))
    }


def pairs(run: Path) -> dict[str, str]:
    """All preference pairs of a run, as text."""
    return {f.relative_to(run).as_posix(): f.read_text() for f in sorted(run.rglob("pairs.jsonl"))}


def test_run_end_to_end_then_again_then_more(
    call: Call, tiny_model_dir: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    args = small(tiny_model_dir, out)

    first = call("run", "--iters", 1, *args)
    assert first.code == 0, first.err
    assert "base" in first.out
    assert "Iter1" in first.out
    found = scores(out)
    assert {f"base/eval/{name}" for name in BENCHMARKS} <= set(found)
    assert {f"sso/iter-1/eval/{name}" for name in BENCHMARKS} <= set(found)
    assert "sso/iter-1/pair_accuracy" in found
    for stage, values in found.items():
        for score in values:
            assert score["protocol"], stage
            assert "sample-data" in score["marks"], stage  # type: ignore[operator]
            assert score["arm"] == stage.split("/")[0]
    assert list(out.glob("sso/iter-1/policy/model/*.safetensors"))
    assert not (out / "sso" / "iter-1" / "generator" / "model").exists()
    with (out / "tables" / "iterations.csv").open() as handle:
        assert len(list(csv.DictReader(handle))) >= 2
    assert (out / "tables" / "iterations.md").read_text().count("|") > 20

    again = call("run", "--iters", 1, *args)
    assert again.code == 0
    assert "0 stages run" in again.out
    assert scores(out) == found

    changed = call("run", "--iters", 1, *args, "--set", "pair_accuracy.limit=5", "--redo")
    assert changed.code == 0
    assert "changed: limit 4 -> 5" in changed.out
    assert "1 stages run" in changed.out

    other = call("run", "--iters", 1, *args, "--seed", 7)
    assert other.code == 2
    assert "belongs to another experiment: its seeds is [0], yours" in other.err


def test_two_runs_with_one_seed_are_identical(
    call: Call, tiny_model_dir: Path, tmp_path: Path
) -> None:
    for name in ("a", "b"):
        args = small(tiny_model_dir, tmp_path / name, "--benchmarks", "gsm8k")
        done = call("run", "--iters", 1, "--methods", "sso,pbaa,ultrafeedback", "-q", *args)
        assert done.code == 0, done.err
    assert pairs(tmp_path / "a") == pairs(tmp_path / "b")
    assert scores(tmp_path / "a") == scores(tmp_path / "b")
    assert len(pairs(tmp_path / "a")) >= 3


def test_eval_scores_a_model_as_it_is(call: Call, tiny_model_dir: Path, tmp_path: Path) -> None:
    out = tmp_path / "eval"
    done = call(
        "eval", tiny_model_dir, "-b", "gsm8k,math", "--limit", 3, "--engine", "fake", "--out", out
    )
    assert done.code == 0, done.err
    assert set(scores(out)) == {"base/eval/gsm8k", "base/eval/math"}
    assert len((out / "base/eval/gsm8k/items.jsonl").read_text().splitlines()) == 3


def test_plan_shows_every_stage_and_runs_nothing(
    call: Call, tiny_model_dir: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    done = call("plan", "--iters", 2, *small(tiny_model_dir, out))
    assert done.code == 0, done.err
    for stage in ("base/eval/gsm8k", "sso/iter-1/sample", "sso/iter-2/policy", "judge calls"):
        assert stage in done.out
    assert not out.exists()


BAD = [
    (["--iters", "0"], "iterations must be at least 1"),
    (["--set", "trainig.epochs=1"], "did you mean 'training'?"),
    (["--preset", "quikstart"], "did you mean 'quickstart'?"),
    (["--methods", "ssso"], "sso"),
    (["--methods", ""], "name at least one arm"),
    (["--data", "no/such/folder"], "no/such/folder"),
    (["--set", "benchmarks.gsm9k.limit=2"], "gsm8k"),
    (["--set", "benchmarks.gsm8k.protocol=comunity"], "community"),
    (["--judge", "gpt-4"], "OPENAI_API_KEY"),
]


@pytest.mark.parametrize(("extra", "expected"), BAD, ids=[" ".join(case[0]) for case in BAD])
def test_bad_input_is_one_clear_line_and_exit_2(
    call: Call,
    tiny_model_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    extra: list[str],
    expected: str,
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    out = tmp_path / "run"
    done = call("run", *small(tiny_model_dir, out), *extra)
    assert done.code == 2
    assert expected in done.err
    assert "Traceback" not in done.err
    assert len(done.err.strip().splitlines()) == 1
    assert not out.exists()


def test_a_preset_without_a_public_model_asks_for_one(call: Call) -> None:
    done = call("run", "--preset", "llama3.1-8b-sft", "--data", "sample", "--judge", "local")
    assert done.code == 2
    assert "name yours with --model" in done.err


def test_model_folders_that_can_not_be_used(call: Call, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "config.json").write_text("{}")
    done = call("run", *small(empty, tmp_path / "run"))
    assert (done.code, "Traceback" in done.err) == (2, False)
    assert str(empty) in done.err
    (empty / "pytorch_model.bin").write_bytes(b"x")
    done = call("run", *small(empty, tmp_path / "run"))
    assert done.code == 2
    assert "safetensors" in done.err


def test_data_rows_with_a_missing_field_name_file_and_line(
    call: Call, tiny_model_dir: Path, tmp_path: Path
) -> None:
    file = tmp_path / "mine.jsonl"
    file.write_text('{"id": "1", "query": "a"}\n{"id": "2", "text": "b"}\n')
    done = call("run", *small(tiny_model_dir, tmp_path / "run"), "--set", f"queries.file={file}")
    assert done.code == 2
    assert "mine.jsonl:2" in done.err
    assert "query" in done.err
    file.write_text("")
    done = call("run", *small(tiny_model_dir, tmp_path / "run"), "--set", f"queries.file={file}")
    assert done.code == 2
    assert "empty" in done.err


def test_all_problems_are_listed_at_once(
    call: Call, tiny_model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    args = small(tiny_model_dir, tmp_path / "run", "--methods", "ssso", "--data", "no/such")
    done = call("run", *args, "--judge", "gpt-4")
    assert done.code == 2
    assert len(done.err.strip().splitlines()) >= 2


def test_a_full_disk_is_told_and_nothing_is_lost(
    call: Call, tiny_model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import groundwork.files

    out = tmp_path / "run"
    real = groundwork.files.write_atomic

    def full(path: Path, content: str | bytes) -> None:
        if path.name == "scores.json" and "math" in str(path):
            raise OSError(28, "No space left on device", str(path))
        real(path, content)

    monkeypatch.setattr(groundwork.files, "write_atomic", full)
    done = call("run", "--iters", 1, *small(tiny_model_dir, out))
    assert done.code == 2
    assert "the disk is full" in done.err
    assert "resume with" in done.err
    kept = set(scores(out))
    assert kept
    monkeypatch.setattr(groundwork.files, "write_atomic", real)
    resumed = call("run", "--iters", 1, *small(tiny_model_dir, out))
    assert resumed.code == 0, resumed.err
    assert kept < set(scores(out))
