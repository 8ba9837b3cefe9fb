"""A trained reward model as a judge (``reward:DIR``): the answer with the higher score is the better one."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from groundwork.errors import UserError
from harness.models import resolve_model
from judges import Comparison, Rating, Verdict
from judges.protocols.five_way import graded
from judges.settings import PairPrompt

if TYPE_CHECKING:
    from sso.reward_model import Scorer

PREFIX = "reward:"
PROTOCOL = "reward-score/1"


def reward_folder(name: str) -> Path | None:
    """The folder of a judge called ``reward:DIR``; None for another judge."""
    return Path(name.removeprefix(PREFIX)) if name.startswith(PREFIX) else None


def reward_judge_id(name: str) -> str:
    """The judge's exact name: its folder and the fingerprint of its weights.

    Raises:
        UserError: no such folder, one that can't be loaded safely, or no reward model.
    """
    from sso.checkpoints import weights_fingerprint
    from sso.reward_checkpoint import require_reward_model

    folder = Path(name.removeprefix(PREFIX))
    if not folder.is_dir():
        raise UserError(f"judge {name}: no folder {folder}")
    resolve_model(str(folder.resolve()))
    require_reward_model(folder)
    return f"{name}@{weights_fingerprint(folder)[:16]}"


class RewardJudge:
    """See ``judges.Judge``. No order bias: each answer is read by itself.

    Args:
        name: ``reward:DIR``.
        open_scorer: opens the model, alone in memory, for a ``with``.
    """

    comparable = True

    def __init__(
        self, name: str, open_scorer: Callable[[Path], AbstractContextManager[Scorer]]
    ) -> None:
        self.name = name
        self.snapshot = reward_judge_id(name)
        self.notes: list[str] = []
        self._folder, self._open = Path(name.removeprefix(PREFIX)), open_scorer

    def check(self) -> None:
        """The folder was checked when the judge was opened."""

    def preferences(self, comparisons: Sequence[Comparison], *, seed: int = 0) -> list[Verdict]:
        """Preference 1..2: 1 + the chance that output_2 is better (Bradley-Terry on the scores)."""
        return [
            self._verdict(c, "preference", 1 + _logistic(m), m)
            for c, m in zip(comparisons, self._margins(comparisons), strict=True)
        ]

    def pairwise(
        self, comparisons: Sequence[Comparison], *, prompt: PairPrompt = "pair-v2"
    ) -> list[tuple[Verdict, Verdict]]:
        """1 or 2 for the higher score, 1.5 for equal ones; the same in both orders."""
        margins = self._margins(comparisons)
        sides = [1.5 if margin == 0 else 1.0 + (margin > 0) for margin in margins]
        return self._both(comparisons, sides, margins)

    def graded(self, comparisons: Sequence[Comparison]) -> list[tuple[Verdict, Verdict]]:
        """The preference in five steps; the same in both orders."""
        margins = self._margins(comparisons)
        return self._both(comparisons, [graded(1 + _logistic(m)) for m in margins], margins)

    def ratings(self, ratings: Sequence[Rating]) -> list[Verdict]:
        """A reward model has no scale.

        Raises:
            UserError: always.
        """
        raise UserError(
            f"judge {self.name} compares answers and rates none: another for MT-Bench "
            "(judge.mt_bench)"
        )

    def estimate(self, calls: int, prompt_tokens: int) -> float:
        """0: nothing is paid."""
        return 0.0

    def describe(self) -> dict[str, Any]:
        """Name, exact name and protocol."""
        return {
            "judge": self.name,
            "snapshot": self.snapshot,
            "protocol": PROTOCOL,
            "comparable": self.comparable,
        }

    def _margins(self, comparisons: Sequence[Comparison]) -> list[float]:
        """Score of output_2 minus score of output_1; an empty output loses to any other."""
        asked = [c for c in comparisons if c.output_1.strip() and c.output_2.strip()]
        items = [
            (({"role": "user", "content": c.instruction},), (c.output_1, c.output_2)) for c in asked
        ]
        found: dict[str, float] = {}
        if items:
            with self._open(self._folder) as scorer:
                for c, (first, second) in zip(asked, scorer.scores(items), strict=True):
                    found[c.item_id] = second - first
        empty = {
            c.item_id: float(bool(c.output_2.strip())) - float(bool(c.output_1.strip()))
            for c in comparisons
        }
        return [found.get(c.item_id, empty[c.item_id]) for c in comparisons]

    def _both(
        self, comparisons: Sequence[Comparison], values: Sequence[float], margins: Sequence[float]
    ) -> list[tuple[Verdict, Verdict]]:
        pairs = []
        for c, value, margin in zip(comparisons, values, margins, strict=True):
            first = self._verdict(c, "pairwise", value, margin)
            pairs.append((first, first.model_copy(update={"swapped": True})))
        return pairs

    def _verdict(self, c: Comparison, kind: Any, value: float, margin: float) -> Verdict:
        return Verdict(
            item_id=c.item_id,
            kind=kind,
            judge=self.snapshot,
            protocol=PROTOCOL,
            state="ok",
            value=value,
            raw=f"{margin:.6f}",
        )


def _logistic(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))
