"""Both kinds of judges can stand where a ``Judge`` is asked for."""

from __future__ import annotations

import inspect

import pytest

from judges.base import Judge
from judges.logprob_judge import LocalJudge
from judges.server import ServerJudge

METHODS = ["preferences", "ratings", "pairwise", "graded", "check", "estimate", "describe"]


@pytest.mark.parametrize("kind", [LocalJudge, ServerJudge])
@pytest.mark.parametrize("name", METHODS)
def test_a_judge_has_the_methods_of_the_protocol(kind: type, name: str) -> None:
    expected = inspect.signature(getattr(Judge, name)).parameters
    found = inspect.signature(getattr(kind, name)).parameters
    assert [(p.name, p.kind, p.default) for p in found.values()] == [
        (p.name, p.kind, p.default) for p in expected.values()
    ]


def test_the_protocol_lists_all_its_methods() -> None:
    declared = [n for n, m in vars(Judge).items() if inspect.isfunction(m) and n[0] != "_"]
    assert declared == METHODS
