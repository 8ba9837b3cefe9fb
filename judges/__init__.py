"""Who prefers what: judges, their verdicts, and how good the judges themselves are.

Inputs are records to be judged (``Comparison``, ``Rating``), outputs one ``Verdict`` per record.
``open_judge`` gives a judge by name: ``local`` (an engine's model read through log-probabilities)
or any model behind an OpenAI-compatible server. Every reply is kept in a verdict store, so nothing
is asked or paid for twice. ``protocols/`` holds the ways of asking, one file per protocol.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from judges.base import Judge, TextEngine
from judges.errors import BudgetError, JudgeError
from judges.pair_accuracy import PairAccuracy, PairOutcome, pair_accuracy
from judges.records import Comparison, Rating, Verdict
from judges.settings import JudgeSettings

__all__ = [
    "BudgetError",
    "Comparison",
    "Judge",
    "JudgeError",
    "JudgeSettings",
    "PairAccuracy",
    "PairOutcome",
    "Rating",
    "Verdict",
    "open_judge",
    "pair_accuracy",
]


def open_judge(
    settings: JudgeSettings,
    store: Path,
    *,
    engine: TextEngine | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Judge:
    """A judge that gives verdicts and keeps them in the store.

    Args:
        settings: which judge, and how it may be asked.
        store: SQLite file of verdicts, shared between runs and processes.
        engine: the model that ``local`` reads.
        progress: called with (done, total) verdicts.

    Raises:
        JudgeError: an unusable combination, a missing key, an unusable store or prompt file.
    """
    from judges.store import VerdictStore

    if settings.name == "local":
        from judges.logprob_judge import LocalJudge

        if engine is None:
            raise JudgeError("the local judge needs an engine to read")
        opened = VerdictStore(store)
        return LocalJudge(engine, opened, reading=settings.reading, progress=progress)
    if settings.name.startswith("saved:"):
        from judges.saved_judge import SavedJudge

        return SavedJudge(settings.name, VerdictStore(store))
    from judges.server import ServerJudge

    return ServerJudge(settings, VerdictStore(store), progress=progress)
