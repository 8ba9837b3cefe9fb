"""The client against a server that misbehaves on purpose."""

from __future__ import annotations

from pathlib import Path

import pytest

from judges import JudgeError
from judges.store import VerdictStore
from tests.judges.faulty_server import FaultyServer, completion
from tests.judges.judge_examples import comparisons, judge_on

# Rate limits


# Errors that will not mend


def test_a_full_disk_is_said_in_one_line_and_keeps_what_was_stored(tmp_path: Path) -> None:
    with FaultyServer() as server:
        judge = judge_on(server, tmp_path / "v.sqlite", concurrency=1)
        judge.preferences(comparisons(2))
        pages = judge.store._db.execute("PRAGMA page_count").fetchone()[0]
        judge.store._db.execute(f"PRAGMA max_page_count={pages + 2}")
        with pytest.raises(JudgeError, match=r"v.sqlite: verdict store: .*full"):
            judge.preferences(comparisons(200))
    assert len(list(VerdictStore(tmp_path / "v.sqlite").rows())) >= 2


def test_completion_helper_matches_the_api() -> None:
    from openai.types.chat import ChatCompletion

    assert ChatCompletion.model_validate(completion("hi")).choices[0].message.content == "hi"
