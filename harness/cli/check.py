"""``sso-bench check`` and ``baseline``: the gate that a team puts into CI."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from groundwork.errors import UserError
from harness.cli.options import expanded, given, split_names

Arm = Annotated[str | None, typer.Option("--arm", help="Only this arm.")]
Iteration = Annotated[
    int | None, typer.Option("--iteration", help="This iteration instead of the last.")
]


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What is checked, and how strictly."""

    policy: Annotated[
        Path | None, typer.Option("--policy", help="YAML file with tiers, effects and rules.")
    ] = None
    arm: Arm = None
    iteration: Iteration = None
    benchmarks: Annotated[
        str | None, typer.Option("--benchmarks", "-b", help="Only these, comma-separated.")
    ] = None
    effect: Annotated[
        list[str] | None,
        typer.Option("--effect", help="Smallest loss that matters: gsm8k=3 (repeatable)."),
    ] = None
    inconclusive: Annotated[
        str | None, typer.Option("--inconclusive", help="When it can't tell: report, pass or fail.")
    ] = None
    missing: Annotated[
        str | None,
        typer.Option(
            "--missing", help="A benchmark without a figure: fail (default), report, pass."
        ),
    ] = None
    alpha: Annotated[
        float | None, typer.Option("--alpha", help="Error rate over all checks (0.05).")
    ] = None

    def changes(self) -> dict[str, Any]:
        """The options given, as they change the policy."""
        only = None if self.benchmarks is None else split_names(self.benchmarks)
        if only == []:
            raise UserError("--benchmarks: name at least one benchmark")
        effects = {name: {"effect": value} for name, value in _effects(self.effect or []).items()}
        return given(
            arm=self.arm,
            iteration=self.iteration,
            only=only,
            benchmarks=effects,
            inconclusive=self.inconclusive,
            missing=self.missing,
            alpha=self.alpha,
        )


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """Files to write."""

    junit: Annotated[Path | None, typer.Option("--junit", help="JUnit XML to write.")] = None
    summary: Annotated[Path | None, typer.Option("--summary", help="Markdown to write.")] = None
    json: Annotated[Path | None, typer.Option("--json", help="JSON to write.")] = None


@expanded
def check(
    run: Annotated[Path, typer.Argument(help="Run folder to check.")],
    baseline: Annotated[
        str, typer.Option("--baseline", help="Run folder, baseline file or history:BRANCH.")
    ],
    rules: Rules,
    outputs: Outputs,
    history: Annotated[
        str | None, typer.Option("--history", help="File or URL of the history.")
    ] = None,
) -> None:
    """Compare a run with a baseline: exit 0 pass, 1 fail, 3 cannot tell, 2 bad input."""
    from leaderboards import check as run_check
    from leaderboards import gate_text, read_policy, write_outputs

    policy = read_policy(rules.policy, rules.changes())
    result = run_check(run, baseline, policy, history=history)
    print(gate_text(result), end="")
    write_outputs(result, junit=outputs.junit, summary=outputs.summary, json=outputs.json)
    raise typer.Exit(result.exit_code)


def _effects(texts: list[str]) -> dict[str, float]:
    found = {}
    for text in texts:
        name, _, value = text.partition("=")
        try:
            found[name] = float(value)
        except ValueError:
            raise UserError(f"--effect {text!r}: expected BENCHMARK=NUMBER") from None
        if not found[name] > 0:
            raise UserError(f"--effect {text!r}: the smallest loss that matters is above 0")
    return found


baseline = typer.Typer(
    help="Baselines for check: small files with per-item results.", no_args_is_help=True
)


@baseline.command()
def save(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write.")] = Path(
        "baseline.json"
    ),
    arm: Arm = None,
    iteration: Iteration = None,
) -> None:
    """Save a run's per-item results as a small file that check can compare with."""
    from leaderboards import save_baseline

    path = save_baseline(run, out, arm=arm, iteration=iteration)
    print(f"written: {path} ({path.stat().st_size:,} bytes)")
