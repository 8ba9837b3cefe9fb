"""The claim behind SSO's generator, on the quick-start model: y- stays closer to the policy."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "docs" / "benchmarks" / "onpolicy.py"


@pytest.mark.slow
def test_rejected_responses_are_more_on_policy_than_with_pbaa_generator(
    smollm2_dir: Path, tmp_path: Path
) -> None:
    report = tmp_path / "report.json"
    command = [sys.executable, str(SCRIPT), "--model", str(smollm2_dir), "--json", str(report)]
    subprocess.run([*command, "--queries", "32"], check=True, timeout=1800)
    rejected = json.loads(report.read_text("utf-8"))["rejected"]
    assert rejected["n"] >= 24
    assert rejected["ci_low"] > 0
    assert rejected["wilcoxon_p_value"] < 0.05
