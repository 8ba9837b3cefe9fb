"""Text to tokens and back: the one place where a chat template is applied.

Every engine that reads a local model folder shares this file, so that a prompt is the same token
ids in each of them. Nothing here adds a begin-of-text token: a template that wants one writes it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.engines.base import Message, Prompt
from harness.engines.errors import EngineError


class Codec:
    """Tokenizer, chat template and end-of-turn tokens of a model folder."""

    def __init__(self, folder: Path) -> None:
        from transformers import AutoTokenizer

        try:
            self.tokenizer: Any = AutoTokenizer.from_pretrained(folder)
        except (OSError, ValueError, KeyError) as error:
            raise EngineError(f"model folder {folder}: no usable tokenizer ({error})") from None
        self.folder = folder
        self.end_ids = self._end_ids()

    def render(self, messages: Sequence[Message], *, add_generation_prompt: bool = True) -> str:
        """The chat as text. Raises ``EngineError`` when the template is missing or refuses it."""
        if not getattr(self.tokenizer, "chat_template", None):
            raise EngineError(f"model folder {self.folder} has no chat template")
        try:
            text = self.tokenizer.apply_chat_template(
                list(messages), tokenize=False, add_generation_prompt=add_generation_prompt
            )
        except Exception as error:  # jinja2 errors, and whatever a template raises itself
            roles = [message.get("role") for message in messages]
            raise EngineError(
                f"the chat template of {self.folder} fails on roles {roles}: {error}"
            ) from None
        return str(text)

    def text(self, prompt: Prompt) -> str:
        """A prompt as the model reads it: strings as they are, chats rendered."""
        return prompt if isinstance(prompt, str) else self.render(prompt)

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, no special tokens added."""
        if not texts:
            return []
        found = self.tokenizer(list(texts), add_special_tokens=False, verbose=False)
        return [list(ids) for ids in found["input_ids"]]

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
        self, prompts: Sequence[Prompt], continuations: Sequence[str]
    ) -> list[tuple[list[int], list[int]]]:
        """(context ids, continuation ids): strings by ``encode_pairs``, chats rendered.

        After a chat the continuation is tokenised alone, as the model would write it.
        """
        strings = [i for i, prompt in enumerate(prompts) if isinstance(prompt, str)]
        chats = [i for i, prompt in enumerate(prompts) if not isinstance(prompt, str)]
        contexts = [str(prompts[i]) for i in strings]
        split = self.encode_pairs(contexts, [continuations[i] for i in strings])
        heads = self.encode([self.text(prompts[i]) for i in chats])
        tails = self.encode([continuations[i] for i in chats])
        found = dict(zip(strings, split, strict=True))
        found.update(zip(chats, zip(heads, tails, strict=True), strict=True))
        return [found[i] for i in range(len(prompts))]

    def start_id(self) -> int:
        """What stands before the very first token of an empty context."""
        for token in (self.tokenizer.bos_token_id, self.tokenizer.eos_token_id):
            if token is not None:
                return int(token)
        return 0

    def decode(self, ids: Sequence[int]) -> str:
        """Text of token ids, special tokens left out."""
        return str(
            self.tokenizer.decode(
                list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False
            )
        )

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
        end = self._template_end()
        return frozenset(found if end is None else found | {end})

    def _template_end(self) -> int | None:
        """The special token that the template writes right after an assistant's answer."""
        if not getattr(self.tokenizer, "chat_template", None):
            return None
        answer = "Zq7"
        try:
            text = self.render(
                [{"role": "user", "content": "x"}, {"role": "assistant", "content": answer}],
                add_generation_prompt=False,
            )
        except EngineError:
            return None
        after = self.encode([text.rpartition(answer)[2].lstrip()])[0]
        special = set(self.tokenizer.all_special_ids)
        special.update(int(i) for i, t in self.tokenizer.added_tokens_decoder.items() if t.special)
        return after[0] if after and after[0] in special else None


def cut_at_stop(text: str, stop: Sequence[str]) -> str:
    """``text`` before the first occurrence of any stop string (lm-eval's ``until``)."""
    for mark in stop:
        if mark:
            text = text.split(mark)[0]
    return text
