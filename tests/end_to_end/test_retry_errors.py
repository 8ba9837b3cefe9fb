"""Items of a finished stage whose verdict failed are asked again on demand, and only those."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.end_to_end.conftest import Call, small
from tests.end_to_end.test_judged import any_reply
from tests.judges.faulty_server import FaultyServer


def scores_of(folder: Path) -> dict[str, Any]:
    return {s["metric"]: s for s in json.loads((folder / "scores.json").read_text())}


def test_failed_items_alone_are_asked_again(
    call: Call, tiny_model_dir: Path, tmp_path: Path
) -> None:
    out, broken, asked = tmp_path / "run", True, []

    def reply(body: dict[str, Any]) -> Any:
        text = json.dumps(body["messages"])
        asked.append(text)
        if broken and len(text) % 2:  # not a reply
            return {"choices": 7, "usage": {"prompt_tokens": 1, "completion_tokens": 1}}
        return any_reply(body)

    with FaultyServer(reply) as server:
        judged = ["--judge", "judge-1", "--judge-url", server.url]
        few = [*small(tiny_model_dir, out, "-b", "alpaca_eval,mt_bench"), *judged]
        line = ["eval", few[1], *few[2:]]
        first = call(*line)
        folder = out / "base" / "eval" / "alpaca_eval"
        failed = scores_of(folder)["win_rate"]["n_error"]
        assert first.code == 0, first.err
        assert 0 < failed < 8
        assert "the same line with --retry-errors asks again" in first.out
        good = {text for text in asked if len(text) % 2 == 0}

        asked.clear()
        assert call(*line).code == 0
        assert asked == [], "a finished run asks nothing by itself"

        broken = False
        again = call(*line, "--retry-errors")
    assert again.code == 0, again.err
    assert asked
    assert good.isdisjoint(asked), "a verdict that is there was paid for again"
    assert "failed in scoring" not in again.out
    after = scores_of(folder)["win_rate"]
    assert (after["n_error"], after["n"]) == (0, 8)
    assert "--retry-errors" not in call(*line).out
    assert not [p for p in (out / ".replaced").rglob("*") if p.is_file()]
