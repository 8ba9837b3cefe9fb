"""Imported pairwise verdicts as a judge: both orders of the texts, what was not imported, names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from judges import Comparison, JudgeError, JudgeSettings, open_judge
from judges.import_export import import_pairwise
from judges.store import VerdictStore


def row(name: str, ab: Any, ba: Any, **more: Any) -> dict[str, Any]:
    texts = {"input": f"ask {name}", "output_1": f"one {name}", "output_2": f"two {name}"}
    return {
        "id": name,
        **texts,
        "judge": "J",
        "strategy": "S",
        "winner_ab": ab,
        "winner_ba": ba,
        **more,
    }


def imported(folder: Path, *rows: dict[str, Any]) -> Path:
    file, store = folder / "v.jsonl", folder / "store.sqlite"
    file.write_text("".join(json.dumps(r) + "\n" for r in rows))
    import_pairwise(VerdictStore(store), file)
    return store


def pair(name: str, *, turned: bool = False) -> Comparison:
    first, second = (f"two {name}", f"one {name}") if turned else (f"one {name}", f"two {name}")
    return Comparison(item_id=name, instruction=f"ask {name}", output_1=first, output_2=second)


def test_verdicts_come_back_whichever_output_is_given_first(tmp_path: Path) -> None:
    store = imported(tmp_path, row("a", 1, 1), row("b", 1, 2), row("c", "tie", None))
    judge = open_judge(JudgeSettings("saved:J/S"), store)
    judge.check()
    values = [[v.value for v in both] for both in judge.pairwise([pair(n) for n in "abc"])]
    assert values == [[1.0, 1.0], [1.0, 2.0], [1.5, None]]
    # shown as (two, one) the verdict "one is better in both orders" is one about output_2
    turned = judge.pairwise([pair("a", turned=True), pair("b", turned=True)])
    assert [[v.value for v in both] for both in turned] == [[2.0, 2.0], [1.0, 2.0]]
    unread = judge.pairwise([pair("c")])[0][1]
    assert (unread.state, bool(unread.request_key)) == ("unparsed", True)
    missing = judge.pairwise([pair("z")])[0][0]
    assert (missing.state, missing.request_key) == ("error", "")


def test_an_unknown_judge_names_the_nearest(tmp_path: Path) -> None:
    store = imported(tmp_path, row("a", 1, 1))
    with pytest.raises(JudgeError, match="did you mean 'J/S'"):
        open_judge(JudgeSettings("saved:J/T"), store).check()
    with pytest.raises(JudgeError, match="verdicts import FILE --format pairwise"):
        open_judge(JudgeSettings("saved:x"), tmp_path / "empty.sqlite").check()
    with pytest.raises(JudgeError, match="pairwise verdicts only"):
        open_judge(JudgeSettings("saved:J/S"), store).preferences([pair("a")])


def test_nothing_is_stored_of_a_file_with_a_mistake(tmp_path: Path) -> None:
    file = tmp_path / "v.jsonl"
    for bad, said in (
        (row("a", 1, 1), "v.jsonl:2: the same comparison as in line 1"),
        (
            {"id": "b", "input": "x", "output_1": "y", "winner_ab": 1, "winner_ba": 1},
            "no field 'output_2'",
        ),
        (
            {k: v for k, v in row("b", 1, 1).items() if k not in ("judge", "strategy")},
            "names no judge",
        ),
        ({k: v for k, v in row("b", 1, 1).items() if k != "winner_ba"}, "no field 'winner_ba'"),
    ):
        store = VerdictStore(tmp_path / "s.sqlite")
        file.write_text(json.dumps(row("a", 1, 1)) + "\n" + json.dumps(bad) + "\n")
        with pytest.raises(JudgeError, match=said):
            import_pairwise(store, file)
        assert store.stats() == []
