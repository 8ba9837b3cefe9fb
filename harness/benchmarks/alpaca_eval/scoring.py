"""Judged answers to figures: length-controlled win rate, raw win rate, mean length.

Pure: what comes in are answers and preferences, what goes out are item scores and scores. A missing
preference keeps its item, is counted, and is left out of the means; it is never taken for a loss.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from harness.benchmarks.aggregate import reasoning_counts
from harness.benchmarks.alpaca_eval.files import Instruction, LengthControl
from harness.benchmarks.alpaca_eval.lc_interval import (
    LcInterval,
    bootstrap_interval,
    pseudo_values,
)
from harness.benchmarks.alpaca_eval.length_control import (
    GLMS,
    Comparisons,
    Floats,
    LcFit,
    LcUnavailableError,
    fit_lc,
    preference_share,
)
from harness.benchmarks.base import Outcome
from harness.benchmarks.judged import Header
from leaderboards.records import ItemScore, ReasoningState, Score
from leaderboards.statistics.errors import standard_error

NAME = "alpaca_eval"


@dataclass(frozen=True)
class Judged:
    """One instruction, the model's answer and the judge's preference (1..2, ``None`` if missing).

    ``state`` is the verdict's: ``ok``, ``unparsed``, ``error`` and so on.
    """

    instruction: Instruction
    output: str
    preference: float | None
    state: str = "ok"
    error: str = ""
    truncated: bool = False
    reasoning: ReasoningState = ""
    prompt_hash: str = ""


@dataclass(frozen=True)
class LcResult:
    """The length control of one model; ``withheld`` says why a part of it is not there."""

    fit: LcFit | None
    interval: LcInterval | None
    item_values: Floats | None
    withheld: str = ""


def comparisons(judged: Sequence[Judged], control: LengthControl) -> Comparisons:
    """The arrays that the model of length is fitted on."""
    difficulty = [control.difficulty.get(j.instruction.index, math.nan) for j in judged]
    return Comparisons(
        preference_share([j.preference for j in judged]),
        np.array([len(j.instruction.baseline_output) - len(j.output) for j in judged], float),
        np.array(difficulty, dtype=np.float64),
    )


def length_control(judged: Sequence[Judged], control: LengthControl, glm_name: str) -> LcResult:
    """Fit, interval and item values; withheld with the reason where they can't be had."""
    data = comparisons(judged, control)
    gamed = control.gamed
    if np.isnan(data.difficulty).any():
        return LcResult(None, None, None, "an instruction has no known difficulty")
    try:
        fit = fit_lc(data, gamed, GLMS[glm_name])
    except LcUnavailableError as error:
        return LcResult(None, None, None, str(error))
    values = pseudo_values(data, fit, gamed)
    try:
        return LcResult(fit, bootstrap_interval(data, fit, gamed), values)
    except LcUnavailableError as error:
        return LcResult(fit, None, values, str(error))


def outcome(
    judged: Sequence[Judged],
    n_expected: int,
    control: LengthControl,
    glm_name: str,
    header: Header,
) -> Outcome:
    """Item scores in the order given and the three scores."""
    result = length_control(judged, control, glm_name)
    items = [_item(j, k, result.item_values) for k, j in enumerate(judged)]
    shares = preference_share([j.preference for j in judged])
    known = shares[~np.isnan(shares)]
    make = _score_maker(judged, n_expected, len(known), header)
    lengths = np.array([len(j.output) for j in judged], dtype=np.float64)
    scores = [
        _lc_score(result, make),
        make(
            metric="win_rate",
            value=_mean(100 * known),
            stderr=_finite(standard_error(100 * known)),
        ),
        make(
            metric="length",
            value=_mean(lengths),
            stderr=_finite(standard_error(lengths)),
            unit="characters",
            n=len(judged),
        ),
    ]
    return Outcome(items=items, scores=scores)


def _lc_score(result: LcResult, make: Callable[..., Score]) -> Score:
    interval = result.interval
    return make(
        metric="lc_win_rate",
        value=None if result.fit is None else result.fit.win_rate,
        stderr=None if interval is None else interval.stderr,
        ci_low=None if interval is None else interval.low,
        ci_high=None if interval is None else interval.high,
        headline=True,
        withheld=result.withheld,
    )


def _score_maker(
    judged: Sequence[Judged], n_expected: int, n_known: int, header: Header
) -> Callable[..., Score]:
    states = [j.state for j in judged]
    counts = {
        "n_expected": n_expected,
        "n_truncated": sum(j.truncated for j in judged),
        "n_unparsed": states.count("unparsed"),
        "n_error": sum(s not in ("ok", "unparsed", "missing") for s in states),
        "n_missing": n_expected - len(judged) + states.count("missing"),
        **reasoning_counts(j.reasoning for j in judged),
    }

    def make(*, metric: str, n: int = n_known, withheld: str = "", **values: object) -> Score:
        settings = dict(header.settings)
        if withheld:
            settings["withheld"] = withheld
        return Score.model_validate(
            {
                "benchmark": NAME,
                "metric": metric,
                "n": n,
                "protocol": header.protocol,
                "settings": settings,
                "judge": header.judge,
                "data": header.data,
                "marks": header.marks,
                **counts,
                **values,
            }
        )

    return make


def _item(judged: Judged, position: int, lc_values: Floats | None) -> ItemScore:
    values = {"length": float(len(judged.output))}
    if judged.preference is not None:
        values["win_rate"] = float(preference_share([judged.preference])[0])
    if lc_values is not None:
        values["lc_win_rate"] = float(lc_values[position] / 100)
    return ItemScore(
        benchmark=NAME,
        item_id=judged.instruction.item_id,
        category=judged.instruction.dataset,
        values=values,
        truncated=judged.truncated,
        unparsed=judged.state == "unparsed",
        error=judged.error,
        reasoning=judged.reasoning,
        prompt_hash=judged.prompt_hash,
    )


def _mean(values: Floats) -> float | None:
    return float(values.mean()) if len(values) else None


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
