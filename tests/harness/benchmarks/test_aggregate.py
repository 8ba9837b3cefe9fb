"""Item scores to scores, samples under a limit, protocols and their ids."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

import pytest

from harness.benchmarks import BENCHMARKS, all_protocols, get_benchmark, load_protocol
from harness.benchmarks.aggregate import Grade, Header, outcome, protocol_id, weighted_mean
from harness.benchmarks.item_subset import draw
from harness.errors import ProtocolError
from leaderboards.statistics.errors import clustered_standard_error, standard_error


def test_equal_weights_give_the_plain_mean_and_standard_error() -> None:
    mean, error = weighted_mean([(1.0, 1.0), (0.0, 1.0), (1.0, 1.0), (1.0, 1.0)])
    assert mean == 0.75
    assert error == pytest.approx(standard_error([1, 0, 1, 1])) == pytest.approx(0.25)


def test_clusters_move_together() -> None:
    values = [1.0, 1.0, 0.0, 0.0, 1.0, 0.0]
    clusters = ["a", "a", "b", "b", "c", "c"]
    _, error = weighted_mean([(v, 1.0) for v in values], clusters)
    assert error == pytest.approx(clustered_standard_error(values, clusters))


def test_a_ratio_weighs_items_by_their_parts() -> None:
    """Two prompts: 1 of 1 and 1 of 3 instructions followed: 2 of 4."""
    mean, error = weighted_mean([(1.0, 1.0), (1 / 3, 3.0)])
    assert mean == pytest.approx(0.5)
    assert error == pytest.approx(math.sqrt(2 * (0.5**2 + 0.5**2)) / 4)
    assert weighted_mean([]) == (None, None)
    assert weighted_mean([(1.0, 1.0)]) == (1.0, None)


def test_counts_are_kept_apart_and_excluded_items_stay_in_n_expected() -> None:
    rows = [{"item_id": str(n), "category": "ab"[n % 2], "truncated": n == 1} for n in range(4)]
    grades = [
        Grade({"acc": 1.0}, "A"),
        Grade({"acc": 0.0}, None, unparsed=True),
        Grade({}, error="the prompt does not fit"),
        Grade({"acc": 1.0}, "B"),
    ]
    made = outcome(rows, grades, Header("demo", "demo/x@1#0", "acc"))
    total = made.scores[0]
    assert (total.n, total.n_expected, total.value) == (3, 4, pytest.approx(200 / 3))
    assert (total.n_truncated, total.n_unparsed, total.n_error) == (1, 1, 1)
    assert total.headline
    assert [(s.category, s.n, s.headline) for s in made.scores[1:]] == [
        ("a", 1, False),
        ("b", 2, False),
    ]


def test_all_items_excluded_is_no_zero() -> None:
    made = outcome([{"item_id": "1"}], [Grade({}, error="x")], Header("demo", "p", "acc"))
    assert made.scores[0].value is None
    assert made.scores[0].n_error == 1


def test_a_limit_keeps_every_stratum_its_share_and_is_the_same_every_time() -> None:
    items = [(f"s{n % 3}" if n < 60 else "rare", n) for n in range(64)]
    kept = draw(items, lambda item: item[0], 16, seed=0)
    assert kept == draw(items, lambda item: item[0], 16, seed=0)
    assert kept == sorted(kept, key=lambda item: item[1])
    assert Counter(name for name, _ in kept) == {"s0": 5, "s1": 5, "s2": 5, "rare": 1}
    assert kept != draw(items, lambda item: item[0], 16, seed=1)
    assert draw(items, lambda item: item[0], 100, seed=0) == items


def test_every_benchmark_has_the_named_protocols_and_every_file_loads() -> None:
    found = {(spec.benchmark, spec.name.split("/")[1]) for spec in all_protocols()}
    for name in BENCHMARKS:
        assert (name, "community") in found
        if name.startswith("rewardbench"):  # no text is written: nothing to make shorter
            continue
        assert {(name, "paper"), (name, "quick")} <= found
        assert "reduced-protocol" in load_protocol(name, "quick").marks
        assert "reconstruction" in load_protocol(name, "paper").marks
        assert load_protocol(name).marks == ()


def test_every_setting_enters_the_protocol_id() -> None:
    spec = load_protocol("gsm8k")
    ids = {protocol_id(spec, {**spec.settings, key: "other"}) for key in spec.settings}
    assert len(ids) == len(spec.settings)
    assert all(i.startswith(f"gsm8k/community@{spec.version}#") for i in ids)


def test_unknown_names_say_the_nearest_one(tmp_path: Path) -> None:
    with pytest.raises(ProtocolError, match="mean 'gsm8k'"):
        get_benchmark("gsm8")
    with pytest.raises(ProtocolError, match="mean 'community'"):
        load_protocol("gsm8k", "comunity")
    bad = tmp_path / "mine.yaml"
    bad.write_text("version: 1\nsetings: {}\nsettings: {}\n")
    with pytest.raises(ProtocolError, match="mean 'settings'"):
        load_protocol("gsm8k", str(bad))
    bad.write_text("a: [")
    with pytest.raises(ProtocolError, match="not valid YAML"):
        load_protocol("gsm8k", str(bad))


def test_a_users_own_protocol_file_works(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("version: 3\nsettings: {task: gsm8k, extraction: lm-eval, metric: numeric}\n")
    spec = load_protocol("gsm8k", str(mine))
    assert (spec.name, spec.version, spec.settings["metric"]) == ("gsm8k/mine", 3, "numeric")
