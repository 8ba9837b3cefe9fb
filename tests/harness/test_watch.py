"""Checkpoints of a training are evaluated once, in the order of their steps; broken ones are told and skipped."""

from __future__ import annotations

import json
import shutil
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from groundwork.errors import UserError
from harness.config import RunConfig, load_config
from harness.progress import Reporter
from harness.watch import WatchSettings, watch
from leaderboards import load_runs
from tests.conftest import build_tiny_model


class Lines(Reporter):
    """Keeps what is said."""

    def __init__(self) -> None:
        super().__init__(Console(quiet=True), quiet=True)
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("harness.watch.SETTLE_S", 0.0)
    monkeypatch.setenv("SSO_BENCH_CACHE", str(tmp_path / "cache"))


def settings(folder: Path, *overrides: str) -> RunConfig:
    limits = {"gsm8k": {"limit": 2}}
    flags = {"model": str(folder), "iterations": 0, "methods": [], "seeds": [0]}
    config = load_config("quickstart", ["engine.kind=fake", *overrides], flags)
    return RunConfig.model_validate({**config.model_dump(), "benchmarks": limits})


def rows(out: Path) -> list[tuple[str, int]]:
    found = load_runs([out])
    return sorted({(str(a), int(i)) for a, i in zip(found["arm"], found["iteration"], strict=True)})


def test_each_whole_checkpoint_is_evaluated_once_in_order(
    tiny_model_dir: Path, tmp_path: Path
) -> None:
    folder, out = tmp_path / "sft", tmp_path / "out"
    for step in (100, 20):
        build_tiny_model(folder / f"checkpoint-{step}", seed=step)
    build_tiny_model(folder / "checkpoint-50", seed=50)
    (folder / "checkpoint-50" / "model.safetensors").write_bytes(b"half")
    config, how = settings(folder), WatchSettings(folder, once=True)
    first = Lines()
    assert watch(config, out, first, how) == 2
    done = [json.loads(p.read_text()) for p in out.glob("sft/iter-*/eval/gsm8k/stage.json")]
    started = sorted((d["started"], d["stage"]) for d in done)
    assert {stage for _, stage in started} == {f"sft/iter-{n}/eval/gsm8k" for n in (20, 100)}
    said = [n for n, line in enumerate(first.lines) if "iter-20/" in line]
    assert said
    assert said[0] < min(n for n, line in enumerate(first.lines) if "iter-100/" in line)
    skipped = [line for line in first.lines if "skipped" in line]
    assert len(skipped) == 1
    assert skipped[0].startswith("checkpoint-50: skipped: ")
    assert "\n" not in skipped[0]
    assert rows(out) == [("sft", 20), ("sft", 100)]
    again = Lines()
    assert watch(config, out, again, how) == 0  # the same line: nothing twice
    build_tiny_model(folder / "checkpoint-50", seed=50)
    shutil.rmtree(folder / "checkpoint-20")  # the trainer keeps its last ones only
    assert watch(config, out, Lines(), how) == 1
    assert rows(out) == [("sft", 20), ("sft", 50), ("sft", 100)]
    assert json.loads((out / "run.json").read_text())["iterations"] == 100
    assert "sft" in (out / "tables" / "iterations.md").read_text()


def test_one_that_appears_later_is_seen_and_an_interrupt_ends_it(
    tiny_model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, out = tmp_path / "sft", tmp_path / "out"
    folder.mkdir()
    looks: list[float] = []
    pause, between = time.sleep, 5.0

    def sleep(seconds: float) -> None:
        if seconds != between:  # something else waits
            pause(seconds)
            return
        looks.append(seconds)
        if len(looks) > 1:
            raise KeyboardInterrupt
        shutil.copytree(tiny_model_dir, folder / "checkpoint-1")

    monkeypatch.setattr(time, "sleep", sleep)
    with pytest.raises(KeyboardInterrupt):
        watch(settings(folder), out, Lines(), WatchSettings(folder, every=between))
    assert rows(out) == [("sft", 1)]
    assert not [
        t for t in threading.enumerate() if not t.daemon and t is not threading.main_thread()
    ]


def test_an_adapter_is_merged_onto_the_base_which_is_scored_first(
    tiny_model_dir: Path, tmp_path: Path
) -> None:
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    from sso.lora import merge_saved_adapter

    folder, out = tmp_path / "lora", tmp_path / "out"
    model: Any = AutoModelForCausalLM.from_pretrained(tiny_model_dir)
    adapted = get_peft_model(
        model, LoraConfig(r=4, lora_alpha=6, target_modules=["q_proj", "down_proj"])
    )
    torch.manual_seed(0)
    for name, parameter in adapted.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    adapted.save_pretrained(folder / "checkpoint-3")
    merge_saved_adapter(folder / "checkpoint-3", tiny_model_dir, tmp_path / "merged")
    ours = AutoModelForCausalLM.from_pretrained(tmp_path / "merged").state_dict()
    theirs = adapted.merge_and_unload().state_dict()
    assert max(float((ours[k] - theirs[k]).abs().max()) for k in theirs) < 1e-6
    how = WatchSettings(folder, base=str(tiny_model_dir), name="My LoRA", once=True)
    lines = Lines()
    assert watch(settings(tiny_model_dir), out, lines, how) == 1
    assert rows(out) == [("My_LoRA", 3), ("base", 0)]
    assert "My LoRA" in (out / "tables" / "iterations.md").read_text()
    assert not list(out.rglob("merged*"))
    again = Lines()
    assert watch(settings(tiny_model_dir), out, again, how) == 0
    assert not any("merging" in line for line in again.lines)


@pytest.mark.parametrize(
    ("folder", "benchmarks", "said"),
    [
        ("none", "gsm8k", "is no folder"),
        (".", "alpaca_eval", "the local one, which reads the starting model: name it with --model"),
        (".", "gsmk", "did you mean 'gsm8k'"),
        (".", "gsm8k", "no checkpoint in"),
    ],
)
def test_mistakes_end_before_anything_is_evaluated(
    folder: str, benchmarks: str, said: str, tmp_path: Path
) -> None:
    config = settings(tmp_path)
    config = config.model_copy(update={"benchmarks": {benchmarks: config.benchmarks["gsm8k"]}})
    with pytest.raises(UserError, match=said):
        watch(config, tmp_path / "out", Lines(), WatchSettings(tmp_path / folder, once=True))
    assert not list((tmp_path / "out").rglob("stage.json"))
