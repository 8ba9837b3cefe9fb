"""The one result record: frozen, and nothing shared between two of them."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace

import pytest

from groundwork.stage_result import StageResult


def test_notes_stay_when_measures_are_added() -> None:
    first = StageResult(measures={"loss": 1.0}, notes=("plain batches",))
    second = replace(first, measures={**first.measures, "accuracy": 0.5})
    assert second.notes == ("plain batches",)
    assert first.measures == {"loss": 1.0}


def test_two_results_share_no_counts() -> None:
    with pytest.raises(FrozenInstanceError):
        StageResult().tokens = 3  # type: ignore[misc]
    assert StageResult().counts is not StageResult().counts
