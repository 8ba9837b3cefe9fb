"""``sso-bench judge``: agreement, calibration, saved judgments; ``sso-bench pairs``: own pairs."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from groundwork.errors import UserError, did_you_mean
from harness.cli.options import Judging, Preset, Set, expanded, split_names

if TYPE_CHECKING:
    from judges import Judge

judge = typer.Typer(help="How good a judge is.", no_args_is_help=True)


@dataclass(frozen=True, kw_only=True)
class JudgeOptions(Judging):
    """Who judges, and how many of the pairs."""

    preset: Preset = None
    limit: Annotated[int | None, typer.Option("--limit", help="A seeded sample of the pairs.")] = (
        None
    )
    set_: Set = None

    @contextmanager
    def opened(self, data: Path | None = None) -> Iterator[Judge]:
        """The judge, checked, its notes on standard error. Only ``local`` needs the model's files."""
        from harness.config import load_config
        from harness.data import open_source
        from harness.models import ResolvedModel, resolve_model
        from harness.resources import Resources

        config = load_config(self.preset or "quickstart", self.set_ or (), self.flags())
        local = config.judge.judge_of("pairs")[0] == "local"
        model = resolve_model(config.model) if local else ResolvedModel(Path(), "folder", "", "")
        resources = Resources(config, model, open_source(data or config.data))
        try:
            judge = resources.judge("pairs")
            judge.check()
            for note in judge.notes:
                print(f"judge: {note}", file=sys.stderr)
            yield judge
        finally:
            resources.close()


@judge.command()
@expanded
def agreement(
    file: Annotated[
        Path, typer.Argument(help="Labelled pairs: PandaLM, RewardBench or general schema.")
    ],
    options: JudgeOptions,
    verdicts: Annotated[
        Path | None,
        typer.Option(
            "--verdicts", help="Saved verdicts (id, winner_ab, winner_ba): nobody is asked."
        ),
    ] = None,
) -> None:
    """Agreement with human labels, position and length bias, cost; printed and remembered."""
    import random

    from harness.benchmarks.rewardbench.judged import judged_table
    from judges.agreement import agreement_of, remember_agreement
    from judges.import_export.pairwise_verdicts import read_pairwise
    from judges.protocols.labelled import load_labelled
    from judges.store import VerdictStore

    if options.limit is not None and options.limit < 1:
        raise UserError(f"--limit {options.limit}: at least 1")
    pairs = load_labelled(file)
    if options.limit is not None and options.limit < len(pairs):
        pairs = random.Random("agreement").sample(pairs, options.limit)
    from harness.resources import verdict_store

    if verdicts is not None:
        saved, by_id = read_pairwise(verdicts)
        pairs = [pair for pair in pairs if pair.comparison.item_id in by_id]
        if not pairs:
            raise UserError(f"{verdicts}: no verdict is about an item of {file}")
        both = [by_id[pair.comparison.item_id] for pair in pairs]
        table = agreement_of(saved, pairs, both, data=file.stem).table()
        _print_lines([*table, *judged_table(pairs, both)])
        return
    with options.opened() as asked:
        both = asked.pairwise([pair.comparison for pair in pairs])
        if asked.name.startswith("saved:"):  # what was not imported is no failure of the judge
            judged = [(p, b) for p, b in zip(pairs, both, strict=True) if b[0].request_key]
            if not judged:
                raise UserError(f"{asked.name} has no verdict about a pair of {file}")
            pairs, both = [p for p, _ in judged], [b for _, b in judged]
        found = agreement_of(asked, pairs, both, data=file.stem)
        remember_agreement(VerdictStore(verdict_store()), found)
    _print_lines([*found.table(), *judged_table(pairs, both)])


@judge.command()
@expanded
def calibrate(
    options: JudgeOptions,
    data: Annotated[
        Path, typer.Option("--data", help="Folder with published annotations and judgments.")
    ],
    models: Annotated[
        str | None,
        typer.Option("--models", help="Only these models' answers, comma-separated."),
    ] = None,
    passes: Annotated[int, typer.Option("--passes", help="2 measures the noise of a re-run.")] = 1,
) -> None:
    """The shift of a judge's figures against the published judge's, on what that one has judged."""
    from harness.benchmarks import load_protocol
    from harness.benchmarks.base import EvalRequest
    from harness.benchmarks.calibration import (
        calibrate_preferences,
        calibrate_ratings,
        published_files,
    )
    from harness.data import open_source
    from judges.server import ServerJudge

    source = open_source(data)
    annotations, judgments = published_files(source.root, split_names(models or ""))
    with options.opened(data) as asked:
        if not isinstance(asked, ServerJudge):
            raise UserError("calibrate needs a judge behind a server: --judge NAME")
        again = asked.afresh(f"pass-{time.time_ns()}") if passes > 1 else None
        for benchmark, files in (("alpaca_eval", annotations), ("mt_bench", judgments)):
            if not files:
                continue
            protocol = load_protocol(benchmark, "community")
            request = EvalRequest(data=source, protocol=protocol, limit=options.limit)
            if benchmark == "alpaca_eval":
                found = calibrate_preferences(asked, request, annotations, again=again)
            else:
                found = calibrate_ratings(asked, request, judgments, again=again)
            print(f"{benchmark}:")
            _print_lines(found.lines())
            asked.remember_calibration(benchmark, found.to_json())


