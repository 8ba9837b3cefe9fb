"""JSON of a server: bounded, and every number in it finite."""

from __future__ import annotations

import json

import pytest

from judges.client.parsing import DEEPEST, parse_object


def test_numbers_that_are_not_finite_are_null() -> None:
    body = parse_object('{"a": NaN, "b": [Infinity, -Infinity, 1e999, 1.5], "c": -1e400}')
    assert body == {"a": None, "b": [None, None, None, 1.5], "c": None}


def nested(depth: int) -> str:
    return '{"a":' * depth + "1" + "}" * depth


def test_a_usual_depth_passes() -> None:
    assert parse_object(nested(DEEPEST)) == json.loads(nested(DEEPEST))


@pytest.mark.parametrize(
    "text",
    [
        nested(DEEPEST + 1),
        nested(900),
        nested(100_000),
        '{"a": ' + "[" * 200_000 + "]" * 200_000 + "}",
        "[" * 2_000_000,
        '{"a": [' + "[]," * 500_000 + "1]}",
        '{"a": [' + "1," * 1_100_000 + "1]}",
        '{"a": ' + "9" * 5000 + "}",
        "[1]",
        "null",
        '"text"',
        "",
        "{",
        '{"a": 1} x',
        "\x00",
    ],
    ids=range(15),
)
def test_anything_else_is_one_error(text: str) -> None:
    with pytest.raises(ValueError, match=r".") as raised:
        parse_object(text)
    assert len(str(raised.value)) < 200


def test_bytes_that_are_no_text() -> None:
    assert parse_object(b'{"a": "\xff"}') == {"a": "\ufffd"}
