"""Tables: rows, ranks, marks, significance, formats."""

import csv
import io
import json
import shutil
import subprocess

import numpy as np
import pytest

from groundwork.errors import UserError
from leaderboards import iteration_table, load_runs, render_table
from leaderboards.alpaca import Entry, leaderboard, neighbours
from leaderboards.build_table import build_table, ranks
from leaderboards.formats import FORMATS, latex, markdown
from leaderboards.layouts import LAYOUTS, layout_named
from leaderboards.paper import paper_table, published, published_model
from leaderboards.table import Cell, cell
from tests.leaderboards.example_runs import add_eval, add_score, coin_flips, start_run

PAPER_TABLES = tuple(dict.fromkeys(row["table"] for row in published()))


@pytest.fixture
def run(tmp_path):
    """base, sso 1-2 and pbaa 1 on GSM8K (sso 2 clearly better) and MT-Bench."""
    run = start_run(tmp_path)
    base = np.array(coin_flips(200, 0.4, 0))
    better = base.copy()
    better[np.flatnonzero(base == 0)[:50]] = 1  # 50 items gained, none lost: p = 2^-49
    slightly = base.copy()
    slightly[np.flatnonzero(base == 0)[0]] = 1
    add_eval(run, "gsm8k", base.tolist(), marks=("sample-data",))
    add_eval(run, "gsm8k", slightly.tolist(), arm="sso", iteration=1, marks=("sample-data",))
    add_eval(run, "gsm8k", better.tolist(), arm="sso", iteration=2, marks=("sample-data",))
    add_eval(
        run,
        "gsm8k",
        base.tolist(),
        arm="pbaa",
        iteration=1,
        protocol="gsm8k@2",
        marks=("sample-data",),
    )
    for arm, iteration, value in (("base", 0, 5.0), ("sso", 1, 6.0), ("pbaa", 1, 5.5)):
        add_eval(
            run,
            "mt_bench",
            [value, value + 0.2],
            metric="average",
            unit="points",
            arm=arm,
            iteration=iteration,
        )
    return run


def test_rows_columns_and_values(run):
    table = iteration_table(load_runs([run]))
    assert table.columns == ("MT", "GSM8K")
    labels = [row.labels for row in table.groups[0].rows]
    assert labels == [("base", ""), ("PBAA", "Iter1"), ("SSO", "Iter1"), ("SSO", "Iter2")]
    assert cell(table, "tiny", ("SSO", "Iter2"), "gsm8k").text == "65.0"
    assert cell(table, "tiny", ("SSO", "Iter1"), "mt_bench").text == "6.10"
    assert cell(table, "tiny", ("SSO", "Iter2"), "mt_bench").text == "-"


def test_significance_against_base_and_previous(run):
    table = iteration_table(load_runs([run]))
    last = cell(table, "tiny", ("SSO", "Iter2"), "gsm8k")
    assert (last.versus_base, last.versus_previous) == (1, 1)
    first = cell(table, "tiny", ("SSO", "Iter1"), "gsm8k")
    assert (first.versus_base, first.versus_previous) == (0, 0)


def test_other_protocols_and_sample_data_are_marked(run):
    table = iteration_table(load_runs([run]))
    notes = dict(table.notes)
    (key,) = table.notes_of_column(table.keys.index("gsm8k"))
    assert "written for this project" in notes[key]
    (other,) = cell(table, "tiny", ("PBAA", "Iter1"), "gsm8k").notes
    assert notes[other] == "another protocol (gsm8k@2) than the column's (gsm8k@1)"
    assert cell(table, "tiny", ("PBAA", "Iter1"), "gsm8k").versus_base == 0


def test_a_figure_of_another_protocol_is_never_the_best(tmp_path):
    run = start_run(tmp_path)
    add_eval(run, "gsm8k", [1, 0, 0, 0])
    add_eval(run, "gsm8k", [1, 1, 0, 0], arm="sso", iteration=1)
    add_eval(run, "gsm8k", [1, 1, 1, 1], arm="pbaa", iteration=1, protocol="gsm8k@2")
    rows = iteration_table(load_runs([run])).groups[0].rows
    assert [(row.labels[0], row.cells[0].rank) for row in rows] == [
        ("base", 2),
        ("PBAA", 0),
        ("SSO", 1),
    ]


