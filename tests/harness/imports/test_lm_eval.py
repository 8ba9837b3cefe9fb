"""lm-eval's own files, written by lm-eval itself, and files that are damaged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from groundwork.errors import UserError
from harness.data.sources import DataSource
from harness.imports.lm_eval import read

NO_DATA = DataSource("dir", Path())


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four GSM8K-like items of six, answered with "4" and logged by lm-eval."""
    from lm_eval.api.model import LM
    from lm_eval.evaluator import simple_evaluate
    from lm_eval.loggers import EvaluationTracker

    from harness.benchmarks.lm_eval_bridge import TaskSpec, load_task

    class Four(LM):
        def generate_until(self, requests: list[Any]) -> list[str]:
            return ["The answer is 4. #### 4" for _ in requests]

        def loglikelihood(self, requests: list[Any]) -> list[Any]:
            raise AssertionError

        loglikelihood_rolling = loglikelihood

    docs = [{"question": f"What is {n} + 1?", "answer": f"#### {n + 1}"} for n in range(6)]
    task = load_task(TaskSpec("gsm8k", "gsm8k", shots=2), docs, docs)
    task.config.task = "gsm8k"
    folder = tmp_path_factory.mktemp("lm_eval")
    tracker = EvaluationTracker(output_path=str(folder))
    results = simple_evaluate(
        Four(), tasks=[task], limit=4, evaluation_tracker=tracker, bootstrap_iters=10
    )
    assert results is not None
    samples = results.pop("samples")
    tracker.save_results_aggregated(results, samples)
    tracker.save_results_samples("gsm8k", samples["gsm8k"])
    return folder


def test_figures_items_and_protocol(written: Path) -> None:
    (result,) = read(written, NO_DATA)
    assert result.benchmark == "gsm8k"
    head = next(score for score in result.scores if score.headline)
    assert (head.metric, head.value, head.n) == ("strict_match", 25.0, 4)
    assert head.stderr == pytest.approx(25.0)
    assert head.protocol == "lm-eval:gsm8k@3.0/2-shot"
    assert head.marks == ("imported: prompts and grading of lm-eval", "item-limit")
    assert head.info is not None
    assert head.info.column == "gsm8k"
    assert [item.values["strict_match"] for item in result.items] == [0, 0, 0, 1]
    assert all(item.prompt_hash for item in result.items)


def test_a_group_is_one_benchmark_with_a_score_per_subtask(tmp_path: Path) -> None:
    subjects = {"mmlu_law": 0.25, "mmlu_art": 0.75}
    raw = {
        "results": {
            "mmlu": {"acc,none": 0.5, "acc_stderr,none": 0.1, "alias": "mmlu"},
            **{name: {"acc,none": value, "alias": name} for name, value in subjects.items()},
            "wikitext": {"word_perplexity,none": 12.5, "word_perplexity_stderr,none": "N/A"},
        },
        "group_subtasks": {"mmlu": list(subjects)},
        "n-samples": {
            **{name: {"original": 10, "effective": 10} for name in subjects},
            "wikitext": {"original": 5, "effective": 5},
        },
        "versions": {"mmlu": 2},
        "n-shot": {"mmlu_law": 5},
        "chat_template": "{{x}}",
        "fewshot_as_multiturn": True,
        "config": {"model": "hf", "model_args": "pretrained=org/name,dtype=bfloat16"},
    }
    (tmp_path / "results_1.json").write_text(json.dumps(raw))
    found = {result.benchmark: result for result in read(tmp_path, NO_DATA)}
    assert set(found) == {"mmlu", "wikitext"}
    assert {result.model for result in found.values()} == {"org/name"}
    head, *parts = found["mmlu"].scores
    assert (head.value, head.n, head.protocol) == (50.0, 20, "lm-eval:mmlu@2/5-shot/chat-multiturn")
    assert [(part.category, part.value, part.headline) for part in parts] == [
        ("mmlu_law", 25.0, False),
        ("mmlu_art", 75.0, False),
    ]
    (other,) = found["wikitext"].scores
    assert (other.value, other.stderr, other.unit) == (12.5, None, "points")


def test_of_a_task_run_twice_the_later_counts(tmp_path: Path) -> None:
    for date, value in ((5, 0.5), (9, 0.9), (7, 0.7)):
        raw = {"results": {"arc": {"acc,none": value}}, "date": date, "model_name": "m"}
        (tmp_path / f"results_{date}.json").write_text(json.dumps(raw))
    (result,) = read(tmp_path, NO_DATA)
    assert result.scores[0].value == pytest.approx(90)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("[1]", "is not a results file of lm-eval: no JSON object"),
        ('{"results": 3}', "no object 'results'"),
        ('{"results": {"arc": {"alias": "arc"}}}', "task 'arc' has no figure"),
        ("{", "not valid JSON"),
    ],
)
def test_damaged_files_are_one_line(tmp_path: Path, text: str, match: str) -> None:
    (tmp_path / "results_1.json").write_text(text)
    with pytest.raises(UserError, match=match):
        read(tmp_path, NO_DATA)


def test_a_folder_without_results_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds no results_\*.json of lm-eval"):
        read(tmp_path, NO_DATA)
