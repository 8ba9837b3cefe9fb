"""Options as a configuration: groups, names, seeds, limits."""

from __future__ import annotations

import pytest

from harness.cli.options import (
    Evaluation,
    Judging,
    Training,
    configured,
    given,
    select_benchmarks,
    split_names,
)
from harness.config import ConfigError, load_config


def test_names_are_split_once_and_in_order() -> None:
    assert split_names("b, a,,b , c") == ["b", "a", "c"]
    assert split_names("") == []


def test_only_what_was_given_counts() -> None:
    assert given(a=None, b={}, c=0, d="") == {"c": 0, "d": ""}


def test_options_lie_on_top_of_overrides_and_preset() -> None:
    config = configured(
        Evaluation(set_=["iterations=5", "loss.kind=dpo"], data="sample", engine="fake"),
        Judging(judge="gpt-4.1", max_cost=3.0),
        Training(iters=2, methods="sso, pbaa", model="m"),
    )
    assert (config.iterations, config.methods, config.model) == (2, ("sso", "pbaa"), "m")
    assert (config.loss.kind, config.engine.kind) == ("dpo", "fake")
    assert (config.judge.name, config.judge.max_cost) == ("gpt-4.1", 3.0)


@pytest.mark.parametrize(
    ("seed", "seeds", "found"), [(None, None, (0,)), (4, None, (4,)), (None, 3, (0, 1, 2)), (4, 2, (4, 5))]
)  # fmt: skip
def test_seeds_are_the_first_and_those_after_it(
    seed: int | None, seeds: int | None, found: tuple[int, ...]
) -> None:
    assert configured(Evaluation(seed=seed), Judging(), Training(seeds=seeds)).seeds == found


def test_no_seeds_is_a_mistake() -> None:
    with pytest.raises(ConfigError, match="--seeds 0: at least 1"):
        configured(Evaluation(), Judging(), Training(seeds=0))


def test_benchmarks_are_chosen_with_protocol_and_limit() -> None:
    config = load_config("quickstart")
    chosen = select_benchmarks(config, "gsm8k/paper,mmlu_pro", 3).benchmarks
    assert list(chosen) == ["gsm8k", "mmlu_pro"]
    assert (chosen["gsm8k"].protocol, chosen["gsm8k"].limit) == ("paper", 3)
    assert chosen["mmlu_pro"].protocol == config.benchmarks["mmlu_pro"].protocol
    assert select_benchmarks(config, None, None).benchmarks == config.benchmarks
