"""Reasoning sections: closed, unclosed, opened by the template, several, in code, adversarial."""

from __future__ import annotations

import pytest

from groundwork.reasoning import MARKERS, SplitText, more_markers, opens_reasoning, split_reasoning


@pytest.mark.parametrize(
    ("text", "reasoning", "answer"),
    [
        (
            "<think>2 + 2 is 5? No.</think>\n\nThe answer is 4.",
            "2 + 2 is 5? No.",
            "The answer is 4.",
        ),
        ("2 + 2 is 5? No.\n</think>\nThe answer is 4.", "2 + 2 is 5? No.", "The answer is 4."),
        ("<think>\n\n</think>\n\nB", "", "B"),
        ("\n<THINK>x</THINK>B", "x", "B"),
        ("Well.\n<think>a</think>One.\n<think>b</think>Two.", "a\nb", "Well.\nOne.\nTwo."),
        ("[THINK]a[/THINK]b", "a", "b"),
        ("<thinking>a <think> b</thinking>c", "a <think> b", "c"),
        (
            "<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>b",
            "a",
            "b",
        ),
        ("◁think▷a◁/think▷b", "a", "b"),
    ],
)
def test_sections_are_taken_out(text: str, reasoning: str, answer: str) -> None:
    assert split_reasoning(text) == SplitText(reasoning, answer)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "The answer is 4.",
        "  spaces stay \n",
        "Write `<think>` before the answer.",
        "```xml\n<think>\n</think>\n```\nThat is the file.",
        "a < b and b > c",
    ],
)
def test_a_text_without_sections_is_its_own_answer(text: str) -> None:
    assert split_reasoning(text) == SplitText("", text)


def test_an_unclosed_section_leaves_no_answer() -> None:
    assert split_reasoning("<think>The answer is 5, or") == SplitText(
        "The answer is 5, or", "", True
    )
    assert split_reasoning("Hm.\n<think>5") == SplitText("5", "Hm.", True)


def test_the_template_wrote_the_opening_tag() -> None:
    """Without the prompt nobody can tell that a text without tags was cut inside its reasoning."""
    assert opens_reasoning("<|assistant|>\n<think>\n")
    assert not opens_reasoning("<|assistant|>\n<think>\n\n</think>\n\n")
    assert split_reasoning("The answer is 5, or", opened=True) == SplitText(
        "The answer is 5, or", "", True
    )
    assert split_reasoning("a</think>b", opened=True) == SplitText("a", "b")


def test_both_ways_of_opening_give_the_same() -> None:
    for text in ("a</think>b", "a\n```\ncode\n```</think>b\n<think>c</think>d", "a</think>"):
        assert split_reasoning(f"<think>{text}") == split_reasoning(text)


def test_markers_by_configuration() -> None:
    own = (("<plan>", "</plan>"),)
    assert split_reasoning("<plan>a</plan>b", own) == SplitText("a", "b")
    assert split_reasoning("<think>a</think>b", own) == SplitText("", "<think>a</think>b")
    assert split_reasoning("<plan>a</plan>b").answer == "<plan>a</plan>b"


@pytest.mark.parametrize("piece", ["<think>", "</think>", "\n", " ", "<", "```\n", "\n<think>\n"])
def test_a_megabyte_of_tags_is_split(piece: str) -> None:
    """In one pass: quadratic work on a million characters would not come to an end here."""
    text = piece * (1_000_000 // len(piece))
    split = split_reasoning(text)
    assert len(split.reasoning) + len(split.answer) <= len(text)
    assert split.unclosed == ("<think>" in piece)


def test_every_marker_of_the_table_works() -> None:
    for opening, closing in MARKERS:
        assert split_reasoning(f"{opening}\n7\n{closing}\n8") == SplitText("7", "8"), opening


def test_a_models_own_tags_are_known_within_the_with_only() -> None:
    text = "<reflect>5? No.</reflect>4"
    with more_markers([("<reflect>", "</reflect>")]):
        assert split_reasoning(text) == SplitText("5? No.", "4")
        assert split_reasoning("<think>a</think>b").answer == "b"
        assert split_reasoning("<reflect>cut").unclosed
        assert opens_reasoning("assistant\n<reflect>\n")
    assert split_reasoning(text) == SplitText("", text)
