"""Inputs of a small plan: a stand-in for the resolved model, the sample data."""

from __future__ import annotations

from pathlib import Path

from harness.cli.options import select_benchmarks
from harness.config import load_config
from harness.data import open_source
from harness.models import ResolvedModel
from harness.stage import PlanInputs


def plan_inputs(*overrides: str, benchmarks: str | None = None) -> PlanInputs:
    """The quick start with overrides (on the named benchmarks), on a model of fingerprint ``f``."""
    config = select_benchmarks(load_config("quickstart", overrides), benchmarks, None)
    model = Path("m")
    return PlanInputs(config, open_source("sample"), ResolvedModel(model, "folder", "m", "f" * 64))
