"""From prompt groups to token ids: chat template, end of turn, truncation, and what is dropped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from groundwork.chat_tokens import ChatTokens
from groundwork.errors import UserError
from groundwork.process_map import process_map
from sso.objectives import Branch, Objective, PromptGroup, pairs_by_role
from sso.records import Message, PreferencePair
from sso.settings import TrainingSettings

SHARED_FROM = 5000
"""Groups from which several processes encode: starting them takes as long as some thousand short groups."""


@dataclass(frozen=True)
class EncodedBranch:
    """A prompt's token ids and those of each of its completions (end-of-turn token included): tuples, or what
    equals them (``sso.encoded_file.Ids``)."""

    prompt: Sequence[int]
    completions: tuple[Sequence[int], ...]

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
    """Id of the token that ends an assistant turn: the template's, else the end of sequence.

    Raises:
        UserError: there is neither.
    """
    end = ChatTokens(tokenizer).end_of_turn()
    if end is None:
        end = tokenizer.eos_token_id
    if end is None:
        raise UserError("the tokenizer has neither an end-of-turn nor an end-of-sequence token")
    return int(end)


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
    counts: Counter[str] = Counter()
    return Encoded(tuple(encode_each(groups, objective, tokenizer, settings, counts)), dict(counts))


def encode_each(
    groups: Sequence[PromptGroup],
    objective: Objective,
    tokenizer: Any,
    settings: TrainingSettings,
    counts: Counter[str],
) -> Iterator[EncodedGroup]:
    """As ``encode_groups``, one group after the other: the kept ones, and ``counts`` filled in on the way.

    Long sets are shared among processes, one per core.
    """
    encoder = _Encoder(objective, ChatTokens(tokenizer), settings, end_of_turn(tokenizer))
    if not tokenizer.chat_template:
        raise UserError("the checkpoint has no chat template; give one in its tokenizer folder")
    kept, seen = 0, set[str]()
    for name, encoded, note in process_map(encoder, groups, least=SHARED_FROM):
        if name in seen:
            raise UserError(f"two prompt groups are called {name!r}")
        seen.add(name)
        if encoded is None:
            counts[f"dropped_{note}"] += 1
            continue
        kept += 1
        counts["truncated_completions"] += int(note)
        yield encoded
    if not kept:
        why = ", ".join(f"{n} {reason}" for reason, n in counts.items()) or "none given"
        raise UserError(f"nothing to train on: 0 of {len(groups)} prompt groups left ({why})")
    counts["groups"] = kept


@dataclass(frozen=True)
class _Encoder:
    """Encodes a group: its id, what was encoded or None, and how many completions were cut or why it is dropped."""

    objective: Objective
    chat: ChatTokens
    settings: TrainingSettings
    eot: int

    def __call__(self, group: PromptGroup) -> tuple[str, EncodedGroup | None, str]:
        try:
            encoded, cut = _encode_group(group, self.objective, self.chat, self.settings, self.eot)
        except _DroppedError as reason:
            return group.id, None, str(reason)
        return group.id, encoded, str(cut)


def encode_answers(
    name: str,
    prompt: Sequence[Message],
    answers: Sequence[str],
    tokenizer: Any,
    settings: TrainingSettings,
) -> EncodedGroup:
    """A prompt with several answers, each with its end of turn; a group without pairs, to be scored.

    Raises:
        UserError: an empty answer, or one that does not fit (with ``truncation: cut``: a prompt that
            leaves no room for it).
    """
    chat, eot = ChatTokens(tokenizer), end_of_turn(tokenizer)
    branch = Branch(tuple(prompt), tuple(answers))
    ids = tuple(chat.prompt(branch.prompt))
    room = settings.max_length - len(ids)
    try:
        completions = [_completion(chat, branch, text, eot) for text in answers]
    except _DroppedError:
        raise UserError(f"item {name}: an answer is empty, which has no score") from None
    longest = max(map(len, completions))
    if room < 1 or (longest > room and settings.truncation == "drop"):
        raise UserError(
            f"item {name}: {len(ids) + longest} tokens, more than training.max_length = "
            f"{settings.max_length}"
        )
    return EncodedGroup(name, (EncodedBranch(ids, tuple(c[:room] for c in completions)),), {})


def _encode_group(
    group: PromptGroup,
    objective: Objective,
    chat: ChatTokens,
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
        prompt = tuple(chat.prompt(branch.prompt))
        room = settings.max_length - len(prompt)
        if room < 1:
            raise _DroppedError("no_room")
        prefix = tuple(map(_freeze, branch.prompt))
        completions = [
            _completion(chat, branch, text, None if (prefix, text) in unended else eot)
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


def _completion(chat: ChatTokens, branch: Branch, text: str, eot: int | None) -> tuple[int, ...]:
    if not text.strip():
        raise _DroppedError("empty_completion")
    ids = chat.completion(branch.prompt, text)
    return tuple(ids) if eot is None else (*ids, eot)


def _role(kind: str) -> str:
    return "policy" if kind == "annotated" else kind


def _freeze(message: Message) -> tuple[str, str]:
    return message["role"], message["content"]
