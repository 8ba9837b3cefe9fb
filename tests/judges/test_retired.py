"""Judges that are shut down are named with their stand-ins."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from judges import JudgeError, JudgeSettings, open_judge
from judges.retired import retirement, shutdown_notice
from tests.judges.faulty_server import FaultyServer
from tests.judges.judge_examples import QUICK, judge_on

TODAY = date(2026, 11, 27)


@pytest.mark.parametrize(
    ("value", "notice"),
    [
        ("2027-01-15", "judge-1 will be shut down on 2027-01-15"),
        ("2026-06-01T00:00:00Z", "judge-1 was shut down on 2026-06-01"),
        (1800000000, "judge-1 will be shut down on 2027-01-15"),
        (None, ""),
        ("soon", ""),
        (float("nan"), ""),
        (10**30, ""),
        ({}, ""),
    ],
)
def test_dates_of_the_models_list(value: Any, notice: str) -> None:
    found = shutdown_notice("judge-1", {"shutdown_date": value}, TODAY)
    assert found.startswith(notice) if notice else found == ""
    assert ("stand-ins: gpt-4.1" in found) == bool(notice)


def test_check_warns_about_a_date_in_the_models_list(tmp_path: Path) -> None:
    with FaultyServer() as server:
        server.models = [{"id": "other"}, {"id": "judge-1", "shutdown_date": "2999-01-01"}]
        judge = judge_on(server, tmp_path / "v.sqlite")
        judge.check()
    assert any("judge-1 will be shut down on 2999-01-01" in note for note in judge.notes)


def test_a_retired_judge_is_named_with_its_stand_ins(tmp_path: Path) -> None:
    gone = (404, {}, {"error": {"message": "The model does not exist", "code": "model_not_found"}})
    with FaultyServer(lambda _: gone) as server:
        settings = JudgeSettings("gpt-4-1106-preview", server.url, client=QUICK)
        with pytest.raises(
            JudgeError, match=r"is reported shut down; stand-ins: gpt-4.1"
        ) as caught:
            open_judge(settings, tmp_path / "v.sqlite").check()
        assert "\n" not in str(caught.value)
        assert len(server.received) == 1, "nothing was paid"


def test_other_models_are_not_called_retired() -> None:
    assert retirement("gpt-4.1") == ""
    assert retirement("gpt-4-0613").startswith(
        "gpt-4-0613 (MT-Bench's judge) is reported shut down"
    )
