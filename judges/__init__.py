"""Who prefers what: judges, their verdicts, and how good the judges themselves are.

In come records of what is to be judged (``Comparison``, ``Rating``), out comes a ``Verdict`` each.
``open_judge`` gives a judge by name: ``local`` (an engine's model read through log-probabilities)
or any model behind an OpenAI-compatible server. Every reply is kept in a verdict store, so nothing
is asked or paid for twice. ``protocols/`` holds the ways of asking, one file each.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from judges.base import Judge, TextEngine
from judges.errors import BudgetError, JudgeError
from judges.pair_accuracy import PairAccuracy, PairOutcome, pair_accuracy
from judges.records import Comparison, Rating, Verdict

__all__ = [
    "BudgetError",
    "Comparison",
    "Judge",
    "JudgeError",
    "PairAccuracy",
    "PairOutcome",
    "Rating",
    "Verdict",
    "open_judge",
    "pair_accuracy",
]


def open_judge(
    name: str,
    *,
    engine: TextEngine | None = None,
    base_url: str | None = None,
    store: Path,
    max_cost: float | None = None,
    max_calls: int | None = None,
    concurrency: int = 128,
    prompts: Path | None = None,
    scope: str = "",
    **settings: Any,
) -> Judge:
    """A judge that gives verdicts and keeps them in the store.

    Args:
        name: ``local`` (reads ``engine``) or a model name of an OpenAI-compatible server.
        engine: the model that ``local`` reads.
        base_url: the server; else ``OPENAI_BASE_URL``, else OpenAI's own.
        store: SQLite file of verdicts, shared between runs and processes.
        max_cost, max_calls: budget in US dollars and in requests.
        concurrency: most requests in flight (the number adapts below it).
        prompts: FastChat's ``judge_prompts.jsonl``; else the project's own wording.
        scope: label under which the spend counts against the budget, across restarts of a run.
        settings: further settings of ``LocalJudge`` or ``ServerJudge``.

    Raises:
        JudgeError: an unusable combination, a missing key, an unusable store or prompt file.
    """
    from judges.store import VerdictStore

    if name == "local":
        from judges.logprob_judge import LocalJudge

        if engine is None:
            raise JudgeError("the local judge needs an engine to read")
        return LocalJudge(engine, VerdictStore(store), **settings)
    from judges.server import ServerJudge

    return ServerJudge(
        name,
        store=VerdictStore(store),
        base_url=base_url,
        max_cost=max_cost,
        max_calls=max_calls,
        concurrency=concurrency,
        prompts=prompts,
        scope=scope,
        **settings,
    )