def test_detectable_difference_of_a_column(tmp_path):
    run = start_run(tmp_path)
    base = coin_flips(100, 0.5, 0)
    after = [1 - value if i < 20 else value for i, value in enumerate(base)]
    add_eval(run, "gsm8k", base)
    add_eval(run, "gsm8k", after, arm="sso", iteration=1)
    difference = np.array(after) - np.array(base)
    expected = 2.801585 * 100 * difference.std(ddof=1) / 10
    table = iteration_table(load_runs([run]))
    assert table.detectable == (f"{expected:.1f}",)


def test_counts_and_unfinished_stages_are_told(run):
    folder = add_eval(run, "math", [1, 0, 1], n_truncated=2, n_unparsed=1, n_error=1, n_expected=5)
    half = add_eval(run, "gpqa", [1, 0])
    (half / "stage.json").unlink()
    text = render_table([run])
    assert folder.is_dir()
    assert "Answers cut at the token limit, by checkpoint: math 2 of 5." in text
    assert "Answers failed, by checkpoint: math 1 of 5." in text
    assert "only 3 of 5 items are in the figure" in text
    assert "left out: demo: base/eval/gpqa" in text


def test_two_runs_of_one_checkpoint_stay_apart(run, tmp_path):
    other = start_run(tmp_path, "other")
    add_eval(other, "gsm8k", coin_flips(200, 0.9, 0))
    table = iteration_table(load_runs([run, other]))
    assert {group.title for group in table.groups} == {"tiny · demo", "tiny · other"}


def test_ranks_follow_the_printed_values():
    cells = [Cell(61.04), Cell(61.0), Cell(60.0), Cell(59.0), Cell()]
    assert ranks(cells, 1) == [1, 1, 2, 0, 0]
    assert ranks(cells, 0) == [0] * 5
    assert ranks([Cell(1.0), Cell(1.0)], 1) == [0, 0]


@pytest.mark.parametrize("name", PAPER_TABLES)
def test_paper_tables_equal_the_reference_cell_by_cell(name, reference_dir):
    rows = list(csv.DictReader((reference_dir / "paper_results.csv").open()))
    rows = [row for row in rows if row["table"] == name]
    table = paper_table(name)
    arms = {"base": "base", "ultrafeedback": "UltraFeedback", "pbaa": "PBAA", "sso": "SSO",
            "sso_without_w": "SSO w/o W", "sso_without_g": "SSO w/o G",
            "sso_without_w_g": "SSO w/o W, G", "skywork": "Skywork",
            "skywork+synthetic": "Skywork + synthetic",
            "skywork+ultrafeedback": "Skywork + UltraFeedback"}  # fmt: skip
    for row in rows:
        step = f"Iter{row['iteration']}" if row["iteration"] not in ("", "0") else ""
        names = {"Method": arms[row["method"]], "Loss": row["loss"].upper(), "Iter.": step}
        shown = cell(table, row["model"], tuple(names[s] for s in table.stub), row["metric"])
        assert shown.value == float(row["value"])
        assert float(shown.text) == float(row["value"])
    filled = [c for g in table.groups for r in g.rows for c in r.cells if c.value is not None]
    assert len(filled) == len(rows)


def test_every_paper_table_has_a_layout():
    claimed = {name for layout in LAYOUTS.values() for name in layout.paper}
    assert claimed == set(PAPER_TABLES)


def test_our_copy_of_the_paper_is_the_reference(reference_dir):
    rows = list(csv.DictReader((reference_dir / "paper_results.csv").open()))
    assert list(published()) == rows


def test_best_and_second_of_the_papers_main_table():
    table = paper_table("table1")
    assert cell(table, "Llama3.1-8B-SFT", ("SSO", "Iter3"), "ae2_lc").rank == 1
    assert cell(table, "Llama3.1-8B-SFT", ("PBAA", "Iter2"), "ae2_lc").rank == 2
    assert cell(table, "Qwen2-7B-SFT", ("SSO", "Iter3"), "gsm8k").rank == 1
    assert cell(table, "Llama3.1-8B-SFT", ("PBAA", "Iter3"), "length").rank == 0


