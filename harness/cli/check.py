"""``sso-bench check`` and ``baseline``: the gate that a team puts into CI."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, cast

import typer

from harness.cli.options import split_names

Arm = Annotated[str | None, typer.Option("--arm", help="Only this arm.")]
Iteration = Annotated[
    int | None, typer.Option("--iteration", help="This iteration instead of the last.")
]


def check(
    run: Annotated[Path, typer.Argument(help="Run folder to check.")],
    baseline: Annotated[
        str, typer.Option("--baseline", help="Run folder, baseline file or history:BRANCH.")
    ],
    arm: Arm = None,
    iteration: Iteration = None,
    benchmarks: Annotated[
        str | None, typer.Option("--benchmarks", "-b", help="Only these, comma-separated.")
    ] = None,
    effect: Annotated[
        list[str] | None,
        typer.Option("--effect", help="Smallest loss that matters: gsm8k=3 (repeatable)."),
    ] = None,
    inconclusive: Annotated[
        str, typer.Option("--inconclusive", help="When it can't tell: report, pass or fail.")
    ] = "report",
    alpha: Annotated[float, typer.Option("--alpha", help="Error rate over all checks.")] = 0.05,
    history: Annotated[
        str | None, typer.Option("--history", help="File or URL of the history.")
    ] = None,
    junit: Annotated[Path | None, typer.Option("--junit", help="JUnit XML to write.")] = None,
    summary: Annotated[Path | None, typer.Option("--summary", help="Markdown to write.")] = None,
    json: Annotated[Path | None, typer.Option("--json", help="JSON to write.")] = None,
) -> None:
    """Compare a run with a baseline: exit 0 pass, 1 fail, 3 cannot tell, 2 bad input."""
    from groundwork.errors import UserError
    from leaderboards import check as run_check
    from leaderboards import gate_text, write_outputs

    if inconclusive not in ("report", "pass", "fail"):
        raise UserError(f"--inconclusive {inconclusive!r}: report, pass or fail")
    result = run_check(
        run,
        baseline,
        arm=arm,
        iteration=iteration,
        minimum_effects=_effects(effect or []),
        benchmarks=split_names(benchmarks or ""),
        inconclusive=cast(Literal["report", "pass", "fail"], inconclusive),
        alpha=alpha,
        history=history,
    )
    print(gate_text(result), end="")
    write_outputs(result, junit=junit, summary=summary, json=json)
    raise typer.Exit(result.exit_code)


def _effects(texts: list[str]) -> dict[str, float]:
    from groundwork.errors import UserError

    found = {}
    for text in texts:
        name, _, value = text.partition("=")
        try:
            found[name] = float(value)
        except ValueError:
            raise UserError(f"--effect {text!r}: expected BENCHMARK=NUMBER") from None
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
