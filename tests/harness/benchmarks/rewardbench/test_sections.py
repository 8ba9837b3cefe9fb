"""The published weights of RewardBench's sections, and what is missing."""

from __future__ import annotations

import pytest

from harness.benchmarks.rewardbench.sections import (
    SECTIONS,
    missing_subsets,
    section_of,
    section_parts,
)
from harness.benchmarks.scored_answers import Part


def test_the_published_weights_of_the_sections() -> None:
    assert sum(SECTIONS["reasoning"].values()) == 984 * 2
    assert {n: sum(c.values()) for n, c in SECTIONS.items() if n != "reasoning"} == {
        "chat": 358, "chat_hard": 456, "safety": 740,
    }  # fmt: skip
    assert sum(len(subsets) for subsets in SECTIONS.values()) == 23
    subsets = {s: Part(0.0, 0.0, 10) for names in SECTIONS.values() for s in names}
    subsets["math-prm"] = Part(1.0, 0.0, 447)
    subsets["mt-bench-med"] = Part(1.0, 0.0, 40)
    found = section_parts(subsets)
    assert found["reasoning"].value == pytest.approx(0.5)
    assert found["chat"].value == pytest.approx(40 / 358)
    assert found["average"].value == pytest.approx((0.5 + 40 / 358) / 4)


def test_a_section_is_the_mean_of_what_is_there_and_the_rest_is_named() -> None:
    found = {"llmbar-natural": Part(1.0, 0.0, 100), "mt-bench-hard": Part(0.0, 0.0, 37)}
    (section,) = section_parts(found).values()
    assert (section.value, section.n) == (100 / 137, 137)
    missing = missing_subsets(found)
    assert set(missing) >= {"chat", "safety", "reasoning", "llmbar-adver-manual"}
    assert "llmbar-natural" not in missing
    assert (section_of("hep-go"), section_of("elsewhere")) == ("reasoning", None)


def test_a_section_of_few_answers_is_not_known_exactly() -> None:
    many = Part(0.5, 0.25 / 99, 100)
    found = section_parts({"llmbar-natural": Part(1.0, 0.0, 2), "mt-bench-hard": many})
    few = (4 / 6) * (2 / 6) / 6  # two right and two wrong added
    expected = (100**2 * few + 37**2 * many.variance) / 137**2
    assert found["chat_hard"].variance == pytest.approx(expected)
    graded = Part(0.5, 0.001, 4)  # of answers that are partly right: no share
    assert section_parts({"hep-go": graded})["reasoning"].variance == pytest.approx(0.001)
