"""Text to tokens and back: the one place where a chat template is applied.

Every engine that reads a local model folder shares this file, so that a prompt is the same token
ids in each of them. Nothing here adds a begin-of-text token: a template that wants one writes it.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import MutableSequence, Sequence
from pathlib import Path
from typing import Any

from groundwork.chat_tokens import TEMPLATE_DATE, ChatTokens
from groundwork.errors import UserError
from groundwork.process_map import process_map
from harness.engines.base import Message, Prompt
from harness.engines.errors import EngineError

DIRECTIVES = "aAwdbBmyYHIlpMSfjUWcxXGuVDeFhRTCZz"
"""Letters of ``strftime`` that a template may ask for, each also without its padding (``%-d``)."""
SHARED_FROM = 5_000
"""Prompts from which the cores share the work: a process needs seconds to start."""


class Codec:
    """Tokenizer, chat template and end-of-turn tokens of a model folder."""

    def __init__(self, folder: Path) -> None:
        from transformers import AutoTokenizer

        try:
            self.tokenizer: Any = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        except (OSError, ValueError, KeyError) as error:
            raise EngineError(f"model folder {folder}: no usable tokenizer ({error})") from None
        self.folder, self.chat = folder, ChatTokens(self.tokenizer)
        added = self.tokenizer.added_tokens_decoder
        self._special_ids = {i for i, token in added.items() if token.special}
        self.end_ids = self._end_ids()
        end = self.chat.end_of_turn()
        self.end_of_turn = int(end if end is not None else self.tokenizer.eos_token_id or 0)

    def render(self, messages: Sequence[Message], *, add_generation_prompt: bool = True) -> str:
        """The chat as text. Raises ``EngineError`` when the template is missing or refuses it."""
        try:
            return self.chat.render(messages, add_generation_prompt=add_generation_prompt)
        except UserError as error:
            raise EngineError(f"model folder {self.folder}: {error}") from None

    def text(self, prompt: Prompt) -> str:
        """A prompt as the model reads it: strings as they are, chats rendered."""
        return prompt if isinstance(prompt, str) else self.render(prompt)

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, no special tokens added."""
        try:
            return [self.chat.encode(text) for text in texts]
        except UserError as error:
            raise EngineError(str(error)) from None

    def prompt_ids(self, prompts: Sequence[Prompt]) -> list[array[int]]:
        """Token ids of each prompt, four bytes a token: strings as they are, chats by the template, in which the
        text of a message that spells a control token stays text."""
        try:
            return list(process_map(self._ids, prompts, least=SHARED_FROM))
        except UserError as error:
            raise EngineError(f"model folder {self.folder}: {error}") from None

    def _ids(self, prompt: Prompt) -> array[int]:
        whole = self.chat.encode(prompt) if isinstance(prompt, str) else self.chat.prompt(prompt)
        return array("i", whole)

    def encode_pairs(
        self, contexts: Sequence[str], continuations: Sequence[str]
    ) -> list[tuple[list[int], list[int]]]:
        """(context ids, continuation ids), split as lm-eval's ``_encode_pair`` splits them.

        Spaces at the end of the context belong to the continuation; the pair is tokenised together
        and cut after as many tokens as the context has alone. An empty context becomes the
        begin-of-text (else end-of-text) token, since the first token needs something before it.
        """
        moved = []
        for context, continuation in zip(contexts, continuations, strict=True):
            kept = context.rstrip()
            moved.append((kept, context[len(kept) :] + continuation))
        heads = self.encode([kept for kept, _ in moved])
        wholes = self.encode([kept + rest for kept, rest in moved])
        pairs = []
        for head, whole in zip(heads, wholes, strict=True):
            if head:
                pairs.append((whole[: len(head)], whole[len(head) :]))
            else:
                pairs.append(([self.start_id()], whole))
        return pairs

    def prompt_pairs(
        self,
        prompts: Sequence[Prompt],
        continuations: Sequence[str],
        ended: Sequence[bool] | None = None,
    ) -> list[tuple[MutableSequence[int], MutableSequence[int]]]:
        """(context ids, continuation ids): strings by ``encode_pairs``; after a chat the continuation as
        the model would write it. Where ``ended``, the token that ends a turn comes last."""
        strings = [i for i, prompt in enumerate(prompts) if isinstance(prompt, str)]
        contexts = [str(prompts[i]) for i in strings]
        split = self.encode_pairs(contexts, [continuations[i] for i in strings])
        found: dict[int, tuple[MutableSequence[int], MutableSequence[int]]] = {}
        found.update(zip(strings, split, strict=True))
        for i, prompt in enumerate(prompts):
            if not isinstance(prompt, str):
                (head,) = self.prompt_ids([prompt])
                found[i] = (head, array("i", self.chat.completion(prompt, continuations[i])))
        for i, whole in enumerate(ended or ()):
            if whole:
                found[i][1].append(self.end_of_turn)
        return [found[i] for i in range(len(prompts))]

    def start_id(self) -> int:
        """What stands before the very first token of an empty context."""
        for token in (self.tokenizer.bos_token_id, self.tokenizer.eos_token_id):
            if token is not None:
                return int(token)
        return 0

    def decode(self, ids: Sequence[int]) -> str:
        """Text of token ids, special tokens left out but for the tags of reasoning sections, which
        training needs as they were sampled and graders need to tell reasoning from answer."""
        if self.chat.section_ids.isdisjoint(ids):
            return str(
                self.tokenizer.decode(
                    list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False
                )
            )
        dropped = self._special_ids - self.chat.section_ids
        return self.decode_raw([i for i in ids if i not in dropped])

    def decode_raw(self, ids: Sequence[int]) -> str:
        """Text of token ids with special tokens written out (what stop strings are looked up in)."""
        return str(
            self.tokenizer.decode(
                list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False
            )
        )

    def _end_ids(self) -> frozenset[int]:
        """Tokens that end a turn: of the tokenizer, the generation config and the template."""
        found: set[int] = set()
        if self.tokenizer.eos_token_id is not None:
            found.add(int(self.tokenizer.eos_token_id))
        for name in ("generation_config.json", "config.json"):
            file = self.folder / name
            if file.is_file():
                value = json.loads(file.read_text(encoding="utf-8")).get("eos_token_id")
                values = value if isinstance(value, list) else [value]
                found.update(int(v) for v in values if v is not None)
        end = self.chat.end_of_turn()
        return frozenset(found if end is None else found | {end})


