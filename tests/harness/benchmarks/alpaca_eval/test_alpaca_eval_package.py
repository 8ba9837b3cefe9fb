"""The adapter of the alpaca_eval package: nothing of the process is left changed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from harness.benchmarks.alpaca_eval.alpaca_eval_package import length_controlled_winrate
from harness.benchmarks.alpaca_eval.length_control import (
    Comparisons,
    fit_lc,
    preference_share,
)
from tests.harness.benchmarks.alpaca_eval.test_length_control import (
    make_gamed,
    make_rows,
)


def test_package_adapter_leaves_scikit_learn_as_it_was(tmp_path: Path) -> None:
    import sklearn

    path, _ = make_gamed(tmp_path)
    before = sklearn.get_config()["enable_metadata_routing"]
    length_controlled_winrate(make_rows(0), path)
    assert sklearn.get_config()["enable_metadata_routing"] == before


def test_an_index_in_the_rows_repairs_the_package_pairing_after_a_gap(tmp_path: Path) -> None:
    """alpaca_eval takes the difficulty by row position; a row that is missing shifts all later
    ones. Our annotations carry ``index``, with which the package itself pairs them rightly."""
    path, gamed = make_gamed(tmp_path)
    rows = make_rows(4)
    kept = [dict(row, index=number) for number, row in enumerate(rows) if number not in (5, 6)]
    numbers = np.array([row["index"] for row in kept])
    right = Comparisons(
        preference_share([row["preference"] for row in kept]),
        np.array([len(r["output_1"]) - len(r["output_2"]) for r in kept], float),
        gamed.difficulty[numbers],
    )
    by_index = length_controlled_winrate(kept, path)["length_controlled_winrate"]
    bare = [{k: v for k, v in row.items() if k != "index"} for row in kept]
    by_position = length_controlled_winrate(bare, path)["length_controlled_winrate"]
    assert fit_lc(right, gamed).win_rate == pytest.approx(by_index, abs=1e-6)
    assert abs(by_position - by_index) > 1e-4
