"""Saved answers of other tools: which field of a row is the model's text, and what it holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.errors import DataError

ANSWER_FIELDS = (
    *("output", "outputs", "model_output", "model_outputs", "response", "responses"),
    *("completion", "completions", "generation", "generations", "generated_text", "code"),
    *("model_answer", "model_response", "prediction_text", "solution"),
)
"""Names under which tools of this field save the text of a model."""


@dataclass(frozen=True)
class SavedText:
    """The model's text, or the log-probabilities of its choices, or why there is neither."""

    text: str = ""
    logprobs: tuple[tuple[float, bool], ...] = ()
    error: str = ""


def is_harness_sample(row: Mapping[str, Any]) -> bool:
    """Whether a row is a line of the ``samples_*.jsonl`` that lm_eval logs."""
    return isinstance(row.get("doc"), Mapping) and isinstance(row.get("resps"), list)


def harness_sample(row: Mapping[str, Any]) -> SavedText:
    """The answer in a line of lm_eval's samples: text, or (nats, greedy) of every choice."""
    first = [one[0] if isinstance(one, list) and one else one for one in row["resps"]]
    if len(first) == 1 and not isinstance(first[0], list):
        return read_text(first[0])
    try:
        pairs = tuple((float(nats), str(greedy) == "True") for nats, greedy in first)
    except (TypeError, ValueError):
        return SavedText(error="the responses are neither text nor log-probabilities")
    return SavedText(logprobs=pairs)


def answer_field(row: Mapping[str, Any], own: Sequence[str], where: str) -> str:
    """The field that holds the model's text; ``own`` are the benchmark's own fields.

    A field is taken only where it can't be the benchmark's own: ``solution`` is the reference unless
    the row carries its reference apart (``reference_solution``, or ``ground_truth`` without the
    ``problem`` of MATH's own rows).

    Raises:
        DataError: none, or several; names them.
    """
    apart = "reference_solution" in row or ("ground_truth" in row and "problem" not in row)
    found = [
        name
        for name in ANSWER_FIELDS
        if name in row and (apart if name == "solution" else name not in own)
    ]
    if len(found) == 1:
        return found[0]
    if found:
        raise DataError(
            f"{where}: {' and '.join(map(repr, found))} may both be the model's answer: choose with "
            "--answer-field"
        )
    if "solution" in row:
        raise DataError(
            f"{where}: the row has no answer: 'solution' may be the reference (--answer-field "
            "solution reads it as the model's)"
        )
    raise DataError(
        f"{where}: the row has no answer field ({', '.join(ANSWER_FIELDS[:6])}, ...); --answer-field "
        "names another"
    )


def read_text(value: Any) -> SavedText:
    """The text of an answer field: a string, a list with one, or a chat that ends in an answer."""
    if isinstance(value, str):
        return SavedText(value)
    if isinstance(value, list) and value and all(isinstance(turn, Mapping) for turn in value):
        last = value[-1]
        content = last.get("content", last.get("value"))
        if last.get("role", last.get("from")) in ("assistant", "gpt") and isinstance(content, str):
            return SavedText(content)
    if isinstance(value, list) and len(value) == 1:
        return read_text(value[0])
    if isinstance(value, list):
        return SavedText(error=f"the answer is a list of {len(value)}: one answer per row")
    kind = "null" if value is None else type(value).__name__
    return SavedText(error=f"the answer is {kind}, not text")
