"""The canary set notices a changed judge."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from judges.canary import canary_set, run_canary
from tests.judges.faulty_server import FaultyServer, letter_reply
from tests.judges.judge_examples import judge_on


def test_canary_notices_a_changed_judge(tmp_path: Path) -> None:
    state = {"model": "judge-may", "turn": False}

    def reply(body: dict[str, Any]) -> Any:
        answer = letter_reply(body, state["model"])
        if state["turn"]:
            tops = answer["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
            tops[0]["logprob"], tops[1]["logprob"] = tops[1]["logprob"], tops[0]["logprob"]
        return answer

    n = len(canary_set())
    with FaultyServer(reply) as server:
        first = run_canary(judge_on(server, tmp_path / "v.sqlite"))
        assert (first.first, first.drifted) == (True, False)
        second = run_canary(judge_on(server, tmp_path / "v.sqlite"))
        assert (second.first, second.drifted, second.mean_change) == (False, False, 0.0)
        assert len(server.received) == 2 * n, "asked afresh each time"
        state["turn"] = True
        third = run_canary(judge_on(server, tmp_path / "v.sqlite"))
        assert third.drifted
        assert third.side_changes >= n - 1
        assert "DRIFTED" in third.line()
        state.update(turn=False, model="judge-june")
        fourth = run_canary(judge_on(server, tmp_path / "v.sqlite"))
        assert fourth.drifted
        assert (fourth.served_then, fourth.served_now) == ("judge-may", "judge-june")
        assert fourth.mean_change == 0.0


def test_canary_set_is_distinct_and_in_both_directions() -> None:
    items = canary_set()
    assert len({c.item_id for c in items}) == len(items) == 12
    assert all(c.output_1 != c.output_2 for c in items)
