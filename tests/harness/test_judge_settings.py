"""Which judge answers in which use."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from harness.judge_settings import JudgeSettings


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        (None, ("judge-1", "http://a/v1")),
        ("judge-2", ("judge-2", "http://a/v1")),
        ("judge-2@http://b/v1", ("judge-2", "http://b/v1")),
        ("local", ("local", None)),
    ],
)
def test_a_use_has_its_own_judge_or_the_default(
    own: str | None, expected: tuple[str, str | None]
) -> None:
    settings = JudgeSettings(name="judge-1", base_url="http://a/v1", mt_bench=own)
    assert settings.judge_of("mt_bench") == expected
    assert settings.judge_of("pairs") == ("judge-1", "http://a/v1")
    assert settings.names() == ({} if own is None else {"mt_bench": own})


def test_a_name_that_is_no_use_gets_the_default() -> None:
    assert JudgeSettings(name="judge-1").judge_of("prices") == ("judge-1", None)


@pytest.mark.parametrize("wrong", [{"max_cost": 0}, {"max_calls": 0}, {"withhold_above": 1.5}])
def test_amounts_have_bounds(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        JudgeSettings(**wrong)
