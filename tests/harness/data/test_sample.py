"""The sample data: complete, without repeats, and every key that can be computed recomputed.

The check tables are in ``sample_data_keys``. A key that no formula gives is a plain fact; the share
of those is bounded below.
"""

from __future__ import annotations

import collections
import itertools
import math
import re
from fractions import Fraction
from typing import Any

import pytest
import sympy

from harness.data import SAMPLE_FOLDER
from tests.harness.data import sample_data_keys as keys
from tests.harness.data.sample_data_files import SCHEMAS, rows

MATH_SUBJECTS = {
    "Algebra",
    "Counting & Probability",
    "Geometry",
    "Intermediate Algebra",
    "Number Theory",
    "Prealgebra",
    "Precalculus",
}
MMLU_PRO_CATEGORIES = {
    *("math", "health", "physics", "business", "biology", "chemistry", "computer science"),
    *("economics", "engineering", "philosophy", "other", "history", "psychology", "law"),
}
LETTERS = "ABCDEFGHIJ"

# Fields that name an item's text: unlike in one file, and over all files but for few-shot parts.
TEXT_FIELDS = ("question", "problem", "Question", "instruction", "prompt", "query")


def texts(name: str) -> list[str]:
    """The prompt of each row, in lower case, white space joined."""
    found = []
    for row in rows(name):
        field = next((f for f in TEXT_FIELDS if f in row), None)
        first = row[field] if field else (row.get("turns") or row["chosen"])[0]
        text = first["content"] if isinstance(first, dict) else first
        found.append(" ".join(text.lower().split()))
    return found


def evaluate(expression: str) -> Fraction:
    """An arithmetic expression of numbers and + - * / ( ), exactly."""
    assert re.fullmatch(r"[\d.+\-*/() ]+", expression), expression
    exact = re.sub(r"\d+(?:\.\d+)?", lambda m: f"Fraction('{m[0]}')", expression)
    return Fraction(eval(exact, {"__builtins__": {}, "Fraction": Fraction}))


def leading_number(option: str) -> float | None:
    """The number an option starts with (``14,000 dollars``, ``1/4``), ``None`` where it has none."""
    match = re.match(r"-?[\d,]*\.?\d+(?:/\d+)?", option)
    return float(Fraction(match[0].replace(",", ""))) if match else None


def agrees(stated: float, computed: float) -> bool:
    """Equal up to rounding to three significant digits."""
    return math.isclose(stated, computed, rel_tol=6e-3, abs_tol=1e-12)


def check_numeric(expression: str, right: str, wrong: list[str]) -> None:
    """The right option is the computed value and no other option is nearer to it."""
    computed = float(eval(expression, {**vars(math)}))
    stated = leading_number(right)
    assert stated is not None, (expression, right, computed)
    assert agrees(stated, computed), (expression, right, computed)
    for option in wrong:
        other = leading_number(option)
        assert other is not None, option
        assert not math.isclose(other, computed, rel_tol=1.5e-3), (expression, option)


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_files_have_their_size_and_every_field(name: str) -> None:
    least, fields = SCHEMAS[name]
    found = rows(name)
    assert len(found) >= least
    for row in found:
        assert fields <= set(row), fields - set(row)
        assert all(row[f] not in (None, []) for f in fields)
        assert all(row[f] != "" for f in fields - {"cot_content"})


def test_every_shipped_file_is_checked() -> None:
    shipped = {
        str(p.relative_to(SAMPLE_FOLDER))
        for p in SAMPLE_FOLDER.rglob("*")
        if p.is_file() and p.suffix != ".md"
    }
    assert shipped == set(SCHEMAS)


def test_no_prompt_comes_twice_in_any_two_files() -> None:
    seen: dict[str, str] = {}
    for name in SCHEMAS:
        if "reference_answer" in name or "model_answer" in name:
            continue
        for text in texts(name):
            assert text not in seen, (text, name, seen[text])
            seen[text] = name


