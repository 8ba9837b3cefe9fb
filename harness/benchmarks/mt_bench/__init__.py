"""MT-Bench: two-turn questions over eight categories, each turn rated by a judge.

In: questions and reference answers, a model, a judge. Out: ``outputs.jsonl``,
``model_answer/MODEL.jsonl`` and ``model_judgment/JUDGE_single.jsonl`` (as FastChat reads them), item
scores, scores. README.md has the protocol, reference points and the changelog.
"""

from harness.benchmarks.mt_bench.benchmark import MtBench
from harness.benchmarks.mt_bench.rescore import rescore_judgments

BENCHMARK = MtBench()

__all__ = ["BENCHMARK", "MtBench", "rescore_judgments"]
