"""Pairwise verdicts in both orders."""

from __future__ import annotations

import pytest

from judges.prompts import prompt_book
from judges.protocols import pairwise
from judges.records import Comparison
from judges.reply import read_reply
from tests.judges.faulty_server import completion


@pytest.mark.parametrize(
    ("text", "value"), [("so [[A]]", 1.0), ("[[B]]", 2.0), ("[[C]]", 1.5), ("A", None)]
)
def test_pairwise_marks(text: str, value: float | None) -> None:
    assert pairwise.read(read_reply(completion(text))).value == value


def test_pairwise_shows_both_orders() -> None:
    item = Comparison(item_id="1", instruction="q", output_1="one", output_2="two")
    first, second = pairwise.requests(item, prompt_book())
    order = [m.messages[1]["content"].index("one") for m in (first, second)]
    other = [m.messages[1]["content"].index("two") for m in (first, second)]
    assert order[0] < other[0]
    assert order[1] > other[1]
