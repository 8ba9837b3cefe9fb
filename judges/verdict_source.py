"""From requests to verdicts: the store first, then the server, one re-ask, states counted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal

from judges.capabilities import Capabilities, from_json
from judges.client import Answer, Client, Failure, run_async
from judges.client.batch import BatchClient
from judges.errors import JudgeError
from judges.records import Verdict
from judges.reply import Reading, Reply, read_reply
from judges.request import JudgeRequest

Kind = Literal["preference", "rating", "pairwise"]
Reader = Callable[[Reply], Reading]


@dataclass(frozen=True, slots=True)
class _Parsed:
    """The part of an answer that its verdict needs: the reading and the text (or the error).

    Not the answer: whole replies of thousands of requests would be held for nothing.
    """

    reading: Reading
    text: str
    cached: bool
    key: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float = 0.0


class VerdictSource:
    """How a judge's verdicts are obtained.

    Attributes:
        snapshot: the judge's name in verdicts, with the server's own name for it once known.
        batch: hands requests in as batches, where it is set.
        changed_from: that name earlier, when ``note_change`` found that it has changed.
        offline: send nothing; what the store lacks is an error.
        salt: appended to protocol ids, so that stored answers are not used (see ``afresh``).
        capabilities: how requests are changed for this server.
        states: how many verdicts came out in which state.
    """

    def __init__(
        self,
        client: Client,
        *,
        offline: bool,
        progress: Callable[[int, int], None],
        batch: BatchClient | None = None,
    ) -> None:
        self.client = client
        self.store = client.store
        self.offline = offline
        self.progress = progress
        self.batch = batch
        self.salt = ""
        self.states: dict[str, int] = {}
        self.changed_from = ""
        self.capabilities = from_json(self.store.fact(f"capabilities:{client.judge}"))
        self.reasoning_effort: str | None = None
        self.snapshot = client.judge
        self.note_served(self.store.fact(self._fact()) or "")

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
        requests = [self.adapted(request) for request in requests]
        if self.salt:
            requests = [replace(r, protocol=r.protocol + self.salt) for r in requests]
        parsed: dict[int, _Parsed] = {}

        def receive(answer: Answer) -> None:
            parsed[answer.index] = _parse(answer, read)

        self._each(requests, receive)
        unread = [i for i in sorted(parsed) if parsed[i].reading.state == "unparsed"]
        if unread:

            def receive_again(answer: Answer) -> None:
                if not isinstance(answer.outcome, Failure):
                    parsed[unread[answer.index]] = _parse(answer, read)

            second = [_reask(requests[i], parsed[i].text, reminder) for i in unread]
            self._each(second, receive_again, complete=False)
        verdicts = [
            self._verdict(item_id, kind, request.protocol, parsed[i], switched)
            for i, (item_id, request, switched) in enumerate(
                zip(item_ids, requests, swapped, strict=True)
            )
        ]
        for verdict in verdicts:
            self.states[verdict.state] = self.states.get(verdict.state, 0) + 1
        return verdicts

    @contextmanager
    def counted_later(self) -> Iterator[None]:
        """Verdicts that are asked for within will be asked for again, and count then."""
        stats, states = self.client.stats, dict(self.states)
        answered = stats.answered
        try:
            yield
        finally:
            self.states = states
            stats.cached -= stats.answered - answered  # as which they will come

    def adapted(self, request: JudgeRequest) -> JudgeRequest:
        """The request as this judge takes it."""
        request = self.capabilities.adapt(request)
        if not self.reasoning_effort:
            return request
        return replace(
            request,
            params={**request.params, "reasoning_effort": self.reasoning_effort},
            protocol=f"{request.protocol}/effort-{self.reasoning_effort}",
        )

    def ask(self, requests: Sequence[JudgeRequest], *, direct: bool = False) -> list[Answer]:
        """Answers in order, from the store and, for the rest, from the server.

        ``direct`` asks at once, whatever ``batch`` says.
        """
        answers: dict[int, Answer] = {}

        def receive(answer: Answer) -> None:
            answers[answer.index] = answer

        self._each(requests, receive, direct=direct)
        return [answers[i] for i in sorted(answers)]

    def _each(
        self,
        requests: Sequence[JudgeRequest],
        receive: Callable[[Answer], None],
        *,
        complete: bool = True,
        direct: bool = False,
    ) -> None:
        """Each request's answer as it comes, while others are still on their way.

        Offline, requests that the store lacks are an error if all are needed (``complete``), and
        left out otherwise.
        """
        missing = self._recall(requests, receive)
        if missing and self.offline:
            if complete:
                raise JudgeError(
                    f"{len(missing)} of {len(requests)} verdicts of {self.client.judge} are not in "
                    f"{self.store.path}, and nothing is sent offline"
                )
        elif missing:
            self._send(requests, missing, receive, direct)

    def _recall(
        self, requests: Sequence[JudgeRequest], receive: Callable[[Answer], None]
    ) -> list[int]:
        """Answer what the store holds; the positions of the other requests."""
        keys = [request.key(self.client.judge) for request in requests]
        rows = self.store.get(keys)
        missing = []
        for i, key in enumerate(keys):
            if key in rows:
                receive(Answer(i, rows[key], True))
            else:
                missing.append(i)
        self.client.stats.cached += len(keys) - len(missing)
        return missing

    def _send(
        self,
        requests: Sequence[JudgeRequest],
        missing: Sequence[int],
        receive: Callable[[Answer], None],
        direct: bool,
    ) -> None:
        async def collect() -> None:
            asked = [requests[i] for i in missing]
            done = len(requests) - len(missing)
            source = self.client.ask(asked) if direct or not self.batch else self.batch.ask(asked)
            async for answer in source:
                receive(replace(answer, index=missing[answer.index]))
                done += 1
                self.progress(done, len(requests))

        run_async(collect)
        if served := next(iter(self.client.stats.served), ""):
            self.note_served(served)

    def note_capabilities(self, found: Capabilities) -> None:
        """Keep what the server accepts, for this judge and for later ones of this name."""
        self.capabilities = found
        self.store.set_fact(f"capabilities:{self.client.judge}", found.to_json())

    def note_served(self, served: str) -> None:
        """Remember the name that the server first gave itself for this judge."""
        if not served:
            return
        known = self.store.fact(self._fact())
        if known is None:
            self.store.set_fact(self._fact(), served)
        judge, name = self.client.judge, known or served
        self.snapshot = judge if name == self.client.server.model else f"{judge}={name}"

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
        self, item_id: str, kind: Kind, protocol: str, parsed: _Parsed, swapped: bool
    ) -> Verdict:
        common: dict[str, Any] = {
            "item_id": item_id,
            "kind": kind,
            "judge": self.snapshot,
            "protocol": protocol,
            "state": parsed.reading.state,
            "swapped": swapped,
        }
        if not parsed.key:
            return Verdict(**common, raw=parsed.text)
        value = parsed.reading.value
        if value is not None and swapped:
            value = 3 - value
        return Verdict(
            **common,
            value=value,
            raw=parsed.text,
            request_key=parsed.key,
            prompt_tokens=parsed.prompt_tokens,
            completion_tokens=parsed.completion_tokens,
            cost_usd=0.0 if parsed.cached else parsed.cost_usd,
            cached=parsed.cached,
        )


def _parse(answer: Answer, read: Reader) -> _Parsed:
    outcome = answer.outcome
    if isinstance(outcome, Failure):
        return _Parsed(Reading("error"), outcome.error, answer.cached)
    try:
        reply = read_reply(outcome.reply, imported=outcome.imported)
    except ValueError as error:  # of a release that kept such replies as verdicts
        return _Parsed(Reading("error"), f"{error} (sso-bench verdicts verify)", answer.cached)
    return _Parsed(
        read(reply),
        reply.text,
        answer.cached,
        key=outcome.key,
        prompt_tokens=outcome.prompt_tokens,
        completion_tokens=outcome.completion_tokens,
        cost_usd=outcome.cost_usd,
    )


def _reask(request: JudgeRequest, reply: str, reminder: str) -> JudgeRequest:
    """The same request again; with a reminder, the judge's own reply is continued."""
    messages = list(request.messages)
    if reminder:
        messages += [
            {"role": "assistant", "content": reply},
            {"role": "user", "content": reminder},
        ]
    return replace(request, messages=messages, attempt=request.attempt + 1)
