"""A judge behind an OpenAI-compatible server."""

from __future__ import annotations

import copy
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from judges.agreement import remembered_agreements
from judges.client import Client, ClientSettings, Failure
from judges.client.batch import BatchDesk
from judges.credentials import OFFICIAL_URL, find_key, public_url
from judges.errors import JudgeError
from judges.prices import EXPECTED_COMPLETION_TOKENS, Budget, load_prices
from judges.prompts import prompt_book
from judges.protocols import pairwise, rating, weighted_preference
from judges.records import Comparison, Rating, Verdict
from judges.reply import read_reply
from judges.store import VerdictStore
from judges.verdict_source import Asking


class ServerJudge:
    """A model asked through the OpenAI API; see ``open_judge`` for the common settings.

    Args:
        letters: how weighted preferences are read. ``logprobs`` is AlpacaEval 2.0's way;
            ``parsed`` reads the written letter of a judge without log-probabilities, under another
            protocol id.
        scope: label under which the spend counts against the budget, across restarts of a run.
        prices: a price table in place of the shipped one.
        offline: send nothing; a verdict that is not in the store is an error.
        batch: hand requests in through the provider's batch API (half the price, up to a day);
            ``batch_poll_s`` seconds between looks at it. ``check`` still asks directly.
        client: patience and back-off.
        progress: called with (done, total) verdicts.
    """

    comparable = True

    def __init__(
        self,
        name: str,
        *,
        store: VerdictStore,
        base_url: str | None = None,
        max_cost: float | None = None,
        max_calls: int | None = None,
        concurrency: int = 128,
        prompts: Path | None = None,
        prices: Path | None = None,
        letters: weighted_preference.Letters = "logprobs",
        scope: str = "",
        offline: bool = False,
        batch: bool = False,
        batch_poll_s: float = 30.0,
        client: ClientSettings | None = None,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:
        base_url = base_url or os.environ.get("OPENAI_BASE_URL") or None
        self.name = name
        self.store = store
        self.letters = letters
        self.offline = offline
        self._book = prompt_book(prompts)
        self._url = public_url(base_url or OFFICIAL_URL)
        official = self._url == OFFICIAL_URL
        identity = name if official else f"{name}@{self._url.partition('://')[2]}"
        table = load_prices(prices)
        priced = not offline and (official or max_cost is not None)
        price = table.need(name) if priced else table.find(name)
        calls, cost = store.spent(scope) if scope else (0, 0.0)
        self.budget = Budget(
            price if official or max_cost is not None else None,
            max_cost=max_cost,
            max_calls=max_calls,
            spent_calls=calls,
            spent_cost=cost,
        )
        self._client = Client(
            name,
            base_url=base_url,
            api_key="" if offline else find_key(base_url),
            judge=identity,
            store=store,
            budget=self.budget,
            concurrency=concurrency,
            settings=client,
            scope=scope,
        )
        self._asking = Asking(
            self._client,
            store,
            offline=offline,
            progress=progress,
            batch=BatchDesk(self._client, poll_s=batch_poll_s) if batch else None,
        )

    @property
    def identity(self) -> str:
        """The name under which replies are kept: model, and server where it is not OpenAI's."""
        return self._client.judge

    @property
    def snapshot(self) -> str:
        """The judge's exact name: ours, and the server's own for it where that says more."""
        return self._asking.snapshot

    # Asking

    def preferences(self, comparisons: Sequence[Comparison], *, seed: int = 0) -> list[Verdict]:
        """AlpacaEval 2.0 weighted preference, 1..2, order drawn from a seed on the instruction.

        Equal outputs are a tie (1.5) without a call, as in alpaca_eval.
        """
        _distinct([c.item_id for c in comparisons])
        alike = {i for i, c in enumerate(comparisons) if c.output_1 == c.output_2}
        asked = [i for i in range(len(comparisons)) if i not in alike]
        requests = [
            weighted_preference.request(comparisons[i], seed=seed, letters=self.letters)
            for i in asked
        ]
        answers = self._asking.verdicts(
            [comparisons[i].item_id for i in asked],
            requests,
            "preference",
            lambda reply: weighted_preference.read(reply, letters=self.letters),
            [weighted_preference.is_switched(comparisons[i].instruction, seed) for i in asked],
        )
        self._need_letters(answers)
        verdicts = dict(zip(asked, answers, strict=True))
        for i in alike:
            verdicts[i] = Verdict(
                item_id=comparisons[i].item_id,
                kind="preference",
                judge=self.snapshot,
                protocol=weighted_preference.protocol(self.letters, seed),
                state="ok",
                value=1.5,
                raw="equal outputs",
            )
        return [verdicts[i] for i in range(len(comparisons))]

    def ratings(self, ratings: Sequence[Rating]) -> list[Verdict]:
        """MT-Bench single-answer rating; one re-ask where the reply holds no rating."""
        _distinct([r.item_id for r in ratings])
        requests = [rating.request(r, self._book) for r in ratings]
        return self._asking.verdicts(
            [r.item_id for r in ratings],
            requests,
            "rating",
            rating.read,
            [False] * len(requests),
            reminder=rating.REMINDER,
        )

    def pairwise(self, comparisons: Sequence[Comparison]) -> list[tuple[Verdict, Verdict]]:
        """Which output is better, asked in both orders; values are about the outputs as given."""
        _distinct([c.item_id for c in comparisons])
        requests = [r for c in comparisons for r in pairwise.requests(c, self._book)]
        verdicts = self._asking.verdicts(
            [c.item_id for c in comparisons for _ in (0, 1)],
            requests,
            "pairwise",
            pairwise.read,
            [False, True] * len(comparisons),
            reminder=pairwise.REMINDER,
        )
        return list(zip(verdicts[::2], verdicts[1::2], strict=True))

    # Before and after

    def check(self) -> None:
        """One cheap request: is the server there, the key right, the model known, and does it
        give the log-probabilities that weighted preferences need?

        Raises:
            JudgeError: one line saying what is wrong, before any money is spent.
        """
        if self.offline:
            return
        probe = weighted_preference.request(
            Comparison(item_id="probe", instruction="Say hi.", output_1="Hi.", output_2="No."),
            letters=self.letters,
        )
        # A protocol of its own each time: the answer must come from the server, not the store.
        probe = replace(probe, protocol=f"probe/{self.letters}/{time.time_ns()}")
        patience = replace(self._client.settings, attempts=2, patience_s=20.0)
        patient, self._client.settings = self._client.settings, patience
        try:
            answer = self._asking.ask([probe], direct=True)[0]
        finally:
            self._client.settings = patient
        if isinstance(answer.outcome, Failure):
            raise JudgeError(f"{self.identity} at {self._url}: {answer.outcome.error}")
        reply = read_reply(answer.outcome.reply)
        self._asking.note_change(reply.model)
        if self.letters == "logprobs" and not reply.top_logprobs:
            raise self._no_logprobs()

    def afresh(self, salt: str) -> ServerJudge:
        """The same judge, whose verdicts are kept apart under another protocol id: it is asked
        again even where the store has an answer (self-consistency, canary)."""
        other = copy.copy(self)
        other._asking = copy.copy(self._asking)
        other._asking.salt = f"/{salt}"
        other._asking.states = {}
        return other

    def price_of(self, verdict: Verdict) -> float | None:
        """US dollars that a verdict costs by its tokens; ``None`` without a known price."""
        price = self.budget.price
        if price is None or not verdict.request_key:
            return None
        return price.cost(verdict.prompt_tokens, verdict.completion_tokens)

    def estimate(self, calls: int, prompt_tokens: int) -> float:
        """US dollars of ``calls`` requests with ``prompt_tokens`` in all, each answered with the
        usual length of an explained verdict; 0 for a server without a known price."""
        price = self.budget.price
        if price is None:
            return 0.0
        batch = self._asking.batch is not None
        return price.cost(prompt_tokens, calls * EXPECTED_COMPLETION_TOKENS, batch=batch)

    def spent(self) -> dict[str, Any]:
        """Calls and dollars under this judge's scope, and how the verdicts were obtained."""
        tally = self._client.tally
        return {
            "calls": self.budget.calls,
            "cost_usd": self.budget.cost,
            "answered": tally.answered,
            "cached": tally.cached,
            "retried": tally.retried,
            "refused": tally.refused,
            "failed": tally.failed,
        }

    def describe(self) -> dict[str, Any]:
        """Judge, server, snapshot, protocols, price, spend and states of verdicts; no secrets."""
        price = self.budget.price
        return {
            "judge": self.name,
            "server": self._url,
            "snapshot": self.snapshot,
            "served": dict(self._client.tally.served),
            "changed_from": self._asking.changed_from,
            "letters": self.letters,
            "prompts": self._book.protocol,
            "comparable": self.comparable,
            "price_usd_per_million": None if price is None else [price.input, price.output],
            "states": dict(self._asking.states),
            "agreement": {
                a.data: {"accuracy": a.accuracy, "interval": a.accuracy_interval, "n": a.n}
                for a in remembered_agreements(self.store, self.snapshot)
            },
            **self.spent(),
        }

    # Inside

    def _need_letters(self, verdicts: Sequence[Verdict]) -> None:
        """A server that sends no log-probabilities at all gives no weighted preference."""
        if self.letters != "logprobs" or not verdicts:
            return
        if all(v.state == "unparsed" for v in verdicts):
            rows = self.store.get([verdicts[0].request_key])
            if not any(read_reply(row.reply).top_logprobs for row in rows.values()):
                raise self._no_logprobs()

    def _no_logprobs(self) -> JudgeError:
        return JudgeError(
            f"{self.identity} sends no log-probabilities, which a weighted preference is read "
            "from: name another judge, or read its written letter (letters='parsed', another "
            "protocol)"
        )


def _distinct(item_ids: Sequence[str]) -> None:
    seen: set[str] = set()
    for item_id in item_ids:
        if item_id in seen:
            raise JudgeError(f"item {item_id!r} is to be judged twice")
        seen.add(item_id)
