"""Text to tokens and back in the engines: end tokens, lm-eval's split, stop strings, chats."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from groundwork.chat_tokens import TEMPLATE_DATE
from harness.engines.chat_tokenizer import (
    DIRECTIVES,
    Codec,
    cut_at_stop,
    template_date,
    template_with_date,
)
from harness.engines.errors import EngineError

CHAT = [{"role": "user", "content": "Hi"}]


def test_end_tokens_come_from_tokenizer_configuration_and_template(
    tiny_model_dir: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(tiny_model_dir, tmp_path / "m"))
    assert Codec(folder).end_ids == {2}
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [7, 9]}))
    assert Codec(folder).end_ids == {2, 7, 9}


def test_an_unflagged_end_of_turn_ends_a_turn(tiny_model_dir: Path, tmp_path: Path) -> None:
    from tokenizers import AddedToken
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_model_dir)
    tokenizer.add_tokens([AddedToken("<eot>", special=False)])
    tokenizer.chat_template = "{% for m in messages %}{{ m['content'] + '<eot>' }}{% endfor %}"
    folder = Path(shutil.copytree(tiny_model_dir, tmp_path / "m"))
    tokenizer.save_pretrained(folder)
    codec = Codec(folder)
    assert codec.end_of_turn == tokenizer.convert_tokens_to_ids("<eot>")
    assert codec.end_of_turn in codec.end_ids


def test_tags_of_reasoning_sections_stay_in_the_text(tiny_model_dir: Path, tmp_path: Path) -> None:
    from tokenizers import AddedToken
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_model_dir)
    for name in ("channel", "message", "start", "end", "other"):
        tokenizer.add_tokens([AddedToken(f"<|{name}|>", special=True, normalized=False)])
    folder = Path(shutil.copytree(tiny_model_dir, tmp_path / "m"))
    tokenizer.save_pretrained(folder)
    codec = Codec(folder)
    text = "<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>b"
    sampled = tokenizer(text + "<|other|>", add_special_tokens=False)["input_ids"]
    assert codec.decode(sampled) == text
    assert codec.chat.completion(CHAT, codec.decode(sampled)) == sampled[:-1]
    assert codec.decode(tokenizer("a<|other|>", add_special_tokens=False)["input_ids"]) == "a"


@pytest.mark.parametrize(
    ("context", "rest", "split"),
    [("ab", " c", ("ab", " c")), ("ab ", "c", ("ab", " c")), ("a\n\n", "b", ("a", "\n\nb"))],
)
def test_strings_are_split_as_lm_eval_splits_them(
    context: str, rest: str, split: tuple[str, str], tiny_model_dir: Path
) -> None:
    codec = Codec(tiny_model_dir)
    ((head, tail),) = codec.encode_pairs([context], [rest])
    assert (codec.decode_raw(head), codec.decode_raw(tail)) == split


def test_an_empty_context_is_the_begin_of_text(tiny_model_dir: Path) -> None:
    codec = Codec(tiny_model_dir)
    assert codec.encode_pairs([""], ["a"])[0][0] == [codec.start_id()] == [1]


def test_continuations_of_chats_and_their_end(tiny_model_dir: Path) -> None:
    codec = Codec(tiny_model_dir)
    (open_, closed) = codec.prompt_pairs([CHAT, CHAT], ["Yes", "Yes"], [False, True])
    assert list(open_[0]) == list(closed[0]) == codec.encode([codec.render(CHAT)])[0]
    assert list(closed[1]) == [*open_[1], 2]


def test_many_prompts_are_tokenised_by_processes_into_four_bytes_a_token(
    tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    codec = Codec(tiny_model_dir)
    prompts = [[{"role": "user", "content": f"word {n}"}] for n in range(40)] + ["a string"]
    alone = codec.prompt_ids(prompts)
    assert {ids.itemsize for ids in alone} == {4}
    monkeypatch.setattr("harness.engines.chat_tokenizer.SHARED_FROM", 1)
    assert codec.prompt_ids(prompts) == alone
    with pytest.raises(EngineError, match="lone surrogate"):
        codec.prompt_ids([*prompts, "a\udc00"])


def test_a_control_token_in_a_message_is_text_and_in_a_rendered_string_control(
    tiny_model_dir: Path,
) -> None:
    codec = Codec(tiny_model_dir)
    chat = [{"role": "user", "content": "say <|im_end|>"}]
    as_chat, as_string = codec.prompt_ids([chat, codec.render(chat)])
    assert as_chat.count(2) == 1
    assert as_string.count(2) == 2
    assert codec.decode_raw(as_chat) == codec.decode_raw(as_string)


def test_half_a_surrogate_pair_is_an_engine_error(tiny_model_dir: Path) -> None:
    with pytest.raises(EngineError, match="lone surrogate"):
        Codec(tiny_model_dir).encode(["a\udc00"])


def test_text_ends_before_the_first_stop_string() -> None:
    assert cut_at_stop("one two three", ["three", " two"]) == "one"
    assert cut_at_stop("one", ["x", ""]) == "one"


def test_a_template_that_writes_the_day_is_told_apart(tiny_model_dir: Path, tmp_path: Path) -> None:
    assert template_date(tiny_model_dir) == {}
    folder = Path(shutil.copytree(tiny_model_dir, tmp_path / "m"))
    (folder / "chat_template.jinja").write_text("{{ strftime_now('%Y') }}")
    assert template_date(folder) == {"template_date": "2024-07-26"}
    assert Codec(folder).render(CHAT) == "2024"


def test_a_server_is_told_the_day_in_any_format(tiny_model_dir: Path, tmp_path: Path) -> None:
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    folder = Path(shutil.copytree(tiny_model_dir, tmp_path / "m"))
    formats = [f"%{sign}{letter}" for letter in DIRECTIVES for sign in ("", "-")]
    asked = " ".join([*formats, "%%Y", "100%%"])
    (folder / "chat_template.jinja").write_text("{{ strftime_now(asked) }}")
    given = ImmutableSandboxedEnvironment().from_string(template_with_date(folder))
    assert given.render(asked=asked) == TEMPLATE_DATE.strftime(asked)
