"""Models against each other: one row per model, paired tests against the first, flips.

A model is a run of ``eval``, the last iteration of each arm of a training run, or a folder with
``scores.json`` and ``items.jsonl`` (what ``rescore --out`` writes).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from groundwork.errors import UserError
from leaderboards.benchmark_info import ArmInfo
from leaderboards.build_table import build_table
from leaderboards.compare import ItemStore, flipped_items
from leaderboards.layouts import Layout
from leaderboards.outcomes import Contest, Record, contest, is_headline
from leaderboards.runs import Evaluation, Run, read_run, read_scores
from leaderboards.score_frame import frame_of, over_seeds, to_frame
from leaderboards.statistics.power import detectable_difference
from leaderboards.table import Cell, Group, Row, Table

if TYPE_CHECKING:
    import pandas as pd

SHOWN_FLIPS = 10
SETTINGS = ("online", "offline")
LAYOUT = Layout(
    "compare", "Models compared", (), others=True, rows="last", stub=("arm",), settings=SETTINGS
)


@dataclass(frozen=True)
class Comparison:
    """The table of all models, the table of changes against the first, and a verdict per model."""

    models: Table
    changes: Table
    verdicts: tuple[str, ...]


def compare_models(paths: Sequence[Path | str]) -> Comparison:
    """Compare every model in ``paths`` with the first one.

    Raises:
        UserError: fewer than two models, or none that can be read.
    """
    return comparison_of(frame_of([read_model(path) for path in paths]))


def read_model(path: Path | str) -> Run:
    """A run folder, or an evaluation folder as a run of that one evaluation.

    Raises:
        UserError: neither of the two, or a damaged one.
    """
    folder = Path(path)
    if (folder / "scores.json").is_file() and not (folder / "run.json").is_file():
        evaluation = Evaluation(folder, read_scores(folder / "scores.json"), {})
        return Run(folder, {"name": folder.name}, (evaluation,), ())
    if not (folder / "run.json").is_file():
        raise UserError(f"no run and no evaluation (run.json or scores.json) in {folder}")
    return read_run(folder)


def comparison_of(frame: pd.DataFrame) -> Comparison:
    """The comparison of the models in a frame. Raises as ``compare_models``."""
    usable = [record for record in over_seeds(frame) if is_headline(record)]
    several = len({record["group"] for record in usable}) > 1
    records = _last_checkpoints(usable, several)
    names = list(dict.fromkeys(name for name, _ in records))
    if len(names) < 2:
        found = names[0] if names else "none"
        raise UserError(f"a comparison needs two models with scores; found {found}")
    store = ItemStore()
    models = replace(
        build_table(_as_arms(frame, names, several), LAYOUT, store), reference=names[0]
    )
    contests = _contests(records, names, store)
    changes = _changes(contests, names[0], store)
    return Comparison(models, changes, tuple(one.verdict for one in contests))


def _name(record: Record, several: bool) -> str:
    """A model as a row names it: its group, with arm and iteration where it was trained here."""
    if record["arm"] == "base":
        return str(record["group"])
    trained = f"{record['arm_info'].title} {record['iteration']}"
    return f"{record['group']}: {trained}" if several else trained


def _last_checkpoints(usable: Sequence[Record], several: bool) -> list[tuple[str, Record]]:
    """(model, headline figure) of every arm's last iteration, and of groups with nothing but a base;
    of a single trained group the base too, first."""
    groups = list(dict.fromkeys(record["group"] for record in usable))
    last: dict[tuple[str, str, str], int] = {}
    for record in usable:
        line = (record["group"], record["arm"], record["loss"])
        last[line] = max(last.get(line, 0), record["iteration"])
    trained = {group for group, arm, _ in last if arm != "base"}
    found = []
    for record in usable:
        line = (record["group"], record["arm"], record["loss"])
        is_wanted = record["iteration"] == last[line]
        if record["arm"] == "base" and record["group"] in trained and several:
            is_wanted = False
        if is_wanted:
            found.append((_name(record, several), record))
    return sorted(found, key=lambda one: (groups.index(one[1]["group"]), one[1]["arm_info"].order))


def _as_arms(frame: pd.DataFrame, names: Sequence[str], several: bool) -> pd.DataFrame:
    """The frame with every model as an arm of one group, the first one in the place of the base."""
    rows = []
    for found in frame.to_dict("records"):
        row = {str(key): value for key, value in found.items()}
        name = _name(row, several)
        if name in names and not row["category"] and row["info"].kind != "training":
            place = names.index(name)
            arm = f"model-{place}" if place else "base"
            one = {"group": "", "loss": "", "setting": "online", "iteration": min(place, 1)}
            rows.append({**row, **one, "arm": arm, "arm_info": ArmInfo(name, place)})
    return to_frame(rows)


def _contests(
    records: Sequence[tuple[str, Record]], names: Sequence[str], store: ItemStore
) -> list[Contest]:
    by_model = {
        name: {(r["benchmark"], r["metric"]): r for own, r in records if own == name}
        for name in names
    }
    first = by_model[names[0]]
    return [
        contest(
            name,
            names[0],
            [(first[key], record) for key, record in by_model[name].items() if key in first],
            store,
        )
        for name in names[1:]
    ]


def _changes(contests: Sequence[Contest], reference: str, store: ItemStore) -> Table:
    """Every benchmark of every model against the first: change, test, counts."""
    groups, remarks = [], []
    for one in contests:
        rows = []
        for found in one.outcomes:
            test, digits = found.test, found.column.decimals
            known = test.stderr > 0
            smallest = detectable_difference(test.stderr) if known else None
            cells = (
                Cell(test.difference, test.stderr if known else None, digits,
                     versus_base=found.change),
                Cell(found.p_value, decimals=3),
                *(Cell(float(n), decimals=0) for n in (found.wins, found.ties, found.losses)),
                Cell(smallest, decimals=digits),
            )  # fmt: skip
            rows.append(Row((found.column.label, test.method), cells))
            remarks += _flips(one, found.first, found.second, found.column.label, store)
        groups.append(Group(one.title, tuple(rows)))
    return Table(
        title=f"Changes against {reference}",
        stub=("Benchmark", "Test"),
        columns=("Change", "p", "Won", "Tied", "Lost", "Detectable"),
        keys=("change", "p", "won", "tied", "lost", "detectable"),
        groups=tuple(groups),
        remarks=(
            "p is corrected over a model's benchmarks (Holm); Detectable is the smallest difference "
            "found with 80 % power.",
            *remarks,
        ),
        reference=reference,
    )


def _flips(one: Contest, first: Any, second: Any, label: str, store: ItemStore) -> list[str]:
    lost, gained = flipped_items(first, second, store)
    lines = []
    for items, how in ((gained, "right only there"), (lost, "wrong only there")):
        if items:
            more = f" and {len(items) - SHOWN_FLIPS} more" if len(items) > SHOWN_FLIPS else ""
            lines.append(f"{one.title}, {label}: {how}: {', '.join(items[:SHOWN_FLIPS])}{more}")
    return lines
