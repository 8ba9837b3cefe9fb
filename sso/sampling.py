"""Contrastive sampling: y+ under the good principle, y- under the bad one, yo without any."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from groundwork.seeds import item_seed
from groundwork.stored import ByKey, Lazy
from sso.principles import PrincipleBook, contrast_prompt, plain_prompt
from sso.records import Contrast, Message, PreferencePair, Principle, Query, Response
from sso.settings import SamplingSettings

if TYPE_CHECKING:  # sso.arms imports this module
    from sso.arms.base import CompletionLike, TextEngine

Role = Literal["good", "bad", "original"]
PairKind = Literal["policy", "generator-good", "generator-bad", "annotated"]


@dataclass(frozen=True)
class SamplingRound:
    """One round of sampling: how texts are drawn, and what their seeds depend on.

    ``progress(1)`` is called as each completion comes in.
    """

    settings: SamplingSettings
    iteration: int
    seed: int
    name: str = "contrast"
    progress: Callable[[int], None] = lambda sampled: None

    def item_seed(self, item: str, role: str) -> int:
        """The seed of one text: of run seed, iteration, item and role, whatever else is sampled."""
        return item_seed(self.seed, self.iteration, item, role)

    def count(self, index: int, completion: object) -> None:
        """Report one more completion (an engine's ``on_done``)."""
        self.progress(1)


def sample_contrasts(
    engine: TextEngine,
    queries: Sequence[Query],
    principles: Sequence[Principle],
    book: PrincipleBook,
    this_round: SamplingRound,
    originals: Mapping[str, Response] | None = None,
) -> Sequence[Contrast]:
    """Sample y+ and y- for every query; ``originals`` (by query id) are attached as yo.

    A contrast is put together when it is asked for: its texts stay where the engine keeps them.
    """
    n = len(queries)

    def prompt(place: int) -> tuple[Message, ...]:
        principle = principles[place % n]
        side = principle.good if place < n else principle.bad
        return contrast_prompt(book, side, queries[place % n].text)

    prompts = Lazy(2 * n, prompt)
    seeds = [
        this_round.item_seed(query.id, f"{this_round.name}-{role}")
        for role in ("good", "bad")
        for query in queries
    ]
    sampled = engine.chat(
        prompts,
        this_round.settings.params(),
        seeds=seeds,
        on_done=this_round.count,
    )

    def contrast(place: int) -> Contrast:
        query = queries[place]
        return Contrast(
            query=query,
            principle=principles[place],
            good=as_response(sampled[place]),
            bad=as_response(sampled[n + place]),
            original=(originals or {}).get(query.id),
        )

    return Lazy(n, contrast)


def sample_originals(
    engine: TextEngine,
    prompts: Mapping[str, Sequence[Message]],
    this_round: SamplingRound,
) -> Mapping[str, Response]:
    """yo for every prompt, by item id: greedy, or sampled like y+ (``original_greedy`` False)."""
    items = list(prompts)
    sampled = engine.chat(
        Lazy(len(items), lambda place: prompts[items[place]]),
        this_round.settings.original_params(),
        seeds=[this_round.item_seed(item, "contrast-original") for item in items],
        on_done=this_round.count,
    )
    return ByKey(items, Lazy(len(items), lambda place: as_response(sampled[place])))


def as_response(completion: CompletionLike) -> Response:
    """A completion as a record; white space round the text is not content."""
    return Response(
        text=completion.text.strip(),
        tokens=completion.completion_tokens,
        truncated=completion.truncated,
    )


def policy_pair(contrast: Contrast) -> PreferencePair:
    """(x; y+ > y-), what the policy trains on."""
    return _pair(contrast, "policy", plain_prompt(contrast.query.text), "good", "bad")


def good_pair(contrast: Contrast, book: PrincipleBook) -> PreferencePair:
    """(x+; y+ > y-), the first half of the generator's pairs."""
    prompt = contrast_prompt(book, contrast.principle.good, contrast.query.text)
    return _pair(contrast, "generator-good", prompt, "good", "bad")


def bad_pair(contrast: Contrast, book: PrincipleBook, chosen: Role) -> PreferencePair:
    """(x-; ``chosen`` > y+): yo is chosen by SSO, y- by the choice that SSO corrects."""
    prompt = contrast_prompt(book, contrast.principle.bad, contrast.query.text)
    return _pair(contrast, "generator-bad", prompt, chosen, "good")


def _pair(
    contrast: Contrast, kind: PairKind, prompt: tuple[Message, ...], chosen: Role, rejected: Role
) -> PreferencePair:
    better, worse = _response(contrast, chosen), _response(contrast, rejected)
    cut: list[Literal["chosen", "rejected"]] = []
    if better.truncated:
        cut.append("chosen")
    if worse.truncated:
        cut.append("rejected")
    return PreferencePair(
        id=f"{contrast.query.id}/{kind}",
        query_id=contrast.query.id,
        prompt=prompt,
        chosen=better.text,
        rejected=worse.text,
        kind=kind,
        truncated=tuple(cut),
    )


def _response(contrast: Contrast, role: Role) -> Response:
    response: Response | None = getattr(contrast, role)
    if response is None:
        raise ValueError(f"query {contrast.query.id!r} has no {role} response")
    return response
