"""Who judges and how it may be asked: the one object that ``open_judge`` takes."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from judges.client.records import ClientSettings

Letters = Literal["auto", "logprobs", "parsed"]
PairPrompt = Literal["pair-v2", "one-letter"]
"""How pairs are asked about: with an explanation and a mark, or by AlpacaEval's one letter."""
LocalReading = Literal["contrast", "letters", "likelihood"]
DEFAULT_READING: LocalReading = "contrast"


@dataclass(frozen=True)
class JudgeSettings:
    """A judge by name, with its server, budget and protocol.

    Attributes:
        name: ``local`` (reads an engine's model) or a model name of an OpenAI-compatible server.
        base_url: the server; else ``OPENAI_BASE_URL``, else OpenAI's own.
        max_cost, max_calls: budget in US dollars and in requests.
        scope: label under which the spend counts against the budget, across restarts of a run.
        prices: a price table in place of the shipped one.
        prompts: FastChat's ``judge_prompts.jsonl``; else the project's own wording.
        five_way: Arena-Hard's ``judge_config.yaml``; else the project's own wording.
        letters: how weighted preferences are read. ``logprobs`` is AlpacaEval 2.0's way;
            ``parsed`` reads the written letter, under another protocol id; ``auto`` is ``logprobs``
            unless ``check`` finds that the judge sends none or reasons first.
        reasoning_effort: sent to the judge as it is (``low``, ``high``, ...), and in the protocol id.
        reading: how ``local`` reads its model; the default agreed best with people.
        identity: the name under which replies are kept, where the server's address does not tell.
        offline: send nothing; a verdict that is not in the store is an error.
        batch: hand requests in through the provider's batch API (half the price, up to a day).
            ``check`` still asks directly.
        client: requests in flight, patience and back-off.
    """

    name: str
    base_url: str | None = None
    max_cost: float | None = None
    max_calls: int | None = None
    scope: str = ""
    prices: Path | None = None
    prompts: Path | None = None
    five_way: Path | None = None
    letters: Letters = "auto"
    reasoning_effort: str | None = None
    reading: LocalReading = DEFAULT_READING
    identity: str | None = None
    offline: bool = False
    batch: bool = False
    client: ClientSettings = field(default_factory=ClientSettings)
