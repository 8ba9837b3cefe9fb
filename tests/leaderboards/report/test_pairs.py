"""The pairs that the report shows: what made them, and the judge's verdict in both orders."""

import json

from leaderboards.report import pairs as module
from leaderboards.report.pairs import collect_pairs
from leaderboards.runs import read_run
from tests.leaderboards.example_runs import start_run, with_pairs

ORDINALS = {5: "second", 4: "third", 3: "4th", 2: "5th"}


def test_a_pair_with_all_that_made_it(tmp_path):
    found, remarks = collect_pairs([read_run(with_pairs(start_run(tmp_path)))])
    assert remarks == []
    assert found == {
        "SSO 1": [
            {
                "id": "q1/policy",
                "query": "How do bees fly?",
                "features": ["Depth"],
                "good": "Be deep.",
                "bad": "Be shallow.",
                "chosen": "They fly quickly indeed",
                "rejected": "They fly slowly",
                "original": "plain words",
                "generator": [{"kind": "good", "chosen": "from the generator", "rejected": "no"}],
                "result": "agreed",
                "orders": ["y+ shown first: prefers y+", "y- shown first: prefers y+"],
                "logps": [["y+", -1.25], ["y-", -2.5]],
            }
        ]
    }


def test_verdicts_in_words(tmp_path):
    run = with_pairs(start_run(tmp_path))
    file = run / "sso" / "iter-1" / "pair_accuracy" / "verdicts.jsonl"
    row = json.loads(file.read_text())
    row["verdicts"] = [{"swapped": False, "value": 1.5}, {"swapped": True, "state": "refused"}]
    file.write_text(json.dumps(row) + "\n")
    found, _ = collect_pairs([read_run(run)])
    assert found["SSO 1"][0]["orders"] == ["y+ shown first: a tie", "y- shown first: refused"]


def test_a_large_set_is_thinned_with_a_remark(tmp_path, monkeypatch):
    run = with_pairs(start_run(tmp_path))
    file = run / "sso" / "iter-1" / "pairs" / "pairs.jsonl"
    rows = [{**json.loads(file.read_text()), "id": f"q{i}"} for i in range(10)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    monkeypatch.setattr(module, "TOTAL_LIMIT", 1000)
    found, remarks = collect_pairs([read_run(run)])
    kept = len(found["SSO 1"])
    assert 1 < kept < 10
    assert remarks == [f"To keep the page small, every {ORDINALS[kept]} pair is shown here."]
