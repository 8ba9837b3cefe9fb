"""From requests to verdicts: re-asks, states, a changed judge, offline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from judges import JudgeError, Rating
from judges.store import VerdictStore
from tests.judges.faulty_server import FaultyServer, completion, letter_reply
from tests.judges.judge_examples import comparisons, judge_on


def rating_item(text: str, item_id: str = "1") -> Rating:
    return Rating(item_id=item_id, category="writing", turns=("Write.", text))


def scripted(replies: dict[str, list[Any]]) -> Any:
    """Replies by a word in the first user message, one after the other."""

    def reply(body: dict[str, Any]) -> Any:
        user = next(m["content"] for m in body["messages"] if m["role"] == "user")
        word = next(word for word in replies if word in user)
        return replies[word].pop(0)

    return reply


def test_unparsed_is_asked_once_more_and_other_states_are_not(tmp_path: Path) -> None:
    script = {
        "alpha": [completion("Fine."), completion("Rating: [[6]]")],
        "beta": [completion("Fine."), completion("Still fine.")],
        "gamma": [completion("I'm sorry, I can't.")],
        "delta": [completion("", finish="content_filter")],
        "epsilon": [completion("Because", finish="length")],
        "zeta": [completion("[[9]]")],
    }
    items = [rating_item(f"Text {word}", word) for word in script]
    with FaultyServer(scripted(script)) as server:
        judge = judge_on(server, tmp_path / "v.sqlite")
        verdicts = judge.ratings(items)
    assert [v.state for v in verdicts] == [
        "ok",
        "unparsed",
        "refused",
        "filtered",
        "truncated",
        "ok",
    ]
    assert [v.value for v in verdicts] == [6.0, None, None, None, None, 9.0]
    assert len(server.received) == 8
    again = [b for b in server.bodies if len(b["messages"]) == 4]
    assert len(again) == 2
    assert [m["role"] for m in again[0]["messages"]] == ["system", "user", "assistant", "user"]
    states = judge.describe()["states"]
    assert states == {"ok": 2, "unparsed": 1, "refused": 1, "filtered": 1, "truncated": 1}


def test_the_re_ask_is_kept_too(tmp_path: Path) -> None:
    script = {"alpha": [completion("Fine."), completion("Still fine.")]}
    with FaultyServer(scripted(script)) as server:
        for _ in range(2):
            judge_on(server, tmp_path / "v.sqlite").ratings([rating_item("alpha")])
        assert len(server.received) == 2
    assert sorted(r.attempt for r in VerdictStore(tmp_path / "v.sqlite").rows()) == [0, 1]


def test_a_silently_changed_judge_does_not_share_verdicts(tmp_path: Path) -> None:
    names = ["judge-may"]
    with FaultyServer(lambda b: letter_reply(b, names[0])) as server:
        first = judge_on(server, tmp_path / "v.sqlite")
        first.check()
        first.preferences(comparisons(3))
        names[0] = "judge-june"
        second = judge_on(server, tmp_path / "v.sqlite")
        second.check()
        assert second.describe()["changed_from"] == "judge-may"
        before = len(server.received)
        verdicts = second.preferences(comparisons(3))
        assert len(server.received) == before + 3
        assert verdicts[0].judge.endswith("judge-june")


def test_offline_sends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with FaultyServer() as server:
        judge_on(server, tmp_path / "v.sqlite").preferences(comparisons(5))
        judge = judge_on(server, tmp_path / "v.sqlite", offline=True)
        judge.check()
        assert all(v.cached for v in judge.preferences(comparisons(5)))
        with pytest.raises(JudgeError, match=r"2 of 7 verdicts .* nothing is sent offline"):
            judge.preferences(comparisons(7))
        assert len(server.received) == 5
