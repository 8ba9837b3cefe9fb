"""``sso-bench rescore``: saved raw answers under another protocol's extraction, nothing generated."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from groundwork.errors import UserError


def rescore(
    file: Annotated[
        Path, typer.Argument(help="outputs.jsonl, an evaluation's folder, or JSON lines.")
    ],
    protocol: Annotated[
        str, typer.Option("--protocol", help="BENCHMARK/PROTOCOL (sso-bench presets protocols).")
    ],
    answer_field: Annotated[
        str | None,
        typer.Option(
            "--answer-field", help="Field of the model's text, where several could be it."
        ),
    ] = None,
    markers: Annotated[
        list[str] | None,
        typer.Option(
            "--reasoning-markers", help="Tags of the model's reasoning, as '<r> </r>' (repeatable)."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for items.jsonl and scores.json.")
    ] = None,
) -> None:
    """Score saved answers again, so that a changed extractor can be tried on old runs."""
    from harness.benchmarks.rescore import rescore as score_again
    from harness.stages.results import write_results

    pairs = [pair.split() for pair in markers or ()]
    if wrong := [pair for pair in pairs if len(pair) != 2]:
        raise UserError(
            f"--reasoning-markers {' '.join(wrong[0])!r}: an opening and a closing tag, as '<r> </r>'"
        )
    outcome = score_again(file, protocol, answer_field, pairs)
    for score in outcome.scores:
        value = "-" if score.value is None else f"{score.value:.2f}"
        error = "" if score.stderr is None else f" ±{score.stderr:.2f}"
        name = f"{score.metric} ({score.category})" if score.category else score.metric
        counts = f"n {score.n} of {score.n_expected}, unparsed {score.n_unparsed}"
        thought = f", with reasoning {score.n_reasoning}" if score.n_reasoning else ""
        cut = f", ended inside it {score.n_unclosed}" if score.n_unclosed else ""
        print(f"{name:<32} {value}{error}  {counts}, errors {score.n_error}{thought}{cut}")
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        write_results(out, list(outcome.items), list(outcome.scores))
        print(f"written: {out}")
