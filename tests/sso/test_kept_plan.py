"""What the forward probe found is kept for the same model and settings, and for nothing else."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import sso.forward_probe
from sso.encoding import EncodedBranch, EncodedGroup, EncodedPair
from sso.fast_forward import ForwardPlan
from sso.kept_plan import KeptPlan
from sso.settings import LoraSettings, TrainingSettings
from tests.architectures import build
from tests.sso.test_training import run, settings_of, weights

OPTIONS = TrainingSettings()


def group(length: int) -> EncodedGroup:
    branch = EncodedBranch(tuple(range(1, length)), ((3,),))
    return EncodedGroup("g", (branch,), {"policy": EncodedPair("g", 0, 0, 0)})


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("SSO_BENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "forward-plans"


def test_a_plan_is_read_for_what_it_was_found_for_only(cache: Path) -> None:
    model = build("llama")
    plan = ForwardPlan(shared_prefix=False, notes=("why",), lean_layers=True)
    kept = KeptPlan(model, [group(20)], OPTIONS)
    assert kept.read() is None
    kept.write(plan)
    assert KeptPlan(build("llama"), [group(20)], OPTIONS).read() == plan
    assert KeptPlan(model, [group(10)], OPTIONS).read() == plan
    assert KeptPlan(model, [group(21)], OPTIONS).read() is None
    lora = OPTIONS.model_copy(update={"lora": LoraSettings(rank=2)})
    assert KeptPlan(model, [group(20)], lora).read() is None
    assert KeptPlan(model, [group(20)], OPTIONS, sharded=True).read() is None
    assert KeptPlan(build("qwen2"), [group(20)], OPTIONS).read() is None
    assert KeptPlan(model.to(torch.bfloat16), [group(20)], OPTIONS).read() is None


@pytest.mark.parametrize("damage", ["{", "[]", '{"length": 99}', "changed"])
def test_a_damaged_note_is_not_read(cache: Path, damage: str) -> None:
    kept = KeptPlan(build("llama"), [group(20)], OPTIONS)
    kept.write(ForwardPlan(shared_prefix=False))
    if damage == "changed":
        note = json.loads(kept.file.read_text())
        note["plan"]["shared_prefix"] = True
        damage = json.dumps(note)
    kept.file.write_text(damage)
    assert kept.read() is None


def test_a_training_with_a_kept_plan_gives_the_same_weights(
    tiny_model_dir: Path, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run(tiny_model_dir, tmp_path / "a", settings_of())
    assert len(list(cache.iterdir())) == 1

    def probed(*_: object, **__: object) -> None:
        raise AssertionError("probed again")

    monkeypatch.setattr(sso.forward_probe, "measure_untouched", probed)
    second = run(tiny_model_dir, tmp_path / "b", settings_of())
    for name, value in weights(tmp_path / "a").items():
        assert torch.equal(value, weights(tmp_path / "b")[name])
    assert first.notes == second.notes


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    kept = KeptPlan(build("llama"), [group(20)], OPTIONS)
    kept.write(replace(ForwardPlan(), notes=("n",)))
    assert kept.read() is None