def test_reward_sets_have_every_subset_and_unlike_answers() -> None:
    from harness.benchmarks.rewardbench.sections import SECTIONS
    from harness.benchmarks.rewardbench2 import SUBSETS

    one, two = rows("rewardbench/filtered.jsonl"), rows("rewardbench2/test.jsonl")
    assert {row["subset"] for row in one} == {s for names in SECTIONS.values() for s in names}
    assert {row["subset"] for row in two} == set(SUBSETS)
    assert all(row["chosen"] != row["rejected"] for row in one)
    for row in two:
        answers = row["chosen"] + row["rejected"]
        assert len(set(answers)) == len(answers) == row["total_completions"]
        assert len(row["chosen"]) == row["num_correct"]
        assert row["subset"] == "Ties" or len(answers) == 4


@pytest.mark.parametrize("name", ["gsm8k/test.jsonl", "gsm8k/train.jsonl"])
def test_gsm8k_steps_and_final_numbers(name: str) -> None:
    for row in rows(name):
        body, final = row["answer"].rsplit("\n#### ", 1)
        steps = re.findall(r"([\d.+\-*/() ]+) = \$?<<([^=<>]+)=([^<>]+)>>([\d.]+)", body)
        assert 1 <= len(steps) <= 4, row
        assert len(steps) == body.count("<<"), row
        for shown, expression, value, repeated in steps:
            assert shown.strip() == expression
            assert evaluate(expression) == Fraction(value)
            assert Fraction(repeated.rstrip(".")) == Fraction(value)
        assert Fraction(final) == Fraction(steps[-1][2])
        assert re.fullmatch(r"-?\d+", final)


def test_gsm8k_steps_use_only_known_numbers() -> None:
    """Each number of a step stands in the question or is an earlier result, or is a unit's size."""
    words = {"half": 2, "twice": 2, "quarter": 4, "third": 3, "double": 2, "dozen": 12, "way": 2}
    words |= {"two": 2, "three": 3, "four": 4, "hour": 60, "percent": 100, "average": 4}
    words |= {"field": 2, "younger": 2, "older": 2, "Monday to Friday": 5, "third is": 1}
    words |= {"a quarter of an hour": 60, "twice as much as": 1, "Monday to Saturday": 5}
    for row in rows("gsm8k/test.jsonl") + rows("gsm8k/train.jsonl"):
        question = row["question"]
        known = {Fraction(n) for n in re.findall(r"\d+(?:\.\d+)?", question)}
        known |= {Fraction(v) for w, v in words.items() if w.lower() in question.lower()}
        for expression, value in re.findall(r"<<([^=<>]+)=([^<>]+)>>", row["answer"]):
            used = {Fraction(n) for n in re.findall(r"\d+(?:\.\d+)?", expression)}
            assert used <= known, (question, used - known)
            known.add(Fraction(value))


def sympy_names() -> dict[str, Any]:
    """What an expression of the MATH table may use."""
    return {
        **vars(sympy),
        "combinations": itertools.combinations,
        "permutations": itertools.permutations,
        "product": itertools.product,
        "x": sympy.Symbol("x"),
        "y": sympy.Symbol("y"),
        "r": sympy.Symbol("r", real=True),
        "p": sympy.Symbol("p", positive=True),
        "imaginary": sympy.I,
    }


def plain_latex(text: str) -> str:
    return re.sub(r"\\left|\\right|\\ |\s", "", text)


def last_boxed(text: str) -> str:
    start = text.rindex(r"\boxed{") + len(r"\boxed{")
    depth = list(itertools.accumulate({"{": 1, "}": -1}.get(c, 0) for c in text[start:]))
    return text[start : start + depth.index(-1)]


def test_math_answers_are_what_sympy_computes() -> None:
    names = sympy_names()
    items = rows("math/math_500.jsonl") + rows("math/train.jsonl")
    assert {row["unique_id"] for row in items} == set(keys.MATH)
    for row in items:
        value = eval(keys.MATH[row["unique_id"]], names)
        value = tuple(value.values()) if isinstance(value, dict) else value
        assert plain_latex(sympy.latex(value)) == plain_latex(row["answer"]), row["unique_id"]
        assert last_boxed(row["solution"]) == row["answer"]
        assert row["solution"].count(r"\boxed{") == 1


