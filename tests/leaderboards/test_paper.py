"""The paper's tables, and its figures beside measured ones."""

import csv
import io

import pytest

from groundwork.errors import UserError
from leaderboards import render_table
from leaderboards.paper import paper_table, published, published_model, table_names, version_of_arm
from leaderboards.table import cell
from tests.leaderboards.example_runs import add_eval, start_run

FILES = {"v1": "paper_results.csv", "v2": "paper_results_v2.csv"}
WRITERS = {"writer_weak": " · weak writer", "writer_strong": " · strong writer"}


def reference(folder, version):
    return list(csv.DictReader((folder / FILES[version]).open()))


@pytest.mark.parametrize("name", table_names())
def test_paper_tables_equal_the_reference_cell_by_cell(name, reference_dir):
    version, _, own = name.partition(":")
    rows = [row for row in reference(reference_dir, version) if row["table"] == own]
    table = paper_table(name)
    arms = {"base": "base", "ultrafeedback": "UltraFeedback", "pbaa": "PBAA",
            "sso": {"v1": "SSO (joint)", "v2": "SSO"}[version],
            "pbaa-generator": "PBAA generator", "sso-plus": "SSO, L+ only",
            "sso-minus": "SSO, L- only", "skywork-80k-v0.2": "Skywork 80K v0.2",
            "skywork-80k-v0.2+ultrafeedback": "Skywork 80K v0.2 + UltraFeedback",
            "skywork-80k-v0.2+pbaa": "Skywork 80K v0.2 + PBAA",
            "skywork-80k-v0.2+sso": "Skywork 80K v0.2 + SSO",
            "sso_without_w": "SSO w/o W", "sso_without_g": "SSO w/o G",
            "sso_without_w_g": "SSO w/o W, G", "skywork": "Skywork",
            "skywork+synthetic": "Skywork + synthetic",
            "skywork+ultrafeedback": "Skywork + UltraFeedback"}  # fmt: skip
    for row in rows:
        step = f"Iter{row['iteration']}" if row["iteration"] not in ("", "0") else ""
        names = {"Method": arms[row["method"]], "Loss": row["loss"].upper(), "Iter.": step}
        group = row["model"] + WRITERS.get(row["setting"], "")
        shown = cell(table, group, tuple(names[s] for s in table.stub), row["metric"])
        assert shown.value == float(row["value"])
        assert float(shown.text) == float(row["value"])
    filled = [c for g in table.groups for r in g.rows for c in r.cells if c.value is not None]
    assert len(filled) == len(rows)


@pytest.mark.parametrize("version", FILES)
def test_our_copy_of_the_papers_is_the_reference(version, reference_dir):
    added = {"arm", "version"} if version == "v1" else {"arm"}
    ours = [row for row in published() if row["version"] == version]
    assert [{k: v for k, v in row.items() if k not in added} for row in ours] == reference(
        reference_dir, version
    )


def test_best_and_second_of_the_papers_main_table():
    table = paper_table("v1:table1")
    assert cell(table, "Llama3.1-8B-SFT", ("SSO (joint)", "Iter3"), "ae2_lc").rank == 1
    assert cell(table, "Llama3.1-8B-SFT", ("PBAA", "Iter2"), "ae2_lc").rank == 2
    assert cell(table, "Qwen2-7B-SFT", ("SSO (joint)", "Iter3"), "gsm8k").rank == 1
    assert cell(table, "Llama3.1-8B-SFT", ("PBAA", "Iter3"), "length").rank == 0


def test_no_such_table():
    with pytest.raises(
        UserError, match=r"no published table 'v1:table13' \(did you mean 'v1:table3'"
    ):
        paper_table("v1:table13")


@pytest.mark.parametrize(
    ("arm", "version"),
    [("sso-joint", "v1"), ("without-w", "v1"), ("sso", "v2"), ("pbaa-generator", "v2"),
     ("sso-plus", "v2"), ("base", None), ("pbaa", None), ("ultrafeedback", None), ("mine", None)],
)  # fmt: skip
def test_the_version_of_an_arm(arm, version):
    assert version_of_arm(arm) == version


def llama(tmp_path, *arms, kind="dpo", preset="", name="demo", iteration=1):
    config = {"loss": {"kind": kind}, "preset": preset}
    run = start_run(tmp_path, name, model="meta-llama/Meta-Llama-3-8B-Instruct", config=config)
    at = {"metric": "average", "unit": "points"}
    add_eval(run, "mt_bench", [7.0, 8.0], **at)
    for arm in arms:
        add_eval(run, "mt_bench", [8.0, 8.2], arm=arm, iteration=iteration, **at)
    return run


def beside(run, against="paper"):
    """Row to the published MT-Bench figure beside it."""
    rows = csv.DictReader(io.StringIO(render_table([run], format="csv", against=against)))
    return {f"{row['method']} {row['iter']}".strip(): row["mt_bench_published"] for row in rows}


