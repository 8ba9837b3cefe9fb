"""FastChat's judgment files, read back by its own loaders."""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from judges import Comparison, JudgeError
from judges.import_export import (
    Judgments,
    export_fastchat,
    import_fastchat,
)
from judges.prompts import prompt_book
from judges.store import VerdictStore
from tests.judges.faulty_server import FaultyServer, completion
from tests.judges.judge_examples import judge_on, rating_reply, ratings


def fastchat_common() -> Any:
    """FastChat's own module; its import wants an anthropic package, which no loader uses."""
    sys.modules.setdefault("anthropic", types.ModuleType("anthropic"))
    return pytest.importorskip("fastchat.llm_judge.common")


def test_single_judgments_are_summed_by_fastchat(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    show = pytest.importorskip("fastchat.llm_judge.show_result")
    with FaultyServer(rating_reply) as server:
        judge = judge_on(server, tmp_path / "v.sqlite")
        verdicts = judge.ratings(ratings(5))
    path = tmp_path / "judgments.jsonl"
    done = export_fastchat(
        judge.store, path, prompt_book(), Judgments(judge.identity, models=("mine",))
    )
    assert done.rows == 10
    known = [v.value for v in verdicts if v.value is not None]
    assert len(known) == 8
    show.display_result_single(
        types.SimpleNamespace(
            input_file=str(path), bench_name="mt_bench", judge_model="j", model_list=None
        )
    )
    average = capsys.readouterr().out.rpartition("Average")[2]
    assert float(average.split()[-1]) == pytest.approx(sum(known) / 8, abs=1e-5)


@pytest.mark.slow
def test_judgments_are_loaded_by_fastchat(tmp_path: Path) -> None:
    common = fastchat_common()
    with FaultyServer(rating_reply) as server:
        judge = judge_on(server, tmp_path / "v.sqlite")
        judge.ratings(ratings(5))
        single = tmp_path / "single.jsonl"
        export_fastchat(
            judge.store, single, prompt_book(), Judgments(judge.identity, models=("mine",))
        )
    loaded = common.load_single_model_judgments(str(single))
    assert set(loaded) == {(judge.identity, n) for n in ("single-v1", "single-v1-multi-turn")}
    assert loaded[(judge.identity, "single-v1")][(3, "mine")]["score"] == -1


@pytest.mark.slow
def test_pair_judgments_are_loaded_by_fastchat(tmp_path: Path) -> None:
    common = fastchat_common()
    path = tmp_path / "pair.jsonl"
    pair_export(tmp_path, path)
    [table] = common.load_pairwise_model_judgments(str(path)).values()
    winners = {key[0]: value["winners"][0] for key, value in table.items()}
    assert winners == {0: "inconsistent", 1: "model_2", 2: "tie", 3: "error"}


def pair_export(tmp_path: Path, path: Path) -> None:
    items = [
        Comparison(
            item_id=f"pair-{i}", instruction=f"Question {i}", output_1="left", output_2="right"
        )
        for i in range(4)
    ]

    def reply(body: dict[str, Any]) -> Any:
        text = body["messages"][1]["content"]
        right_first = text.index("right") < text.index("left")
        mark = {"0": "[[A]]", "1": "[[A]]" if right_first else "[[B]]", "2": "[[C]]", "3": "?"}
        return completion(next(m for n, m in mark.items() if f"Question {n}" in text))

    with FaultyServer(reply) as server:
        judge = judge_on(server, tmp_path / "p.sqlite")
        judge.pairwise(items)
    chosen = Judgments(judge.identity, "pair", ("one", "two"))
    export_fastchat(judge.store, path, prompt_book(), chosen)


def test_pair_judgments_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "pair.jsonl"
    pair_export(tmp_path, path)
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    winners = [(row["g1_winner"], row["g2_winner"]) for row in rows]
    assert winners == [
        ("model_1", "model_2"),
        ("model_2", "model_2"),
        ("tie", "tie"),
        ("error", "error"),
    ]


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"score": 5}, r":1: score 5, but the judgment reads as 7"),
        ({"judge": ["gpt-4", "pair-v2"]}, "no single-answer prompt"),
        ({"judgment": 7}, "field 'judgment' is int"),
        ({"user_prompt": None}, "field 'user_prompt' is NoneType"),
    ],
)
def test_bad_judgment_files(change: dict[str, Any], match: str, tmp_path: Path) -> None:
    row = {
        "question_id": 81,
        "model": "m",
        "judge": ["gpt-4", "single-v1"],
        "user_prompt": "u",
        "judgment": "[[7]]",
        "score": 7,
        "turn": 1,
    }
    path = tmp_path / "j.jsonl"
    path.write_text(json.dumps({**row, **change}) + "\n")
    with pytest.raises(JudgeError, match=match):
        import_fastchat(VerdictStore(tmp_path / "v.sqlite"), path, prompt_book())
    path.write_text((json.dumps(row) + "\n") * 2)
    with pytest.raises(JudgeError, match=":2: the same judgment as in line 1"):
        import_fastchat(VerdictStore(tmp_path / "v.sqlite"), path, prompt_book())


def test_failed_calls_of_fastchat_are_no_replies(tmp_path: Path) -> None:
    row = {"judgment": "$ERROR$", "score": -1, "judge": ["gpt-4", "single-v1"]}
    path = tmp_path / "j.jsonl"
    path.write_text(json.dumps(row) + "\n")
    done = import_fastchat(VerdictStore(tmp_path / "v.sqlite"), path, prompt_book())
    assert (done.rows, done.left_out) == (0, {"failed calls": 1})
