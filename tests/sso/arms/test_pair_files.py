"""Pairs and their quality on file: one line each, in order, with the measures of what was written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from groundwork.records import read_records
from sso.arms import StepContext
from sso.arms.pair_files import PAIRS, QUALITY, write_contrast_pairs
from sso.pair_metrics import PairQuality
from sso.records import Contrast, PreferencePair, Principle, Query, Response
from sso.settings import MethodSettings
from tests.sso.fake_engine import FakeEngine


def contrast(number: int) -> Contrast:
    sides = Principle(query_id=f"q{number}", features=(), good="be right", bad="be wrong")
    return Contrast(
        query=Query(id=f"q{number}", text=f"text {number}"),
        principle=sides,
        good=Response(text=f"yes {number}", tokens=3, truncated=number == 0),
        bad=Response(text=f"no {number} at all", tokens=5, truncated=False),
    )


@pytest.mark.parametrize("scored", [True, False])
def test_pairs_and_their_quality_stand_line_by_line(tmp_path: Path, scored: bool) -> None:
    given: dict[str, Any] = {"sampling": {"on_policyness": scored}}
    settings = MethodSettings.model_validate(given)
    engine = FakeEngine(lambda prompt, seed, temperature: "")
    context = StepContext(tmp_path, {}, [], settings, 1, 0, lambda folder: engine)
    contrasts = [contrast(number) for number in range(3)]
    originals = {"q1": Response(text="as it comes", tokens=3, truncated=False)}

    measures = write_contrast_pairs(context, contrasts, originals, engine)

    pairs = read_records(tmp_path / PAIRS, PreferencePair)
    assert [(p.query_id, p.chosen, p.rejected) for p in pairs] == [
        (f"q{n}", f"yes {n}", f"no {n} at all") for n in range(3)
    ]
    quality = read_records(tmp_path / QUALITY, PairQuality)
    assert [q.pair_id for q in quality] == [p.id for p in pairs]
    logps = {q.chosen_logp for q in quality} | {q.rejected_logp for q in quality}
    assert logps == ({-1.0} if scored else {None})  # the fake engine's nat a token
    assert [q.original_logp is not None for q in quality] == [False, scored, False]
    assert measures["chosen_truncated_rate"] == pytest.approx(1 / 3)
    assert measures["rejected_truncated_rate"] == 0
    assert measures["chosen_chars"] == 5
