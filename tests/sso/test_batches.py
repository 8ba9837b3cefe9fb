"""Encoding, packing and the invariances: no batching may change a loss or a gradient."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer

from groundwork.errors import UserError
from sso.batches import pack_groups, packed_batch, plain_batch
from sso.encoding import encode_groups, end_of_turn
from sso.objectives import Objective, PromptGroup, as_objective, pairs_by_role
from sso.records import PreferencePair
from sso.settings import LossSettings, TrainingSettings
from tests.sso.training_examples import (
    OBJECTIVES,
    encode,
    load,
    loss_and_gradient,
    make_groups,
    moved_references,
    plans,
)


@pytest.mark.parametrize("kind", ["ipo", "dpo"])
@pytest.mark.parametrize("name", OBJECTIVES)
def test_no_batching_changes_loss_or_gradient(tiny_model_dir: Path, name: str, kind: str) -> None:
    model, _ = load(tiny_model_dir)
    objective = OBJECTIVES[name]
    settings = LossSettings(kind=kind)  # type: ignore[arg-type]
    groups = encode(tiny_model_dir, objective)
    references = moved_references(model, groups)
    results = {
        how: loss_and_gradient(model, batches, plan, references, objective, settings)
        for how, (batches, plan) in plans(groups).items()
    }
    expected_loss, expected = results.pop("plain, whole logits, one batch")
    scale = float(expected.abs().max())
    assert scale > 1e-3
    for how, (loss, gradient) in results.items():
        assert loss == pytest.approx(expected_loss, rel=2e-5), how
        assert float((gradient - expected).abs().max()) < 2e-5 * scale, how


def test_shared_prompt_is_there_once(tiny_model_dir: Path) -> None:
    groups = encode(tiny_model_dir, Objective("generator"), n=1)
    (group,) = groups
    good, bad = group.branches
    packed, plain = packed_batch(groups), plain_batch(groups)
    lengths = [len(c) for b in (good, bad) for c in b.completions]
    assert packed.tokens == len(good.prompt) + len(bad.prompt) + sum(lengths) - 4
    assert plain.input_ids.shape[0] == 4
    assert torch.equal(packed.targets, plain.targets)
    # every completion starts at the position after its prompt, also the second one
    starts = [
        packed.position_ids[0, len(good.prompt)],
        packed.position_ids[0, len(good.prompt) + lengths[0] - 1],
    ]
    assert [int(s) for s in starts] == [len(good.prompt)] * 2


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


def test_packing_respects_the_budget_and_keeps_every_group(tiny_model_dir: Path) -> None:
    groups = encode(tiny_model_dir, Objective("pair"), n=9)
    largest = max(g.packed_tokens for g in groups)
    for budget in (1, largest, 2 * largest, 10**6):
        bins = pack_groups(groups, budget)
        assert sorted(g.id for b in bins for g in b) == sorted(g.id for g in groups)
        for members in bins:
            assert len(members) == 1 or sum(g.packed_tokens for g in members) <= budget
    assert len(pack_groups(groups, 10**6)) == 1
    assert len(pack_groups(groups, 1)) == 9


def _pair(pair_id: str = "p", chosen: str = "yes", rejected: str = "no", **kw) -> PreferencePair:
    prompt = ({"role": "user", "content": kw.pop("user", "Well?")},)
    return PreferencePair(
        id=pair_id, query_id="q", prompt=prompt, chosen=chosen, rejected=rejected, **kw
    )


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


def test_objectives_and_their_pairs() -> None:
    assert as_objective("joint") == Objective("joint")
    with pytest.raises(UserError, match=r"unknown objective 'dpo'.*pair, generator, joint"):
        as_objective("dpo")
    group = PromptGroup("q", (_pair("a"), _pair("b")))
    with pytest.raises(UserError, match=r"two policy pairs \('a', 'b'\)"):
        pairs_by_role(group, Objective("pair"))
    annotated = PromptGroup("q", (_pair("a", kind="annotated"),))
    assert pairs_by_role(annotated, Objective("pair"))["policy"].id == "a"
    with pytest.raises(UserError, match="needs a generator-good pair"):
        pairs_by_role(annotated, Objective("generator"))


def test_grouping_and_branches() -> None:
    (first, second) = make_groups(2)
    assert (first.id, second.id) == ("q0", "q1")
    branches = first.branches()
    assert [len(b.completions) for b in branches] == [2, 2, 2]
    assert branches[2].completions[1] == branches[0].completions[0]  # y+ is rejected under x-


def test_a_side_that_sampling_cut_gets_no_end_of_turn(tiny_model_dir: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_model_dir)
    groups = [PromptGroup("a", (_pair(chosen="yes", rejected="no", truncated=("rejected",)),))]
    found = encode_groups(groups, Objective("pair"), tokenizer, TrainingSettings(max_length=100))
    chosen, rejected = found.groups[0].branches[0].completions
    end = end_of_turn(tokenizer)
    assert chosen[-1] == end
    assert rejected == tuple(tokenizer("no", add_special_tokens=False)["input_ids"])
    assert end not in rejected
