"""The ``local`` judge: any engine's model, read through log-probabilities, needing no server.

A small model can't write a verdict that parses, but it can be *read*. Three readings:

- ``contrast``: how much likelier the response is under a good than under a bad principle (system
  prompt), per token; no letters, so no position bias. In the spirit of contrastive-prompt rewards
  (Yang et al., RLCD, arXiv 2307.12950; Liu et al., DLMA, arXiv 2402.11907).
- ``letters``: the log-probabilities of "A" and "B" after a prompt that shows both responses,
  averaged over both orders where a single verdict is asked for.
- ``likelihood``: the mean log-probability of the response's tokens given the plain instruction.

Its figures compare checkpoints of one run with each other and nothing else: ``comparable`` is
false, and ``describe`` gives the measured agreement with people of the reading in use.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from judges.base import TextEngine
from judges.errors import JudgeError
from judges.protocols import five_way
from judges.records import Comparison, Rating, Verdict
from judges.request import JudgeRequest, Message, text_digest
from judges.settings import DEFAULT_READING, LocalReading, PairPrompt
from judges.store import VerdictStore
from judges.stored_reply import StoredReply

GOOD = "You are an expert who answers correctly, helpfully and completely, and does just what is asked."
BAD = "You are a careless assistant who answers wrongly, unhelpfully and beside the point."
QUESTION_CHARACTERS = 300
ANSWER_CHARACTERS = 240
CHUNK = 32
SLOPE = {"contrast": 8.0, "letters": 1.0, "likelihood": 1.0}
"""How steeply a score difference becomes a preference (logistic); it changes no side and no rank."""


@dataclass(frozen=True)
class _Probe:
    """One log-probability to read: of ``continuation`` after the chat ``messages``."""

    messages: tuple[tuple[str, str], ...]
    continuation: str

    def chat(self) -> list[Message]:
        return [{"role": role, "content": content} for role, content in self.messages]


class LocalJudge:
    """A judge that reads a local model's log-probabilities; see the module's docstring.

    Args:
        engine: the model, with ``logprobs``.
        store: keeps every log-probability under the model's hash, so that a baseline's answers are
            read once for all checkpoints and runs.
        reading: which of the three readings; the default is the one that agreed best with people.
        progress: called with (done, total) log-probabilities.
    """

    name = "local"
    comparable = False

    def __init__(
        self,
        engine: TextEngine,
        store: VerdictStore,
        *,
        reading: LocalReading = DEFAULT_READING,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:
        if reading not in SLOPE:
            raise JudgeError(f"local judge has no reading {reading!r}; it has {', '.join(SLOPE)}")
        self.notes: list[str] = []
        self._engine = engine
        self._store = store
        self.reading: LocalReading = reading
        self._progress = progress
        self.snapshot = f"local:{engine.model_hash}"
        cut = f"q{QUESTION_CHARACTERS}a{ANSWER_CHARACTERS}"
        wording = text_digest(f"{GOOD}|{BAD}|{_letters_text('q', 'a', 'b')}|{cut}|{SLOPE[reading]}")
        self._protocol = f"local-{reading}/{wording}"

    def preferences(self, comparisons: Sequence[Comparison], *, seed: int = 0) -> list[Verdict]:
        """Preference 1..2 for output_2, logistic in the difference of the two scores.

        No order is drawn (``seed`` is not used): ``contrast`` and ``likelihood`` read each output
        on its own, ``letters`` averages both orders.
        """
        return [
            self._verdict(c.item_id, "preference", _preference(margin, self.reading))
            for c, margin in zip(comparisons, self._margins(comparisons), strict=True)
        ]

    def pairwise(
        self, comparisons: Sequence[Comparison], *, prompt: PairPrompt = "pair-v2"
    ) -> list[tuple[Verdict, Verdict]]:
        """1 or 2 in both orders (1.5 for equal scores); one reading serves both but for letters."""
        if self.reading == "letters":
            forward, backward = self._letter_margins(comparisons)
        else:
            forward = backward = self._margins(comparisons)
        return [
            (
                self._verdict(c.item_id, "pairwise", _side(a), raw=f"{a:.6f}"),
                self._verdict(c.item_id, "pairwise", _side(b), swapped=True, raw=f"{b:.6f}"),
            )
            for c, a, b in zip(comparisons, forward, backward, strict=True)
        ]

    def graded(self, comparisons: Sequence[Comparison]) -> list[tuple[Verdict, Verdict]]:
        """The preference in five steps; no order is asked, so both are the same."""
        margins = self._margins(comparisons)
        steps = [five_way.graded(_preference(m, self.reading)) for m in margins]
        return [
            (
                self._verdict(c.item_id, "pairwise", step, raw=f"{m:.6f}"),
                self._verdict(c.item_id, "pairwise", step, swapped=True, raw=f"{m:.6f}"),
            )
            for c, m, step in zip(comparisons, margins, steps, strict=True)
        ]

    def ratings(self, ratings: Sequence[Rating]) -> list[Verdict]:
        """1..10: 1 + 9 times the logistic of the answer's score (an empty answer gets 1).

        The number is on MT-Bench's scale in form only: 5.5 is an answer as likely under the bad
        principle as under the good one. ``letters`` can't rate one answer, so it uses ``contrast``.
        """
        reading = "contrast" if self.reading == "letters" else self.reading
        scores = self._scores([(r.turns[:-1], r.turns[-1]) for r in ratings], reading)
        return [
            self._verdict(r.item_id, "rating", _grade(score, reading))
            for r, score in zip(ratings, scores, strict=True)
        ]

    def estimate(self, calls: int, prompt_tokens: int) -> float:
        """0: nothing is paid."""
        return 0.0

    def check(self) -> None:
        """Read one log-probability, so that an unusable engine shows before a run starts."""
        self._totals([_Probe((("user", "Say hello."),), "Hello.")])

    def describe(self) -> dict[str, Any]:
        """Model, reading, and the agreement with people measured for that reading."""
        return {
            "judge": self.name,
            "model": self._engine.name,
            "snapshot": self.snapshot,
            "reading": self.reading,
            "protocol": self._protocol,
            "comparable": self.comparable,
            "agreement": local_agreement(self.reading),
        }

    # Readings

    def _margins(self, comparisons: Sequence[Comparison]) -> list[float]:
        """Score of output_2 minus score of output_1."""
        if self.reading == "letters":
            forward, backward = self._letter_margins(comparisons)
            return [(a + b) / 2 for a, b in zip(forward, backward, strict=True)]
        sides = [((c.instruction,), c.output_1) for c in comparisons]
        sides += [((c.instruction,), c.output_2) for c in comparisons]
        scores = self._scores(sides, self.reading)
        half = len(comparisons)
        return [_difference(scores[half + i], scores[i]) for i in range(half)]

    def _scores(
        self, answers: Sequence[tuple[Sequence[str], str]], reading: LocalReading
    ) -> list[float]:
        """Score of each (context turns, answer); minus infinity for an empty answer."""
        systems = (GOOD, BAD) if reading == "contrast" else ("",)
        probes = [
            _answer_probe(system, context, answer)
            for system in systems
            for context, answer in answers
            if answer.strip()
        ]
        means = iter(self._means(probes))
        columns = [
            [next(means) if answer.strip() else -math.inf for _, answer in answers] for _ in systems
        ]
        if reading == "likelihood":
            return columns[0]
        return [
            good if good == -math.inf else good - bad for good, bad in zip(*columns, strict=True)
        ]

    def _letter_margins(self, comparisons: Sequence[Comparison]) -> tuple[list[float], list[float]]:
        """log P(letter of output_2) - log P(letter of output_1), as given and swapped."""
        probes = []
        for first, second in (("output_1", "output_2"), ("output_2", "output_1")):
            for c in comparisons:
                text = _letters_text(c.instruction, getattr(c, first), getattr(c, second))
                probes += [_Probe((("user", text),), letter) for letter in "AB"]
        totals = [total for total, _ in self._totals(probes)]
        n = len(comparisons)
        shown = [totals[2 * i + 1] - totals[2 * i] for i in range(2 * n)]
        return shown[:n], [-margin for margin in shown[n:]]

    def _means(self, probes: Sequence[_Probe]) -> list[float]:
        return [total / max(tokens, 1) for total, tokens in self._totals(probes)]

    def _totals(self, probes: Sequence[_Probe]) -> list[tuple[float, int]]:
        """(log-probability in nats, tokens) of each probe, from the store or the engine."""
        requests = [
            JudgeRequest(probe.chat(), {"continuation": probe.continuation}, "local-logprob")
            for probe in probes
        ]
        keys = [request.key(self.snapshot) for request in requests]
        known = {key: row.reply for key, row in self._store.get(keys).items()}
        missing = {key: i for i, key in enumerate(keys) if key not in known}
        # Alike prompts side by side: engines share prefixes and pad less.
        order = sorted(missing.values(), key=lambda i: (len(probes[i].continuation), i))
        done = len(keys) - len(order)
        for start in range(0, len(order), CHUNK):
            part = order[start : start + CHUNK]
            found = self._engine.logprobs(
                [probes[i].chat() for i in part], [probes[i].continuation for i in part]
            )
            rows = [
                self._row(requests[i], result.total, result.tokens)
                for i, result in zip(part, found, strict=True)
            ]
            self._store.put(rows)
            known.update((row.key, row.reply) for row in rows)
            done += len(part)
            self._progress(done, len(keys))
        return [(known[key]["total"], known[key]["tokens"]) for key in keys]

    def _row(self, request: JudgeRequest, total: float, tokens: int) -> StoredReply:
        reply = {"total": float(total), "tokens": int(tokens)}
        return StoredReply.of(request, self.snapshot, reply, origin="local")

    def _verdict(
        self,
        item_id: str,
        kind: Literal["preference", "rating", "pairwise"],
        value: float,
        *,
        swapped: bool = False,
        raw: str = "",
    ) -> Verdict:
        return Verdict(
            item_id=item_id,
            kind=kind,
            judge=self.snapshot,
            protocol=self._protocol,
            state="ok",
            value=value,
            swapped=swapped,
            raw=raw,
        )


def _answer_probe(system: str, context: Sequence[str], answer: str) -> _Probe:
    turns = [("system", system)] if system else []
    for i, text in enumerate(context):
        limit = ANSWER_CHARACTERS if i % 2 else QUESTION_CHARACTERS
        turns.append(("assistant" if i % 2 else "user", text[:limit]))
    return _Probe(tuple(turns), answer[:ANSWER_CHARACTERS])


def _letters_text(question: str, first: str, second: str) -> str:
    return (
        f"Question: {question[:QUESTION_CHARACTERS]}\n\n"
        f"Answer A: {first[:ANSWER_CHARACTERS]}\n\nAnswer B: {second[:ANSWER_CHARACTERS]}\n\n"
        "Which answer is better? Reply with the letter A or B only."
    )


def _difference(second: float, first: float) -> float:
    """second - first, where two empty answers are equal."""
    return 0.0 if second == first else second - first


def _preference(margin: float, reading: LocalReading) -> float:
    return 1 + _logistic(SLOPE[reading] * margin)


def _grade(score: float, reading: LocalReading) -> float:
    return 1 + 9 * _logistic(SLOPE[reading] * score)


def _side(margin: float) -> float:
    if margin == 0:
        return 1.5
    return 2.0 if margin > 0 else 1.0


def _logistic(x: float) -> float:
    if x >= 0:
        return 1 / (1 + math.exp(-x))
    return math.exp(x) / (1 + math.exp(x)) if x > -700 else 0.0


@cache
def _agreement_file() -> dict[str, Any]:
    import yaml

    path = Path(__file__).parent / "data" / "agreement.yaml"
    return yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else {}


def local_agreement(reading: LocalReading) -> dict[str, Any]:
    """The shipped measurement of a reading's agreement with labels (empty where not measured)."""
    measured = _agreement_file()
    found = (measured.get("readings") or {}).get(reading)
    return {} if found is None else {"model": measured["model"], **found}
