"""The verdict of the gate: of each benchmark, and of the whole."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Literal

from leaderboards.gate.decide import Status
from leaderboards.gate.policy import GatePolicy, Outcome, Tier

CheckStatus = Literal["pass", "fail", "cannot tell", "missing"]
EXIT_CODES: dict[Status, int] = {"pass": 0, "fail": 1, "cannot tell": 3}


@dataclass(frozen=True)
class GateCheck:
    """The verdict on one benchmark of one checkpoint; figures in the benchmark's own unit.

    ``p_worse`` is the corrected one-sided p-value of a loss, ``largest_loss`` what the one-sided
    95 % bound leaves possible, ``detectable`` the smallest difference found with 80 % power.
    ``lost`` and ``gained`` are the items that only the baseline, or only the run, got right.
    """

    benchmark: str
    metric: str
    arm: str
    iteration: int
    tier: Tier
    status: CheckStatus
    reason: str
    before: float | None
    after: float | None
    difference: float | None
    stderr: float | None
    p_worse: float
    largest_loss: float | None
    minimum_effect: float
    detectable: float | None
    n: int
    method: str
    lost: tuple[str, ...] = ()
    gained: tuple[str, ...] = ()


@dataclass(frozen=True)
class GateResult:
    """The verdict of the whole, under a policy."""

    run: str
    baseline: str
    checks: tuple[GateCheck, ...]
    policy: GatePolicy
    remarks: tuple[str, ...] = ()

    @property
    def status(self) -> Status:
        """Fail if any benchmark fails the gate, pass if all pass, else cannot tell."""
        found = {effective(check, self.policy) for check in self.checks}
        if "fail" in found:
            return "fail"
        return "cannot tell" if "cannot tell" in found else "pass"

    @property
    def exit_code(self) -> int:
        """0 pass, 1 fail, 3 cannot tell."""
        return EXIT_CODES[self.status]

    def to_json(self) -> str:
        """Everything as JSON."""
        head = {"schema": 1, "status": self.status, "exit_code": self.exit_code, "run": self.run}
        rest = {"baseline": self.baseline, "policy": self.policy.model_dump(mode="json")}
        checks = [asdict(check) for check in self.checks]
        body = {**head, **rest, "remarks": self.remarks, "checks": checks}
        return json.dumps(body, indent=2, default=str) + "\n"


_MEANING: dict[Outcome, Status] = {"report": "cannot tell", "pass": "pass", "fail": "fail"}


def effective(check: GateCheck, policy: GatePolicy) -> Status:
    """What a benchmark's verdict does to the verdict of the whole."""
    if check.tier == "advisory" or check.status == "pass":
        return "pass"
    if check.status == "missing":
        return _MEANING[policy.missing]
    if check.status == "cannot tell":
        return "pass" if check.tier == "supporting" else _MEANING[policy.inconclusive]
    return "fail"