def figure(version, arm, loss, iteration):
    wanted = {"version": version, "model": "Llama3-8B-Instruct", "metric": "mt_bench", "arm": arm,
              "loss": loss, "iteration": iteration}  # fmt: skip
    found = {row["value"] for row in published() if wanted.items() <= row.items()}
    (value,) = {float(text) for text in found}
    return str(value)


def test_an_arm_of_one_version_stands_beside_that_versions_figures(tmp_path):
    v1 = {"base": figure("v1", "base", "", "0"), "PBAA Iter1": figure("v1", "pbaa", "ipo", "1")}
    v2 = {"base": figure("v2", "base", "", "0"), "PBAA Iter1": figure("v2", "pbaa", "dpo", "1")}
    assert v1["base"] != v2["base"] or v1["PBAA Iter1"] != v2["PBAA Iter1"]
    second = beside(llama(tmp_path, "sso", "pbaa"))
    assert second == {**v2, "SSO Iter1": figure("v2", "sso", "dpo", "1")}
    first = beside(llama(tmp_path, "sso-joint", "pbaa", kind="ipo", name="first"))
    assert first == {**v1, "SSO (joint) Iter1": figure("v1", "sso-joint", "ipo", "1")}


def test_the_version_of_shared_arms_is_the_presets_or_as_forced(tmp_path):
    run = llama(tmp_path, "ultrafeedback", preset="v2-llama3-8b-instruct")
    assert beside(run)["UltraFeedback Iter1"] == figure("v2", "ultrafeedback", "dpo", "1")
    assert beside(run, "paper:v1")["UltraFeedback Iter1"] == ""
    plain = llama(tmp_path, "ultrafeedback", name="plain", kind="ipo")
    assert beside(plain)["UltraFeedback Iter1"] == figure("v1", "ultrafeedback", "ipo", "1")


def test_a_forced_version_does_not_reach_an_arm_of_the_other(tmp_path):
    run = llama(tmp_path, "sso", "sso-joint")
    forced = beside(run, "paper:v1")
    assert forced["SSO Iter1"] == figure("v2", "sso", "dpo", "1")
    assert forced["base"] == figure("v1", "base", "", "0")


def test_a_later_iteration_has_no_figure_of_one_round(tmp_path):
    run = llama(tmp_path, "sso", iteration=3)
    assert beside(run)["SSO Iter3"] == ""
    text = render_table([run], layout="one-round", against="paper")
    assert f"| {figure('v2', 'sso', 'dpo', '1')}" not in text


def test_against_paper(tmp_path):
    run = start_run(tmp_path, model="meta-llama/Llama-3.1-8B-Instruct")
    add_eval(run, "gsm8k", [1, 0, 1, 1])
    add_eval(run, "gsm8k", [1, 1, 1, 1], arm="sso-joint", iteration=2)
    text = render_table([run], against="paper")
    assert "75.0 ±17.1 | 80.8 (-5.8)" in text
    assert "100.0 ±15.3 | 83.5 (+16.5)" in text
    assert "2 published figures of Llama3.1-8B-Instruct (v1) are in the table" in text


def test_against_paper_by_loss(tmp_path):
    config = {"method": {"loss": {"kind": "dpo"}}}
    run = start_run(tmp_path, model="Qwen/Qwen2-7B-Instruct", config=config)
    ratings = {"metric": "average", "unit": "points"}
    add_eval(run, "mt_bench", [8.0, 8.2], arm="sso-joint", iteration=3, **ratings)
    add_eval(run, "mt_bench", [8.0, 8.2], **ratings)
    assert "| 8.46 (-0.36)" in render_table([run], against="paper")
    assert "| 8.46 (-0.36)" in render_table([run], layout="losses", against="paper")


def test_against_paper_needs_a_model_it_has(run):
    assert "The papers have no figures of tiny" in render_table([run], against="paper")
    text = render_table([run], against="paper:v1", paper_model="Qwen2-7B-Instruct")
    assert "80.4" in text
    with pytest.raises(UserError, match=r"have no model 'gpt-5' \(there are: Llama3"):
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


def test_every_arm_belongs_to_one_version_or_to_both():
    from leaderboards.paper import version_of_arm
    from sso.arms import ARMS

    assert {arm: version_of_arm(arm) for arm in ARMS} == {
        "sso": "v2", "sso-plus": "v2", "sso-minus": "v2", "pbaa-generator": "v2",
        "sso-joint": "v1", "without-w": "v1", "without-g": "v1", "without-w-g": "v1",
        "pbaa": None, "ultrafeedback": None,
    }  # fmt: skip


def test_the_public_sft_checkpoints_have_the_papers_names():
    from leaderboards.paper import published_model

    assert published_model("BAAI/Infinity-Instruct-3M-0625-Llama3-8B") == "Llama3-8B-SFT"
    assert published_model("models/Infinity-Instruct-3M-0625-Qwen2-7B/") == "Qwen2-7B-SFT"
    assert published_model("meta-llama/Meta-Llama-3-8B-Instruct") == "Llama3-8B-Instruct"
