"""The sample data without answer keys: instructions, two-turn questions, pairs, judge canary.

The references of MT-Bench's reasoning, math and coding questions are worked out again here.
"""

from __future__ import annotations

import collections
import itertools
import operator
import re
from fractions import Fraction
from typing import Any

import sympy

from tests.harness.data.sample_data_files import rows

MT_CATEGORIES = {
    *("writing", "roleplay", "reasoning", "math"),
    *("coding", "extraction", "stem", "humanities"),
}


def test_alpaca_baseline_lengths_and_datasets() -> None:
    found = rows("alpaca_eval/sample_baseline_outputs.json")
    assert {row["generator"] for row in found} == {"sample-baseline"}
    assert all(row["dataset"].startswith("sample-") for row in found)
    assert len({row["dataset"] for row in found}) >= 5
    words = [len(row["output"].split()) for row in found]
    assert min(words) >= 50
    assert max(words) <= 180
    assert max(words) >= 2 * min(words)


def test_mt_bench_categories_turns_and_references() -> None:
    found = rows("mt_bench/question.jsonl")
    assert collections.Counter(r["category"] for r in found) == dict.fromkeys(MT_CATEGORIES, 2)
    assert all(len(r["turns"]) == 2 and all(r["turns"]) for r in found)
    needs = {r["question_id"] for r in found if r["category"] in ("reasoning", "math", "coding")}
    references = rows("mt_bench/reference_answer/sample.jsonl")
    assert {r["question_id"] for r in references} == needs
    given = {r["question_id"]: r["choices"][0]["turns"] for r in references}
    for row in found:
        assert row.get("reference") == given.get(row["question_id"])


def reference(opening: str) -> list[str]:
    """The two reference answers of the question that begins so."""
    row = next(r for r in rows("mt_bench/question.jsonl") if r["turns"][0].startswith(opening))
    return list(row["reference"])


def test_mt_bench_math_references() -> None:
    x = sympy.Symbol("x", positive=True)
    (width,) = sympy.solve(x * (x + 3) - 40, x)
    first, second = reference("A rectangle")
    assert first.startswith(f"The sides are {width} cm and {width + 3} cm.")
    assert f"a factor of {2 * width * 2 * (width + 3) / 40}," in second
    assert f"= {2 * (2 * width + 2 * (width + 3))} cm" in second
    draws = list(itertools.permutations("r" * 4 + "b" * 6, 2))
    red = Fraction(sum(pair == ("r", "r") for pair in draws), len(draws))
    first, second = reference("A bag holds")
    assert first.startswith(f"{red}.")
    assert second.startswith(f"{1 - red}.")


def test_mt_bench_reasoning_references() -> None:
    def orders(names: str, taller: list[str]) -> list[tuple[str, ...]]:
        found = itertools.permutations(names)
        return [o for o in found if all(o.index(a) < o.index(b) for a, b in taller)]

    known = ["AB", "BC", "CD"]
    first, second = reference("Ana is taller")
    assert {o[1] for o in orders("ABCD", known)} == {"B"}
    assert first.startswith("Ben.")
    assert {o[2] for o in orders("ABCDE", [*known, "EB", "AE"])} == {"B"}
    assert second.startswith("Ben.")
    first, second = reference("A clock")
    slow = 5 + 2 * 6
    assert first.startswith(f"It shows 5:{60 - slow} p.m.")
    slow = 5 + 2 * 24
    assert second.startswith(f"It is {slow} minutes slow and shows 11:{60 - slow:02d} a.m.")


def test_mt_bench_coding_references_run() -> None:
    def function(text: str, name: str) -> Any:
        scope: dict[str, Any] = {}
        exec(re.findall(r"```python\n(.*?)```", text, re.DOTALL)[0], scope)
        return scope[name]

    counts, ranked = reference("Write a Python function `count_words")
    assert function(counts, "count_words")("To be or not to be") == {
        "to": 2,
        "be": 2,
        "or": 1,
        "not": 1,
    }
    assert function(ranked, "count_words")("b a b a c", 2) == [("a", 2), ("b", 2)]
    printed, loop = reference("What does this Python code print")
    fast = function(loop, "f")
    assert printed.startswith(f"It prints {fast(7)}.")
    assert [fast(n) for n in range(8)] == [0, 1, 1, 2, 3, 5, 8, 13]


def test_ifeval_rows_pair_instructions_with_arguments() -> None:
    for row in rows("ifeval/input_data.jsonl"):
        assert len(row["instruction_id_list"]) == len(row["kwargs"]) >= 1
        assert all(re.fullmatch(r"[a-z_]+:[a-z_]+", i) for i in row["instruction_id_list"])
        for arguments in row["kwargs"]:
            for value in arguments.values():
                listed = value if isinstance(value, list) else [value]
                assert all(str(v).lower() in row["prompt"].lower() for v in listed), row["key"]


def test_preferences_are_long_enough_and_differ() -> None:
    for row in rows("preference/preferences.jsonl"):
        assert 30 <= len(row["chosen"].split()) <= 120, row["prompt"]
        assert row["chosen"] != row["rejected"]


def test_queries_are_short_and_from_many_fields() -> None:
    found = rows("queries/queries.jsonl")
    assert len({r["id"] for r in found}) == len(found)
    assert len({r["source"] for r in found}) >= 8
    assert all(len(r["query"].split()) <= 20 for r in found)


def test_canary_labels_are_balanced_and_the_computable_ones_right() -> None:
    found = rows("judge_canary/canary.jsonl")
    counts = collections.Counter(r["label"] for r in found)
    assert set(counts) == {1, 2}
    assert counts[1] == counts[2]
    better = {r["instruction"]: r[f"output_{r['label']}"] for r in found}
    worse = {r["instruction"]: r[f"output_{3 - r['label']}"] for r in found}
    assert "42" in better["What is 15 + 27?"]
    assert "42" not in worse["What is 15 + 27?"]
    ordered = better["Sort these numbers from small to large: 9, 2, 7, 4."]
    assert ordered == ", ".join(map(str, sorted([9, 2, 7, 4])))
    squares = eval(next(v for k, v in better.items() if "squares" in k), {"nums": [1, 2, 3]})
    assert squares == list(map(operator.pow, [1, 2, 3], [2, 2, 2]))
    lantern = "Write a sentence that contains the word 'lantern'."
    assert "lantern" in better[lantern]
    assert "lantern" not in worse[lantern]
