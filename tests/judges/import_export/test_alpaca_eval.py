"""Exports and imports, read back by alpaca_eval's and FastChat's own loaders."""

from __future__ import annotations

import gzip
import json
import math
from pathlib import Path
from typing import Any

import pytest

from groundwork.errors import UserError
from judges import Comparison, JudgeError, JudgeSettings, Rating, open_judge
from judges.import_export import (
    ExpectedAnnotations,
    export_alpaca_eval,
    import_alpaca_eval,
    import_fastchat,
)
from judges.prompts import prompt_book
from judges.store import VerdictStore
from tests.judges.faulty_server import FaultyServer, completion
from tests.judges.judge_examples import comparisons, judge_on

GPT4 = "gpt-4-1106-preview"


@pytest.fixture
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "SSO_BENCH_JUDGE_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


def annotations(data_dir: Path, model: str) -> list[dict[str, Any]]:
    path = data_dir / "alpaca_eval" / model / "annotations.json.gz"
    return json.loads(gzip.decompress(path.read_bytes()))


def as_comparisons(rows: list[dict[str, Any]]) -> list[Comparison]:
    return [
        Comparison(
            item_id=str(i),
            instruction=row["instruction"],
            output_1=row["output_1"],
            output_2=row["output_2"],
        )
        for i, row in enumerate(rows)
    ]


@pytest.mark.parametrize(
    "model", ["alpaca-7b", "claude-2", "FuseChat-Gemma-2-9B-Instruct", "vicuna-7b-v1.5"]
)
def test_published_annotations_give_the_published_win_rate_with_no_call(
    model: str, data_dir: Path, tmp_path: Path, no_key: None
) -> None:
    folder = data_dir / "alpaca_eval"
    baseline = {
        row["instruction"]: row["output"]
        for row in json.loads((folder / "gpt4_1106_preview_model_outputs.json").read_text())
    }
    store = VerdictStore(tmp_path / "v.sqlite")
    done = import_alpaca_eval(
        store,
        folder / model / "annotations.json.gz",
        expected=ExpectedAnnotations(baseline, list(baseline)),
    )
    rows = annotations(data_dir, model)
    assert done.rows + sum(done.left_out.values()) == 805
    judge = open_judge(JudgeSettings(GPT4, offline=True), tmp_path / "v.sqlite")
    verdicts = judge.preferences(as_comparisons(rows))
    assert all(v.state == "ok" for v in verdicts)
    win_rate = 100 * (math.fsum(v.value or 0 for v in verdicts) / 805 - 1)
    published = {
        row["model"]: row["published"]
        for row in json.loads((folder / "expected_metrics.json").read_text())
    }
    assert win_rate == pytest.approx(published[model]["win_rate"], abs=1e-6)


def test_published_judgments_give_the_published_mt_bench_score_with_no_call(
    data_dir: Path, tmp_path: Path, no_key: None
) -> None:
    root = data_dir / "mt_bench"
    prompts = root / "judge_prompts.jsonl"
    store = VerdictStore(tmp_path / "v.sqlite")
    path = root / "model_judgment/gpt-4_single__llama2_chat_7b.jsonl"
    assert import_fastchat(store, path, prompt_book(prompts)).rows == 160

    def table(name: str) -> dict[int, dict[str, Any]]:
        rows = [json.loads(line) for line in (root / name).read_text().splitlines()]
        return {row["question_id"]: row for row in rows}

    answers, references = (
        table("model_answer/llama2_chat_7b.jsonl"),
        table("reference_answer/gpt-4.jsonl"),
    )
    items = []
    for number, question in table("question.jsonl").items():
        turns = answers[number]["choices"][0]["turns"]
        texts = tuple(t for q, a in zip(question["turns"], turns, strict=True) for t in (q, a))
        given = references.get(number)
        needs = question["category"] in ("math", "reasoning", "coding")
        refs = tuple(given["choices"][0]["turns"]) if given and needs else ()
        for turn in (1, 2):
            items.append(
                Rating(
                    item_id=f"{number}:{turn}",
                    category=question["category"],
                    turns=texts[: 2 * turn],
                    references=refs,
                )
            )
    judge = open_judge(JudgeSettings("gpt-4", offline=True, prompts=prompts), tmp_path / "v.sqlite")
    values = [v.value for v in judge.ratings(items)]
    assert sum(v or 0 for v in values) / 160 == pytest.approx(6.190625)


