"""What the gate leaves behind."""

import json
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from groundwork.errors import UserError
from leaderboards import check, write_outputs
from leaderboards.gate.outputs import gate_text, to_junit, to_markdown
from tests.leaderboards.example_runs import add_eval, coin_flips, start_run


@pytest.fixture
def runs(tmp_path):
    """(baseline, unchanged run, worse run): GSM8K with 600 items, MT-Bench with 80 questions."""
    rng = np.random.default_rng(1)
    base = np.array(coin_flips(600, 0.6, 0))
    jitter, worse = base.copy(), base.copy()
    jitter[:6] = 1 - jitter[:6]
    worse[np.flatnonzero(base == 1)[:60]] = 0
    ratings = rng.integers(3, 9, 160).astype(float)
    questions = [f"q{i // 2}" for i in range(160)]
    made = []
    for name, flips, rated in (
        ("main", base, ratings),
        ("same", jitter, ratings + rng.normal(0, 0.3, 160)),
        ("worse", worse, ratings),
    ):
        run = start_run(tmp_path, name)
        add_eval(run, "gsm8k", flips.tolist())
        add_eval(run, "mt_bench", rated.tolist(), metric="average", item_metric="rating",
                 unit="points", clusters=questions)  # fmt: skip
        made.append(run)
    return made


def test_outputs(runs, tmp_path, monkeypatch):
    step = tmp_path / "step.md"
    step.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(step))
    result = check(runs[2], runs[0])
    paths = {"junit": tmp_path / "j.xml", "summary": tmp_path / "s.md", "json": tmp_path / "g.json"}
    assert write_outputs(result, **paths) == [*paths.values(), step]
    suite = ET.parse(paths["junit"]).getroot()[0]
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("2", "1", "0")
    assert suite[0].find("failure").get("message").startswith("a real loss of 10")
    content = json.loads(paths["json"].read_text())
    assert (content["status"], content["exit_code"]) == ("fail", 1)
    assert content["checks"][0]["benchmark"] == "gsm8k"
    assert step.read_text().startswith("before\n### ❌ Evaluation gate: fail")
    assert "| ❌ | gsm8k | 60.00 | 50.00 | -10.00 |" in paths["summary"].read_text()
    assert gate_text(result).endswith("gate: fail\n")


def test_outputs_escape_what_they_are_given(tmp_path):
    run = start_run(tmp_path, '<b>&"run')
    add_eval(run, 'x<y>&"z', [1, 0] * 50)
    result = check(run, run)
    ET.fromstring(to_junit(result).encode())
    assert "<b>" not in to_markdown(result)


def test_cannot_write(runs, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="can't write"):
        write_outputs(check(runs[1], runs[0]), json=tmp_path / "file" / "x.json")
