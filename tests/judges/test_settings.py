"""One settings object opens every judge."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import pytest

from judges import JudgeSettings, open_judge
from judges.client import ClientSettings
from judges.server import ServerJudge


def test_settings_reach_the_judge(tmp_path: Path) -> None:
    client = ClientSettings(concurrency=3)
    settings = JudgeSettings("m", "http://127.0.0.1:9/v1", max_calls=7, client=client)
    judge = open_judge(settings, tmp_path / "v.sqlite")
    assert isinstance(judge, ServerJudge)
    assert (judge.identity, judge.budget.max_calls) == ("m@127.0.0.1:9/v1", 7)
    assert judge.limiter.maximum == 3


def test_settings_are_frozen_and_hold_no_key() -> None:
    settings = JudgeSettings("m")
    with pytest.raises(FrozenInstanceError):
        settings.name = "other"  # type: ignore[misc]
    assert replace(settings, name="other") != settings
    assert "key" not in repr(settings)


def test_a_claim_outlives_one_try_and_its_back_off() -> None:
    client = ClientSettings(timeout_s=10, backoff_max_s=5)
    assert client.lease_s >= client.timeout_s + client.backoff_max_s
