"""The items that the report shows."""

import json

import pytest

from groundwork.checksums import describe
from groundwork.files import digest
from leaderboards.report import write_report
from leaderboards.report.items import collect
from leaderboards.runs import read_run
from tests.leaderboards.example_runs import add_eval, demo_run, start_run, write_stage


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return demo_run(tmp_path_factory.mktemp("runs"), text="A zebra & <b>two</b> apples.")


def test_gated_text_never_enters_the_page(tmp_path):
    run = demo_run(tmp_path, arms=("sso",), iterations=1, marks=())
    data, remarks = collect([read_run(run)])
    assert remarks == ["gpqa: texts are withheld (gated)."]
    assert data["gpqa"]["checkpoints"]["base"]["item-0"].keys() == {"m", "w"}
    assert "GATED-TEXT" not in write_report([run], tmp_path / "r.html").read_text()


def test_alpaca_prompts_come_from_the_annotations(tmp_path):
    run = start_run(tmp_path)
    outputs = [{"item_id": "item-0", "output": "mine"}, {"item_id": "item-1", "output": "too"}]
    folder = add_eval(run, "alpaca_eval", [0.5, 0.7], metric="lc_win_rate", outputs=outputs)
    rows = [{"instruction": f"do {i}", "output_1": f"theirs {i}", "output_2": "x"} for i in (0, 1)]
    (folder / "annotations.json").write_text(json.dumps(rows))
    data, _ = collect([read_run(run)])
    assert data["alpaca_eval"]["prompts"]["item-1"] == "do 1\n\n[the baseline's answer]\ntheirs 1"
    assert data["alpaca_eval"]["checkpoints"]["base"]["item-0"]["a"] == "mine"


def test_pairs_and_judgments_are_shown(tmp_path):
    run = start_run(tmp_path)
    add_eval(
        run,
        "pair_accuracy",
        [1, 0],
        ids=["q1/policy", "q2/policy"],
        arm="sso",
        iteration=1,
        folder=".",
    )
    pairs = run / "sso" / "iter-1" / "pairs"
    pairs.mkdir()
    row = {
        "id": "q1/policy",
        "prompt": [{"role": "user", "content": "hi"}],
        "chosen": "good",
        "rejected": "bad",
    }
    (pairs / "pairs.jsonl").write_text(json.dumps(row) + "\n")
    ids = ["mt_bench/7/turn-1", "mt_bench/7/turn-2"]
    outputs = [{"item_id": item, "question": "Why?", "output": "Because."} for item in ids]
    folder = add_eval(
        run, "mt_bench", [4.0, 6.0], ids=ids, metric="average", unit="points", outputs=outputs
    )
    (folder / "model_judgment").mkdir()
    judged = {"question_id": 7, "turn": 2, "judgment": "Too short. [[6]]"}
    (folder / "model_judgment" / "gpt-4_single.jsonl").write_text(json.dumps(judged) + "\n")
    data, _ = collect([read_run(run)])
    shown = data["pair_accuracy"]["checkpoints"]["SSO 1"]
    assert shown["q1/policy"]["a"] == "[chosen]\ngood\n\n[rejected]\nbad"
    assert data["pair_accuracy"]["prompts"] == {"q1/policy": "[user]\nhi"}
    rated = data["mt_bench"]["checkpoints"]["base"]
    assert rated[ids[1]] == {
        "m": 6.0,
        "w": "rated 6",
        "a": "Because.",
        "j": "Too short. [[6]]",
    }
    assert "j" not in rated[ids[0]]


def test_the_headline_metric_decides_what_changed(tmp_path):
    run = start_run(tmp_path)
    folder = add_eval(run, "gsm8k", [1, 0], metric="strict_match")
    items = (folder / "items.jsonl").read_text()
    (folder / "items.jsonl").write_text(
        items.replace('"strict_match":', '"flexible":1.0,"strict_match":')
    )
    data, _ = collect([read_run(run)])
    shown = data["gsm8k"]["checkpoints"]["base"]
    assert [(one["m"], one["w"]) for one in shown.values()] == [(1.0, "right"), (0.0, "wrong")]


def words(run, benchmark):
    data, _ = collect([read_run(run)])
    return [entry["w"] for entry in data[benchmark]["checkpoints"]["base"].values()]


def test_values_are_words(tmp_path):
    run = start_run(tmp_path)
    add_eval(run, "gsm8k", [1, 0])
    add_eval(run, "mt_bench", [7.0, 6.5], metric="average", unit="points")
    folder = add_eval(run, "alpaca_eval", [1.31, -0.2, 0.6], metric="lc_win_rate")
    lines = []
    for line, raw in zip(
        (folder / "items.jsonl").read_text().splitlines(), (0.9, 0.1, 0.5), strict=True
    ):
        row = json.loads(line)
        lines.append(json.dumps({**row, "values": {**row["values"], "win_rate": raw}}) + "\n")
    (folder / "items.jsonl").write_text("".join(lines))
    assert words(run, "gsm8k") == ["right", "wrong"]
    assert words(run, "mt_bench") == ["rated 7", "rated 6.5"]
    # the raw preference, not the fit's pseudo-value of 1.31
    assert words(run, "alpaca_eval") == ["win (90 %)", "loss (10 %)", "tie (50 %)"]


def test_the_right_answer_comes_with_the_item(tmp_path):
    run = start_run(tmp_path)
    outputs = [{"item_id": "item-0", "target": {"question": "", "answer": "#### 7"}, "output": "8"},
               {"item_id": "item-1", "target": {"solution": "x = 2"}, "output": "2"}]  # fmt: skip
    add_eval(run, "gsm8k", [0, 1], outputs=outputs)
    data, _ = collect([read_run(run)])
    assert data["gsm8k"]["gold"] == {"item-0": "#### 7", "item-1": "x = 2"}


def test_the_pairs_shown_are_those_that_were_judged(tmp_path):
    """Both ``sample`` and ``pairs`` hold pairs of one id; the judge read those of ``pairs``."""
    run = start_run(tmp_path)
    at = {"arm": "sso", "iteration": 1, "folder": "."}
    folder = add_eval(run, "pair_accuracy", [1, 0], ids=["q1", "q2"], **at)
    checksums = {}
    for stage in ("pairs", "sample"):
        made = run / "sso" / "iter-1" / stage
        made.mkdir()
        rows = [
            {"id": i, "prompt": "hi", "chosen": f"{stage} +", "rejected": f"{stage} -"}
            for i in ("q1", "q2")
        ]
        (made / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        outputs = {"pairs.jsonl": describe(made / "pairs.jsonl")}
        write_stage(run, made, kind="sample", outputs=outputs)
        checksums[stage] = digest({"pairs.jsonl": outputs["pairs.jsonl"]["sha256"]})
    for judged in ("pairs", "sample"):
        write_stage(run, folder, kind="judge", inputs={"pairs": checksums[judged]})
        data, _ = collect([read_run(run)])
        shown = data["pair_accuracy"]["checkpoints"]["SSO 1"]["q1"]["a"]
        assert shown == f"[chosen]\n{judged} +\n\n[rejected]\n{judged} -"
