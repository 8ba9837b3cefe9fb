"""What the two judged benchmarks share: seeds, who judged, and why a figure can't be compared."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any, Literal

from groundwork.errors import UserError
from groundwork.reasoning import opens_reasoning
from groundwork.sampling_params import SamplingParams
from harness.benchmarks.aggregate import data_marks, flat, protocol_id
from harness.benchmarks.answers_file import final_answer, text_hash
from harness.benchmarks.base import EvalRequest

if TYPE_CHECKING:
    from harness.engines.base import Engine, Message
    from judges import Judge, Verdict


@dataclass(frozen=True)
class Header:
    """What all scores of an evaluation share."""

    protocol: str
    settings: Mapping[str, str] = field(default_factory=dict)
    judge: str = ""
    data: str = ""
    marks: tuple[str, ...] = ()


@dataclass(frozen=True)
class JudgedBy:
    """Who judged: display name, exact name, and how it was asked (the verdicts' protocol ids)."""

    name: str
    snapshot: str
    asked: str
    comparable: bool = True
    shift: str = ""

    def mark(self, published: Sequence[str]) -> tuple[str, ...]:
        """``local-judge``, or ``other-judge`` with its measured shift, unless it is one of the
        published judges."""
        if not self.comparable:
            return ("local-judge",)
        if self.name in published:
            return ()
        return ("other-judge", self.shift) if self.shift else ("other-judge",)


def judged_by(judge: Judge, verdicts: Iterable[Verdict], benchmark: str) -> JudgedBy:
    """The judge as it answered these requests."""
    asked = judge_protocol(verdict.protocol for verdict in verdicts)
    note = getattr(judge, "calibration_note", None)
    shift = note(benchmark) if note else ""
    return JudgedBy(judge.name, judge.snapshot, asked, judge.comparable, shift)


def judge_protocol(protocols: Iterable[str]) -> str:
    """The ways of asking, without the template's name: which of MT-Bench's four templates were
    used follows from the items, and must not part checkpoints that have one more failed item."""
    return ",".join(sorted({re.sub(r"/single-[a-z0-9-]+$", "", p) for p in protocols if p}))


def make_header(
    request: EvalRequest,
    settings: Mapping[str, Any],
    by: JudgedBy,
    judge_marks: tuple[str, ...],
    drawn: int,
    available: int,
) -> Header:
    """Protocol id, settings and marks; the judge and how it was asked are part of the id."""
    shown = {**settings, "judge": by.snapshot, "judge_protocol": by.asked}
    return Header(
        protocol=protocol_id(request.protocol, shown),
        settings=flat(shown),
        judge=by.snapshot,
        data=request.data.label,
        marks=data_marks(request, drawn, available) + judge_marks,
    )


def ask(
    judge: Judge,
    kind: Literal["preference", "rating"],
    items: Sequence[Any],
    rows: Sequence[Mapping[str, Any]],
) -> list[Verdict]:
    """One verdict per item, in order; ``items`` are Comparisons or Ratings, ``rows`` their answers.

    An answer that could not be generated is not judged: its verdict is an error.

    Raises:
        UserError: the judge answered about other items than it was asked about.
    """
    from judges import Verdict

    asked = [item for item, row in zip(items, rows, strict=True) if not row.get("error")]
    answers = (judge.preferences if kind == "preference" else judge.ratings)(asked) if asked else []
    given = {verdict.item_id: verdict for verdict in answers}
    if set(given) != {item.item_id for item in asked}:
        raise UserError(f"the judge gave {len(given)} verdicts on {len(asked)} items, or others")
    return [
        given.get(item.item_id)
        or Verdict(item_id=item.item_id, kind=kind, judge=judge.name, protocol="", state="error")
        for item in items
    ]


def error_text(state: str, row: Mapping[str, Any]) -> str:
    """The error text of an item; empty where there is a verdict or the reply was unparsed."""
    if row.get("error"):
        return str(row["error"])
    return "" if state in ("ok", "unparsed") else f"judge: {state}"


def item_seed(seed: int, item_id: str) -> int:
    """The sampling seed of one answer: the same for every checkpoint and every resumed run."""
    digest = hashlib.sha256(f"{seed}:{item_id}".encode()).digest()
    return int.from_bytes(digest[:4], "big")


def counted(progress: Callable[[int, int], None], total: int) -> Callable[[int, object], None]:
    """What an engine calls for each finished answer, in any order: reports how many of ``total`` are done."""
    finished = count(1)
    return lambda index, completion: progress(next(finished), total)


def answer(
    engine: Engine,
    item_ids: Sequence[str],
    chats: Sequence[Sequence[Message]],
    params: SamplingParams,
    seed: int,
    done: Callable[[int, object], None],
) -> list[dict[str, Any]]:
    """Answer every chat; the lines of ``outputs.jsonl``, in order.

    A chat that leaves no room in the model's context is not asked: its line has an ``error`` and an
    empty output, so that it is counted and nothing else is lost.
    """
    texts = [engine.render(chat) for chat in chats]
    fits = [engine.count_tokens(text) < engine.max_length for text in texts]
    asked = [k for k, room in enumerate(fits) if room]
    completions = engine.chat(
        [list(chats[k]) for k in asked],
        params,
        seeds=[item_seed(seed, item_ids[k]) for k in asked],
        on_done=done,
    )
    rows: list[dict[str, Any]] = [
        {
            "item_id": item_id,
            "question": chat[-1]["content"],
            "prompt_hash": text_hash(text),
            "output": "",
            "truncated": False,
            "generator": generator_name(engine),
        }
        for item_id, chat, text in zip(item_ids, chats, texts, strict=True)
    ]
    for k, completion in zip(asked, completions, strict=True):
        rows[k] |= {
            "output": completion.text,
            "truncated": completion.truncated,
            "prompt_tokens": completion.prompt_tokens,
            "completion_tokens": completion.completion_tokens,
        }
    for k, room in enumerate(fits):
        if opens_reasoning(texts[k]):
            rows[k]["reasoning_opened"] = True
        if not room:
            rows[k]["error"] = "the prompt is longer than the model's context"
    return rows


def answer_text(row: Mapping[str, Any]) -> str:
    """An answer as it is judged, measured and continued: without its reasoning sections and without
    white space round it."""
    return final_answer(row).answer.strip()


def generator_name(engine: Engine) -> str:
    """The model's name in the packages' files: engine and fingerprint of the weights."""
    return f"{engine.name}-{engine.model_hash[:12]}"
