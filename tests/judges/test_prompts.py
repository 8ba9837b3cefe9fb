"""Where the judges' prompts come from."""

from __future__ import annotations

from pathlib import Path

import pytest

from groundwork.errors import UserError
from judges.errors import JudgeError
from judges.prompts import alpaca_eval_template, fill_places, prompt_book, split_chat


def test_own_prompts_have_their_own_protocol(data_dir: Path) -> None:
    own, theirs = prompt_book(), prompt_book(data_dir / "mt_bench/judge_prompts.jsonl")
    assert own.protocol.startswith("own-")
    assert theirs.protocol.startswith("fastchat-")


def test_prompt_file_mistakes_name_the_line(tmp_path: Path) -> None:
    path = tmp_path / "prompts.jsonl"
    path.write_text('{"name": "pair-v2", "system_prompt": "s", "prompt_template": "t"}\n{"name"\n')
    with pytest.raises(UserError, match=r"prompts.jsonl:2: not valid JSON"):
        prompt_book(path)
    path.write_text(path.read_text().splitlines()[0] + "\n")
    with pytest.raises(JudgeError, match="no prompt named 'single-v1'"):
        prompt_book(path)


def test_template_is_read_from_the_package() -> None:
    system, user = alpaca_eval_template()
    assert (system["role"], user["role"]) == ("system", "user")
    assert all("{" + name + "}" in user["content"] for name in ("instruction", "output_1"))


def test_text_without_messages_is_refused() -> None:
    with pytest.raises(JudgeError, match="no <"):
        split_chat("hello")


def test_places_are_filled_in_one_pass() -> None:
    assert fill_places("{a} {b} {c}", {"a": "{b}", "b": "2"}) == "{b} 2 {c}"
