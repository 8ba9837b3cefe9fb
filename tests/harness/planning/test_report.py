"""The report for machines that are not here."""

from __future__ import annotations

from harness.config import load_config
from harness.planning.devices import parse_machines
from harness.planning.report import disk_bytes, estimates, plan_report

N = 8_030_261_248


def test_eight_gpus_run_the_preset_and_one_does_not() -> None:
    config = load_config("llama3.1-8b-instruct")
    for machines in ("8xH100", "2x8xA100-80GB"):
        rows = estimates(config, parse_machines(machines))
        assert not [row.problem for row in rows if row.problem]
        assert max(row.memory for row in rows) < 80 * 2**30
    lines = plan_report(config, parse_machines("1xH100"))
    assert "does not fit: sso-joint/iter-1/policy" in lines[-1]
    assert "training.lora.rank=16" in lines[-1]


def test_twice_the_devices_take_less_time_but_not_half() -> None:
    config = load_config("qwen2-7b-sft")
    one, two = (
        sum(row.seconds for row in estimates(config, parse_machines(text)))
        for text in ("8xH100", "2x8xH100")
    )
    assert one / 2 < two < one


def test_disk_counts_checkpoints_and_two_mid_stage_ones() -> None:
    config = load_config("llama3.1-8b-instruct")
    found = disk_bytes(config, N)
    assert found["checkpoints"] == (9 + 1) * 2 * N  # three arms, three iterations, one generator
    assert found["mid-stage"] == 2 * 12 * N
    lora = load_config("llama3.1-8b-instruct", ["training.lora.rank=8"])
    assert disk_bytes(lora, N)["mid-stage"] == 0


def test_the_72b_writer_of_the_second_version_is_planned_on_its_own_shape() -> None:
    config = load_config("v2-qwen2-7b-sft")
    rows = {row.stage.id: row for row in estimates(config, parse_machines("8xH100"))}
    writer = rows["principles-1"]
    assert writer.stage.model == "Qwen/Qwen2.5-72B-Instruct"
    assert writer.memory > 72_706_203_648 * 2 / 8
    assert not writer.problem