def test_math_has_all_subjects_and_levels() -> None:
    found = rows("math/math_500.jsonl")
    assert collections.Counter(r["subject"] for r in found).keys() == MATH_SUBJECTS
    assert min(collections.Counter(r["subject"] for r in found).values()) >= 6
    levels = collections.Counter(r["level"] for r in found)
    assert set(levels) == {1, 2, 3, 4, 5}
    assert min(levels.values()) >= 6
    assert all(type(r["level"]) is int for r in found)
    assert {r["subject"] for r in rows("math/train.jsonl")} == MATH_SUBJECTS


@pytest.mark.parametrize("name", ["mmlu_pro/test.jsonl", "mmlu_pro/validation.jsonl"])
def test_mmlu_pro_options_and_letters(name: str) -> None:
    found = rows(name)
    for row in found:
        assert 3 <= len(row["options"]) <= 10
        assert len({o.lower() for o in row["options"]}) == len(row["options"])
        assert LETTERS[row["answer_index"]] == row["answer"]
        assert row["answer_index"] < len(row["options"])
    assert len({row["question_id"] for row in found}) == len(found)
    counts = collections.Counter(row["category"] for row in found)
    assert set(counts) == MMLU_PRO_CATEGORIES
    assert min(counts.values()) >= 3 if "test" in name else set(counts.values()) == {5}


def test_mmlu_pro_reasoning_ends_with_its_own_letter() -> None:
    for row in rows("mmlu_pro/validation.jsonl"):
        cot = row["cot_content"]
        assert cot.startswith("A: Let's think step by step. ")
        assert re.findall(r"The answer is \(([A-J])\)\.", cot) == [row["answer"]]
        assert cot.endswith(f"The answer is ({row['answer']}).")
        for expression, value in re.findall(
            r"(\d[\d.+*/ -]*) = (-?[\d.]*\d)", cot.replace(",", "")
        ):
            assert evaluate(expression) == Fraction(value), cot
    assert all(row["cot_content"] == "" for row in rows("mmlu_pro/test.jsonl"))


def test_mmlu_pro_keys_are_what_the_formulas_give() -> None:
    found = {row["question_id"]: row for row in rows("mmlu_pro/test.jsonl")}
    assert set(keys.MMLU_PRO) <= set(found)
    assert len(keys.MMLU_PRO) >= 0.6 * len(found)
    for number, expression in keys.MMLU_PRO.items():
        options = list(found[number]["options"])
        right = options.pop(found[number]["answer_index"])
        check_numeric(expression, right, options)


def test_gpqa_keys_are_what_the_formulas_give() -> None:
    found = {row["Record ID"]: row for row in rows("gpqa/gpqa_main.csv")}
    assert set(found) == set(keys.GPQA)
    for record, row in found.items():
        wrong = [row[f"Incorrect Answer {i}"] for i in (1, 2, 3)]
        assert len({row["Correct Answer"], *wrong}) == 4
        check_numeric(keys.GPQA[record], row["Correct Answer"], wrong)
    domains = collections.Counter(row["High-level domain"] for row in found.values())
    assert domains == {"Physics": 14, "Chemistry": 14, "Biology": 14}


def test_mmlu_keys_and_shape() -> None:
    test, dev = rows("mmlu/test.jsonl"), rows("mmlu/dev.jsonl")
    for row in test + dev:
        assert len(set(row["choices"])) == 4
        assert row["answer"] in range(4)
    subjects = collections.Counter(row["subject"] for row in test)
    assert len(subjects) >= 6
    assert set(subjects.values()) == {4}
    assert collections.Counter(row["subject"] for row in dev) == dict.fromkeys(subjects, 5)
    found = {row["question"]: row for row in test}
    assert set(keys.MMLU) <= set(found)
    assert len(keys.MMLU) >= 0.6 * len(found)
    for question, expression in keys.MMLU.items():
        choices = list(found[question]["choices"])
        right = choices.pop(found[question]["answer"])
        check_numeric(expression, right, choices)


def test_right_options_are_spread_over_the_letters() -> None:
    """Always answering one letter must not pay: none holds more than a third of the keys."""
    for name in ("mmlu_pro/test.jsonl", "mmlu/test.jsonl"):
        found = rows(name)
        field = "answer_index" if "pro" in name else "answer"
        counts = collections.Counter(row[field] for row in found)
        assert max(counts.values()) <= len(found) / 3, counts
