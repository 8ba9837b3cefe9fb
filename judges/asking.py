"""From requests to verdicts: the store first, then the server, one re-ask, states counted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from judges.client import Answer, Client, Failure, run_async
from judges.client.batch import BatchDesk
from judges.errors import JudgeError
from judges.records import Verdict
from judges.replies import Reading, Reply, read_reply
from judges.requests import JudgeRequest
from judges.store import VerdictStore

Kind = Literal["preference", "rating", "pairwise"]
Reader = Callable[[Reply], Reading]


@dataclass(frozen=True)
class _Heard:
    """An answer, its reply (``None`` after a failure) and what was read in it."""

    answer: Answer
    reply: Reply | None
    reading: Reading


class Asking:
    """How a judge's verdicts are obtained.

    Attributes:
        snapshot: the judge's name in verdicts, with the server's own name for it once known.
        batch: hands requests in as batches, where it is set.
        changed_from: that name earlier, when ``note_change`` found that it has changed.
        offline: send nothing; what the store lacks is an error.
        salt: appended to protocol ids, so that stored answers are not used (see ``afresh``).
        states: how many verdicts came out in which state.
    """

    def __init__(
        self,
        client: Client,
        store: VerdictStore,
        *,
        offline: bool,
        progress: Callable[[int, int], None],
        batch: BatchDesk | None = None,
    ) -> None:
        self.client = client
        self.store = store
        self.offline = offline
        self.progress = progress
        self.batch = batch
        self.salt = ""
        self.states: dict[str, int] = {}
        self.changed_from = ""
        self.snapshot = client.judge
        self.note_served(store.fact(self._fact()) or "")

    def verdicts(
        self,
        item_ids: Sequence[str],
        requests: Sequence[JudgeRequest],
        kind: Kind,
        read: Reader,
        swapped: Sequence[bool],
        *,
        reminder: str = "",
    ) -> list[Verdict]:
        """Verdicts of requests, in order, with one re-ask of those that could not be read."""
        if self.salt:
            requests = [replace(r, protocol=r.protocol + self.salt) for r in requests]
        heard = [_heard(answer, read) for answer in self.ask(requests)]
        unread = [i for i, one in enumerate(heard) if one.reading.state == "unparsed"]
        if unread:
            second = [_reask(requests[i], heard[i].reply, reminder) for i in unread]
            for answer in self.ask(second, complete=False):
                if not isinstance(answer.outcome, Failure):
                    heard[unread[answer.index]] = _heard(answer, read)
        verdicts = [
            self._verdict(item_id, kind, request.protocol, one, switched)
            for item_id, request, one, switched in zip(
                item_ids, requests, heard, swapped, strict=True
            )
        ]
        for verdict in verdicts:
            self.states[verdict.state] = self.states.get(verdict.state, 0) + 1
        return verdicts

    def ask(
        self, requests: Sequence[JudgeRequest], *, complete: bool = True, direct: bool = False
    ) -> list[Answer]:
        """Answers in order, from the store and, for the rest, from the server.

        Offline, requests that the store lacks are an error if all are needed (``complete``), and
        left out otherwise. ``direct`` asks at once, whatever ``batch`` says.
        """
        answers = self._recall(requests)
        missing = [i for i in range(len(requests)) if i not in answers]
        if missing and self.offline:
            if complete:
                raise JudgeError(
                    f"{len(missing)} of {len(requests)} verdicts of {self.client.judge} are not in "
                    f"{self.store.path}, and nothing is sent offline"
                )
        elif missing:
            self._send([(i, requests[i]) for i in missing], answers, direct)
        return [answers[i] for i in sorted(answers)]

    def _recall(self, requests: Sequence[JudgeRequest]) -> dict[int, Answer]:
        keys = [request.key(self.client.judge) for request in requests]
        rows = self.store.get(keys)
        self.client.tally.cached += sum(key in rows for key in keys)
        return {i: Answer(i, rows[key], True) for i, key in enumerate(keys) if key in rows}

    def _send(
        self, requests: list[tuple[int, JudgeRequest]], answers: dict[int, Answer], direct: bool
    ) -> None:
        total = len(requests) + len(answers)

        async def collect() -> None:
            asked = [request for _, request in requests]
            source = self.client.ask(asked) if direct or not self.batch else self.batch.ask(asked)
            async for answer in source:
                index = requests[answer.index][0]
                answers[index] = replace(answer, index=index)
                self.progress(len(answers), total)

        run_async(collect)
        if served := next(iter(self.client.tally.served), ""):
            self.note_served(served)

    def note_served(self, served: str) -> None:
        """Remember the name that the server first gave itself for this judge."""
        if not served:
            return
        known = self.store.fact(self._fact())
        if known is None:
            self.store.set_fact(self._fact(), served)
        judge, name = self.client.judge, known or served
        self.snapshot = judge if name == self.client.model else f"{judge}={name}"

    def note_change(self, served: str) -> None:
        """Keep verdicts of a judge that was changed silently apart from those in the store."""
        known = self.store.fact(self._fact())
        if known and served and served != known:
            self.changed_from = known
            self.client.judge = f"{self.client.judge}#{served}"
        self.note_served(served)

    def _fact(self) -> str:
        return f"served:{self.client.judge}"

    def _verdict(
        self, item_id: str, kind: Kind, protocol: str, heard: _Heard, swapped: bool
    ) -> Verdict:
        common: dict[str, Any] = {
            "item_id": item_id,
            "kind": kind,
            "judge": self.snapshot,
            "protocol": protocol,
            "state": heard.reading.state,
            "swapped": swapped,
        }
        outcome = heard.answer.outcome
        if isinstance(outcome, Failure) or heard.reply is None:
            return Verdict(**common, raw=outcome.error if isinstance(outcome, Failure) else "")
        value = heard.reading.value
        if value is not None and swapped:
            value = 3 - value
        return Verdict(
            **common,
            value=value,
            raw=heard.reply.text,
            request_key=outcome.key,
            prompt_tokens=outcome.prompt_tokens,
            completion_tokens=outcome.completion_tokens,
            cost_usd=0.0 if heard.answer.cached else outcome.cost_usd,
            cached=heard.answer.cached,
        )


def _heard(answer: Answer, read: Reader) -> _Heard:
    if isinstance(answer.outcome, Failure):
        return _Heard(answer, None, Reading("error"))
    reply = read_reply(answer.outcome.reply)
    return _Heard(answer, reply, read(reply))


def _reask(request: JudgeRequest, reply: Reply | None, reminder: str) -> JudgeRequest:
    """The same request again; with a reminder, the judge's own reply is continued."""
    messages = list(request.messages)
    if reminder and reply is not None:
        messages += [
            {"role": "assistant", "content": reply.text},
            {"role": "user", "content": reminder},
        ]
    return replace(request, messages=messages, attempt=request.attempt + 1)