def test_against_paper(tmp_path):
    run = start_run(tmp_path, model="meta-llama/Llama-3.1-8B-Instruct")
    add_eval(run, "gsm8k", [1, 0, 1, 1])
    add_eval(run, "gsm8k", [1, 1, 1, 1], arm="sso", iteration=2)
    text = render_table([run], against="paper")
    assert "75.0 ±25.0 | 80.8 (-5.8)" in text
    assert "100.0 ±0.0 | 83.5 (+16.5)" in text
    assert "2 published figures of Llama3.1-8B-Instruct stand beside ours" in text


def test_against_paper_by_loss(tmp_path):
    config = {"method": {"loss": {"kind": "dpo"}}}
    run = start_run(tmp_path, model="Qwen/Qwen2-7B-Instruct", config=config)
    ratings = {"metric": "average", "unit": "points"}
    add_eval(run, "mt_bench", [8.0, 8.2], arm="sso", iteration=3, **ratings)
    add_eval(run, "mt_bench", [8.0, 8.2], **ratings)
    assert "| 8.46 (-0.36)" in render_table([run], against="paper")
    assert "| 8.46 (-0.36)" in render_table([run], layout="losses", against="paper")


def test_against_paper_needs_a_model_it_has(run):
    assert "The paper has no figures of tiny" in render_table([run], against="paper")
    assert "80.4" in render_table([run], against="paper", paper_model="Qwen2-7B-Instruct")
    with pytest.raises(UserError, match="has no model 'gpt-5'; it has Llama3"):
        render_table([run], against="paper", paper_model="gpt-5")


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("meta-llama/Meta-Llama-3.1-8B-Instruct", "Llama3.1-8B-Instruct"),
        ("Qwen/Qwen2-7B-Instruct", "Qwen2-7B-Instruct"),
        ("HuggingFaceTB/SmolLM2-135M-Instruct", None),
    ],
)
def test_models_are_recognised(model, name):
    assert published_model(model) == name


def test_against_alpaca(tmp_path):
    run = start_run(tmp_path)
    add_eval(run, "alpaca_eval", [0.2, 0.3], metric="lc_win_rate", value=21.5)
    text = render_table([run], against="alpaca")
    assert "Meta-Llama-3-8B-Instruct" in text
    assert "22.9" in text
    assert "Meta-Llama-3.1-8B-Instruct-Turbo" in text
    assert "20.9" in text
    assert "gpt4_0613" not in text


def test_neighbours():
    entries = [Entry(name, value, 0, 0) for name, value in (("a", 50), ("b", 40), ("c", 30))]
    assert [entry.model for entry in neighbours(40, entries)] == ["b", "c"]
    assert [entry.model for entry in neighbours(60, entries)] == ["a"]
    assert [entry.model for entry in neighbours(35, entries)] == ["b", "c"]


def test_shipped_points_are_the_published_ones(data_dir):
    whole = {entry.model: entry for entry in leaderboard(data_dir)}
    shipped = leaderboard()
    assert len(whole) > 200
    assert len(shipped) > 25
    for entry in shipped:
        assert entry.ae2_lc == pytest.approx(whole[entry.model].ae2_lc, abs=1e-4)
        assert entry.ae2_wr == pytest.approx(whole[entry.model].ae2_wr, abs=1e-4)
        assert entry.length == whole[entry.model].length


def test_csv_keeps_full_precision_and_notes(run):
    rows = list(csv.DictReader(io.StringIO(render_table([run], format="csv"))))
    last = next(row for row in rows if (row["method"], row["iter"]) == ("SSO", "Iter2"))
    assert float(last["gsm8k"]) == 65.0
    assert "written for this project" in last["gsm8k_notes"]
    pbaa = next(row for row in rows if row["method"] == "PBAA")
    assert "another protocol" in pbaa["gsm8k_notes"]


def test_markdown_and_html_mark_best_and_second(run):
    text = render_table([run], format="md")
    assert "| SSO | Iter2 | - | **65.0** ±3.4▲△ |" in text
    html = render_table([run], format="html")
    assert "<strong>65.0</strong> <small>±3.4</small>" in html
    assert 'data-value="65.0"' in html


