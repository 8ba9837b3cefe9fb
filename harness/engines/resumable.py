"""Resumable generation: finished items go to a journal and are never generated twice."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import time
import zlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from groundwork.files import digest, encode
from groundwork.sampling_params import SamplingParams
from groundwork.stored import Lazy, LineFile
from harness.engines.base import Completion, ContinuationLogprob, Engine, Message, Prompt
from harness.engines.errors import EngineError

SYNC_SECONDS = 1.0
SEAL = b"sso-bench journal of a gated benchmark, format 1"


class BatchEngine(Engine, Protocol):
    """An engine that can leave out finished items, as all engines of this package can.

    It may generate a finished item again when its batch mates need it, and reports it to ``on_done``.
    Where ``finished`` is given, results go to ``on_done`` alone and what is returned has no meaning: a
    journalled call of many long texts holds none of them.
    """

    def chat(
        self,
        prompts: Sequence[Prompt],
        params: SamplingParams,
        *,
        seeds: Sequence[int] | None = None,
        on_done: Callable[[int, Completion], None] | None = None,
        finished: Collection[int] | None = None,
    ) -> list[Completion]:
        """As ``Engine.chat``, without the items of ``finished`` where that changes nothing else."""

    def logprobs(
        self,
        prompts: Sequence[Prompt],
        continuations: Sequence[str],
        *,
        ended: Sequence[bool] | None = None,
        on_done: Callable[[int, ContinuationLogprob], None] | None = None,
        finished: Collection[int] | None = None,
    ) -> list[ContinuationLogprob]:
        """As ``Engine.logprobs``, without the items of ``finished``."""


class ResumableEngine:
    """Wraps an engine; the n-th call with the same request gives the journalled answer.

    An entry's key hashes the model, the rendered prompt, the sampling settings, the seed and how
    often the same request came before in its call. Lines are appended as items finish and fsynced
    about once a second; a torn last line is dropped. With ``private`` the answers are stored
    scrambled, so that the text of a gated benchmark never lies on disk in the clear.

    ``tokens`` counts the tokens that this object had the engine generate or score. With ``holds`` only the items
    at places of a call for which it is true are generated; the others come back empty.
    """

    def __init__(
        self,
        engine: BatchEngine,
        journal: Path,
        private: bool = False,
        holds: Callable[[int], bool] = lambda index: True,
    ) -> None:
        self.engine = engine
        self.holds = holds
        self.tokens = 0
        self._journal = Journal(journal, private)

    @property
    def name(self) -> str:
        """The wrapped engine's name."""
        return self.engine.name

    @property
    def model_hash(self) -> str:
        """The wrapped engine's fingerprint of weights and tokenizer."""
        return self.engine.model_hash

    @property
    def max_length(self) -> int:
        """Context length in tokens."""
        return self.engine.max_length

    @property
    def notes(self) -> tuple[str, ...]:
        """The wrapped engine's notes on how it runs the model."""
        return tuple(getattr(self.engine, "notes", ()))

    def render(self, messages: Sequence[Message], *, add_generation_prompt: bool = True) -> str:
        """The chat as the model reads it."""
        return self.engine.render(messages, add_generation_prompt=add_generation_prompt)

    def count_tokens(self, text: str) -> int:
        """Number of tokens of ``text``."""
        return self.engine.count_tokens(text)

    def chat(
        self,
        prompts: Sequence[Prompt],
        params: SamplingParams,
        *,
        seeds: Sequence[int] | None = None,
        on_done: Callable[[int, Completion], None] | None = None,
    ) -> Sequence[Completion]:
        """As ``Engine.chat``; only batches with an unfinished item are generated, and answers are read from
        the journal as they are asked for."""
        seeds = list(seeds) if seeds is not None else list(range(len(prompts)))
        sampled = not params.greedy
        common = ["chat", self.model_hash, params.max_new_tokens, float(params.temperature)]
        common += [float(params.top_p) if sampled else 1.0, list(params.stop)]
        requests = (
            [*common, self._text(prompt), seed if sampled else 0]
            for prompt, seed in zip(prompts, seeds, strict=True)
        )

        def run(finished: Collection[int], done: Callable[[int, Completion], None]) -> None:
            self.engine.chat(
                prompts,
                params,
                seeds=seeds,
                on_done=done,
                finished=finished,
            )

        empty = Completion("", 0, 0, False)
        return self._through(requests, run, on_done, lambda row: Completion(**row), empty)

    def logprobs(
        self,
        prompts: Sequence[Prompt],
        continuations: Sequence[str],
        *,
        ended: Sequence[bool] | None = None,
    ) -> Sequence[ContinuationLogprob]:
        """As ``Engine.logprobs``, journalled too."""
        ends = ended if ended is not None else [False] * len(prompts)
        requests = (
            ["logprobs", self.model_hash, self._text(prompt), rest, *(["ended"] if end else [])]
            for prompt, rest, end in zip(prompts, continuations, ends, strict=True)
        )

        def run(
            finished: Collection[int], done: Callable[[int, ContinuationLogprob], None]
        ) -> None:
            self.engine.logprobs(
                prompts, continuations, ended=ended, on_done=done, finished=finished
            )

        empty = ContinuationLogprob(0.0, 0, False)
        return self._through(requests, run, None, lambda row: ContinuationLogprob(**row), empty)

    def close(self) -> None:
        """Close the journal and the wrapped engine."""
        self._journal.close()
        self.engine.close()

    def __enter__(self) -> ResumableEngine:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._journal.close()

    def _text(self, prompt: Prompt) -> str:
        return prompt if isinstance(prompt, str) else self.engine.render(prompt)

    def _through(
        self,
        requests: Iterable[list[Any]],
        run: Callable[[Collection[int], Callable[[int, Any], None]], None],
        on_done: Callable[[int, Any], None] | None,
        make: Callable[[dict[str, Any]], Any],
        empty: Any,
    ) -> Lazy[Any]:
        """Answers from the journal, the rest from ``run``, which gets the finished items."""
        keys = _keys(requests)
        results: set[int] = set()

        def accept(index: int, result: Any) -> None:
            results.add(index)
            if on_done is not None:
                on_done(index, result)

        for index, key in enumerate(keys):
            known = self._journal.get(key)
            if known is not None:
                try:
                    answer = make(known)
                except TypeError:  # fields of another release
                    continue
                accept(index, answer)
        left_out = {i for i in range(len(keys)) if i not in results and not self.holds(i)}

        def answer_of(index: int) -> Any:
            known = None if index in left_out else self._journal.get(keys[index])
            if known is None and index not in left_out:
                raise EngineError(f"{self._journal.path}: the answer to item {index} is gone")
            return empty if known is None else make(known)

        answers = Lazy(len(keys), answer_of)
        if len(results) + len(left_out) == len(keys):
            return answers
        finished = frozenset([*results, *left_out])

        def done(index: int, result: Any) -> None:
            # A finished item can come again with its batch mates: the journalled answer stays.
            if index not in finished:
                self._journal.add(keys[index], asdict(result))
                self.tokens += getattr(result, "completion_tokens", getattr(result, "tokens", 0))
                accept(index, result)

        try:
            run(finished, done)
        finally:
            self._journal.sync()
        if missing := set(range(len(keys))) - results - left_out:
            raise EngineError(f"{self.name} gave no answer to item {min(missing)}")
        return answers


