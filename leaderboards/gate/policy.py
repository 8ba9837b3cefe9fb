"""What the gate is to check, and how strictly: the policy, from options or from a YAML file.

default_tier: critical
inconclusive: report
missing: fail
benchmarks:
  gsm8k: {tier: critical, effect: 3}
  mt_bench: {tier: advisory}
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from groundwork.errors import UserError, did_you_mean
from groundwork.files import read_text
from groundwork.records import Section, first_problem

Tier = Literal["critical", "supporting", "advisory"]
Outcome = Literal["report", "pass", "fail"]


class BenchmarkPolicy(Section):
    """One benchmark's tier, and the smallest loss that matters (``None``: the benchmark's own)."""

    tier: Tier | None = None
    effect: float | None = Field(None, gt=0)


class GatePolicy(Section):
    """The gate's rules.

    A *critical* benchmark decides the verdict: its loss fails it, and where it can't tell the gate
    can't either. A *supporting* one fails the gate by a loss, and is only reported where it can't
    tell. An *advisory* one is only reported. ``inconclusive`` and ``missing`` turn "cannot tell" and
    "missing" into another outcome; ``alpha`` is the error rate over all benchmarks that can fail the
    gate. ``only`` names the benchmarks to check (empty: all); ``arm`` and ``iteration`` choose a
    checkpoint other than each arm's last.
    """

    default_tier: Tier = "critical"
    benchmarks: dict[str, BenchmarkPolicy] = Field(default_factory=dict)
    inconclusive: Outcome = "report"
    missing: Outcome = "fail"
    alpha: float = Field(0.05, gt=0, lt=0.5)
    only: tuple[str, ...] = ()
    arm: str | None = None
    iteration: int | None = Field(None, ge=0)

    @property
    def named(self) -> tuple[str, ...]:
        """Every benchmark that the policy names."""
        return tuple(dict.fromkeys([*self.only, *self.benchmarks]))

    def tier(self, benchmark: str) -> Tier:
        """The tier of a benchmark."""
        own = self.benchmarks.get(benchmark)
        return (own.tier if own else None) or self.default_tier

    def effect(self, benchmark: str) -> float | None:
        """The smallest loss that matters, where the policy states one."""
        own = self.benchmarks.get(benchmark)
        return own.effect if own else None


def read_policy(path: Path | None, changes: Mapping[str, Any] | None = None) -> GatePolicy:
    """The policy of a YAML file (defaults without one), ``changes`` laid over it.

    Raises:
        UserError: an unreadable file, an unknown key (the nearest one is named), or a value that a
            policy can't have.
    """
    content = {} if path is None else _content(path)
    where = "the gate's policy" if path is None else str(path)
    benchmarks = {**(content.get("benchmarks") or {})}
    given = dict(changes or {})
    for name, own in (given.pop("benchmarks", None) or {}).items():
        benchmarks[name] = {**(benchmarks.get(name) or {}), **own}
    merged = {**content, **given, "benchmarks": benchmarks}
    unknown = sorted(set(merged) - set(GatePolicy.model_fields))
    if unknown:
        hint = did_you_mean(unknown[0], GatePolicy.model_fields)
        raise UserError(f"{where}: unknown key {unknown[0]!r} ({hint})")
    try:
        return GatePolicy.model_validate(merged)
    except ValidationError as error:
        raise UserError(f"{where}: {first_problem(error)}") from None


def _content(path: Path) -> dict[str, Any]:
    import yaml

    try:
        content = yaml.safe_load(read_text(path)) or {}
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not valid YAML ({' '.join(str(error).split())})") from None
    if not isinstance(content, dict) or not isinstance(content.get("benchmarks") or {}, dict):
        raise UserError(f"{path}: a policy is a mapping, and so are its benchmarks")
    return content
