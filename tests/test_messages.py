"""User-facing lines of judges and data, word for word: they are as they are meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.data import open_source
from harness.data.manifest import select
from judges import JudgeSettings, open_judge
from judges.canary import Drift
from judges.capabilities import Capabilities
from judges.client.records import FatalServerError
from judges.prices import DEFAULT_TABLE, Budget
from judges.retired import retirement

STAND_INS = "gpt-4.1, gpt-4o, or an open judge on your own machine (docs/judges.md)"


def message(call: object, *args: object, **options: object) -> str:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (the text is what is tested)
        call(*args, **options)  # type: ignore[operator]
    return str(caught.value)


def test_judges(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_BASE_URL", "SSO_BENCH_JUDGE_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-none")
    store = tmp_path / "v.sqlite"
    assert message(open_judge, JudgeSettings("local"), store) == (
        "the local judge needs an engine to read"
    )
    assert message(open_judge, JudgeSettings("gpt-4.11"), store) == (
        f"{DEFAULT_TABLE}: no price of model 'gpt-4.11' (did you mean 'gpt-4.1'?); give a table that "
        "has it (--judge-prices FILE), or bound the calls (--max-calls N)"
    )
    judge = open_judge(JudgeSettings("new", max_calls=9), store)
    assert judge.notes == [
        f"no price of new in {DEFAULT_TABLE}: its cost is not counted, 9 calls at most"
    ]
    assert str(Budget(None, max_calls=3, spent=(3, 0.0)).exhausted(7)) == (
        "the judging budget of 3 calls does not cover the next request (spent $0.0000 in 3 calls, at "
        "least 7 to go); verdicts so far are kept: raise the budget and run the same command again"
    )
    assert issubclass(FatalServerError, ValueError)


def test_retired_judges() -> None:
    assert retirement("gpt-4-1106-preview") == (
        f"gpt-4-1106-preview (AlpacaEval 2.0's judge) is reported shut down; stand-ins: {STAND_INS}"
    )


def test_adaptations() -> None:
    found = Capabilities("max_completion_tokens", False, False, 0, True)
    assert found.changes() == [
        "max_completion_tokens in place of max_tokens",
        "no temperature (the server's default)",
        "no top_p",
        "no log-probabilities: letters are read from the text",
        "8192 more tokens for the judge's reasoning",
    ]


def test_drift() -> None:
    same = Drift("j", "may", "may", 12, 0.001, 0, 0, False)
    other = Drift("j", "may", "june", 12, 0.2, 3, 0, False)
    assert same.line() == (
        "j (may): unchanged, preferences moved by 0.001 on average, 0 of 12 changed side"
    )
    assert other.line() == (
        "j (may, now june): DRIFTED, preferences moved by 0.200 on average, 3 of 12 changed side"
    )


def test_data(tmp_path: Path) -> None:
    assert message(open_source, tmp_path / "absent") == (
        f"no data folder {tmp_path}/absent (give 'sample', 'starter', 'hub' or an existing folder)"
    )
    assert message(select, ["gsm8"]) == "no data set 'gsm8' (did you mean 'gsm8k'?)"
    assert message(open_source(tmp_path).path, "gsm8k/test.jsonl") == (
        f"no gsm8k/test.jsonl in {tmp_path}"
    )
