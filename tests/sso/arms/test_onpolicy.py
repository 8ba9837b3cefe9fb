"""The claim behind SSO's generator, on the quick-start model: y- stays closer to the policy.

About a quarter of an hour on two cores: the effect is a tenth of a nat a token, and fewer queries or
responses do not show it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "docs" / "benchmarks" / "onpolicy.py"


@pytest.mark.slow
def test_rejected_responses_are_more_on_policy_than_with_pbaa_generator(
    smollm2_dir: Path, data_dir: Path, tmp_path: Path
) -> None:
    report = tmp_path / "report.json"
    command = [sys.executable, str(SCRIPT), "--model", str(smollm2_dir), "--data", str(data_dir)]
    command += ["--queries", "64", "--draws", "4", "--json", str(report)]
    subprocess.run(command, check=True, timeout=2400)
    rejected = json.loads(report.read_text("utf-8"))["rejected"]
    assert rejected["n"] >= 56
    assert rejected["difference"] > 0
    assert rejected["t_p_value"] / 2 < 0.05  # one-sided: the claim has a direction