# alpaca_eval


@pytest.mark.slow
def test_alpaca_eval_reads_our_annotations_and_asks_nobody(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("alpaca_eval")
    from alpaca_eval.annotators import PairwiseAnnotator
    from alpaca_eval.metrics import get_winrate

    rows = annotations(data_dir, "claude-2")
    store = VerdictStore(tmp_path / "v.sqlite")
    import_alpaca_eval(store, data_dir / "alpaca_eval/claude-2/annotations.json.gz")
    path = tmp_path / "annotations.json"
    done = export_alpaca_eval(
        store,
        path,
        judge=GPT4,
        comparisons=as_comparisons(rows),
        generators=("gpt4_1106_preview", "claude-2"),
    )
    assert done.rows == 805
    written = json.loads(path.read_text())
    assert [r["instruction"] for r in written] == [r["instruction"] for r in rows]

    def no_call(*_: object, **__: object) -> None:
        raise AssertionError("alpaca_eval asked a judge")

    monkeypatch.setattr("alpaca_eval.decoders.openai.openai_completions", no_call)
    annotator = PairwiseAnnotator(
        annotators_config="weighted_alpaca_eval_gpt4_turbo", caching_path=path
    )
    for single in annotator.annotators.values():
        single.fn_completions = no_call
    outputs = [
        [
            {
                "instruction": r["instruction"],
                "output": r[f"output_{side}"],
                "generator": f"generator {side}",
            }
            for r in rows
        ]
        for side in (1, 2)
    ]
    read = annotator.annotate_head2head(outputs_1=outputs[0], outputs_2=outputs[1])
    assert len(read) == 805
    assert get_winrate(read)["win_rate"] == pytest.approx(17.188240356708075, abs=1e-6)


def test_alpaca_eval_reads_annotations_of_a_new_judge(tmp_path: Path) -> None:
    """Verdicts obtained here, exported, imported into an empty store: the same verdicts."""
    items = [*comparisons(12), Comparison(item_id="t", instruction="t", output_1="s", output_2="s")]
    with FaultyServer() as server:
        judge = judge_on(server, tmp_path / "v.sqlite")
        verdicts = judge.preferences(items)
        path = tmp_path / "annotations.json"
        export_alpaca_eval(judge.store, path, judge=judge.identity, comparisons=items)
        rows = json.loads(path.read_text())
        assert [r["preference"] for r in rows] == pytest.approx([v.value for v in verdicts])
        assert export_alpaca_eval(judge.store, path, judge=judge.identity).rows == 12
        other = VerdictStore(tmp_path / "w.sqlite")
        assert import_alpaca_eval(other, path).rows == 12
        again = judge_on(server, tmp_path / "w.sqlite", offline=True).preferences(items)
    assert [v.value for v in again] == pytest.approx([v.value for v in verdicts], abs=1e-12)


def annotation(**changes: Any) -> dict[str, Any]:
    row = {
        "instruction": "q",
        "output_1": "base",
        "output_2": "model",
        "annotator": "weighted_alpaca_eval_gpt4_turbo",
        "preference": 1.25,
    }
    return {**row, **changes}


def test_an_export_keeps_ties_places_and_one_model(tmp_path: Path) -> None:
    """alpaca_eval pairs rows with difficulties by place: none may be missing or moved."""
    rows = [
        annotation(instruction="c", preference=1.9),
        annotation(instruction="a", output_2="base", preference=1.5),
        annotation(instruction="b", preference=1.1),
    ]
    first, second = tmp_path / "first.json", tmp_path / "second.json"
    first.write_text(json.dumps(rows))
    second.write_text(json.dumps([annotation(instruction="c", output_2="other", preference=1.2)]))
    store, out = VerdictStore(tmp_path / "v.sqlite"), tmp_path / "out.json"
    assert import_alpaca_eval(store, first).rows == 3
    assert export_alpaca_eval(store, out, judge=GPT4).rows == 3
    written = json.loads(out.read_text())
    assert [(r["instruction"], r["index"], r["preference"]) for r in written] == [
        ("c", 0, pytest.approx(1.9)),
        ("a", 1, 1.5),
        ("b", 2, pytest.approx(1.1)),
    ]

    import_alpaca_eval(store, second)
    with pytest.raises(JudgeError, match=r"1 instructions have verdicts on answers of several"):
        export_alpaca_eval(store, out, judge=GPT4)
    outputs = tmp_path / "model_outputs.json"
    answers = [("a", "base"), ("b", "model"), ("c", "model"), ("d", "model")]
    outputs.write_text(
        json.dumps([{"instruction": q, "output": a, "generator": "m1"} for q, a in answers])
    )
    done = export_alpaca_eval(store, out, judge=GPT4, outputs=outputs)
    assert (done.rows, done.left_out) == (3, {"answers without a verdict": 1})
    written = json.loads(out.read_text())
    assert [(r["instruction"], r["index"], r["generator_2"]) for r in written] == [
        ("a", 0, "m1"),
        ("b", 1, "m1"),
        ("c", 2, "m1"),
    ]


@pytest.mark.parametrize(
    ("rows", "match"),
    [
        ([annotation(output_1="other", generator_1="gpt-3")], r"row 1: output_1 \(of 'gpt-3'\)"),
        ([annotation(), annotation(preference=1.0)], "row 2: the same comparison as in row 1"),
        ([annotation(instruction="z")], "row 1: an instruction that the baseline has no answer"),
        ([annotation(preference=2.5)], "row 1: preference 2.5 is not between 1 and 2"),
        ([{"instruction": "q"}], "row 1: no field 'output_1'"),
        ([annotation(annotator="")], "row 1: no annotator; name the judge"),
        (
            [annotation(raw_completion=completion("m")["choices"][0])],
            "row 1: preference 1.25 is not what its raw reply reads as",
        ),
        ({"a": 1}, "not a list of objects"),
    ],
)
def test_bad_annotation_files(rows: Any, match: str, tmp_path: Path) -> None:
    path = tmp_path / "annotations.json"
    path.write_text(json.dumps(rows))
    store = VerdictStore(tmp_path / "v.sqlite")
    with pytest.raises(UserError, match=match):
        import_alpaca_eval(store, path, expected=ExpectedAnnotations({"q": "base"}))
    assert list(store.rows()) == []


def test_missing_instructions_are_named_or_counted(tmp_path: Path) -> None:
    path = tmp_path / "annotations.json"
    path.write_text(json.dumps([annotation()]))
    store = VerdictStore(tmp_path / "v.sqlite")
    with pytest.raises(JudgeError, match=r"1 of 2 instructions have no annotation \(first: 'r'\)"):
        import_alpaca_eval(store, path, expected=ExpectedAnnotations(None, ["q", "r"]))
    done = import_alpaca_eval(
        store, path, expected=ExpectedAnnotations(None, ["q", "r"], allow_missing=True)
    )
    assert (done.rows, done.left_out) == (1, {"missing in the file": 1})


def test_a_tie_of_zero_is_read_as_one_and_a_half(tmp_path: Path, no_key: None) -> None:
    path = tmp_path / "annotations.json"
    path.write_text(json.dumps([annotation(preference=0)]))
    import_alpaca_eval(VerdictStore(tmp_path / "v.sqlite"), path)
    judge = open_judge(JudgeSettings(GPT4, offline=True), tmp_path / "v.sqlite")
    assert judge.preferences(as_comparisons([annotation()]))[0].value == 1.5


# JSONL
