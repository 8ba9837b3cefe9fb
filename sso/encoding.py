"""From prompt groups to token ids: chat template, end of turn, truncation, and what is dropped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from groundwork.errors import UserError
from sso.objectives import Objective, PromptGroup, pairs_by_role
from sso.records import Message, PreferencePair
from sso.settings import TrainingSettings

_MARK = "ENDOFTURNPROBE"


@dataclass(frozen=True)
class EncodedBranch:
    """A prompt's token ids and those of each of its completions (end-of-turn token included)."""

    prompt: tuple[int, ...]
    completions: tuple[tuple[int, ...], ...]

    @property
    def packed_tokens(self) -> int:
        """Tokens of the shared-prefix form: a completion's last token predicts nothing."""
        return len(self.prompt) + sum(len(c) - 1 for c in self.completions)

    @property
    def plain_tokens(self) -> int:
        """Tokens when every completion is a sequence of its own, without padding."""
        return sum(len(self.prompt) + len(c) - 1 for c in self.completions)


@dataclass(frozen=True)
class EncodedPair:
    """Which completions of which branch a pair compares; ``id`` is the preference pair's."""

    id: str
    branch: int
    chosen: int
    rejected: int


@dataclass(frozen=True)
class EncodedGroup:
    """A prompt group as token ids, with its pairs by role."""

    id: str
    branches: tuple[EncodedBranch, ...]
    pairs: Mapping[str, EncodedPair]

    @property
    def packed_tokens(self) -> int:
        return sum(branch.packed_tokens for branch in self.branches)

    @property
    def longest(self) -> int:
        """Tokens of the longest prompt with its completion."""
        return max(len(b.prompt) + len(c) for b in self.branches for c in b.completions)

    @property
    def completion_tokens(self) -> int:
        return sum(len(c) for branch in self.branches for c in branch.completions)


@dataclass(frozen=True)
class Encoded:
    """The groups to train on, and counts of those that were dropped (by reason) or cut."""

    groups: tuple[EncodedGroup, ...]
    counts: Mapping[str, int]


class _DroppedError(Exception):
    """A group that cannot be trained on; the argument is the reason that is counted."""


def end_of_turn(tokenizer: Any) -> int:
    """Id of the token with which the chat template ends an assistant turn.

    The template is asked to render one assistant turn; the first special token after its text is
    the end of turn. A template that writes none falls back to the tokenizer's end of sequence.
    """
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": _MARK}]
    text = tokenizer.apply_chat_template(turns, tokenize=False)
    tail = text.rpartition(_MARK)[2]
    special = set(tokenizer.all_special_ids) | {
        i for i, token in tokenizer.added_tokens_decoder.items() if token.special
    }
    for token in tokenizer(tail, add_special_tokens=False)["input_ids"]:
        if token in special:
            return int(token)
    if tokenizer.eos_token_id is None:
        raise UserError("the tokenizer has neither an end-of-turn nor an end-of-sequence token")
    return int(tokenizer.eos_token_id)


def encode_prompt(tokenizer: Any, prompt: Sequence[Message]) -> tuple[int, ...]:
    """Ids of the rendered prompt with the generation prompt; the template alone adds specials."""
    if not tokenizer.chat_template:
        raise UserError("the checkpoint has no chat template; give one in its tokenizer folder")
    text = tokenizer.apply_chat_template(list(prompt), tokenize=False, add_generation_prompt=True)
    return tuple(tokenizer(text, add_special_tokens=False)["input_ids"])


def encode_groups(
    groups: Sequence[PromptGroup],
    objective: Objective,
    tokenizer: Any,
    settings: TrainingSettings,
) -> Encoded:
    """Tokenise groups for an objective; what cannot be trained on is dropped and counted.

    Counts: ``groups`` kept, ``truncated_completions`` (policy ``cut``) and ``dropped_REASON``, with
    the reasons no_pairs, missing_pair, empty_completion, identical_pair, no_room (the prompt alone
    fills ``max_length``) and too_long (policy ``drop``). Nothing left is an ``UserError``.
    """
    eot = end_of_turn(tokenizer)
    counts: Counter[str] = Counter()
    kept: list[EncodedGroup] = []
    ids = Counter(group.id for group in groups)
    if ids and max(ids.values()) > 1:
        raise UserError(f"two prompt groups are called {ids.most_common(1)[0][0]!r}")
    for group in groups:
        try:
            encoded, cut = _encode_group(group, objective, tokenizer, settings, eot)
        except _DroppedError as reason:
            counts[f"dropped_{reason}"] += 1
            continue
        kept.append(encoded)
        counts["truncated_completions"] += cut
    if not kept:
        why = ", ".join(f"{n} {reason}" for reason, n in counts.items()) or "none given"
        raise UserError(f"nothing to train on: 0 of {len(groups)} prompt groups left ({why})")
    counts["groups"] = len(kept)
    return Encoded(tuple(kept), dict(counts))


def _encode_group(
    group: PromptGroup,
    objective: Objective,
    tokenizer: Any,
    settings: TrainingSettings,
    eot: int,
) -> tuple[EncodedGroup, int]:
    """The encoded group and how many of its completions were cut."""
    if not group.pairs:
        raise _DroppedError("no_pairs")
    if any(role not in {_role(p.kind) for p in group.pairs} for role in objective.kinds):
        raise _DroppedError("missing_pair")
    by_role = pairs_by_role(group, objective)
    branches = PromptGroup(group.id, tuple(by_role.values())).branches()
    unended = _unended(by_role.values())
    encoded: list[EncodedBranch] = []
    cut = 0
    for branch in branches:
        prompt = encode_prompt(tokenizer, branch.prompt)
        room = settings.max_length - len(prompt)
        if room < 1:
            raise _DroppedError("no_room")
        prefix = tuple(map(_freeze, branch.prompt))
        completions = [
            _encode_completion(tokenizer, text, None if (prefix, text) in unended else eot)
            for text in branch.completions
        ]
        over = sum(len(c) > room for c in completions)
        if over and settings.truncation == "drop":
            raise _DroppedError("too_long")
        cut += over
        encoded.append(EncodedBranch(prompt, tuple(c[:room] for c in completions)))
    index = {tuple(map(_freeze, b.prompt)): i for i, b in enumerate(branches)}
    pairs = {}
    for role, pair in by_role.items():
        i = index[tuple(map(_freeze, pair.prompt))]
        texts = branches[i].completions
        where = EncodedPair(pair.id, i, texts.index(pair.chosen), texts.index(pair.rejected))
        ids = encoded[i].completions
        if ids[where.chosen] == ids[where.rejected]:
            raise _DroppedError("identical_pair")
        pairs[role] = where
    return EncodedGroup(group.id, tuple(encoded), pairs), cut


def _unended(pairs: Iterable[PreferencePair]) -> set[tuple[tuple[tuple[str, str], ...], str]]:
    """(prompt, completion) of the sides that sampling cut: they have no end of turn to learn."""
    return {
        (tuple(map(_freeze, pair.prompt)), pair.chosen if side == "chosen" else pair.rejected)
        for pair in pairs
        for side in pair.truncated
    }


def _encode_completion(tokenizer: Any, text: str, eot: int | None) -> tuple[int, ...]:
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    if not ids or not text.strip():
        raise _DroppedError("empty_completion")
    return tuple(ids) if eot is None else (*ids, eot)


def _role(kind: str) -> str:
    return "policy" if kind == "annotated" else kind


def _freeze(message: Message) -> tuple[str, str]:
    return message["role"], message["content"]
