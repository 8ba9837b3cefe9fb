"""Prompt groups, their branches, and the pairs that an objective needs."""

from __future__ import annotations

import pytest

from groundwork.errors import UserError
from sso.objectives import Objective, PromptGroup, as_objective, pairs_by_role
from sso.records import PreferencePair
from tests.sso.training_examples import (
    make_groups,
)


def _pair(pair_id: str = "p", chosen: str = "yes", rejected: str = "no", **kw) -> PreferencePair:
    prompt = ({"role": "user", "content": kw.pop("user", "Well?")},)
    return PreferencePair(
        id=pair_id, query_id="q", prompt=prompt, chosen=chosen, rejected=rejected, **kw
    )


def test_objectives_and_their_pairs() -> None:
    assert as_objective("joint") == Objective("joint")
    with pytest.raises(UserError, match=r"unknown objective 'dpo'.*pair, generator, .*joint"):
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
