"""Degenerate answers, as small or broken models write them: every extractor and checker ends.

The graders run in a child process with a bound on its CPU time, many times what they need; a
pattern of polynomial time would need hours.
"""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

PIECES = (
    *("\n", " ", "a", "9", "9,", "1 ", "-", "$", "(", "(A", "A ", "I ", "**", "'", "{", "\\"),
    *("####", "#### ", "answer", "answer is ", "Answer: ", "the answer is (", "\\boxed{", "<<"),
    *("\\frac{1}{", "option is ", "<think>", "</think>", "```", "Answer: 3 + 3 = ", "é", "\u2028"),
)
CPU_SECONDS = 240

CHILD = """
import sys
from harness.benchmarks import BENCHMARKS, get_benchmark, load_protocols
from harness.benchmarks.aggregate import Header
from harness.benchmarks.answer_key import ObjectiveBenchmark

TARGETS = {
    "gsm8k": {"question": "", "answer": "#### 3"},
    "mmlu_pro": {"answer": "A", "options": 10},
    "gpqa": {"answer": "A"},
    "mmlu": {"answer": 0},
}
name, size = sys.argv[1], int(sys.argv[2])
benchmark = get_benchmark(name)
for spec in load_protocols(name):
    rows = [
        {"item_id": str(k), "target": TARGETS[name], "output": piece * (size // len(piece))}
        for k, piece in enumerate(eval(sys.argv[3]))
    ]
    header = Header(name, "p", str(spec.settings["metric"]))
    items = benchmark.score_rows(rows, spec.settings, header).items
    assert len(items) == len(rows)
    assert not [item.error for item in items if item.error], "each ends within its own bound"
    break  # the grader applies every extraction, whatever the protocol
print("done")
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gsm8k", "mmlu_pro", "gpqa", "mmlu"])
def test_every_extractor_ends_on_a_megabyte_of_anything(name: str) -> None:
    child = subprocess.run(
        [sys.executable, "-c", CHILD, name, "1000000", repr(PIECES)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).resolve().parents[3],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS)),
    )
    assert child.stdout.strip().endswith("done"), child.stderr[-2000:]


IFEVAL_CHECKS = (
    ("keywords:existence", {"keywords": ["a", "9"]}),
    ("keywords:frequency", {"keyword": "a", "frequency": 2, "relation": "at least"}),
    ("length_constraints:number_sentences", {"num_sentences": 3, "relation": "less than"}),
    ("length_constraints:number_words", {"num_words": 30, "relation": "at least"}),
    ("length_constraints:number_paragraphs", {"num_paragraphs": 2}),
    ("detectable_format:json_format", {}),
    ("detectable_format:number_bullet_lists", {"num_bullets": 2}),
    ("detectable_format:title", {}),
    ("detectable_content:number_placeholders", {"num_placeholders": 2}),
    ("language:response_language", {"language": "de"}),
    ("change_case:english_capital", {}),
    (
        "change_case:capital_word_frequency",
        {"capital_frequency": 2, "capital_relation": "at least"},
    ),
    ("combination:repeat_prompt", {"prompt_to_repeat": "a"}),
    ("startend:quotation", {}),
    ("punctuation:no_comma", {}),
)


@pytest.mark.slow
def test_every_ifeval_checker_ends_on_a_megabyte_of_anything() -> None:
    """Each item ends by itself or as its own error, at the bound of CPU time, and so do its neighbours."""
    from harness.benchmarks.grader_processes import grade_all
    from harness.benchmarks.ifeval import GRADER, SECONDS, ensure_punkt

    ensure_punkt()
    target = {
        "key": 1,
        "prompt": "a",
        "instruction_id_list": [name for name, _ in IFEVAL_CHECKS],
        "kwargs": [kwargs for _, kwargs in IFEVAL_CHECKS],
    }
    texts = [piece * (1_000_000 // len(piece)) for piece in PIECES[:12:3]]
    texts += [piece * 300 for piece in PIECES] + ["A plain answer."]
    found = grade_all(GRADER, [{"target": target, "text": t} for t in texts], seconds=SECONDS)
    assert len(found) == len(texts)
    for verdicts in found:
        assert "error" in verdicts or len(verdicts["inst_level_strict_acc"]) == len(IFEVAL_CHECKS)
    assert all("error" not in verdicts for verdicts in found[4:])
