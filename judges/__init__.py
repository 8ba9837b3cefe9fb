"""Who prefers what: judges, their verdicts, and how good the judges themselves are.

In come records of what is to be judged (``Comparison``, ``Rating``), out comes a ``Verdict`` each.
``open_judge`` gives a judge by name: ``local`` (an engine's model read through log-probabilities)
or any model behind an OpenAI-compatible server. Every reply is kept in a verdict store, so nothing
is asked or paid for twice. ``kinds/`` holds the ways of asking, one file each.
"""

from judges.base import Judge
from judges.errors import BudgetError, JudgeError
from judges.opening import open_judge
from judges.pairs import PairAccuracy, PairOutcome, pair_accuracy
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
