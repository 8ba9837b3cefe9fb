"""A judge that only answers from imported pairwise verdicts (``saved:NAME``); nobody is asked or paid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from groundwork.errors import did_you_mean
from judges.errors import JudgeError
from judges.records import Comparison, Rating, Verdict
from judges.reply import read_reply
from judges.request import JudgeRequest
from judges.settings import PairPrompt
from judges.store import VerdictStore
from judges.stored_reply import StoredReply

PREFIX = "saved:"
PROTOCOL = "saved-pairwise/1"


def _request(instruction: str, first: str, second: str) -> JudgeRequest:
    """The place of a verdict in the store: the texts in the order in which they were shown."""
    texts = (instruction, first, second)
    messages = [{"role": "user", "content": text.strip()} for text in texts]
    return JudgeRequest(messages, {}, PROTOCOL)


def _requests(item: Comparison) -> tuple[JudgeRequest, JudgeRequest]:
    return (
        _request(item.instruction, item.output_1, item.output_2),
        _request(item.instruction, item.output_2, item.output_1),
    )


def saved_reply(judge: str, item: Comparison, verdict: Verdict) -> StoredReply:
    """An imported verdict (its value is about the outputs as given) as a row of the store."""
    value = verdict.value
    shown = 3 - value if verdict.swapped and value is not None else value
    choice: dict[str, Any] = {"message": {"content": verdict.raw}, "finish_reason": "stop"}
    if shown is not None:
        choice["given_preference"] = shown
    tags = {**item.model_dump(exclude={"v"}), "swapped": verdict.swapped}
    request = _requests(item)[verdict.swapped]
    return StoredReply.of(
        request, judge, {"choices": [choice]}, origin="import:pairwise", tags=tags
    )


class SavedJudge:
    """See ``judges.Judge``; ``name`` is ``saved:NAME``. A pair that was not imported has no verdict."""

    comparable = True

    def __init__(self, name: str, store: VerdictStore) -> None:
        self.name = name
        self.snapshot = name
        self.notes: list[str] = []
        self._judge, self._store = name.removeprefix(PREFIX), store

    def check(self) -> None:
        """Raises ``JudgeError`` where the store holds no imported verdict of the judge; nearest named."""
        rows = self._store.stats()
        names = sorted({str(r["judge"]) for r in rows if str(r["protocol"]) == PROTOCOL})
        if self._judge not in names:
            hint = did_you_mean(self._judge, names) if names else "there are none"
            raise JudgeError(
                f"no imported pairwise verdicts of {self._judge!r} ({hint}): "
                "sso-bench verdicts import FILE --format pairwise"
            )

    def pairwise(
        self, comparisons: Sequence[Comparison], *, prompt: PairPrompt = "pair-v2"
    ) -> list[tuple[Verdict, Verdict]]:
        """The imported verdicts in both orders, whichever order the file gave the outputs in."""
        requests = [_requests(item) for item in comparisons]
        keys = [request.key(self._judge) for both in requests for request in both]
        found = self._store.get(keys)
        return [
            (
                self._verdict(item, found.get(both[0].key(self._judge)), swapped=False),
                self._verdict(item, found.get(both[1].key(self._judge)), swapped=True),
            )
            for item, both in zip(comparisons, requests, strict=True)
        ]

    def graded(self, comparisons: Sequence[Comparison]) -> list[tuple[Verdict, Verdict]]:
        """Only pairwise verdicts can be imported. Raises ``JudgeError``."""
        raise self._no("five-way verdicts")

    def preferences(self, comparisons: Sequence[Comparison], *, seed: int = 0) -> list[Verdict]:
        """As ``graded``."""
        raise self._no("weighted preferences")

    def ratings(self, ratings: Sequence[Rating]) -> list[Verdict]:
        """As ``graded``."""
        raise self._no("ratings")

    def estimate(self, calls: int, prompt_tokens: int) -> float:
        """0: nothing is paid."""
        return 0.0

    def describe(self) -> dict[str, Any]:
        """Name and protocol."""
        return {"judge": self.name, "snapshot": self.snapshot, "protocol": PROTOCOL}

    def _no(self, what: str) -> JudgeError:
        return JudgeError(f"judge {self.name} has imported pairwise verdicts only, no {what}")

    def _verdict(self, item: Comparison, row: StoredReply | None, *, swapped: bool) -> Verdict:
        reply = None if row is None else read_reply(row.reply, imported=row.imported)
        shown = None if reply is None else reply.given
        value = 3 - shown if swapped and shown is not None else shown
        state = "error" if reply is None else "unparsed" if value is None else "ok"
        return Verdict(
            item_id=item.item_id,
            kind="pairwise",
            judge=self.snapshot,
            protocol=PROTOCOL,
            state=state,  # type: ignore[arg-type]
            value=value,
            swapped=swapped,
            raw="" if reply is None else reply.text,
            request_key="" if row is None else row.key,
            cached=True,
        )
