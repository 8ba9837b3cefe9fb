"""Who prefers what: judges, their verdicts, and how good the judges themselves are."""

from judges.base import Judge
from judges.records import Comparison, Rating, Verdict

__all__ = ["Comparison", "Judge", "Rating", "Verdict"]
