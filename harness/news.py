"""What a run tells on its way: what lies ahead, how long it takes, what each stage found, how to go on."""

from __future__ import annotations

import shutil
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.run_folder import StageRecord
from harness.stage import Stage, StageKind
from leaderboards.records import Score
from leaderboards.report.pairs import collect_pairs
from leaderboards.runs import Run, read_run, read_scores

KINDS: dict[StageKind, str] = {
    "data": "of queries",
    "sample": "of sampling",
    "train": "of training",
    "eval": "of evaluation",
    "judge": "of judging pairs",
}
LONGEST = 320
"""Characters of a text shown at the end of a run."""


class Forecast:
    """Time left of a run: the expected work of the stages ahead, at the pace of those behind.

    ``expected`` are seconds by stage id, right up to a factor. Stages of one step (``policy``,
    ``eval/gsm8k``) share the factor that its finished ones showed; a step that has none takes the
    factor of all finished work.
    """

    def __init__(self, expected: Mapping[str, float]) -> None:
        self._expected = expected
        self._took: dict[str, list[tuple[float, float]]] = {}

    def expected(self, stage: Stage) -> float:
        """Seconds of a stage up to a factor; 0 where nothing is known."""
        return self._expected.get(stage.id, 0.0)

    @property
    def known(self) -> bool:
        """Whether a finished stage has shown the pace."""
        return any(guess for pairs in self._took.values() for guess, _ in pairs)

    def finished(self, stage: Stage, seconds: float) -> None:
        """A stage took this long."""
        pair = (self.expected(stage), seconds)
        self._took.setdefault(_step(stage), []).append(pair)

    def left(self, stages: Sequence[Stage]) -> float:
        """Seconds of the stages ahead."""
        everything = [pair for pairs in self._took.values() for pair in pairs]
        usual = _factor(everything, 1.0)
        total = 0.0
        for stage in stages:
            own = self._took.get(_step(stage), [])
            expected = self.expected(stage)
            if own and not sum(guess for guess, _ in own):
                total += sum(took for _, took in own) / len(own)
            else:
                total += expected * _factor(own, usual)
        return total


def _step(stage: Stage) -> str:
    """The part of a stage's id that its other iterations, arms and seeds share."""
    parts = stage.id.split("/")
    return "/".join(parts[-2:]) if "eval" in parts else parts[-1]


def _factor(pairs: Sequence[tuple[float, float]], usual: float) -> float:
    expected = sum(guess for guess, _ in pairs)
    return sum(took for _, took in pairs) / expected if expected else usual


def outline(plan: Sequence[Stage]) -> str:
    """The plan in one line: how many stages of which kind."""
    counts = Counter(stage.kind for stage in plan)
    kinds = ", ".join(f"{counts[kind]} {words}" for kind, words in KINDS.items() if counts[kind])
    return f"{len(plan)} stages: {kinds}; each tells when it ends how long the rest takes"


def duration(seconds: float) -> str:
    """A time in words: ``about 40 s``, ``about 12 min``, ``about 3.4 h``."""
    if seconds < 90:
        return f"about {seconds:.0f} s"
    return f"about {seconds / 60:.0f} min" if seconds < 5400 else f"about {seconds / 3600:.1f} h"


def found(stage: Stage, folder: Path, record: StageRecord) -> str:
    """What a finished stage found, in a few words; empty where there is nothing to tell."""
    counts, measures = record.counts, record.measures
    if (folder / "scores.json").is_file():
        return ", ".join(_score(s) for s in read_scores(folder / "scores.json") if s.headline)
    if stage.kind == "sample" and "pairs" in counts:
        asked = f" of {counts['queries']} queries" if "queries" in counts else ""
        return f"{counts['pairs']} pairs kept{asked}"
    if stage.kind == "train":
        parts = [n for n in measures if n.startswith(("accuracy/", "margin/"))]
        names = [n for n in ("loss", "kl_to_ref", *parts) if n in measures]
        steps = [f"{counts['steps']} steps"] if "steps" in counts else []
        return ", ".join([*steps, *(f"{n.replace('_', ' ')} {measures[n]:.3g}" for n in names)])
    return ""


def _score(score: Score) -> str:
    label = score.info.label if score.info is not None and score.info.label else score.benchmark
    value = "no figure" if score.value is None else f"{score.value:.1f}"
    return f"{label} {value}" + (f" ±{score.stderr:.1f}" if score.stderr is not None else "")


def pair_in_words(run: Run, width: int | None = None) -> list[str]:
    """One preference pair of the last iteration: query, principles, y+ and y-; no line without pairs."""
    columns = width or min(shutil.get_terminal_size((100, 24)).columns, 110)
    pairs, _ = collect_pairs([run])
    if not pairs:
        return []
    name, entries = list(pairs.items())[-1]
    if not entries:
        return []
    entry = entries[0]
    rows = {
        "query": entry.get("query"),
        "good principle": entry.get("good"),
        "bad principle": entry.get("bad"),
        "y+": entry.get("chosen"),
        "y-": entry.get("rejected"),
    }
    lines = [f"One pair of {name}:"]
    for label, text in rows.items():
        if text:
            shown = textwrap.shorten(str(text), LONGEST, placeholder=" ...")
            head = f"  {label}: "
            lines += textwrap.wrap(head + shown, columns, subsequent_indent=" " * 6)
    return lines


def closing(folder: Path, report: Path) -> list[str]:
    """The last lines of a run: one pair in words, the report, and what to type next."""
    run = read_run(folder)
    lines = pair_in_words(run)
    others = " --methods sso,pbaa,ultrafeedback" if run.arms else ""
    return [
        *lines,
        f"Report: {report}",
        "Next: "
        + ("compare arms with the same line and" + others + "; " if others else "")
        + f"sso-bench compare {folder} OTHER_RUN; sso-bench check {folder} --baseline FILE",
    ]