def test_terminal_colours_are_optional(run):
    assert "\x1b[" not in render_table([run], color=False)
    assert "\x1b[1m65.0\x1b[0m" in render_table([run], color=True)


HOSTILE = "<script>alert(1)</script>|_*`\\end{table}&%$#{}~^"


def test_hostile_names_stay_text(tmp_path):
    run = start_run(tmp_path, model=HOSTILE)
    add_eval(run, "gsm8k", [1, 0, 1], protocol=HOSTILE, marks=(HOSTILE,))
    assert "<script>" not in render_table([run], format="html")
    assert "<script>" not in render_table([run], format="md")
    assert "\\end{table}&" not in render_table([run], format="latex")
    assert markdown.escape("a|b_c") == "a\\|b\\_c"
    assert latex.escape("50 % of $5_x") == r"50 \% of \$5\_x"


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_latex_compiles(run, tmp_path):
    hostile = start_run(tmp_path, "hostile", model=HOSTILE)
    add_eval(hostile, "gsm8k", [1, 0, 1], marks=(HOSTILE,))
    tables = [
        render_table([run], format="latex", against="paper", paper_model="Qwen2-7B-Instruct"),
        render_table([hostile], format="latex"),
        *(latex.render(paper_table(name)) for name in PAPER_TABLES),
    ]
    head = r"\documentclass{article}\usepackage{booktabs,amssymb,graphicx}\begin{document}"
    body = "\n\\clearpage\n".join(tables)
    (tmp_path / "t.tex").write_text(f"{head}\n{body}\n\\end{{document}}\n")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "t.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "t.pdf").stat().st_size > 20_000


def test_unknown_names_list_the_known_ones(run):
    with pytest.raises(UserError, match=r"no table layout 'sumary' \(did you mean 'summary'"):
        render_table([run], layout="sumary")
    with pytest.raises(UserError, match="no table format 'pdf'; known: terminal"):
        render_table([run], format="pdf")
    with pytest.raises(UserError, match="can't compare against 'arena'"):
        render_table([run], against="arena")
    with pytest.raises(UserError, match="no figure that the table 'reward-models' shows"):
        render_table([run], layout="reward-models")
    assert set(FORMATS) == {"terminal", "md", "latex", "html", "csv"}


def test_headline_metric_is_shown_and_lengths_never_ranked(tmp_path):
    run = start_run(tmp_path)
    for arm, iteration, length in (("base", 0, 900.0), ("sso", 1, 1500.0)):
        folder = add_eval(
            run, "alpaca_eval", [0.1, 0.4], metric="lc_win_rate", arm=arm, iteration=iteration
        )
        add_score(folder, benchmark="alpaca_eval", metric="length", value=length, unit="characters",
                  n=2, n_expected=2, protocol="alpaca_eval@1", arm=arm, iteration=iteration)  # fmt: skip
    table = build_table(load_runs([run]), layout_named("iterations"))
    assert table.columns == ("Len", "AE2")
    shown = cell(table, "tiny", ("SSO", "Iter1"), "length")
    assert (shown.text, shown.rank) == ("1500", 0)
    assert json.loads((run / "run.json").read_text())["model"] == "tiny"


def test_a_column_and_an_ablation_that_nobody_listed(tmp_path):
    arm_info = {"half": {"title": "Half of it", "order": 55, "ablation": True}}
    run = start_run(tmp_path, arm_info=arm_info)
    column = {"title": "Riddles", "column": "riddles", "label": "RID", "order": 15}
    for arm, iteration in (("base", 0), ("half", 1)):
        at = {"arm": arm, "iteration": iteration}
        add_eval(run, "riddles", [1, 0, 1], info=column, **at)
        add_eval(run, "mt_bench", [5.0, 6.0], metric="average", unit="points", **at)
        add_eval(run, "gsm8k", [1, 0], **at)
    frame = load_runs([run])
    assert iteration_table(frame).columns == ("RID", "MT", "GSM8K")
    ablation = build_table(frame, layout_named("ablation-iterations"))
    assert [row.labels for row in ablation.groups[0].rows] == [
        ("base", ""),
        ("Half of it", "Iter1"),
    ]
    assert ablation.columns == ("MT",)
