"""RewardBench by a judge: what its verdicts on pairs come to by subset and section."""

from __future__ import annotations

from collections.abc import Sequence

from harness.benchmarks.rewardbench.sections import SECTIONS, section_of, section_parts
from harness.benchmarks.scored_answers import Part, mean_part
from judges import Verdict
from judges.protocols.labelled import LabelledPair


def judged_parts(
    pairs: Sequence[LabelledPair], verdicts: Sequence[tuple[Verdict, Verdict]]
) -> dict[str, Part]:
    """Accuracy by subset: the mean over both orders of 1 (the labelled side), 0 or a half (a tie); pairs
    without two usable verdicts count as a half, as in the official script for generative judges."""
    found: dict[str, list[float]] = {}
    for pair, both in zip(pairs, verdicts, strict=True):
        if pair.majority in (1, 2):
            credits = [_credit(verdict.value, pair.majority or 0) for verdict in both]
            found.setdefault(pair.subset, []).append(sum(credits) / 2)
    return {subset: mean_part(values) for subset, values in found.items()}


def _credit(value: float | None, label: int) -> float:
    if value is None or value == 1.5:
        return 0.5
    return float((1 if value < 1.5 else 2) == label)


def judged_table(
    pairs: Sequence[LabelledPair], verdicts: Sequence[tuple[Verdict, Verdict]]
) -> list[tuple[str, str]]:
    """Lines to print: subsets where there are several, and the sections of RewardBench among them."""
    subsets = judged_parts(pairs, verdicts)
    lines = [(f"subset {name}", _shown(part)) for name, part in subsets.items() if name]
    if not any(section_of(name) for name in subsets):
        return lines if len(lines) > 1 else []
    sections = section_parts(subsets)
    order = ("average", *SECTIONS)
    return lines + [(f"RewardBench {n}", _shown(sections[n])) for n in order if n in sections]


def _shown(part: Part) -> str:
    error = "" if part.stderr is None else f" ±{100 * part.stderr:.1f}"
    return f"{100 * part.value:.1f} %{error} of {part.n}"
