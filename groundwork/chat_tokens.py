"""Tokens of chats: prompts as the template writes them, completions as the model would generate them.

Training and engines share this file, so that both see the same tokens. Nothing here adds a
begin-of-text token: a template that wants one writes it. Text that spells a control token
("<|im_end|>" in a message) stays text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from typing import Any

from groundwork.errors import UserError
from groundwork.reasoning import MARKERS, NEXT_MESSAGE

Message = dict[str, str]
"""One chat turn: ``{"role": "system" | "user" | "assistant", "content": str}``."""

CUT = "\ue0ff"
"""A private character that marks where a literal control token is cut in two."""
TEMPLATE_DATE = date(2024, 7, 26)
"""The day that every template is told it is: else prompts would change at midnight. It is the one that the
Llama 3 templates fall back to where they are told none."""
ANSWER = "Zq7"
"""The assistant's turn of the probe that finds what the template writes after an answer."""


def _halves(found: re.Match[str]) -> str:
    """A control token's spelling with the mark after its first character."""
    return found.group()[0] + CUT + found.group()[1:]


class ChatTokens:
    """A tokenizer with its chat template."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        added = {str(token) for token in tokenizer.added_tokens_decoder.values()}
        control = sorted({*added, *tokenizer.all_special_tokens}, key=len, reverse=True)
        self._control = re.compile("|".join(re.escape(t) for t in control if len(t) > 1) or r"(?!)")
        tags = [tag for pair in MARKERS for tag in pair if self._control.search(tag)]
        spelled = "|".join(re.escape(tag) for tag in tags) or r"(?!)"
        if "<|channel|>" in control:
            tags.append(NEXT_MESSAGE)
            spelled += rf"|{re.escape(NEXT_MESSAGE)}(?=<\|channel\|>)"
        self._answer_control = re.compile(f"({spelled})|{self._control.pattern}")
        self.section_ids = frozenset(
            int(tokenizer.convert_tokens_to_ids(token))
            for tag in tags
            for token in self._control.findall(tag)
        )
        """Ids of the control tokens that tags of reasoning sections are made of."""
        self._prefixes = self._adds_a_prefix()

    def render(self, messages: Sequence[Message], *, add_generation_prompt: bool = True) -> str:
        """The chat as text.

        Raises:
            UserError: no chat template, or one that refuses these messages.
        """
        if not getattr(self.tokenizer, "chat_template", None):
            raise UserError("the tokenizer has no chat template")
        try:
            return str(
                self.tokenizer.apply_chat_template(
                    list(messages),
                    tokenize=False,
                    add_generation_prompt=add_generation_prompt,
                    strftime_now=TEMPLATE_DATE.strftime,
                )
            )
        except Exception as error:  # jinja2 errors, and whatever a template raises itself
            roles = [message.get("role") for message in messages]
            raise UserError(f"the chat template fails on roles {roles}: {error}") from None

    def encode(self, text: str) -> list[int]:
        """Token ids of a text, control tokens read as such, no special tokens added.

        Raises:
            UserError: half of a surrogate pair, which no tokenizer reads.
        """
        try:
            return list(self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])
        except (UnicodeEncodeError, TypeError):
            raise UserError(f"a text holds a lone surrogate: {ascii(text)[:60]}") from None

    def prompt(self, messages: Sequence[Message]) -> list[int]:
        """Ids of the rendered chat with the generation prompt."""
        return self._pieces(self.render(self._literal(messages)))

    def completion(self, messages: Sequence[Message], text: str) -> list[int]:
        """Ids of an answer as the model would generate them after ``prompt(messages)``.

        A space that the template writes before an answer belongs to it. Tags of reasoning sections are
        the control tokens that the model wrote, where the vocabulary has them; any other spelling of a
        control token stays text.
        """
        literal = self._answer_control.sub(lambda f: f.group() if f[1] else _halves(f), text)
        lead = self._lead(messages)
        if not self._prefixes:
            return self._pieces(lead + literal)
        head = self.render(self._literal(messages)).rpartition(CUT)[2]
        first, *rest = (lead + literal).split(CUT)
        before, whole = self.encode(head), self.encode(head + first)
        ids = whole[len(before) :] if whole[: len(before)] == before else self._continued(first)
        return [*ids, *(i for piece in rest for i in self._continued(piece))]

    def end_of_turn(self) -> int | None:
        """Id of the token that the template writes after an assistant's answer; None if it writes none.

        It need not be flagged as special: a token added to the vocabulary, or one that looks like markup.
        """
        try:
            turns = [{"role": "user", "content": "x"}, {"role": "assistant", "content": ANSWER}]
            text = self.render(turns, add_generation_prompt=False)
        except UserError:
            return None
        tail = text.rpartition(ANSWER)[2].lstrip()
        ids = self.encode(tail)
        known = set(self.tokenizer.all_special_ids) | set(self.tokenizer.added_tokens_decoder)
        if ids and ids[0] in known:
            return int(ids[0])
        mark = re.match(r"<[^<>\s]+>|\[[^\[\]\s]+\]", tail)
        alone = self._continued(mark.group()) if mark else []
        return int(alone[0]) if len(alone) == 1 else None

    def takes_system_turn(self) -> bool:
        """Whether the template writes a system turn's text."""
        turns = [{"role": "system", "content": ANSWER}, {"role": "user", "content": "x"}]
        try:
            return ANSWER in self.render(turns)
        except UserError:
            return False

    # --- pieces -------------------------------------------------------------------------------

    def _lead(self, messages: Sequence[Message]) -> str:
        """White space between the generation prompt and the answer, as the template writes it."""
        try:
            head = self.render(messages)
            turn = {"role": "assistant", "content": ANSWER}
            full = self.render([*messages, turn], add_generation_prompt=False)
        except UserError:
            return ""
        between = full[len(head) :].partition(ANSWER)[0] if full.startswith(head) else "x"
        return between if not between.strip() else ""

    def _literal(self, messages: Sequence[Message]) -> list[Message]:
        return [{**m, "content": self._cut(m["content"])} for m in messages]

    def _cut(self, text: str) -> str:
        """The text with a mark inside every spelling of a control token."""
        return self._control.sub(_halves, text)

    def _pieces(self, text: str) -> list[int]:
        first, *rest = text.split(CUT)
        return [*self.encode(first), *(i for piece in rest for i in self._continued(piece))]

    def _continued(self, text: str) -> list[int]:
        """Ids of a text that follows other text: without the space that some tokenizers put first."""
        if not self._prefixes:
            return self.encode(text)
        before, whole = self.encode("\n"), self.encode("\n" + text)
        return whole[len(before) :] if whole[: len(before)] == before else self.encode(text)

    def _adds_a_prefix(self) -> bool:
        """Whether the tokenizer puts a space before a text (SentencePiece's dummy prefix)."""
        before, whole = self.encode("\n"), self.encode("\na")
        return whole[: len(before)] == before and whole[len(before) :] != self.encode("a")
