"""A training that can't fit is refused before the start, with a change that fits."""

from __future__ import annotations

from pathlib import Path

import pytest

from groundwork.errors import UserError
from harness.config import load_config
from harness.planning import preflight
from harness.planning.preflight import check_memory


def memory(monkeypatch: pytest.MonkeyPatch, size: float, gpu: bool) -> None:
    monkeypatch.setattr(preflight, "device_memory", lambda: (size, gpu))


def test_what_fits_passes_and_what_does_not_names_step_and_change(
    tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = load_config("quickstart", ["training.micro_tokens=8192"])
    memory(monkeypatch, 8e9, False)
    check_memory(config, tiny_model_dir)
    memory(monkeypatch, 0.625e9, False)
    with pytest.raises(
        UserError, match=r"training the generator needs about .* GB.*: set training\.gra"
    ):
        check_memory(config, tiny_model_dir)
    memory(monkeypatch, 1e6, True)
    with pytest.raises(UserError, match="use more or larger devices"):
        check_memory(config, tiny_model_dir)


def test_a_model_of_another_form_is_let_through(
    tiny_model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "mamba", "state_size": 4}')
    memory(monkeypatch, 1.0, False)
    check_memory(load_config("quickstart"), tmp_path)
    with pytest.raises(UserError, match="devices"):
        check_memory(load_config("quickstart"), tiny_model_dir)


def test_the_memory_of_this_machine_is_read() -> None:
    size, gpu = preflight.device_memory()
    assert size > 1e8
    assert gpu in (True, False)