@judge.command()
def score(
    file: Annotated[
        Path, typer.Argument(help="AlpacaEval annotations (JSON) or MT-Bench judgments (JSONL).")
    ],
    data: Annotated[str, typer.Option("--data", help="sample, hub, or a data folder.")] = "hub",
    model: Annotated[
        str | None, typer.Option("--model", help="Which model's judgments, where several are in.")
    ] = None,
    duplicates: Annotated[
        str,
        typer.Option("--duplicates", help="refuse, last, or all (FastChat's mean over all rows)."),
    ] = "refuse",
    by_position: Annotated[
        bool,
        typer.Option("--by-position", help="AlpacaEval: pair rows with difficulties by place."),
    ] = False,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for items.jsonl and scores.json.")
    ] = None,
) -> None:
    """Scores with intervals from saved judgments; no judge is called.

    A judgment that failed is replaced by a later one of the same answer; two usable ones are refused
    unless --duplicates says otherwise.
    """
    from harness.benchmarks.saved_judgments import score_judgments
    from harness.data import open_source
    from harness.stages.results import write_results

    outcome = score_judgments(file, open_source(data), model, duplicates, by_position=by_position)
    for found in outcome.scores:
        value = "-" if found.value is None else f"{found.value:.2f}"
        interval = ""
        if found.ci_low is not None and found.ci_high is not None:
            interval = f" ({found.ci_low:.2f} to {found.ci_high:.2f})"
        elif found.stderr is not None:
            interval = f" ±{found.stderr:.2f}"
        name = f"{found.metric} ({found.category})" if found.category else found.metric
        missing = f", missing {found.n_missing}" if found.n_missing else ""
        print(f"{name:<24} {value}{interval}  n {found.n} of {found.n_expected}{missing}")
    print(f"judge {outcome.scores[0].judge}, protocol {outcome.scores[0].protocol}")
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        write_results(out, list(outcome.items), list(outcome.scores))
        print(f"written: {out}")


def _print_lines(rows: Sequence[tuple[str, str]]) -> None:
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        print(f"{name:<{width}}  {value}")


@expanded
def pairs(
    source: Annotated[
        Path, typer.Argument(help="Run folder, or JSONL with prompt, chosen and rejected.")
    ],
    options: JudgeOptions,
    prompt: Annotated[
        str, typer.Option("--prompt", help="pair-v2, or one-letter (the paper's pair accuracy).")
    ] = "pair-v2",
) -> None:
    """Ask a judge, in both orders, whether the chosen side of preference pairs is better."""
    from harness.errors import DataError
    from harness.stages.pair_accuracy import comparison, draw_pairs
    from judges import pair_accuracy
    from judges.settings import PairPrompt

    if prompt not in get_args(PairPrompt):
        raise UserError(f"no --prompt {prompt!r} ({did_you_mean(prompt, get_args(PairPrompt))})")
    way: PairPrompt = prompt  # type: ignore[assignment]
    files = sorted(source.rglob("pairs.jsonl")) if source.is_dir() else [source]
    if not files:
        raise DataError(f"{source} holds no pairs.jsonl")
    if options.limit is not None and options.limit < 1:
        raise UserError(f"--limit {options.limit}: at least 1")
    samples = [draw_pairs(_rows(file), options.limit, 0) for file in files]
    with options.opened() as asked:
        for file, rows in zip(files, samples, strict=True):
            result = pair_accuracy(asked, [comparison(r) for r in rows], [1] * len(rows), way)
            name = file.relative_to(source).as_posix() if source.is_dir() else file.name
            value = (
                "no usable verdict" if result.accuracy is None else f"{100 * result.accuracy:.1f} %"
            )
            error = "" if result.stderr is None else f" ±{100 * result.stderr:.1f}"
            print(
                f"{name}: {value}{error} (n {result.n}, ties {result.ties}, flips {result.flips}, "
                f"unparsed {result.unparsed}; judge {result.judge})"
            )


def _rows(file: Path) -> list[dict[str, object]]:
    from groundwork.conversations import read_preference
    from groundwork.files import digest
    from harness.data.sources import numbered_rows

    rows, ids = [], set()
    for number, row in numbered_rows(file):
        pair = read_preference(row, f"{file}:{number}")
        content = {**row, "prompt": list(pair.prompt), "chosen": pair.chosen}
        name = str(row.get("id") or digest([row.get("prompt"), row["chosen"], row["rejected"]]))
        name = f"{name}#{number}" if name in ids else name
        ids.add(name)
        rows.append({**content, "rejected": pair.rejected, "id": name})
    return rows
