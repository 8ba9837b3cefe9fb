"""A judge behind an OpenAI-compatible server."""

from __future__ import annotations

import copy
import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

from judges.agreement import remembered_agreements
from judges.capabilities import Capabilities, discover
from judges.client import Client, Failure, RequestStats, Server, run_async
from judges.client.batch import BatchClient
from judges.client.limiter import AdaptiveLimiter
from judges.credentials import OFFICIAL_URL, find_key, public_url
from judges.errors import JudgeError
from judges.prices import EXPECTED_COMPLETION_TOKENS, Budget, load_prices
from judges.prompts import prompt_book
from judges.protocols import five_way, one_letter, pairwise, rating, weighted_preference
from judges.records import Comparison, Rating, Verdict
from judges.reply import Reply, read_reply
from judges.request import JudgeRequest
from judges.retired import retirement, shutdown_notice
from judges.settings import JudgeSettings, Letters, PairPrompt
from judges.store import ScopeLedger, VerdictStore
from judges.verdict_source import VerdictSource


class ServerJudge:
    """A model asked through the OpenAI API; ``progress`` is called with (done, total) verdicts."""

    comparable = True

    def __init__(
        self,
        settings: JudgeSettings,
        store: VerdictStore,
        *,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:
        self.settings = settings
        self.name = settings.name
        self.store = store
        base_url = settings.base_url or os.environ.get("OPENAI_BASE_URL") or None
        self._book = prompt_book(settings.prompts)
        self._url = public_url(base_url or OFFICIAL_URL)
        if not re.match(r"https?://[^/]+", self._url):
            raise JudgeError(f"the judge's address {self._url!r} is no http or https address")
        official = self._url == OFFICIAL_URL
        self.budget, self._price_notes = _budget(settings, store, official)
        self.notes: list[str] = [*self._price_notes]
        """What a user should know before the first request (filled by ``check``)."""
        self._client = Client(
            Server(settings.name, base_url, "" if settings.offline else find_key(base_url)),
            settings.identity
            or (settings.name if official else f"{settings.name}@{self._url.partition('://')[2]}"),
            store,
            self.budget,
            settings=settings.client,
            scope=settings.scope,
        )
        self._source = VerdictSource(
            self._client,
            offline=settings.offline,
            progress=progress,
            batch=BatchClient(self._client) if settings.batch else None,
        )
        self._source.reasoning_effort = settings.reasoning_effort

    @property
    def identity(self) -> str:
        """The name under which replies are kept: model, and server where it is not OpenAI's."""
        return self._client.judge

    @property
    def snapshot(self) -> str:
        """The judge's exact name: ours, and the server's own for it where that says more."""
        return self._source.snapshot

    # Asking

    def preferences(self, comparisons: Sequence[Comparison], *, seed: int = 0) -> list[Verdict]:
        """AlpacaEval 2.0 weighted preference, 1..2, order drawn from a seed on the instruction.

        Equal outputs are a tie (1.5) without a call, as in alpaca_eval.
        """
        _distinct([c.item_id for c in comparisons])
        alike = {i for i, c in enumerate(comparisons) if c.output_1 == c.output_2}
        unequal = [i for i in range(len(comparisons)) if i not in alike]
        requests = [
            weighted_preference.request(comparisons[i], seed=seed, letters=self.letters)
            for i in unequal
        ]
        answers = self._source.verdicts(
            [comparisons[i].item_id for i in unequal],
            requests,
            "preference",
            lambda reply: weighted_preference.read(reply, letters=self.letters),
            [weighted_preference.is_switched(comparisons[i].instruction, seed) for i in unequal],
        )
        self._need_letters(answers)
        verdicts = dict(zip(unequal, answers, strict=True))
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
        return self._source.verdicts(
            [r.item_id for r in ratings],
            requests,
            "rating",
            rating.read,
            [False] * len(requests),
            reminder=rating.REMINDER,
        )

    def pairwise(
        self, comparisons: Sequence[Comparison], *, prompt: PairPrompt = "pair-v2"
    ) -> list[tuple[Verdict, Verdict]]:
        """Which output is better, asked in both orders; values are about the outputs as given."""
        _distinct([c.item_id for c in comparisons])
        if prompt == "one-letter":
            return self._one_letter(comparisons)
        requests = [r for c in comparisons for r in pairwise.requests(c, self._book)]
        verdicts = self._source.verdicts(
            [c.item_id for c in comparisons for _ in (0, 1)],
            requests,
            "pairwise",
            pairwise.read,
            [False, True] * len(comparisons),
            reminder=pairwise.REMINDER,
        )
        return list(zip(verdicts[::2], verdicts[1::2], strict=True))

    def _one_letter(self, comparisons: Sequence[Comparison]) -> list[tuple[Verdict, Verdict]]:
        letters = self.letters
        verdicts = self._source.verdicts(
            [c.item_id for c in comparisons for _ in (0, 1)],
            [r for c in comparisons for r in one_letter.requests(c, letters)],
            "pairwise",
            lambda reply: one_letter.read(reply, letters),
            [False, True] * len(comparisons),
        )
        self._need_letters(verdicts)
        return list(zip(verdicts[::2], verdicts[1::2], strict=True))

    def graded(self, comparisons: Sequence[Comparison]) -> list[tuple[Verdict, Verdict]]:
        """How much better one output is, in five steps, asked in both orders."""
        _distinct([c.item_id for c in comparisons])
        prompt = five_way.five_way_prompt(self.settings.five_way)
        requests = [r for c in comparisons for r in five_way.requests(c, prompt)]
        verdicts = self._source.verdicts(
            [c.item_id for c in comparisons for _ in (0, 1)],
            requests,
            "pairwise",
            five_way.read,
            [False, True] * len(comparisons),
            reminder=five_way.REMINDER,
        )
        return list(zip(verdicts[::2], verdicts[1::2], strict=True))

    # Before and after

    def check(self) -> None:
        """One cheap request: is the server there, the key right, the model known, and which
        parameters does it take? The answer to the last is kept in the store; ``notes`` says what is
        adapted. A run that is resumed asks only whether the server is there.

        Raises:
            JudgeError: one line saying what is wrong, before any money is spent.
        """
        self.notes = [*self._price_notes]
        if self.settings.offline:
            return
        if self._probed() and run_async(self._client.reachable):
            return
        listed = run_async(self._client.listed)
        if notice := shutdown_notice(self.name, listed):
            self.notes.append(notice)
        probe = weighted_preference.request(
            Comparison(item_id="probe", instruction="Say hi.", output_1="Hi.", output_2="No."),
            letters=self.settings.letters,
        )
        # With the temperature of ratings and pairs: some servers take 1 (their default) only.
        probe = replace(probe, params={**probe.params, "temperature": 0})
        source = self._source
        try:
            found, reply = discover(self._send_probe, probe, source.capabilities)
        except JudgeError as error:
            gone = retirement(self.name)
            raise type(error)(f"{error}" + (f" ({gone})" if gone else "")) from None
        if found != source.capabilities or found != Capabilities():
            source.note_capabilities(found)
        source.note_change(reply.model)
        if self.settings.letters == "logprobs" and self.letters != "logprobs":
            raise self._no_logprobs()
        if found.reasoning and found.top_logprobs:
            self.notes.append(f"{self.identity}: reasons first, so letters are read from the text")
        self.notes += [f"{self.identity}: {change}" for change in found.changes()]
        if self.settings.scope:
            self.store.set_fact(self._probe_fact(), self._probe_settings())

    def _probed(self) -> bool:
        """Whether this run has probed this judge in the same way before (it was resumed)."""
        known = self.store.fact(self._probe_fact()) if self.settings.scope else None
        return known is not None and known == self._probe_settings()

    def _probe_fact(self) -> str:
        return f"probed:{self.settings.scope}:{self.identity.partition('#')[0]}"

    def _probe_settings(self) -> list[str]:
        return [self.settings.letters, self.settings.reasoning_effort or ""]

    @property
    def letters(self) -> Letters:
        """How weighted preferences are read (``auto`` resolved)."""
        found = self._source.capabilities
        usable = found.top_logprobs > 0 and not found.reasoning
        return "parsed" if self.settings.letters == "parsed" or not usable else "logprobs"

    def _send_probe(self, probe: JudgeRequest) -> Reply | str:
        """The reply to a probe, or the server's refusal of its parameters."""
        # A protocol of its own each time: the answer must come from the server, not the store.
        probe = replace(probe, protocol=f"probe/{time.time_ns()}")
        if effort := self.settings.reasoning_effort:
            probe = replace(probe, params={**probe.params, "reasoning_effort": effort})
        usual = self._client.settings
        self._client.settings = replace(usual, attempts=2, patience_s=20.0)
        try:
            outcome = self._source.ask([probe], direct=True)[0].outcome
        finally:
            self._client.settings = usual
        if not isinstance(outcome, Failure):
            return read_reply(outcome.reply)
        if outcome.error.startswith(("HTTP 400", "HTTP 403", "HTTP 422")):
            return outcome.error
        raise JudgeError(f"{self.identity} at {self._url}: {outcome.error}")

    def ahead(self) -> AbstractContextManager[None] | None:
        """Within it the judge may be asked, by one thread, what it will be asked again: those verdicts count once.
        ``None`` where asking early gains nothing: offline, and by batches."""
        if self.settings.offline or self.settings.batch:
            return None
        return self._source.counted_later()

    def afresh(self, salt: str) -> ServerJudge:
        """The same judge, whose verdicts are kept apart under another protocol id: it is asked
        again even where the store has an answer (self-consistency, canary)."""
        other = copy.copy(self)
        other._source = copy.copy(self._source)
        other._source.salt = f"/{salt}"
        other._source.states = {}
        return other

    def price_of(self, verdict: Verdict) -> float | None:
        """US dollars that a verdict costs by its tokens; ``None`` without a known price."""
        price = self.budget.price
        if price is None or not verdict.request_key:
            return None
        return price.cost(verdict.prompt_tokens, verdict.completion_tokens)

    def calibration_note(self, benchmark: str) -> str:
        """The measured shift against the benchmark's published judge, for foot-notes; or empty."""
        known = self.store.fact(f"calibration:{self.snapshot}") or {}
        return str(known.get(benchmark, {}).get("note", ""))

    def remember_calibration(self, benchmark: str, record: Mapping[str, Any]) -> None:
        """Keep a measured shift, so that tables and reports can cite it."""
        known = self.store.fact(f"calibration:{self.snapshot}") or {}
        self.store.set_fact(f"calibration:{self.snapshot}", {**known, benchmark: dict(record)})

    def estimate(self, calls: int, prompt_tokens: int) -> float:
        """US dollars of ``calls`` requests with ``prompt_tokens`` in all, each answered with the
        usual length of an explained verdict; 0 for a server without a known price."""
        price = self.budget.price
        if price is None:
            return 0.0
        batch = self._source.batch is not None
        return price.cost(prompt_tokens, calls * EXPECTED_COMPLETION_TOKENS, batch=batch)

    @property
    def stats(self) -> RequestStats:
        """Counts of requests, tries and failures of this judge so far."""
        return self._client.stats

    @property
    def limiter(self) -> AdaptiveLimiter:
        """Requests in flight, and how many there may be."""
        return self._client.limiter

    def refresh_budget(self) -> None:
        """Count what other judges have spent under the same scope since this one was opened."""
        if self.settings.scope:
            self.budget.calls, self.budget.cost = self.store.spent(self.settings.scope)

    def spent(self) -> dict[str, Any]:
        """Calls and dollars under this judge's scope, and how the verdicts were obtained."""
        names = ("answered", "cached", "retried", "refused", "failed")
        counts = {name: getattr(self.stats, name) for name in names}
        return {"calls": self.budget.calls, "cost_usd": self.budget.cost, **counts}

    def describe(self) -> dict[str, Any]:
        """Judge, server, snapshot, protocols, price, spend and states of verdicts; no secrets."""
        price = self.budget.price
        return {
            "judge": self.name,
            "server": self._url,
            "snapshot": self.snapshot,
            "served": dict(self.stats.served),
            "changed_from": self._source.changed_from,
            "letters": self.letters,
            "adapted": self._source.capabilities.changes(),
            "reasoning_effort": self.settings.reasoning_effort,
            "prompts": self._book.protocol,
            "comparable": self.comparable,
            "price_usd_per_million": None if price is None else [price.input, price.output],
            "states": dict(self._source.states),
            "calibration": self.store.fact(f"calibration:{self.snapshot}") or {},
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
        if all(v.state in ("unparsed", "truncated") for v in verdicts):
            rows = self.store.get([verdicts[0].request_key])
            if not any(read_reply(row.reply).top_logprobs for row in rows.values()):
                raise self._no_logprobs()

    def _no_logprobs(self) -> JudgeError:
        return JudgeError(
            f"{self.identity} gives no usable log-probabilities, which a weighted preference is read "
            "from: name another judge, or read its written letter (letters='auto' or 'parsed', "
            "another protocol)"
        )


def _budget(
    settings: JudgeSettings, store: VerdictStore, official: bool
) -> tuple[Budget, list[str]]:
    """The budget with what was spent under its scope before, and a warning where it counts no
    dollars although they are paid.

    Raises:
        JudgeError: dollars are to be counted and the price table lacks the model, or neither a price
            nor a call budget bounds the cost.
    """
    table = load_prices(settings.prices)
    counted = official or settings.prices is not None or settings.max_cost is not None
    price, notes = table.find(settings.name), []
    if counted and price is None and not settings.offline:
        if settings.max_cost is not None or settings.max_calls is None:
            raise table.missing(settings.name)
        notes.append(
            f"no price of {settings.name} in {table.path}: its cost is not counted, "
            f"{settings.max_calls} calls at most"
        )
    budget = Budget(
        price if counted else None,
        max_cost=settings.max_cost,
        max_calls=settings.max_calls,
        spent=store.spent(settings.scope) if settings.scope else (0, 0.0),
        ledger=ScopeLedger(store, settings.scope) if settings.scope else None,
    )
    return budget, notes


def _distinct(item_ids: Sequence[str]) -> None:
    seen: set[str] = set()
    for item_id in item_ids:
        if item_id in seen:
            raise JudgeError(f"item {item_id!r} is to be judged twice")
        seen.add(item_id)
