"""From prompt groups to token ids: the end of a turn, what is dropped, what is cut."""

from __future__ import annotations

from pathlib import Path

import pytest
from transformers import AutoTokenizer

from groundwork.errors import UserError
from sso.encoding import encode_groups, end_of_turn
from sso.objectives import Objective, PromptGroup
from sso.records import PreferencePair
from sso.settings import TrainingSettings
from tests.sso.training_examples import (
    encode,
)


def _pair(pair_id: str = "p", chosen: str = "yes", rejected: str = "no", **kw) -> PreferencePair:
    prompt = ({"role": "user", "content": kw.pop("user", "Well?")},)
    return PreferencePair(
        id=pair_id, query_id="q", prompt=prompt, chosen=chosen, rejected=rejected, **kw
    )


def test_end_of_turn_ends_every_completion(tiny_model_dir: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_model_dir)
    assert end_of_turn(tokenizer) == tokenizer.convert_tokens_to_ids("<|im_end|>")
    (group,) = encode(tiny_model_dir, Objective("pair"), n=1)
    assert {c[-1] for c in group.branches[0].completions} == {end_of_turn(tokenizer)}
    text = tokenizer.decode(group.branches[0].prompt)
    assert text.count("<|im_start|>") == 2
    assert text.endswith("<|im_start|>assistant\n")


def test_end_of_turn_without_a_special_token_is_end_of_sequence(tiny_model_dir: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_model_dir)
    tokenizer.chat_template = (
        "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
    )
    assert end_of_turn(tokenizer) == tokenizer.eos_token_id


def test_what_cannot_be_trained_on_is_dropped_and_counted(tiny_model_dir: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_model_dir)
    groups = [
        PromptGroup("fine", (_pair(),)),
        PromptGroup("none", ()),
        PromptGroup("missing", (_pair(kind="generator-good"),)),
        PromptGroup("empty", (_pair(rejected=""),)),
        PromptGroup("blank", (_pair(rejected=" \n"),)),
        PromptGroup("same", (_pair(rejected="yes"),)),
        PromptGroup("no room", (_pair(user="x" * 200),)),
        PromptGroup("long", (_pair(chosen="y" * 90),)),
    ]
    settings = TrainingSettings(max_length=100)
    found = encode_groups(groups, Objective("pair"), tokenizer, settings)
    assert [g.id for g in found.groups] == ["fine"]
    assert found.counts == {
        "groups": 1,
        "truncated_completions": 0,
        "dropped_no_pairs": 1,
        "dropped_missing_pair": 1,
        "dropped_empty_completion": 2,
        "dropped_identical_pair": 1,
        "dropped_no_room": 1,
        "dropped_too_long": 1,
    }
    cut = encode_groups(
        groups, Objective("pair"), tokenizer, TrainingSettings(max_length=100, truncation="cut")
    )
    assert [g.id for g in cut.groups] == ["fine", "long"]
    assert cut.counts["truncated_completions"] == 1
    branch = cut.groups[1].branches[0]
    assert len(branch.prompt) + len(branch.completions[0]) == 100
    assert cut.counts["dropped_no_room"] == 1


def test_nothing_left_is_an_error_with_the_reasons(tiny_model_dir: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_model_dir)
    with pytest.raises(UserError, match=r"0 of 1 .*1 dropped_empty_completion"):
        encode_groups(
            [PromptGroup("a", (_pair(chosen=""),))],
            Objective("pair"),
            tokenizer,
            TrainingSettings(),
        )


def test_a_side_that_sampling_cut_gets_no_end_of_turn(tiny_model_dir: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_model_dir)
    groups = [PromptGroup("a", (_pair(chosen="yes", rejected="no", truncated=("rejected",)),))]
    found = encode_groups(groups, Objective("pair"), tokenizer, TrainingSettings(max_length=100))
    chosen, rejected = found.groups[0].branches[0].completions
    end = end_of_turn(tokenizer)
    assert chosen[-1] == end
    assert rejected == tuple(tokenizer("no", add_special_tokens=False)["input_ids"])
    assert end not in rejected
