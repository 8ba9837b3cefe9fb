"""GSM8K: numbers read off answers, as a table of cases."""

from __future__ import annotations

import pytest

from harness.benchmarks.gsm8k.extraction import (
    after_answer_colon,
    final_number,
    key_of,
    normalised,
    same_number,
)


@pytest.mark.parametrize(
    ("given", "plain"),
    [
        ("1,250.50", "1250.5"),
        ("$18.00", "18"),
        ("18.", "18"),
        ("-0.0", "0"),
        ("100", "100"),
        ("5%", "5"),
        ("€2,000", "2000"),
        ("007", "7"),
        (".5", "0.5"),
        ("1e400", "1" + "0" * 400),
        ("six", "six"),
        ("", ""),
    ],
)
def test_gsm8k_numbers_lose_currency_separators_and_trailing_zeros(given: str, plain: str) -> None:
    assert normalised(given) == plain


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("3 + 4 = 7\n#### 7", "7"),
        ("#### 7 eggs, then 9", "7"),
        ("The answer is $1,234.", "$1,234"),
        ("First the answer is 3. No, the answer is 4.", "4"),
        (r"So \boxed{42} in all of 50", "42"),
        ("She has 3 of 12 left", "12"),
        ("It costs $ 5.50 and -3", "-3"),
        ("no number", None),
        ("", None),
    ],
)
def test_gsm8k_final_number(text: str, number: str | None) -> None:
    assert final_number(text) == number


def test_gsm8k_answer_colon_reads_after_the_last_mark() -> None:
    assert after_answer_colon("A: 3\nso\nA: 1,204.") == "1204"
    assert after_answer_colon("the answer is 3") is None
    assert key_of("work\n#### 1,000") == "1,000"
    assert key_of("no mark") is None


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("\\boxed{10{,}000}", "10000"),
        ("$9{,}500", "9500"),
        ("the answer is $9{,}500$", "9500"),
        ("12\\,500", "12500"),
        ("12 500", "12500"),
        ("\\boxed{-\\$5}", "-5"),
        ("The answer is −7", "-7"),
        ("So −7.", "-7"),
        ("Answer: 16 - 3 - 4 = 9 eggs.\n9 * 2 = 18 dollars", "18"),
        ("the answer is 9 * 2 = 18", "18"),
        ("#### <<5+3=8>>8", "8"),
        ("#### Step 1: Find 3 things\nwe get 4\n#### Step 2\nshe has 18 dollars", "18"),
        ("#### 1. Cost\n5*3=15\n#### 2. Total\n15+3=18", "18"),
        ("3 + 4 = 7\n#### 7", "7"),
        ("#### 7 eggs, then 9", "7"),
        ("The answer is $1,234.", "1234"),
        ("First the answer is 3. No, the answer is 4.", "4"),
        ("So \\boxed{42} in all of 50", "42"),
        ("She has 3 of 12 left", "12"),
        ("It costs $ 5.50 and -3", "-3"),
        ("Answer: 18\n\nExplanation: 16-3-4=9, 9*2=18, so 2 each", "18"),
        ("**Answer:** 18 dollars", "18"),
        ("**Final Answer**: $18", "18"),
        ("The final answer is: \n\n18", "18"),
        ("Final answer: 18. She had 3.", "18"),
        ("x = 5, y=3. The answer is 5 + 3 = 8 apples because 2 = 2", "8"),
        ("The answer is 18 because 16 - 3 - 4 = 9 and 9*2 = 20", "18"),
        ("\\boxed{\\frac{1}{2}}", "0.5"),
        ("The answer is 1/2", "0.5"),
        ("\\boxed{x = 12}", "12"),
        ("\\boxed{18 \\text{ dollars}}", "18"),
        ("\\boxed{\\$18.00}", "18"),
        ("the answer is 1.5 \\times 10^3", "1500"),
        ("10-5=5", "5"),
        ("She earns 100-20", "20"),
        ("The total is -$5", "-5"),
        ("The total is $-5", "-5"),
        ("-5", "-5"),
        ("(−3)", "-3"),
        ("The answer is 1,000,000", "1000000"),
        ("1, 2, 3", "3"),
        ("#### 1,250.50", "1250.5"),
        ("#### $18", "18"),
        ("#### -3", "-3"),
        ("#### **18**", "18"),
        ("#### The answer is 18", "18"),
        ("### Answer\n18", "18"),
        ("Answer:\n16 - 3 = 13\n13 * 2 = 26", "26"),
        ("The answer is 26.\n\nLet me check: 13 * 2 = 26, 26 - 1 = 25", "26"),
        ("Thus, the answer is **18**.", "18"),
        ("The answer is \\(18\\).", "18"),
        ("The answer is $18$ dollars", "18"),
        ("5%", "5"),
        ("the answer is 25%", "25"),
        ("#### 18\n\nHope this helps! 1", "18"),
        ("The answer: 9 eggs are left. The answer is 18.", "18"),
        ("answer = 7", "7"),
        ("The answer is therefore 12 apples", "12"),
        ("My answer is based on 3 facts. 4 + 5 = 9", "9"),
        ("It is 3.14.", "3.14"),
        ("Total: 20 apples\nAnswer: twenty", "20"),
        ("\\boxed{18}\\boxed{}", "18"),
        ("She has $1 000 left", "1000"),
        ("in 2020 300 people", "300"),
        ("\\boxed{2{,}125}", "2125"),
        ("10 000 000", "10000000"),
        ("1.000", "1"),
        ("Answer: She has 16 - 3 - 4 left.\nThat is 9 * 2 = 18.", "18"),
        ("Answer: Janet has 16 eggs. She sells 9 * 2 = 18.", "18"),
        ("Answer: Janet makes $18 every day.", "18"),
        ("Answer: 16 - 3\nThen 26", "26"),
        ("Answer: 18\nExplanation: 9*2=18, 3=3", "18"),
    ],
)
def test_the_stated_final_answer_counts(text: str, number: str) -> None:
    found = final_number(text)
    assert found is not None
    assert same_number(found, number)
