"""Item scores as arrays, and pairing two evaluations on them."""

import math

import numpy as np
import pytest

from groundwork.errors import UserError
from leaderboards.items import load_items, match
from tests.leaderboards.example_runs import add_eval, start_run


def test_items_as_arrays(tmp_path):
    folder = add_eval(start_run(tmp_path), "gsm8k", [1, 0, math.nan, 1])
    items = load_items(folder)
    assert items.ids.to_pylist() == [f"item-{i}" for i in range(4)]
    np.testing.assert_array_equal(items.values["accuracy"], [1, 0, np.nan, 1])
    assert load_items(tmp_path) is None


def test_a_damaged_line_is_named(tmp_path):
    folder = add_eval(start_run(tmp_path), "gsm8k", [1, 0])
    path = folder / "items.jsonl"
    lines = path.read_text().splitlines()
    path.write_text(lines[0] + "\n" + '{"benchmark": "gsm8k", "item_id": "x"}' + "\n" + "{oops\n")
    with pytest.raises(UserError, match=r"items\.jsonl:2: values: "):
        load_items(folder)


def test_infinite_values_are_refused(tmp_path):
    folder = add_eval(start_run(tmp_path), "gsm8k", [1, 0])
    path = folder / "items.jsonl"
    path.write_text(path.read_text().replace('"accuracy":1.0', '"accuracy":1e999'))
    with pytest.raises(UserError, match="finite"):
        load_items(folder)


def test_matching_by_id_in_any_order_and_on_common_items_only(tmp_path):
    run = start_run(tmp_path)
    first = load_items(add_eval(run, "gsm8k", [1, 0, 1, math.nan], ids=["a", "b", "c", "d"]))
    second = load_items(
        add_eval(run, "gsm8k", [0, 1, 1, 1], ids=["c", "d", "a", "z"], arm="sso", iteration=1)
    )
    data = match(first, second, "accuracy", "accuracy")
    assert sorted(zip(data.first.tolist(), data.second.tolist(), strict=True)) == [(1, 0), (1, 1)]
    assert data.clusters is None


@pytest.mark.parametrize("value", ["NaN", "Infinity"])
def test_an_item_that_is_no_number_is_reported_with_its_line(tmp_path, value):
    folder = add_eval(start_run(tmp_path), "gsm8k", [1, 0, 1])
    file = folder / "items.jsonl"
    file.write_text(file.read_text().replace('"accuracy":0.0', f'"accuracy":{value}'))
    with pytest.raises(UserError, match=r"items.jsonl:2: accuracy is (nan|inf)"):
        load_items(folder)
