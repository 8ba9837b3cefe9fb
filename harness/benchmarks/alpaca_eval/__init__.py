"""AlpacaEval 2.0: length-controlled win rate, raw win rate and answer length.

In: instructions with the baseline's answers, the gamed baselines' rows, a model, a judge. Out:
``outputs.jsonl``, ``model_outputs.json``, ``annotations.json`` (the last two as ``alpaca_eval``
reads them), item scores, scores. README.md has the protocol, reference points and the changelog.
"""

from harness.benchmarks.alpaca_eval.benchmark import AlpacaEval
from harness.benchmarks.alpaca_eval.rescore import rescore_annotations

BENCHMARK = AlpacaEval()

__all__ = ["BENCHMARK", "AlpacaEval", "rescore_annotations"]
