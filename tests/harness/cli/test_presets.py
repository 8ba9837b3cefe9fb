"""The list of presets, one in full, the protocols."""

from __future__ import annotations

import pytest
import yaml
from typer.testing import CliRunner

from harness.benchmarks import all_protocols
from harness.cli.main import application
from harness.config import RunConfig, preset_names


def output(*args: str) -> str:
    done = CliRunner().invoke(application(), ["presets", *args])
    assert done.exit_code == 0, done.output
    return done.output


def test_every_preset_has_a_line() -> None:
    names = [line.split()[0] for line in output().splitlines()]
    assert names == preset_names()


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_in_full_is_a_configuration(name: str) -> None:
    shown = yaml.safe_load(output(name))
    assert RunConfig.model_validate(shown).preset == name


def test_every_protocol_is_listed_with_its_version() -> None:
    shown = output("protocols")
    for spec in all_protocols():
        assert f"{spec.name}@{spec.version}: " in shown
