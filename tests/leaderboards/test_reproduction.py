"""Our figures in the places of published ones: groups, differences, what is missing."""

import pytest

from groundwork.errors import UserError
from leaderboards import load_runs
from leaderboards.reproduction import Part, published_cells, reproduction_table
from leaderboards.table import cell
from tests.leaderboards.example_runs import add_eval, start_run


def run_of(tmp_path, name, *arms):
    run = start_run(tmp_path, name, config={"loss": {"kind": "dpo"}})
    for arm in arms:
        add_eval(
            run, "mt_bench", [7.0, 9.0], arm=arm, iteration=int(arm != "base"), metric="average",
            unit="points", headline=True,
        )  # fmt: skip
    return load_runs([run])


def test_one_run_stands_for_two_models_each_beside_its_own_figures(tmp_path):
    frame = run_of(tmp_path, "quick", "base", "sso", "pbaa", "sso-plus")
    parts = [Part(m, frame, ("pbaa-generator", "sso")) for m in ("Llama3-8B-SFT", "Qwen2-7B-SFT")]
    table = reproduction_table("v2:table4", "one-round", parts)
    assert [group.title for group in table.groups] == ["Llama3-8B-SFT", "Qwen2-7B-SFT"]
    assert table.keys == ("ae2_lc", "mt_bench") or table.keys == ("mt_bench",)
    assert all(row.point[1] in ("base", "sso") for group in table.groups for row in group.rows)
    mine = next(r for r in table.groups[0].rows if r.point[1] == "sso")
    found = dict(zip(table.keys, mine.cells, strict=True))["mt_bench"]
    published = published_cells("v2:table4")["Llama3-8B-SFT", "sso", 1, "mt_bench"]
    assert (found.value, found.reference) == (8.0, published)
    assert found.difference == pytest.approx(8.0 - published)
    assert any("4 of 12 published figures" in remark for remark in table.remarks)
    assert any("Not measured: Llama3-8B-SFT, base 0, ae2_lc" in remark for remark in table.remarks)


def test_groups_of_the_two_writers_are_apart(tmp_path):
    frame = run_of(tmp_path, "quick", "base", "sso")
    parts = [
        Part("Llama3-8B-SFT", frame, ()),
        Part("Llama3-8B-SFT · weak writer", frame, ("sso",), base=False),
    ]
    table = reproduction_table("v2:table5", "writers", parts)
    shown = {(g.title, r.point[1]): r.cells for g in table.groups for r in g.rows}
    assert set(shown) == {("Llama3-8B-SFT", "base"), ("Llama3-8B-SFT · weak writer", "sso")}
    weak = published_cells("v2:table5")["Llama3-8B-SFT · weak writer", "sso", 1, "mt_bench"]
    assert shown["Llama3-8B-SFT · weak writer", "sso"][-1].reference == weak
    assert cell(table, "Llama3-8B-SFT", ("base",), "mt_bench").value == 8.0


def test_nothing_finished_is_said(tmp_path):
    frame = run_of(tmp_path, "quick", "base")
    with pytest.raises(UserError, match="no finished figure of v2:table4 yet"):
        reproduction_table("v2:table4", "one-round", [Part("elsewhere", frame, ("sso",))])
