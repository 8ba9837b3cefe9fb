"""MT-Bench's rating, against FastChat's own patterns, prompts and published judgments."""

from __future__ import annotations

import ast
import importlib.util
import json
import re
import warnings
from pathlib import Path

import pytest

from judges.errors import JudgeError
from judges.prompts import prompt_book
from judges.protocols import rating
from judges.records import Rating


def fastchat_patterns() -> dict[str, str]:
    """The patterns in the installed FastChat's source (importing it takes ten seconds)."""
    found = importlib.util.find_spec("fastchat")
    if found is None or found.origin is None:
        pytest.skip("fschat is not installed")
    source = (Path(found.origin).parent / "llm_judge" / "common.py").read_text()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its patterns are no raw strings
        tree = ast.parse(source)
    return {
        node.targets[0].id: node.value.args[0].value
        for node in tree.body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and isinstance(node.value, ast.Call)
        and getattr(node.value.func, "attr", "") == "compile"
        and isinstance(node.value.args[0], ast.Constant)
    }


@pytest.mark.parametrize(
    "text",
    [
        "Good. Rating: [[7]]",
        "Rating: [[8.5]] or [[2]]",
        "I say [6]",
        "[3] first, then [[9]]",
        "no rating",
        "[[10.]]",
        "[[ 5 ]]",
        "[[0]]",
    ],
)
def test_rating_patterns_equal_fastchats(text: str) -> None:
    patterns = fastchat_patterns()
    found = re.search(patterns["one_score_pattern"], text) or re.search(
        patterns["one_score_pattern_backup"], text
    )
    theirs = ast.literal_eval(found.group(1)) if found else None
    assert rating.parse_score(text) == theirs


def test_a_year_is_no_rating() -> None:
    assert rating.parse_score("As said in [2023], fine.") is None


def test_published_judgments_give_published_scores(data_dir: Path) -> None:
    for model, total in (("claude-3-opus-20240229", 8.675), ("llama2_chat_7b", 6.190625)):
        path = data_dir / f"mt_bench/model_judgment/gpt-4_single__{model}.jsonl"
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        ours = [rating.parse_score(row["judgment"]) for row in rows]
        assert ours == [row["score"] for row in rows]
        assert sum(s for s in ours if s is not None) / 160 == pytest.approx(total)


def test_rating_requests_are_the_published_prompts(data_dir: Path) -> None:
    """Built from questions, answers and references, they equal the prompts that GPT-4 was sent."""
    root = data_dir / "mt_bench"
    book = prompt_book(root / "judge_prompts.jsonl")

    def table(name: str) -> dict[int, dict]:
        rows = [json.loads(line) for line in (root / name).read_text().splitlines()]
        return {row["question_id"]: row for row in rows}

    questions = table("question.jsonl")
    answers = table("model_answer/claude-3-opus-20240229.jsonl")
    references = table("reference_answer/gpt-4.jsonl")
    path = root / "model_judgment/gpt-4_single__claude-3-opus-20240229.jsonl"
    equal = 0
    for line in path.read_text().splitlines():
        row = json.loads(line)
        question = questions[row["question_id"]]
        turns = answers[row["question_id"]]["choices"][0]["turns"]
        given = references.get(row["question_id"])
        needs = question["category"] in rating.NEED_REFERENCE
        item = Rating(
            item_id="x",
            category=question["category"],
            turns=tuple(
                text for q, a in zip(question["turns"], turns, strict=True) for text in (q, a)
            )[: 2 * row["turn"]],
            references=tuple(given["choices"][0]["turns"]) if given and needs else (),
        )
        request = rating.request(item, book)
        assert request.protocol.endswith(row["judge"][1])
        equal += request.messages[1]["content"] == row["user_prompt"]
    assert equal == 160


def test_rating_needs_whole_turns_and_references() -> None:
    book = prompt_book()
    with pytest.raises(JudgeError, match="2 or 4 turns, not 3"):
        rating.request(Rating(item_id="q", category="math", turns=("a", "b", "c")), book)
    with pytest.raises(JudgeError, match="one reference answer per turn"):
        rating.request(
            Rating(item_id="q", category="math", turns=("a", "b", "c", "d"), references=("r",)),
            book,
        )
