"""What a plan costs: tokens by kind of work, time from operations, weights from headers."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.config import load_config
from harness.estimate import EFFICIENCY, Cost, plan_table, seconds
from harness.prepare import prepare
from sso.checkpoints import count_weights


def test_seconds_are_operations_over_the_reached_rate() -> None:
    cost = Cost(prompt=700, new=250, train=550)
    # 2 operations per weight and token; 700/0.7 + 250/0.25 + 4 * 550/0.55 = 6000 tokens' worth
    assert EFFICIENCY == {"prompt": 0.7, "new": 0.25, "train": 0.55}
    assert seconds(cost, 10**9, 1000.0) == pytest.approx(2 * 10**9 * 6000 / 1e12)
    assert cost.tokens == 1500


def test_the_number_of_weights_is_read_off_the_headers(tiny_model_dir: Path) -> None:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(tiny_model_dir)
    assert count_weights(tiny_model_dir) == sum(p.numel() for p in model.parameters())


def test_the_table_has_a_line_per_stage_and_totals(tiny_model_dir: Path, tmp_path: Path) -> None:
    overrides = [f"model={tiny_model_dir}", "engine.kind=fake", "iterations=1"]
    config = load_config("quickstart", [*overrides, "benchmarks={gsm8k: {protocol: quick}}"])
    prepared = prepare(config, None, lambda text: None)
    lines = plan_table(prepared, tmp_path / "run")
    assert [line.split()[0] for line in lines[1 : len(prepared.plan) + 1]] == [
        stage.id for stage in prepared.plan
    ]
    assert any(line.startswith("to do: ") for line in lines)
    assert "gsm8k" in lines[-1]
