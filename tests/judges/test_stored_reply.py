"""A stored reply as a row: packed, read back, and what a damaged one raises."""

from __future__ import annotations

from dataclasses import replace

import pytest

from judges.request import JudgeRequest
from judges.stored_reply import BROKEN, COLUMNS, StoredReply, from_row, to_row

REQUEST = JudgeRequest(
    messages=[{"role": "user", "content": "Ωμέγα \ud800"}], params={"n": 1}, protocol="p/1"
)
REPLY = StoredReply.of(REQUEST, "j", {"a": ["\ud800"]}, created=5.0, cost_usd=0.25, scope="run")


def test_a_reply_and_its_row_are_the_same() -> None:
    assert from_row(to_row(REPLY)) == replace(REPLY, tags={})
    assert len(to_row(REPLY)) == len(COLUMNS.split(","))
    assert (REPLY.key, REPLY.served, REPLY.imported) == (REQUEST.key("j"), "j", False)
    assert replace(REPLY, origin="import:alpaca_eval").imported


@pytest.mark.parametrize("blob", [b"", b"no zlib", to_row(REPLY)[12][:-3], None, 7])
def test_a_damaged_row_raises_one_of_broken(blob: object) -> None:
    row = list(to_row(REPLY))
    row[12] = blob
    with pytest.raises(BROKEN):
        from_row(tuple(row))
