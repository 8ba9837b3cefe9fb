"""Which reading of the local judge agrees best with people, measured on labelled pairs.

Judges a seeded sample of each set (PandaLM's pairs with three human labels, LLMBar's with gold labels,
UltraFeedback's with GPT-4's) with each reading and prints agreement, flips and length bias. ``--out``
writes ``judges/data/agreement.yaml``, from which ``describe()`` cites the reading in use. Every
log-probability is kept in ``--store``, so that an interrupted measurement goes on where it was.

    python benchmarking/local_judge.py --data DIR [--pairs 60] [--store FILE] [--out FILE]
"""

from __future__ import annotations

import argparse
import random
import time
from pathlib import Path
from typing import Any

import yaml

from judges.agreement import Agreement, measure_agreement
from judges.logprob_judge import SLOPE, LocalJudge
from judges.protocols.labelled import LabelledPair, load_labelled
from judges.store import VerdictStore

SETS = {
    "pandalm": "judge_agreement/pandalm_testset-v1.json",
    "llmbar": "rewardbench/llmbar_as_rewardbench.jsonl",
    "ultrafeedback": "preference/ultrafeedback_binarized_1000.jsonl",
}


def sample(path: Path, n: int) -> list[LabelledPair]:
    """A seeded sample of the pairs with a majority for one side and two answers."""
    pairs = [
        pair
        for pair in load_labelled(path)
        if pair.majority in (1, 2)
        and pair.comparison.output_1.strip()
        and pair.comparison.output_2.strip()
    ]
    return random.Random(0).sample(pairs, min(n, len(pairs)))


def figures(found: Agreement) -> dict[str, Any]:
    """What is kept of an agreement."""

    def rounded(value: float | None) -> float | None:
        return None if value is None else round(value, 3)

    low, high = found.accuracy_interval or (0.0, 0.0)
    return {
        "pairs": found.n,
        "accuracy": rounded(found.accuracy),
        "interval": [round(low, 3), round(high, 3)],
        "flips": rounded(found.flips),
        "longer_preferred": rounded(found.longer_preferred),
        "longer_preferred_by_humans": rounded(found.longer_preferred_by_humans),
    }


def main() -> None:
    """Parse the command line, measure, print, write."""
    from harness.engines import EngineSettings, open_engine
    from harness.models import QUICKSTART_MODEL

    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default=QUICKSTART_MODEL)
    parser.add_argument("--pairs", type=int, default=60, help="of each set")
    parser.add_argument("--sets", nargs="*", default=list(SETS))
    parser.add_argument("--readings", nargs="*", default=list(SLOPE))
    parser.add_argument("--store", type=Path, default=Path("local_judge.sqlite"))
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    engine = open_engine(EngineSettings(kind="hf"), arguments.model)
    store = VerdictStore(arguments.store)
    readings: dict[str, dict[str, Any]] = {}
    for name in arguments.sets:
        pairs = sample(arguments.data / SETS[name], arguments.pairs)
        for reading in arguments.readings:
            began = time.perf_counter()
            judge = LocalJudge(engine, store, reading=reading)
            found = measure_agreement(judge, pairs, data=name)
            readings.setdefault(reading, {})[name] = figures(found)
            seconds = time.perf_counter() - began
            print(f"{name:14} {reading:11} {figures(found)} {seconds:.0f} s", flush=True)
    if arguments.out:
        content = {
            "measured_by": "benchmarking/local_judge.py",
            "model": Path(str(arguments.model)).name,
            "sample": f"{arguments.pairs} pairs of each set, seed 0",
            "readings": readings,
        }
        arguments.out.write_text(yaml.safe_dump(content, sort_keys=False))


if __name__ == "__main__":
    main()
