"""Saved answers of this and other tools, scored again: which field is the answer, which the key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.benchmarks.answers_file import OUTPUTS
from harness.benchmarks.rescore import rescore
from harness.engines.fake import FakeEngine
from harness.errors import DataError, ProtocolError
from tests.harness.benchmarks.test_answer_key import benchmark, request


def write(folder: Path, name: str, rows: list[dict[str, Any]]) -> Path:
    """A file of JSON lines."""
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def value(path: Path, protocol: str, field: str | None = None) -> float | None:
    """The headline figure of a file."""
    return next(s.value for s in rescore(path, protocol, field).scores if s.headline)


def test_rescore_under_another_protocol_needs_no_engine_and_no_data(tmp_path: Path) -> None:
    asked = request("mmlu_pro", "paper", limit=6)
    engine = FakeEngine(reply=lambda prompt, seed: "Answer: B")
    benchmark("mmlu_pro").generate(asked, engine, tmp_path)
    official = rescore(tmp_path / OUTPUTS, "mmlu_pro/official")
    one_pattern = rescore(tmp_path, "mmlu_pro/community")
    assert {i.extracted for i in official.items} == {"B"}
    headline = next(s for s in one_pattern.scores if s.headline)
    assert (headline.metric, headline.n_unparsed, headline.value) == ("custom_extract", 6, 0.0)
    assert official.scores[0].protocol != one_pattern.scores[0].protocol
    assert benchmark("mmlu_pro").score(asked, tmp_path).scores[0].protocol != (
        official.scores[0].protocol
    )


def test_rescore_says_what_it_can_not_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no file"):
        rescore(tmp_path / "absent.jsonl", "gsm8k/community")
    write(tmp_path, "a.jsonl", [{"solution": "3", "ground_truth": "3"}, {"solution": "4"}])
    with pytest.raises(DataError, match=r"a.jsonl:2: .*answer key"):
        rescore(tmp_path / "a.jsonl", "gsm8k/community")
    write(tmp_path, "b.jsonl", [{"text": "3"}])
    with pytest.raises(DataError, match=r"b.jsonl:1: the row has no answer"):
        rescore(tmp_path / "b.jsonl", "gsm8k/community")
    with pytest.raises(ProtocolError, match="judge"):
        rescore(tmp_path / "a.jsonl", "mt_bench/community")


KEYED = {
    "math": {"problem": "1+1", "solution": r"It is \boxed{2}.", "answer": "2"},
    "gsm8k": {"question": "1+1", "answer": "One and one\n#### 2"},
    "mmlu_pro": {"question": "?", "options": ["1", "2", "3"], "answer": "B", "category": "math"},
    "mmlu": {"question": "?", "choices": ["1", "2", "3", "4"], "answer": 1, "subject": "anatomy"},
    "gpqa": {"Question": "?", "answer": "(B)"},
}
RIGHT = {"math": r"\boxed{2}", "gsm8k": "#### 2"}
WRONG = {"math": r"\boxed{3}", "gsm8k": "#### 3"}
PROTOCOL = {"mmlu_pro": "mmlu_pro/paper", "mmlu": "mmlu/community", "gpqa": "gpqa/paper"}
FIELDS = (
    *("output", "model_output", "model_outputs", "response", "responses", "completion"),
    *("completions", "generation", "generations", "generated_text", "code", "model_answer"),
)


@pytest.mark.parametrize("name", KEYED)
@pytest.mark.parametrize("field", FIELDS)
def test_the_reference_is_never_taken_for_the_answer(name: str, field: str, tmp_path: Path) -> None:
    protocol = PROTOCOL.get(name, f"{name}/paper")
    texts = [
        WRONG.get(name, "Answer: C"),
        WRONG.get(name, "Answer: C"),
        RIGHT.get(name, "Answer: B"),
    ]
    answers: list[Any] = [[text] if field.endswith("s") else text for text in texts]
    path = write(tmp_path, "a.jsonl", [{**KEYED[name], field: answer} for answer in answers])
    assert value(path, protocol) == pytest.approx(100 / 3), "the reference would be right each time"


def test_two_candidates_are_a_named_error_and_a_choice(tmp_path: Path) -> None:
    row = {**KEYED["math"], "completion": r"\boxed{2}", "response": r"\boxed{3}"}
    path = write(tmp_path, "a.jsonl", [row])
    with pytest.raises(DataError, match=r"a.jsonl:1: 'response' and 'completion' may both be"):
        rescore(path, "math/paper")
    assert value(path, "math/paper", "completion") == 100
    assert value(path, "math/paper", "response") == 0
    with pytest.raises(DataError, match=r"no field 'complete' \(did you mean 'completion'\?\)"):
        rescore(path, "math/paper", "complete")


def test_a_lone_solution_may_be_the_reference(tmp_path: Path) -> None:
    path = write(tmp_path, "a.jsonl", [KEYED["math"]])
    with pytest.raises(DataError, match="'solution' may be the reference"):
        rescore(path, "math/paper")
    assert value(path, "math/paper", "solution") == 100


@pytest.mark.parametrize("answer", [None, float("nan"), 7, {"a": 1}, ["x", "y"], [], True])
@pytest.mark.parametrize("name", KEYED)
def test_an_answer_that_is_no_text_is_an_error_and_no_answer(
    name: str, answer: Any, tmp_path: Path
) -> None:
    path = write(tmp_path, "a.jsonl", [{**KEYED[name], "output": answer}])
    outcome = rescore(path, PROTOCOL.get(name, f"{name}/paper"))
    assert outcome.scores[0].n_error == 1
    assert outcome.scores[0].value is None
    assert "the answer is" in outcome.items[0].error


@pytest.mark.parametrize("key", [None, float("nan"), True, "", [], "E or F"])
@pytest.mark.parametrize("name", KEYED)
def test_a_key_that_is_none_is_named_by_file_and_line(name: str, key: Any, tmp_path: Path) -> None:
    if (name, key) == ("math", "E or F"):
        pytest.skip("any text may be the answer to a problem of MATH")
    row = {**KEYED[name], "answer": key, "output": "Answer: B"}
    row.pop("solution", None)
    path = write(tmp_path, "a.jsonl", [{**KEYED[name], "output": "x"}, row])
    with pytest.raises(DataError, match=r"a.jsonl:2: "):
        rescore(path, PROTOCOL.get(name, f"{name}/paper"))


@pytest.mark.parametrize("key", ["B", "b", "(B)", 1, 1.0, "1"])
def test_keys_of_mmlu_in_other_spellings(key: Any, tmp_path: Path) -> None:
    row = {**KEYED["mmlu"], "answer": key, "output": "Answer: B"}
    assert value(write(tmp_path, "a.jsonl", [row]), "mmlu/community") == 100


@pytest.mark.parametrize("key", [18, 18.0, "18", "18.0", "$18", "so\n#### 18", "x\nA: 18"])
def test_keys_of_gsm8k_in_other_spellings(key: Any, tmp_path: Path) -> None:
    row = {"question": "?", "answer": key, "output": "The answer is 18."}
    assert value(write(tmp_path, "a.jsonl", [row]), "gsm8k/paper") == 100


def test_samples_that_lm_eval_logs(tmp_path: Path) -> None:
    base = {"doc": KEYED["gsm8k"], "target": "#### 2", "arguments": [["q", {}]], "exact_match": 1.0}
    rows = [
        {**base, "doc_id": n, "resps": [[text]], "filter": name, "filtered_resps": ["2"]}
        for n, text in enumerate(["#### 2", "#### 3"])
        for name in ("strict-match", "flexible-extract")
    ]
    outcome = rescore(write(tmp_path, "samples_gsm8k.jsonl", rows), "gsm8k/paper")
    assert [item.values["numeric"] for item in outcome.items] == [1.0, 0.0]
    scored = {
        "doc_id": 0,
        "doc": KEYED["mmlu"],
        "resps": [[["-2.0", "False"]], [["-0.5", "True"]], [["-3", "False"]], [["-4", "False"]]],
    }
    assert value(write(tmp_path, "samples_mmlu.jsonl", [scored]), "mmlu/community") == 100


def test_answers_to_another_benchmark_are_refused(tmp_path: Path) -> None:
    asked = request("gsm8k", limit=2)
    benchmark("gsm8k").generate(asked, FakeEngine(), tmp_path)
    with pytest.raises(DataError, match="an answer to gsm8k, not to math"):
        rescore(tmp_path, "math/paper")


def test_an_empty_file_holds_no_answers(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("\n")
    with pytest.raises(DataError, match="holds no answers"):
        rescore(tmp_path / "a.jsonl", "gsm8k/paper")


def test_own_lines_with_a_null_answer_are_errors(tmp_path: Path) -> None:
    row = {"item_id": "gsm8k/0", "target": {"question": "", "answer": "#### 2"}, "output": None}
    (tmp_path / OUTPUTS).write_text(json.dumps(row) + "\n")
    outcome = rescore(tmp_path, "gsm8k/paper")
    assert outcome.items[0].error == "the answer is null, not text"


THOUGHTS = ("<think>\nmaybe {wrong}\n</think>\n\n{right}", "maybe {wrong}</think>{right}")


@pytest.mark.parametrize("text", THOUGHTS)
@pytest.mark.parametrize("name", KEYED)
def test_reasoning_is_not_graded_and_counted(name: str, text: str, tmp_path: Path) -> None:
    right, wrong = RIGHT.get(name, "Answer: B"), WRONG.get(name, "Answer: C")
    rows = [
        {**KEYED[name], "output": text.format(right=right, wrong=wrong)},
        {**KEYED[name], "output": text.format(right=wrong, wrong=right)},
        {**KEYED[name], "output": f"<think>It is {right}"},
    ]
    outcome = rescore(write(tmp_path, "a.jsonl", rows), PROTOCOL.get(name, f"{name}/paper"))
    headline = next(s for s in outcome.scores if s.headline)
    assert headline.value == pytest.approx(100 / 3)
    assert (headline.n_reasoning, headline.n_unclosed) == (3, 1)
    assert [item.reasoning for item in outcome.items] == ["closed", "closed", "unclosed"]
    assert outcome.items[2].unparsed


def ifeval_row(kind: str, text: object, **arguments: object) -> dict[str, Any]:
    return {
        "key": 1,
        "prompt": "Write.",
        "instruction_id_list": [kind],
        "kwargs": [arguments],
        "response": text,
    }


def test_ifeval_checks_the_answer_without_its_reasoning(tmp_path: Path) -> None:
    rows = [
        ifeval_row("punctuation:no_comma", "<think>a, b</think>no comma"),
        ifeval_row("punctuation:no_comma", "<think>ab</think>one, comma"),
    ]
    outcome = rescore(write(tmp_path, "a.jsonl", rows), "ifeval/community")
    assert [item.values["prompt_strict"] for item in outcome.items] == [1.0, 0.0]


def test_an_ifeval_row_with_an_unbuildable_check_is_an_error_of_that_item(tmp_path: Path) -> None:
    rows = [
        ifeval_row("no:such_check", "text"),
        ifeval_row("keywords:existence", "text", keywords=7),
        ifeval_row("punctuation:no_comma", "fine"),
        ifeval_row("punctuation:no_comma", None),
    ]
    outcome = rescore(write(tmp_path, "a.jsonl", rows), "ifeval/community")
    assert [bool(item.error) for item in outcome.items] == [True, True, False, True]
    assert outcome.items[2].values["prompt_strict"] == 1.0
    assert outcome.scores[0].n_error == 3


def test_a_reward_models_benchmark_has_no_answers_to_score(tmp_path: Path) -> None:
    with pytest.raises(ProtocolError, match="scores a reward model, not answers"):
        rescore(tmp_path / "o.jsonl", "rewardbench/community")


def test_a_models_own_reasoning_tags_change_the_protocols_id(tmp_path: Path) -> None:
    rows = [{"ground_truth": "4", "output": "<reflect>#### 5</reflect>#### 4"}]
    path = write(tmp_path, "a.jsonl", rows)
    plain = rescore(path, "gsm8k/community").scores[0]
    named = rescore(path, "gsm8k/community", markers=[("<reflect>", "</reflect>")])
    assert named.items[0].values["strict_match"] == 1.0
    assert named.scores[0].n_reasoning == 1
    assert plain.n_reasoning == 0
    assert named.scores[0].protocol != plain.protocol
