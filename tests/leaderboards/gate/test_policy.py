"""The policy of the gate: from a file, with options over it, and what it refuses."""

import pytest

from groundwork.errors import UserError
from leaderboards.gate.policy import read_policy

TEXT = """
default_tier: supporting
missing: report
benchmarks:
  gsm8k: {tier: critical, effect: 3}
  mt_bench: {tier: advisory}
"""


def test_a_file_with_options_over_it(tmp_path):
    path = tmp_path / "gate.yaml"
    path.write_text(TEXT)
    policy = read_policy(path, {"alpha": 0.01, "benchmarks": {"gsm8k": {"effect": 5}}})
    tiers = [policy.tier(name) for name in ("gsm8k", "mt_bench", "math")]
    assert tiers == ["critical", "advisory", "supporting"]
    assert [policy.effect(name) for name in ("gsm8k", "math")] == [5, None]
    assert (policy.missing, policy.inconclusive, policy.alpha) == ("report", "report", 0.01)
    assert policy.named == ("gsm8k", "mt_bench")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mising: pass", r"unknown key 'mising' \(did you mean 'missing'"),
        (
            "benchmarks: {gsm8k: {tier: high}}",
            r"benchmarks\.gsm8k\.tier: Input should be 'critical'",
        ),
        ("benchmarks: {gsm8k: {effect: -3}}", r"benchmarks\.gsm8k\.effect: .*greater than 0"),
        ("benchmarks: {gsm8k: {efect: 3}}", r"benchmarks\.gsm8k\.efect: Extra"),
        ("benchmarks: [gsm8k]", "a policy is a mapping, and so are its benchmarks"),
        ("a: [", "not valid YAML"),
        ("alpha: 0.9", "alpha: .*less than 0.5"),
    ],
)
def test_what_a_policy_can_not_be(tmp_path, text, message):
    path = tmp_path / "gate.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=message) as raised:
        read_policy(path)
    assert "\n" not in str(raised.value)


def test_no_such_file(tmp_path):
    with pytest.raises(UserError, match=r"no such file: .*none\.yaml"):
        read_policy(tmp_path / "none.yaml")
