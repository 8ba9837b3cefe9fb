"""The paper's tables, and its figures beside measured ones."""

import csv

import numpy as np
import pytest

from groundwork.errors import UserError
from leaderboards import render_table
from leaderboards.paper import paper_table, published, published_model
from leaderboards.table import cell
from tests.leaderboards.example_runs import add_eval, coin_flips, start_run

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
    assert "75.0 ±17.1 | 80.8 (-5.8)" in text
    assert "100.0 ±15.3 | 83.5 (+16.5)" in text
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
