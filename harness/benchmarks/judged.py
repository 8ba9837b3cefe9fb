"""What the two judged benchmarks share: seeds, who judged, and why a figure can't be compared."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from harness.benchmarks.base import EvalRequest
from harness.data.source import read_rows
from harness.errors import HarnessError

if TYPE_CHECKING:
    from judges import Judge, Verdict

OUTPUTS = "outputs.jsonl"
Item = TypeVar("Item")


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

    def mark(self, published: Sequence[str]) -> tuple[str, ...]:
        """``local-judge`` or ``other-judge`` unless it is one of the published judges."""
        if not self.comparable:
            return ("local-judge",)
        return () if self.name in published else ("other-judge",)


def judged_by(judge: Judge, verdicts: Iterable[Verdict]) -> JudgedBy:
    """The judge as it answered these requests."""
    asked = ",".join(sorted({verdict.protocol for verdict in verdicts if verdict.protocol}))
    return JudgedBy(judge.name, judge.snapshot, asked, judge.comparable)


def aligned(verdicts: Sequence[Verdict], item_ids: Sequence[str]) -> list[Verdict]:
    """The verdicts in the order of ``item_ids``.

    Raises:
        HarnessError: the judge answered other items than it was asked about.
    """
    by_id = {verdict.item_id: verdict for verdict in verdicts}
    if set(by_id) != set(item_ids):
        raise HarnessError(
            f"the judge gave {len(by_id)} verdicts for {len(item_ids)} items, or for other ones"
        )
    return [by_id[item_id] for item_id in item_ids]


def item_seed(seed: int, item_id: str) -> int:
    """The sampling seed of one answer: the same for every checkpoint and every resumed run."""
    digest = hashlib.sha256(f"{seed}:{item_id}".encode()).digest()
    return int.from_bytes(digest[:4], "big")


def text_hash(text: str) -> str:
    """Short hash of a prompt as the model reads it."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def write_outputs(folder: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """``outputs.jsonl``, one answer a line, put in place atomically."""
    temporary = folder / f".{OUTPUTS}.tmp"
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(folder / OUTPUTS)


def read_outputs(folder: Path, item_ids: Sequence[str]) -> list[dict[str, Any]]:
    """The saved answers in the order of ``item_ids``.

    Raises:
        HarnessError: no outputs, or an item without one.
    """
    path = folder / OUTPUTS
    if not path.is_file():
        raise HarnessError(f"{folder} holds no {OUTPUTS}: generate the answers first")
    rows = {str(row["item_id"]): row for row in read_rows(path, required=("item_id", "output"))}
    lacking = [item_id for item_id in item_ids if item_id not in rows]
    if lacking:
        raise HarnessError(f"{path} has no answer for {lacking[0]} and {len(lacking) - 1} more")
    return [rows[item_id] for item_id in item_ids]


def protocol_id(request: EvalRequest, settings: Mapping[str, Any]) -> str:
    """``benchmark/protocol@version:digest`` over all settings in force, the judge's included."""
    text = json.dumps(settings, sort_keys=True, default=str)
    spec = request.protocol
    return f"{spec.name}@{spec.version}:{hashlib.sha256(text.encode()).hexdigest()[:10]}"


def flat(settings: Mapping[str, Any]) -> dict[str, str]:
    """Settings as the text that a score carries."""
    return {
        key: value if isinstance(value, str) else json.dumps(value, sort_keys=True)
        for key, value in settings.items()
    }


def data_marks(request: EvalRequest, drawn: int, available: int) -> tuple[str, ...]:
    """``sample-data`` and ``item-limit`` where they apply."""
    sample = ("sample-data",) if request.data.kind == "sample" else ()
    return sample + (("item-limit",) if drawn < available else ())


def draw(
    items: Sequence[Item], stratum: Callable[[Item], str], limit: int | None, seed: int
) -> list[Item]:
    """A seeded sample, in file order, each stratum with its share (largest remainder)."""
    if limit is None or limit >= len(items):
        return list(items)
    rng = random.Random(f"items:{seed}")
    strata: dict[str, list[int]] = {}
    for position, item in enumerate(items):
        strata.setdefault(stratum(item), []).append(position)
    shares = {name: limit * len(rows) / len(items) for name, rows in strata.items()}
    counts = {name: int(share) for name, share in shares.items()}
    order = sorted(strata, key=lambda name: (counts[name] - shares[name], rng.random()))
    for name in order[: limit - sum(counts.values())]:
        counts[name] += 1
    chosen = [p for name, rows in strata.items() for p in rng.sample(rows, counts[name])]
    return [items[position] for position in sorted(chosen)]