def template_date(folder: Path) -> dict[str, str]:
    """``{"template_date": DAY}`` where the model's chat template writes the day into prompts, else nothing."""
    files = [*folder.glob("*chat_template*"), folder / "tokenizer_config.json"]
    files += folder.glob("additional_chat_templates/*")
    for file in files:
        if file.is_file() and "strftime_now" in file.read_text("utf-8", errors="replace"):
            return {"template_date": TEMPLATE_DATE.isoformat()}
    return {}


def template_with_date(folder: Path) -> str:
    """The chat template with the day written in, for a server that renders by itself and would ask its clock;
    empty where the template writes no day, and where vLLM takes Mistral's own tokenizer in its place."""
    if not template_date(folder) or (folder / "tekken.json").is_file():
        return ""
    return _fixed_day() + str(Codec(folder).tokenizer.get_chat_template())


def _fixed_day() -> str:
    """A macro that stands before the server's own ``strftime_now`` and gives the fixed day in any format."""
    mark = "\ue000"  # of no text: stands for a percent sign that is none
    names = [sign + letter for letter in DIRECTIVES for sign in ("%", "%-")]
    pairs = [("%%", mark), *((name, TEMPLATE_DATE.strftime(name)) for name in names), (mark, "%")]
    steps = "".join(f".replace({json.dumps(a)}, {json.dumps(b)})" for a, b in pairs)
    return f"{{%- macro strftime_now(format) -%}}{{{{ format{steps} }}}}{{%- endmacro -%}}"


def cut_at_stop(text: str, stop: Sequence[str]) -> str:
    """``text`` before the first occurrence of any stop string (lm-eval's ``until``)."""
    for mark in stop:
        if mark:
            text = text.split(mark)[0]
    return text
