"""What the forward probe found is kept for the same model and settings, and for nothing else."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import sso.forward_probe
from groundwork.errors import UserError
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
    lora = OPTIONS.model_copy(update={"lora": LoraSettings(rank=2)})
    assert KeptPlan(model, [group(20)], lora).read() is None
    assert KeptPlan(model, [group(20)], OPTIONS, sharded=True).read() is None
    assert KeptPlan(build("qwen2"), [group(20)], OPTIONS).read() is None
    assert KeptPlan(model.to(torch.bfloat16), [group(20)], OPTIONS).read() is None


def test_a_plan_holds_for_twice_the_length_but_not_across_a_number_of_the_configuration() -> None:
    model = build("llama")
    model.config.max_position_embeddings = model.config.vocab_size = 4096
    plan = ForwardPlan(shared_prefix=False)

    def known(length: int) -> bool:
        return KeptPlan(model, [group(length)], OPTIONS).read() is not None

    KeptPlan(model, [group(300)], OPTIONS).write(plan)
    assert known(1)
    assert known(599)
    assert not known(600)
    model.config.layer_types = [{"window": 450}]
    KeptPlan(model, [group(300)], OPTIONS).write(plan)
    assert known(449)
    assert not known(450)


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


def test_a_model_without_finite_numbers_is_refused_with_a_kept_plan_too(
    tiny_model_dir: Path, tmp_path: Path
) -> None:
    run(tiny_model_dir, tmp_path / "a", settings_of())
    broken = shutil.copytree(tiny_model_dir, tmp_path / "broken")
    file = next(broken.glob("*.safetensors"))
    state = {name: torch.full_like(t, torch.nan) for name, t in load_file(file).items()}
    save_file(state, file, metadata={"format": "pt"})
    with pytest.raises(UserError, match="not finite"):
        run(broken, tmp_path / "b", settings_of())


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    kept = KeptPlan(build("llama"), [group(20)], OPTIONS)
    kept.write(replace(ForwardPlan(), notes=("n",)))
    assert kept.read() is None
