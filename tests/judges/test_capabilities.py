"""What a server accepts is found by asking once, kept, used, and said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from judges import JudgeError
from judges.capabilities import Capabilities, from_json
from judges.protocols import weighted_preference
from judges.request import JudgeRequest
from judges.store import VerdictStore
from tests.judges.faulty_server import FaultyServer
from tests.judges.judge_examples import comparisons, judge_on, ratings
from tests.judges.judge_servers import KINDS, refusing

EXPECTED = {
    "old": Capabilities(),
    "reasoning": Capabilities("max_completion_tokens", False, True, 0, True),
    "open-reasoning": Capabilities(top_logprobs=0, reasoning=True),
    "reasoning-apart": Capabilities(top_logprobs=0, reasoning=True),
    "no-logprobs": Capabilities(top_logprobs=0),
    "five-logprobs": Capabilities(),
    "three-logprobs": Capabilities(top_logprobs=3),
    "strict": Capabilities(top_p=False, top_logprobs=0),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_server_judges(kind: str, tmp_path: Path) -> None:
    with FaultyServer(KINDS[kind]) as server:
        judge = judge_on(server, tmp_path / "v.sqlite")
        judge.check()
        asked = len(server.received)
        assert [v.state for v in judge.preferences(comparisons(3))] == ["ok"] * 3
        assert [v.value for v in judge.ratings(ratings(2)[:2])] == [7.0, 7.0]
        both = judge.pairwise(comparisons(1))[0]
        assert [v.value for v in both] == [1.0, 2.0], "the first shown, in both orders"
        assert len(server.received) == asked + 3 + 2 + 2, "nothing was refused any more"
        stored = VerdictStore(tmp_path / "v.sqlite").fact(f"capabilities:{judge.identity}")
        assert from_json(stored) == EXPECTED[kind]
        assert judge.describe()["adapted"] == EXPECTED[kind].changes()
        assert len(judge.notes) >= len(EXPECTED[kind].changes())


@pytest.mark.parametrize("kind", KINDS)
def test_the_protocol_id_names_what_can_move_a_verdict(kind: str, tmp_path: Path) -> None:
    with FaultyServer(KINDS[kind]) as server:
        judge = judge_on(server, tmp_path / "v.sqlite")
        judge.check()
        preference = judge.preferences(comparisons(1))[0].protocol
        rating = judge.ratings(ratings(1)[:1])[0].protocol
    found = EXPECTED[kind]
    assert preference.startswith("alpaca-eval-2/")
    assert ("/top5" in preference) == (found.top_logprobs > 0)
    assert ("/parsed" in preference) == (found.top_logprobs == 0)
    assert preference.endswith("/top5/top3") == (kind == "three-logprobs")
    assert ("/reasoning" in rating) == found.reasoning
    assert ("/default-temperature" in rating) == (not found.temperature)


def test_it_is_asked_once_and_remembered(tmp_path: Path) -> None:
    with FaultyServer(KINDS["reasoning"]) as server:
        judge_on(server, tmp_path / "v.sqlite").check()
        before = len(server.received)
        later = judge_on(server, tmp_path / "v.sqlite")
        later.check()
        assert len(server.received) == before + 1
        offline = judge_on(server, tmp_path / "v.sqlite", offline=True)
        assert offline.letters == later.letters == "parsed"


def test_a_server_that_refuses_everything_is_named_with_its_reason(tmp_path: Path) -> None:
    with FaultyServer(refusing) as server:
        judge = judge_on(server, tmp_path / "v.sqlite")
        with pytest.raises(JudgeError, match=r"no parameter set .*not to our liking"):
            judge.check()
        assert len(server.received) == 1


def test_a_server_that_takes_everything_changes_no_request_and_no_key() -> None:
    asked = weighted_preference.request(comparisons(1)[0])
    assert Capabilities().adapt(asked) is asked


def test_the_token_limit_keeps_the_protocols_and_adds_room_to_reason() -> None:
    asked = JudgeRequest([], {"max_tokens": 2048, "temperature": 0}, "p")
    adapted = Capabilities("max_completion_tokens", reasoning=True).adapt(asked)
    assert adapted.params == {"max_completion_tokens": 2048 + 8192, "temperature": 0}
    assert adapted.protocol == "p/reasoning"
    assert replace(adapted, protocol="p").key("j") != asked.key("j")


def test_a_reasoning_effort_is_sent_and_in_the_protocol(tmp_path: Path) -> None:
    with FaultyServer(KINDS["reasoning"]) as server:
        judge = judge_on(server, tmp_path / "v.sqlite", reasoning_effort="low")
        judge.check()
        verdict = judge.preferences(comparisons(1))[0]
        assert verdict.protocol.endswith("/effort-low")
        assert server.bodies[-1]["reasoning_effort"] == "low"
