"""What a benchmark's verdict does to the verdict of the whole."""

import json

import pytest

from leaderboards.gate.policy import GatePolicy
from leaderboards.gate.result import GateCheck, GateResult, effective


def verdict(status, tier="critical"):
    return GateCheck(
        "gsm8k", "accuracy", "base", 0, tier, status, "why", 1.0, 2.0, 1.0, 0.5, 1.0, 0.1, 4.0, 1.4, 100,
        "mcnemar",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("status", "tier", "expected"),
    [
        ("pass", "critical", "pass"),
        ("fail", "critical", "fail"),
        ("cannot tell", "critical", "cannot tell"),
        ("missing", "critical", "fail"),
        ("fail", "supporting", "fail"),
        ("cannot tell", "supporting", "pass"),
        ("missing", "supporting", "fail"),
        ("fail", "advisory", "pass"),
        ("missing", "advisory", "pass"),
    ],
)
def test_tiers(status, tier, expected):
    assert effective(verdict(status, tier), GatePolicy()) == expected


@pytest.mark.parametrize(
    ("statuses", "status", "code"),
    [
        (("pass", "pass"), "pass", 0),
        (("pass", "cannot tell"), "cannot tell", 3),
        (("cannot tell", "fail"), "fail", 1),
        (("pass", "missing"), "fail", 1),
    ],
)
def test_the_worst_benchmark_decides(statuses, status, code):
    result = GateResult("new", "old", tuple(map(verdict, statuses)), GatePolicy())
    assert (result.status, result.exit_code) == (status, code)
    content = json.loads(result.to_json())
    assert (content["schema"], content["status"], content["exit_code"]) == (1, status, code)
    assert content["policy"]["missing"] == "fail"
    assert content["checks"][0]["tier"] == "critical"
