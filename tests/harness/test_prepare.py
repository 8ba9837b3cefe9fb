"""Everything that is wrong before a run starts, reported at once; nothing fetched, nothing spent."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from groundwork.errors import UserError
from harness.config import load_config
from harness.prepare import disk_needed, named_model, prepare
from sso.checkpoints import count_weights

QUICK = "benchmarks={gsm8k: {protocol: quick}}"


def quiet(text: str) -> None:
    """No log."""


def test_a_usable_experiment_has_its_plan(tiny_model_dir: Path, tmp_path: Path) -> None:
    config = load_config("quickstart", [f"model={tiny_model_dir}", "engine.kind=fake", QUICK])
    prepared = prepare(config, tmp_path / "run", quiet)
    assert prepared.config is config
    assert prepared.plan[0].id.startswith("base/eval/")
    assert prepared.inputs.model.path == tiny_model_dir
    assert not (tmp_path / "run").exists()


def test_all_problems_at_once(tiny_model_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    config = load_config(
        "quickstart",
        [f"model={tiny_model_dir}", "methods=[ssso]", "data=absent", "benchmarks={gsm9k: {}}"],
    )
    with pytest.raises(UserError) as caught:
        prepare(config, tmp_path, quiet)
    lines = str(caught.value).splitlines()
    for part in ("holds other files (notes.txt)", "'sso'", "'gsm8k'", "no data folder absent"):
        assert sum(part in line for line in lines) == 1, (part, lines)


def test_a_model_that_is_missing_is_not_fetched_for_a_wrong_name(tmp_path: Path) -> None:
    config = load_config("quickstart", ["model=some/model", "methods=[ssso]"])
    with pytest.raises(UserError) as caught:
        prepare(config, tmp_path / "run", quiet)
    assert "some/model" not in str(caught.value)


def test_a_preset_without_a_public_model_asks_for_one() -> None:
    with pytest.raises(UserError, match="not public: name yours with --model"):
        named_model(load_config("quickstart", ["model=''"]))


@pytest.mark.parametrize(
    ("overrides", "checkpoints"),
    [
        (["iterations=2", "methods=[sso]"], 2 + 1),
        (["iterations=2", "methods=[sso,pbaa]"], 4 + 1),
        (["iterations=2", "methods=[sso]", "storage.keep_generators=true"], 2 + 2),
        (["iterations=3", "methods=[sso]", "storage.keep_policies=last"], 2 + 1),
        (["iterations=0", "methods=[]"], 0),
    ],
)
def test_disk_of_the_checkpoints(
    overrides: list[str], checkpoints: int, tiny_model_dir: Path
) -> None:
    weights = 4 * count_weights(tiny_model_dir)  # float32
    config = load_config("quickstart", overrides)
    model = SimpleNamespace(path=tiny_model_dir, source="folder")
    assert disk_needed(config, model) == checkpoints * weights  # type: ignore[arg-type]


def test_disk_of_two_mid_stage_checkpoints_with_moments(tiny_model_dir: Path) -> None:
    config = load_config("quickstart", ["training.checkpoint_every=5"])
    model = SimpleNamespace(path=tiny_model_dir, source="folder")
    plain = disk_needed(load_config("quickstart"), model)  # type: ignore[arg-type]
    weights = count_weights(tiny_model_dir)
    assert disk_needed(config, model) == plain + 2 * 12 * weights  # type: ignore[arg-type]


def test_a_disk_without_room_is_refused(
    tiny_model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda place: SimpleNamespace(free=10**6))
    config = load_config("quickstart", [f"model={tiny_model_dir}", "engine.kind=fake", QUICK])
    with pytest.raises(UserError, match="not enough disk space"):
        prepare(config, tmp_path / "run", quiet)
