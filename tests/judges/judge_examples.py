"""A judge on the misbehaving server, what it is asked, and what it should say."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from judges import Comparison, JudgeSettings, Rating, open_judge
from judges.client import ClientSettings
from judges.server import ServerJudge
from tests.judges.faulty_server import FaultyServer, completion, letter_reply

QUICK = ClientSettings(timeout_s=0.5, backoff_s=0.02, backoff_max_s=0.2)
PRICES = "batch: 0.5\nmodels:\n  judge-1: {input: 10.0, output: 30.0}\n"


def comparisons(n: int) -> list[Comparison]:
    return [
        Comparison(item_id=str(i), instruction=f"Question {i}", output_1="one", output_2=f"two {i}")
        for i in range(n)
    ]


def judge_on(server: FaultyServer, store: Path, **settings: Any) -> ServerJudge:
    """A judge of these ``JudgeSettings`` or ``ClientSettings``, in a hurry."""
    client = settings.pop("client", QUICK)
    for name in ("concurrency", "batch_poll_s"):
        if name in settings:
            client = replace(client, **{name: settings.pop(name)})
    judge = open_judge(JudgeSettings("judge-1", server.url, client=client, **settings), store)
    assert isinstance(judge, ServerJudge)
    return judge


def expected(items: list[Comparison]) -> list[float]:
    """Values without any fault, straight from the reply function."""
    from judges.protocols import weighted_preference
    from judges.reply import read_reply

    values = []
    for item in items:
        request = weighted_preference.request(item)
        body = {"messages": request.messages, "logprobs": True}
        value = weighted_preference.read(read_reply(letter_reply(body))).value
        assert value is not None
        switched = weighted_preference.is_switched(item.instruction)
        values.append(3 - value if switched else value)
    return values


def budget_judge(server: FaultyServer, tmp_path: Path, **settings: Any) -> ServerJudge:
    prices = tmp_path / "prices.yaml"
    prices.write_text(PRICES)
    return judge_on(server, tmp_path / "v.sqlite", prices=prices, **settings)


def ratings(n: int) -> list[Rating]:
    one = [
        Rating(item_id=f"q{i}:1", category="x", turns=(f"Question {i}", "answer")) for i in range(n)
    ]
    two = [
        Rating(item_id=f"q{i}:2", category="x", turns=(f"Question {i}", "answer", "more", "yes"))
        for i in range(n)
    ]
    return one + two


def rating_reply(body: dict[str, Any]) -> Any:
    text = json.dumps(body["messages"])
    if "Question 3" in text:
        return completion("no number here")
    return completion(f"Rating: [[{1 + sum(map(ord, text)) % 10}]]")
