"""Boxed answers of LaTeX solutions."""

from __future__ import annotations

import pytest

from harness.data import boxed as math


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"\boxed{1} then \boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"\fbox{3}", "3"),
        (r"\boxed {4}", "4"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"\boxed{5} and \boxed{unfinished", "5"),
        ("7", None),
    ],
)
def test_math_last_boxed(text: str, expected: str | None) -> None:
    assert math.last_boxed(text) == expected
