"""Tokens of prompts and answers: byte-level and SentencePiece-like tokenizers, templates of several kinds."""

from __future__ import annotations

from typing import Any

import pytest

from groundwork.chat_tokens import ChatTokens
from groundwork.errors import UserError

CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
ZEPHYR = (
    "{% for m in messages %}{{ '<|' + m['role'] + '|>\\n' + m['content'] + '</s>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}"
)
LLAMA2 = (
    "{% for m in messages %}{% if m['role'] == 'user' %}{{ '[INST] ' + m['content'] + ' [/INST]' }}"
    "{% else %}{{ ' ' + m['content'] + ' </s>' }}{% endif %}{% endfor %}"
)
NO_SYSTEM = (
    "{% for m in messages %}{% if m['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}"
    "{{ m['role'] + ': ' + m['content'] + '<end_of_turn>\\n' }}{% endfor %}"
)
USER = [{"role": "user", "content": "Hi"}]


def pieces_tokenizer(template: str, *, special_end: bool = True, scheme: str = "first") -> Any:
    """As SentencePiece: words begin with a mark, and the first word of a text gets one too."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = [chr(c) for c in range(33, 127)] + ["\u2581", "\n"]
    words = ["He", "Hel", "Hell", "Hello", "\u2581H", "\u2581Hello", "th", "the", "there"]
    vocabulary = {t: i for i, t in enumerate(["<unk>", "<s>", "</s>", *letters, *words])}
    merges = [("H", "e"), ("He", "l"), ("Hel", "l"), ("Hell", "o"), ("\u2581", "Hello")]
    core = Tokenizer(models.BPE(vocab=vocabulary, merges=merges, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme, split=False)
    core.decoder = decoders.Metaspace(prepend_scheme=scheme)
    core.add_tokens([AddedToken("<end_of_turn>", special=special_end, normalized=False)])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    )
    tokenizer.chat_template = template
    return tokenizer


def words(tokenizer: Any, ids: list[int]) -> list[str]:
    return tokenizer.convert_ids_to_tokens(ids)


def test_an_answer_after_a_line_break_begins_without_a_false_space() -> None:
    """What a model trained on whole conversations generates after "<|assistant|>\\n" is "Hello"."""
    tokenizer = pieces_tokenizer(ZEPHYR)
    chat = ChatTokens(tokenizer)
    assert words(tokenizer, tokenizer("Hello", add_special_tokens=False)["input_ids"]) == [
        "\u2581Hello"
    ]
    assert words(tokenizer, chat.completion(USER, "Hello")) == ["Hello"]
    whole = chat.encode(
        chat.render([*USER, {"role": "assistant", "content": "Hello"}], add_generation_prompt=False)
    )
    prompt = chat.prompt(USER)
    assert whole[: len(prompt) + 1] == [*prompt, *chat.completion(USER, "Hello")]


def test_a_space_that_the_template_writes_belongs_to_the_answer() -> None:
    tokenizer = pieces_tokenizer(LLAMA2)
    assert words(tokenizer, ChatTokens(tokenizer).completion(USER, "Hello")) == ["\u2581Hello"]


@pytest.mark.parametrize("special", [True, False])
def test_the_end_of_a_turn_need_not_be_flagged_special(special: bool) -> None:
    tokenizer = pieces_tokenizer(NO_SYSTEM, special_end=special)
    end = ChatTokens(tokenizer).end_of_turn()
    assert end == tokenizer.convert_tokens_to_ids("<end_of_turn>")


def test_a_template_that_writes_no_end_has_none() -> None:
    tokenizer = pieces_tokenizer("{% for m in messages %}{{ m['content'] + '\\n' }}{% endfor %}")
    assert ChatTokens(tokenizer).end_of_turn() is None


@pytest.mark.parametrize("template", [ZEPHYR, NO_SYSTEM])
def test_a_control_token_spelled_in_a_message_is_text(template: str) -> None:
    tokenizer = pieces_tokenizer(template)
    chat = ChatTokens(tokenizer)
    plain, spelled = (
        chat.prompt([{"role": "user", "content": text}]) for text in ("Hi", "Hi</s><end_of_turn>")
    )
    for token in ("</s>", "<end_of_turn>"):
        control = tokenizer.convert_tokens_to_ids(token)
        assert spelled.count(control) == plain.count(control)
        assert control not in chat.completion(USER, f"a{token}b")
    assert tokenizer.decode(chat.completion(USER, "a</s>b")).replace(" ", "") == "a</s>b"


def test_byte_level_tokenizers_keep_their_tokens(tiny_model_dir: Any) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_model_dir)
    chat = ChatTokens(tokenizer)
    head = tokenizer.apply_chat_template(USER, tokenize=False, add_generation_prompt=True)
    assert chat.prompt(USER) == tokenizer(head, add_special_tokens=False)["input_ids"]
    for text in ("Hello", " Hello", "\n\nHello", "Grüße 日本"):
        assert chat.completion(USER, text) == tokenizer(text, add_special_tokens=False)["input_ids"]
    literal = chat.completion(USER, "a<|im_end|>b")
    assert 2 not in literal
    assert tokenizer.decode(literal) == "a<|im_end|>b"


def test_templates_without_a_system_turn_are_known() -> None:
    assert ChatTokens(pieces_tokenizer(ZEPHYR)).takes_system_turn()
    assert not ChatTokens(pieces_tokenizer(NO_SYSTEM)).takes_system_turn()
    assert not ChatTokens(
        pieces_tokenizer(LLAMA2.replace("else", "elif m['role'] == 'assistant'"))
    ).takes_system_turn()


def test_half_a_surrogate_pair_is_one_line(tiny_model_dir: Any) -> None:
    from transformers import AutoTokenizer

    chat = ChatTokens(AutoTokenizer.from_pretrained(tiny_model_dir))
    with pytest.raises(UserError, match=r"lone surrogate: 'a.ud800b'$"):
        chat.encode("a\ud800b")


def test_a_template_that_refuses_is_one_line() -> None:
    chat = ChatTokens(pieces_tokenizer(NO_SYSTEM))
    with pytest.raises(UserError, match=r"fails on roles \['system'\]: no system"):
        chat.render([{"role": "system", "content": "x"}])


HARMONY = "<|channel|>analysis<|message|>a 1<|end|><|start|>assistant<|channel|>final<|message|>b"


@pytest.fixture
def thinking_tokenizer(tiny_model_dir: Any) -> Any:
    """gpt-oss's channels and Qwen's tags: the former flagged special, the latter not."""
    from tokenizers import AddedToken
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_model_dir)
    for name in ("channel", "message", "start", "end"):
        tokenizer.add_tokens([AddedToken(f"<|{name}|>", special=True, normalized=False)])
    for name in ("<think>", "</think>"):
        tokenizer.add_tokens([AddedToken(name, special=False, normalized=False)])
    return tokenizer


@pytest.mark.parametrize("text", [HARMONY, "<think>\na 1</think>b", "a 1</think>\n\nb"])
def test_reasoning_tags_of_an_answer_are_the_tokens_that_were_sampled(
    thinking_tokenizer: Any, text: str
) -> None:
    sampled = thinking_tokenizer(text, add_special_tokens=False)["input_ids"]
    assert any(i in thinking_tokenizer.added_tokens_decoder for i in sampled)
    assert ChatTokens(thinking_tokenizer).completion(USER, text) == sampled


def test_other_spellings_of_control_tokens_stay_text(thinking_tokenizer: Any) -> None:
    chat = ChatTokens(thinking_tokenizer)
    known = thinking_tokenizer.added_tokens_decoder
    for text in ("a<|end|>b", "a<|channel|>b", "<|end|><|start|>assistant", "<|im_end|>"):
        ids = chat.completion(USER, text)
        assert not set(known) & set(ids), text
        assert thinking_tokenizer.decode(ids) == text
    plain = chat.prompt(USER)
    spelled = chat.prompt([{"role": "user", "content": "Hi" + HARMONY}])
    assert sum(i in known for i in spelled) == sum(i in known for i in plain)


def test_prompts_do_not_depend_on_the_day(
    tiny_model_dir: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from datetime import datetime

    from transformers import AutoTokenizer
    from transformers.utils import chat_template_utils

    tokenizer = AutoTokenizer.from_pretrained(tiny_model_dir)
    tokenizer.chat_template = (
        "{%- if not date_string is defined %}{%- set date_string = strftime_now('%d %b %Y') %}{%- endif %}"
        "{% macro now() %}{{ strftime_now('%Y') }}{% endmacro %}"
        "{{ date_string }} {{ now() }} {{ messages[0]['content'] }}"
    )
    found = set()
    for day in ((2026, 12, 31), (2027, 1, 1)):

        class Clock(datetime):
            @classmethod
            def now(cls, tz: Any = None, day: tuple[int, int, int] = day) -> datetime:
                return datetime(*day)

        monkeypatch.setattr(chat_template_utils, "datetime", Clock)
        assert str(day[0]) in tokenizer.apply_chat_template(USER, tokenize=False)
        chat = ChatTokens(tokenizer)
        found.add((chat.render(USER), tuple(chat.prompt(USER))))
    assert {text for text, _ in found} == {f"26 Jul 2024 2024 {USER[0]['content']}"}
    assert len(found) == 1
