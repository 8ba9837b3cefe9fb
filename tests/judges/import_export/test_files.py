"""Fields of exchanged rows, with the place of each mistake."""

from __future__ import annotations

from typing import Any

import pytest

from judges import JudgeError
from judges.import_export.files import field


def test_a_field_of_the_right_type() -> None:
    assert field({"a": 1.5}, "a", "f:1", (int, float)) == 1.5


@pytest.mark.parametrize(
    ("row", "match"), [({}, "f:1: no field 'a'"), ({"a": None}, "f:1: field 'a' is NoneType")]
)
def test_missing_and_mistyped_fields_name_the_place(row: dict[str, Any], match: str) -> None:
    with pytest.raises(JudgeError, match=match):
        field(row, "a", "f:1", str)
