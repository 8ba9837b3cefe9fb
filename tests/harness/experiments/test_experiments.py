"""Both reference files, figure by figure: every table has an experiment, a layout and runs that reach it."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import pytest

from groundwork.errors import UserError
from harness.config import load_config
from harness.experiments import experiments, get_experiment, quick_settings
from harness.reproduce import Options, run_name
from harness.reproduce_plan import plan_lines
from leaderboards import paper
from leaderboards.layouts import LAYOUTS
from leaderboards.paper import FILES, paper_frame, paper_table, published, table_names
from leaderboards.reproduction import claims, layout_of, published_cells
from leaderboards.table import cell

FIGURES = ("v1:figure4", "v2:figure3")
EXTRA = ("sweep:gamma", "overhead", "human-agreement")


def rows() -> Iterator[tuple[str, dict[str, str]]]:
    for version, name in FILES.items():
        with Path(paper.__file__).with_name(name).open(newline="") as lines:
            for row in csv.DictReader(lines):
                yield f"{version}:{row['table']}", row


def test_every_table_and_figure_has_an_experiment_and_nothing_else_has() -> None:
    assert set(experiments()) == {*table_names(), *FIGURES, *EXTRA}
    assert {table for table, _ in rows()} == set(table_names())


@pytest.mark.parametrize("table", table_names())
def test_every_published_figure_is_reached_by_exactly_one_layout_and_run(table: str) -> None:
    experiment = get_experiment(table)
    assert experiment.layout == layout_of(table).name
    assert [name for name, layout in LAYOUTS.items() if table in layout.paper] == [
        experiment.layout
    ]
    parts = [(run.group, run.methods, not run.writer) for run in experiment.runs if run.shown]
    parts += [(reward.model, (reward.arm,), False) for reward in experiment.rewards]
    found = claims(table, parts)
    assert {place: count for place, count in found.items() if count != 1} == {}
    assert len(found) == sum(name == table for name, _ in rows())


@pytest.mark.parametrize("table", table_names())
def test_every_published_table_regenerates_cell_by_cell(table: str) -> None:
    drawn = paper_table(table)
    frame = paper_frame(table)
    printed = 0
    texts = {
        (group.title, row.point[1], row.point[2], key): each.text
        for group in drawn.groups
        for row in group.rows
        for key, each in zip(drawn.keys, row.cells, strict=True)
        if row.point is not None
    }
    values = [row["value"] for name, row in rows() if name == table]
    for record, value in zip(frame.to_dict("records"), values, strict=True):
        place = (record["group"], record["arm"], int(record["iteration"]), record["info"].column)
        assert float(texts[place]) == float(value), place
        printed += 1
    assert printed == len(published_cells(table))
    assert cell(drawn, drawn.groups[0].title, drawn.groups[0].rows[0].labels, drawn.keys[0])


@pytest.mark.parametrize("scale", ["paper", "quick"])
@pytest.mark.parametrize("name", [n for n in (*table_names(), *FIGURES, "sweep:gamma", "overhead")])
def test_a_plan_names_every_run(name: str, scale: str, tmp_path: Path) -> None:
    experiment = get_experiment(name)
    options = Options(scale, tmp_path, {})  # type: ignore[arg-type]
    lines = plan_lines(experiment, options)
    text = "\n".join(lines)
    for run in experiment.runs:
        assert f"run {run_name(run, options.scale, experiment.version)}: " in text
    for reward in experiment.rewards:
        assert f"-reward: {reward.arm};" in text
    assert ("GPU hours" if scale == "paper" else "CPU hours") in text
    assert any(line.startswith("in all: ") for line in lines)
    assert not list(tmp_path.iterdir())


def test_runs_name_presets_and_arms_of_their_version() -> None:
    from harness.prepare import _check_version

    runs = [run for experiment in experiments().values() for run in experiment.runs]
    assert {load_config(run.preset).preset for run in runs} == {run.preset for run in runs}
    for run in runs:
        for arm in run.methods:
            _check_version(arm, run.preset)
    with pytest.raises(UserError, match="is an arm of the paper's v2"):
        _check_version("sso-minus", "llama3.1-8b-instruct")


def test_a_target_without_its_version_and_one_that_neither_has() -> None:
    assert get_experiment("table3").name == "v2:table3"
    assert get_experiment("Table 8").name == "v1:table8"
    with pytest.raises(
        UserError, match=r"no table or figure 'v2:tabel1' .*did you mean 'v2:table1'"
    ):
        get_experiment("v2:tabel1")


def test_the_quick_scale_has_every_benchmark_that_a_table_needs() -> None:
    needed = {"rewardbench"} | {name for row in published() for name in [_benchmark(row["metric"])]}
    assert needed <= set(quick_settings()["benchmarks"])


def _benchmark(metric: str) -> str:
    from leaderboards.paper import COLUMNS

    return COLUMNS[metric][0]