def _keys(requests: Iterable[list[Any]]) -> list[str]:
    """One key per request; equal requests of one call are numbered, since their batches may differ."""
    keys, seen = [], Counter[str]()
    for request in requests:
        digest = hashlib.sha256(json.dumps(request).encode()).hexdigest()[:32]
        keys.append(f"{digest}-{seen[digest]}")
        seen[digest] += 1
    return keys


class Journal:
    """An append-only file of finished items: one JSON object per line, ``key``, the answer and the
    line's own checksum ``sum``. In memory is where each line lies, not what it says."""

    def __init__(self, path: Path, private: bool = False) -> None:
        self.path, self.private = path, private
        self._places = self._read()
        self._file: Any = None
        self._lines: LineFile | None = None
        self._synced = time.monotonic()

    def get(self, key: str) -> dict[str, Any] | None:
        """The answer of a key, ``None`` when it isn't finished."""
        place = self._places.get(key)
        if place is None:
            return None
        if self._lines is None:
            self._lines = LineFile(self.path)
        answer = _answer(self._lines.line(place))
        return answer[1] if answer is not None and answer[0] == key else None

    def add(self, key: str, row: dict[str, Any]) -> None:
        """Append an answer; on the disk within about a second."""
        line: dict[str, Any] = {"key": key}
        if self.private:
            line["sealed"] = seal(json.dumps(row), key)
        else:
            line.update(row)
        if self._file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("ab")
        line["sum"] = digest(line)
        # another object of this step may have written to the file meanwhile
        self._places[key] = self._file.seek(0, os.SEEK_END)
        self._file.write(encode(json.dumps(line, ensure_ascii=False)) + b"\n")
        self._file.flush()
        if time.monotonic() - self._synced > SYNC_SECONDS:
            self.sync()

    def sync(self) -> None:
        """Wait until everything added is on the disk."""
        if self._file is not None:
            os.fsync(self._file.fileno())
        self._synced = time.monotonic()

    def close(self) -> None:
        """Sync and close; ``add`` opens the file again."""
        if self._file is not None:
            self.sync()
            self._file.close()
            self._file = None

    def _read(self) -> dict[str, int]:
        """Where the whole lines lie; a torn end (killed while writing) is cut off, so appending stays clean."""
        found: dict[str, int] = {}
        if not self.path.is_file():
            return found
        with self.path.open("rb") as stream:
            place = 0
            for raw in stream:
                if not raw.endswith(b"\n"):
                    os.truncate(self.path, place)
                    break
                answer = _answer(raw)
                if answer is not None:
                    found[answer[0]] = place
                place += len(raw)
        return found


def _answer(raw: bytes) -> tuple[str, dict[str, Any]] | None:
    """Key and answer of a journal's line, None where it is damaged: its item is generated again."""
    try:
        row: dict[str, Any] = json.loads(raw)
        if "sum" in row and row.pop("sum") != digest(row):
            return None
        key = row.pop("key")
        found = dict(json.loads(unseal(row["sealed"], key))) if "sealed" in row else row
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, zlib.error):
        return None
    return (key, found) if isinstance(key, str) else None


def seal(text: str, key: str) -> str:
    """Scramble text so that no search or crawler meets it; not encryption, the key is public."""
    packed = zlib.compress(text.encode())
    return base64.b64encode(_mask(packed, key)).decode("ascii")


def unseal(sealed: str, key: str) -> str:
    """Undo ``seal``."""
    return zlib.decompress(_mask(base64.b64decode(sealed), key)).decode()


def _mask(data: bytes, key: str) -> bytes:
    stream = hashlib.shake_256(SEAL + key.encode()).digest(len(data))
    return bytes(a ^ b for a, b in zip(data, stream, strict=True))
