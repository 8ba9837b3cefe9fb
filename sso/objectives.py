"""Training examples and objectives: which pairs of a query enter which loss.

An example is a *prompt group*: all preference pairs of one query that are trained on together. Pairs
of one group that share a prompt share its computation, and one group is one sample of the mean
that the optimizer sees. An objective maps the pair log-probabilities of groups to one loss per group.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from groundwork.errors import UserError
from groundwork.stored import Lazy
from sso.records import Message, PreferencePair

ObjectiveName = Literal["pair", "generator", "generator-plus", "generator-minus", "joint", "reward"]


@dataclass(frozen=True)
class Branch:
    """One prompt with the distinct completions that follow it in a group."""

    prompt: tuple[Message, ...]
    completions: tuple[str, ...]


@dataclass(frozen=True)
class PromptGroup:
    """One query's preference pairs; ``id`` is unique among the examples of a training."""

    id: str
    pairs: tuple[PreferencePair, ...]

    def branches(self) -> tuple[Branch, ...]:
        """The distinct prompts in order of appearance, each with its distinct completions."""
        found: dict[tuple[tuple[str, str], ...], tuple[tuple[Message, ...], list[str]]] = {}
        for pair in self.pairs:
            key = tuple((m["role"], m["content"]) for m in pair.prompt)
            completions = found.setdefault(key, (pair.prompt, []))[1]
            completions += [y for y in (pair.chosen, pair.rejected) if y not in completions]
        return tuple(Branch(prompt, tuple(texts)) for prompt, texts in found.values())


def group_pairs(pairs: Sequence[PreferencePair]) -> Lazy[PromptGroup]:
    """One group per query: pairs of the same ``query_id``, in order of first appearance. A group is put together
    when it is asked for."""
    by_query: dict[str, list[int]] = {}
    for place, pair in enumerate(pairs):
        by_query.setdefault(pair.query_id, []).append(place)
    ids = list(by_query)
    return Lazy(len(ids), lambda n: PromptGroup(ids[n], tuple(pairs[i] for i in by_query[ids[n]])))


@dataclass(frozen=True)
class Objective:
    """A loss of a prompt group, by name.

    - ``pair``: L_base of the group's one pair, kind ``policy`` or ``annotated``.
    - ``generator``: L+ + L- - gamma * (avg logp of both chosen sides), of the ``generator-good``
      and ``generator-bad`` pairs. ``sso`` fills the latter with (yo > y+), ``pbaa-generator``
      with (y- > y+).
    - ``generator-plus``, ``generator-minus``: the terms of ``generator`` under x+ alone, and under x- alone,
      each with its own gamma term; their sum is ``generator``.
    - ``reward``: the reward model's loss of the group's one pair (``sso.reward_model``); a policy is not
      trained on it.
    - ``joint``: L_base(policy pair) + W * beta_g * (L+ + L-), the first version's loss; ``use_w``
      False puts W = 1, ``use_g`` False drops the generator terms and multiplies L_base by W.
      Without both it is ``pair``.
    """

    name: ObjectiveName
    use_w: bool = True
    use_g: bool = True

    @property
    def kinds(self) -> tuple[str, ...]:
        """The pair roles that a group must hold, one pair each."""
        if self.name in ("pair", "reward") or (self.name == "joint" and not self.use_g):
            return ("policy",)
        if self.name == "generator-plus":
            return ("generator-good",)
        if self.name == "generator-minus":
            return ("generator-bad",)
        generator = ("generator-good", "generator-bad")
        return generator if self.name == "generator" else ("policy", *generator)


def as_objective(objective: str | Objective) -> Objective:
    """The objective of that name with its defaults; an unknown name is an ``UserError``."""
    if isinstance(objective, Objective):
        return objective
    names = get_args(ObjectiveName)
    if objective not in names:
        raise UserError(f"unknown objective {objective!r}: one of {', '.join(names)}")
    return Objective(objective)  # type: ignore[arg-type]


def pair_role(pair: PreferencePair) -> str:
    """The role a pair plays in a loss: an annotated pair trains like a policy pair."""
    return "policy" if pair.kind == "annotated" else pair.kind


def pairs_by_role(group: PromptGroup, objective: Objective) -> dict[str, PreferencePair]:
    """The one pair of each role that the objective needs; ``UserError`` if not exactly one each."""
    roles: dict[str, PreferencePair] = {}
    for pair in group.pairs:
        role = pair_role(pair)
        if role in roles:
            raise UserError(
                f"group {group.id!r}: two {role} pairs ({roles[role].id!r}, {pair.id!r}); "
                "give each its own group id"
            )
        roles[role] = pair
    missing = [role for role in objective.kinds if role not in roles]
    if missing:
        raise UserError(
            f"group {group.id!r}: objective {objective.name!r} needs a {missing[0]} pair, "
            f"found {', '.join(roles) or 'none'}"
        )
    return {role: roles[role] for role in objective.kinds}
