"""Models against each other."""

import json

import pytest

from groundwork.errors import UserError
from leaderboards.model_comparison import compare_models
from leaderboards.table import cell
from tests.leaderboards.example_runs import add_eval, start_run


def evaluated(root, name, right, model=None, n=100):
    run = start_run(root, name, model=model or f"org/{name}")
    add_eval(run, "gsm8k", [1.0] * right + [0.0] * (n - right))
    add_eval(run, "math", [1.0, 0.0] * (n // 2))
    return run


def test_every_model_is_a_row_tested_against_the_first(tmp_path):
    runs = [evaluated(tmp_path, name, right) for name, right in (("a", 40), ("b", 60), ("c", 42))]
    found = compare_models(runs)
    assert [row.labels for row in found.models.groups[0].rows] == [
        ("org/a",),
        ("org/b",),
        ("org/c",),
    ]
    signs = [cell(found.models, "", (f"org/{name}",), "gsm8k").versus_base for name in "abc"]
    assert signs == [0, 1, 0]
    assert cell(found.models, "", ("org/b",), "gsm8k").rank == 1
    change = cell(found.changes, "org/b", ("GSM8K", "mcnemar"), "change")
    assert (change.value, change.versus_base) == (20.0, 1)
    counts = [
        cell(found.changes, "org/c", ("GSM8K", "mcnemar"), k).value for k in ("won", "tied", "lost")
    ]
    assert counts == [2, 98, 0]
    assert found.verdicts[0].startswith("org/b against org/a on 2 benchmarks: better on 1 (GSM8K")
    assert "org/c, GSM8K: right only there: item-40, item-41" in found.changes.remarks


def test_a_training_run_is_compared_by_its_last_iterations(tmp_path):
    run = evaluated(tmp_path, "a", 40)
    for iteration, right in ((1, 45), (2, 70)):
        add_eval(
            run, "gsm8k", [1.0] * right + [0.0] * (100 - right), arm="sso", iteration=iteration
        )
    found = compare_models([run])
    rows = [row.labels[0] for row in found.models.groups[0].rows]
    assert rows == ["org/a", "SSO 2"]
    both = compare_models([evaluated(tmp_path, "b", 50), run])
    assert [row.labels[0] for row in both.models.groups[0].rows] == ["org/b", "org/a: SSO 2"]


def test_a_rescored_folder_takes_part(tmp_path):
    run = evaluated(tmp_path, "a", 40)
    folder = tmp_path / "rescored"
    folder.mkdir()
    source = run / "base" / "eval" / "gsm8k"
    for name in ("scores.json", "items.jsonl"):
        (folder / name).write_text(
            (source / name).read_text().replace('"accuracy":0.0', '"accuracy":1.0', 5)
        )
    rows = json.loads((folder / "scores.json").read_text())
    (folder / "scores.json").write_text(json.dumps([{**rows[0], "value": 45.0}]))
    found = compare_models([run, folder])
    assert cell(found.changes, "rescored", ("GSM8K", "mcnemar"), "change").value == pytest.approx(
        5.0
    )


def test_two_models_are_needed(tmp_path):
    run = evaluated(tmp_path, "a", 40)
    with pytest.raises(UserError, match="needs two models with scores; found org/a"):
        compare_models([run])
    with pytest.raises(UserError, match=r"no run and no evaluation .* in .*nothing"):
        compare_models([run, tmp_path / "nothing"])
