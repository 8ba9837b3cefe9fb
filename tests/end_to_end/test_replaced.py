"""Finished work is not replaced unasked, and comes back where its replacement did not finish."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.config import load_config
from harness.experiment import default_out
from tests.end_to_end.conftest import Call, small


def score_files(run: Path) -> dict[str, str]:
    """Every scores.json of a run."""
    return {
        f.relative_to(run).as_posix(): f.read_text()
        for f in sorted(run.rglob("scores.json"))
        if ".replaced" not in f.parts
    }


def test_other_settings_stop_before_finished_stages_and_list_them(
    call: Call, tiny_model_dir: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    args = ["eval", tiny_model_dir, *small(tiny_model_dir, out)[2:], "-b", "gsm8k,mmlu_pro", "-q"]
    first = call(*args)
    assert first.code == 0, first.err
    before = score_files(out)

    other = call(*args, "--limit", 1)
    assert other.code == 2
    assert "2 finished stages" in other.err
    assert "base/eval/gsm8k (input data, limit 4 -> 1)" in other.err
    assert "--redo" in other.err
    assert score_files(out) == before

    more = call(*args[:-3], "-b", "gsm8k,mmlu_pro,math", "-q")
    assert more.code == 0, more.err
    assert {k: v for k, v in score_files(out).items() if k in before} == before

    redone = call(*args, "--limit", 1, "--redo")
    assert redone.code == 0, redone.err
    scores = json.loads((out / "base/eval/gsm8k/scores.json").read_text())
    assert scores[0]["n_expected"] == 1
    assert not list((out / ".replaced").rglob("stage.json"))


def test_results_come_back_where_their_replacement_failed(
    call: Call, tiny_model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from harness.engines.fake import FakeEngine

    out = tmp_path / "run"
    args = ["eval", tiny_model_dir, *small(tiny_model_dir, out)[2:], "-b", "gsm8k", "-q"]
    assert call(*args).code == 0
    before = score_files(out)

    def broken(self: FakeEngine, *args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device", "f")

    with monkeypatch.context() as patch:
        patch.setattr(FakeEngine, "chat", broken)
        assert call(*args, "--limit", 1, "--redo").code == 2
    assert score_files(out) == {}
    again = call(*args)
    assert again.code == 0, again.err
    assert score_files(out) == before


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        ([], "quickstart"),
        (["loss.kind=dpo"], "quickstart-kind=dpo"),
        (["iterations=1", "storage.keep_generators=true"], "quickstart"),
        (["benchmarks.gsm8k.limit=3"], "quickstart-gsm8k.limit=3"),
        (["training.learning_rate=1e-6", "seeds=[1]"], "quickstart-seed1-learning_rate=1e-06"),
    ],
)
def test_the_default_folder_tells_settings_apart(overrides: list[str], name: str) -> None:
    config, preset = load_config("quickstart", overrides), load_config("quickstart")
    assert default_out(config, preset) == Path("runs") / name


def test_many_settings_make_a_short_name() -> None:
    overrides = [f"training.{k}" for k in ("learning_rate=1e-7", "batch_size=3", "epochs=2")]
    overrides += ["sampling.max_new_tokens=17", "sampling.temperature=0.3"]
    name = default_out(load_config("quickstart", overrides), load_config("quickstart")).name
    assert len(name) < 80
    other = default_out(load_config("quickstart", overrides[:-1]), load_config("quickstart")).name
    assert name != other


def test_an_engine_that_is_not_installed_is_refused_before_anything_is_replaced(
    call: Call, tiny_model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib.util

    out = tmp_path / "run"
    args = ["eval", tiny_model_dir, *small(tiny_model_dir, out)[2:], "-b", "gsm8k", "-q"]
    assert call(*args).code == 0
    before = score_files(out)
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == "vllm" else real(name, *a)
    )
    refused = call(*args, "--set", "engine.kind=vllm", "--redo")
    assert refused.code == 2
    assert "needs the package vllm" in refused.err
    assert score_files(out) == before
