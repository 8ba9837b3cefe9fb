"""What a judge is: three ways of asking, one record as the answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from judges.records import Comparison, Rating, Verdict
from judges.settings import PairPrompt


class Judge(Protocol):
    """Anything that gives verdicts: an OpenAI-compatible server or a local model.

    ``snapshot`` names the judge exactly (model name as the server reports it, or ``local:`` with
    the weights' hash) and goes into protocol ids; ``comparable`` is false for a judge whose figures
    can't stand beside published ones.
    """

    @property
    def name(self) -> str:
        """What the user called it."""

    @property
    def snapshot(self) -> str:
        """Its exact name."""

    @property
    def comparable(self) -> bool:
        """Whether its figures can stand beside published ones."""

    def preferences(self, comparisons: Sequence[Comparison], *, seed: int = 0) -> list[Verdict]:
        """AlpacaEval 2.0 weighted preference, 1..2, order drawn from a seed on the instruction."""

    def ratings(self, ratings: Sequence[Rating]) -> list[Verdict]:
        """MT-Bench single-answer rating, 1..10."""

    def pairwise(
        self, comparisons: Sequence[Comparison], *, prompt: PairPrompt = "pair-v2"
    ) -> list[tuple[Verdict, Verdict]]:
        """Which output is better, asked in both orders: (as given, swapped), values mapped back.
        A judge that is not asked in words takes no notice of ``prompt``."""

    def graded(self, comparisons: Sequence[Comparison]) -> list[tuple[Verdict, Verdict]]:
        """How much better one output is, in five steps from 1 (output_1 much better) to 2, asked in
        both orders: (as given, swapped), values mapped back."""

    @property
    def notes(self) -> list[str]:
        """What a user should know before the first request, one line each (after ``check``)."""

    def check(self) -> None:
        """Make sure that the judge can answer, before anything is spent."""

    def estimate(self, calls: int, prompt_tokens: int) -> float:
        """Expected cost in US dollars of that many calls (0 for a local judge)."""

    def describe(self) -> dict[str, Any]:
        """Flat facts about the judge for run folders and reports; no secrets."""


class TextEngine(Protocol):
    """What the local judge needs of an engine: a chat template and log-probabilities."""

    name: str
    model_hash: str

    def logprobs(self, prompts: Sequence[Any], continuations: Sequence[str]) -> Sequence[Any]:
        """Per pair an object with ``total`` (nats) and ``tokens``."""
