"""``sso-bench judge agreement`` and ``sso-bench pairs``: judges on labelled and on own pairs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.options import Judging, Preset, Set, expanded

if TYPE_CHECKING:
    from harness.resources import Resources

judge = typer.Typer(help="How good a judge is.", no_args_is_help=True)


@dataclass(frozen=True, kw_only=True)
class Asking(Judging):
    """Who judges, and how many of the pairs."""

    preset: Preset = "quickstart"
    limit: Annotated[int | None, typer.Option("--limit", help="A seeded sample of the pairs.")] = (
        None
    )
    set_: Set = None

    def resources(self) -> Resources:
        """The resources whose judge answers; to be closed by the caller."""
        from harness.config import load_config
        from harness.data import open_source
        from harness.models import resolve_model
        from harness.resources import Resources

        config = load_config(self.preset, self.set_ or (), self.flags())
        return Resources(config, resolve_model(config.model), open_source(config.data))


@judge.command()
@expanded
def agreement(
    file: Annotated[
        Path, typer.Argument(help="Labelled pairs: PandaLM, RewardBench or general schema.")
    ],
    asking: Asking,
) -> None:
    """Agreement with human labels, position and length bias, cost; printed and remembered."""
    import random

    from judges.agreement import measure_agreement, remember_agreement
    from judges.protocols.labelled import load_labelled
    from judges.store import VerdictStore

    pairs = load_labelled(file)
    if asking.limit is not None and asking.limit < len(pairs):
        pairs = random.Random("agreement").sample(pairs, asking.limit)
    resources = asking.resources()
    from harness.resources import verdict_store

    try:
        found = measure_agreement(resources.judge(), pairs, data=file.stem)
        remember_agreement(VerdictStore(verdict_store()), found)
    finally:
        resources.close()
    rows = found.table()
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        print(f"{name:<{width}}  {value}")


@expanded
def pairs(
    source: Annotated[
        Path, typer.Argument(help="Run folder, or JSONL with prompt, chosen and rejected.")
    ],
    asking: Asking,
) -> None:
    """Ask a judge, in both orders, whether the chosen side of preference pairs is better."""
    from harness.errors import DataError
    from harness.stages.pair_accuracy import comparison, draw_pairs
    from judges import pair_accuracy

    files = sorted(source.rglob("pairs.jsonl")) if source.is_dir() else [source]
    if not files:
        raise DataError(f"{source} holds no pairs.jsonl")
    resources = asking.resources()
    try:
        for file in files:
            rows = draw_pairs(_rows(file), asking.limit, 0)
            result = pair_accuracy(
                resources.judge(), [comparison(r) for r in rows], [1] * len(rows)
            )
            name = file.relative_to(source).as_posix() if source.is_dir() else file.name
            value = (
                "no usable verdict" if result.accuracy is None else f"{100 * result.accuracy:.1f} %"
            )
            error = "" if result.stderr is None else f" ±{100 * result.stderr:.1f}"
            print(
                f"{name}: {value}{error} (n {result.n}, ties {result.ties}, flips {result.flips}, "
                f"unparsed {result.unparsed}; judge {result.judge})"
            )
    finally:
        resources.close()


def _rows(file: Path) -> list[dict[str, object]]:
    from groundwork.files import digest
    from harness.data.sources import read_rows

    rows = read_rows(file, required=("prompt", "chosen", "rejected"))
    for row in rows:
        row.setdefault("id", digest([row["prompt"], row["chosen"], row["rejected"]]))
    return rows
