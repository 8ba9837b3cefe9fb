"""The judges' section of the configuration."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from groundwork.records import Section

JUDGE_USES = ("alpaca_eval", "mt_bench", "arena_hard", "pairs")


class JudgeSettings(Section):
    """Who judges AlpacaEval, MT-Bench and the preference pairs."""

    name: str = Field(
        "local", description="local, a server's model, vllm:MODEL, hf:DIR, reward:DIR or saved:NAME"
    )
    base_url: str | None = Field(None, description="address of an OpenAI-compatible server")
    alpaca_eval: str | None = Field(None, description="another judge for AlpacaEval: NAME[@URL]")
    mt_bench: str | None = Field(None, description="another judge for MT-Bench: NAME[@URL]")
    arena_hard: str | None = Field(None, description="another judge for Arena-Hard: NAME[@URL]")
    pairs: str | None = Field(None, description="another judge for pair accuracy: NAME[@URL]")
    max_cost: float | None = Field(None, gt=0, description="US dollars")
    max_calls: int | None = Field(None, ge=1, description="most calls of all judges together")
    prices: str | None = Field(None, description="price table in place of the shipped one")
    letters: Literal["auto", "logprobs", "parsed"] = Field(
        "auto",
        description="whether one-letter verdicts come from log-probabilities or the text; auto: as the server allows",
    )
    reasoning_effort: str | None = Field(None, description="passed to servers that know it")
    concurrency: int = Field(64, ge=1, description="most requests in flight")
    withhold_above: float = Field(
        0.05, ge=0, le=1, description="share of unusable verdicts above which a score is withheld"
    )

    def judge_of(self, use: str) -> tuple[str, str | None]:
        """Name and address of the judge of a use: a benchmark's name, or ``pairs``."""
        own = getattr(self, use, None) if use in JUDGE_USES else None
        if own is None:
            return self.name, self.base_url
        name, mark, url = own.partition("@http")
        return name, f"http{url}" if mark else None if name == "local" else self.base_url

    def names(self) -> dict[str, str]:
        """The judge's name by use, for uses with a judge of their own."""
        return {use: name for use in JUDGE_USES if (name := getattr(self, use)) is not None}
