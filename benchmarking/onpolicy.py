"""Does SSO's generator keep rejected responses more on-policy than the choice that it corrects?

    python benchmarking/onpolicy.py --model DIR [--queries N] [--draws N] [--lr LR] [--json FILE]

Runs the steps of the arms ``sso`` and ``pbaa-generator`` up to the generator's pairs: the same contrasts from
pi_t, a generator trained on each arm's own pairs, fresh y+ and y- from each. Every y- is scored under pi_t given
the plain query (nats per token, end of turn included) and the two arms are compared query by query: paired t test
and Wilcoxon signed-rank test, two-sided. One response of 48 tokens says little about a generator, so each is sampled
``--draws`` times and a query counts with its mean. Queries are the shipped sample's, or the prompts of ``--data``.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

ARMS = ("sso", "pbaa-generator")


class RememberingEngine:
    """Answers a repeated request from memory: both arms draw the same contrasts from pi_t."""

    def __init__(self, engine: Any, memory: dict[Any, Any]) -> None:
        self._engine, self._memory = engine, memory
        for name in ("render", "count_tokens", "max_length", "logprobs"):
            setattr(self, name, getattr(engine, name))

    def chat(
        self, prompts: Sequence[Any], params: Any, *, seeds: Any = None, on_done: Any = None
    ) -> list[Any]:
        key = json.dumps([list(map(list, prompts)), seeds, repr(params)])
        if key not in self._memory:
            self._memory[key] = self._engine.chat(prompts, params, seeds=seeds)
        found: list[Any] = self._memory[key]
        return found


class Engines:
    """One loaded model at a time; what the policy answered is kept."""

    def __init__(self, policy: Path) -> None:
        self.policy, self.memory = policy, {}
        self.folder: Path | None = None
        self.engine: Any = None

    def __call__(self, folder: Path) -> Any:
        from harness.engines.hf import HfEngine

        if folder != self.folder:
            self.close()
            self.folder, self.engine = folder, HfEngine(folder)
        return RememberingEngine(self.engine, self.memory if folder == self.policy else {})

    def close(self) -> None:
        if self.engine is not None:
            self.engine.close()
        self.folder = self.engine = None


def sample_queries(data: str, count: int, max_chars: int) -> list[Any]:
    """The first ``count`` queries of at most ``max_chars`` in the order of a hash of their text."""
    import hashlib

    from harness.data import open_source
    from harness.stages.draw_queries import query_rows
    from sso.records import Query

    texts = sorted(
        {
            q
            for row in query_rows(open_source(data), None)
            if len(q := str(row["query"])) <= max_chars
        },
        key=lambda text: hashlib.sha256(text.encode()).hexdigest(),
    )
    return [Query(id=f"q{i}", text=text) for i, text in enumerate(texts[:count])]


def run_arm(name: str, args: argparse.Namespace, engines: Engines, root: Path) -> dict[str, Any]:
    """Quality of the generator's pairs by query id, one a draw, and the measures of its training."""
    from groundwork.records import read_records
    from sso.arms import StepContext, get_arm
    from sso.pair_metrics import PairQuality
    from sso.settings import MethodSettings

    settings = MethodSettings.model_validate(
        {
            "principles": {"select": "random"},
            "sampling": {"max_new_tokens": args.max_new_tokens, "keep_truncated": True},
            "loss": {"kind": args.loss, "gamma": args.gamma},
            "training": {
                "learning_rate": args.lr,
                "batch_size": args.batch_size,
                "epochs": args.epochs,
                "report_to": [],
            },
        }
    )
    folders = {"policy": args.model}
    measures = {}
    contrasts, training, pairs = get_arm(name).steps[:3]
    quality: dict[str, list[PairQuality]] = {}
    draws = [(pairs, args.seed + draw) for draw in range(args.draws)]
    for step, seed in [(contrasts, args.seed), (training, args.seed), *draws]:
        began = time.perf_counter()
        folder = root / name / f"{step.name}-{seed}"
        folder.mkdir(parents=True)
        if step.kind == "train":
            engines.close()
        result = step.run(
            StepContext(
                folder=folder,
                inputs={key: folders[key] for key in step.inputs},
                queries=args.drawn,
                settings=settings,
                iteration=1,
                seed=seed,
                engine=engines,
            )
        )
        folders[step.name] = folder / "model" if step.kind == "train" else folder
        measures[step.name] = dict(result.measures)
        print(f"{name}/{step.name}: {time.perf_counter() - began:.0f} s", flush=True)
        print("   ", {k: round(v, 4) for k, v in result.measures.items()}, flush=True)
        if step is pairs:
            for found in read_records(folder / "quality.jsonl", PairQuality):
                quality.setdefault(found.query_id, []).append(found)
    return {"quality": quality, "measures": measures}


def compare(first: Sequence[float], second: Sequence[float]) -> dict[str, float]:
    """Mean of the paired differences first - second, its 95 % t interval, two tests, the sign count."""
    import numpy as np
    from scipy import stats

    difference = np.asarray(first) - np.asarray(second)
    t = stats.ttest_rel(first, second)
    low, high = t.confidence_interval(0.95)
    return {
        "n": len(difference),
        "difference": float(difference.mean()),
        "ci_low": float(low),
        "ci_high": float(high),
        "t_p_value": float(t.pvalue),
        "wilcoxon_p_value": float(stats.wilcoxon(difference).pvalue),
        "share_higher": float((difference > 0).mean()),
    }


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True, help="checkpoint folder (pi_t)")
    parser.add_argument("--data", default="sample", help="sample, or a data folder")
    parser.add_argument("--queries", type=int, default=48)
    parser.add_argument("--draws", type=int, default=4, help="responses of each generator a query")
    parser.add_argument("--max-query-chars", type=int, default=300)
    parser.add_argument("--lr", type=float, default=2e-5, help="5e-7 moves a 135M model by nothing")
    parser.add_argument("--epochs", type=float, default=1.0)
    parser.add_argument("--batch-size", type=int, default=2)
    parser.add_argument("--loss", choices=("ipo", "dpo"), default="ipo")
    parser.add_argument("--gamma", type=float, default=0.1)
    parser.add_argument("--max-new-tokens", type=int, default=48)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    args.drawn = sample_queries(args.data, args.queries, args.max_query_chars)
    return args


def main() -> None:
    args = arguments()
    engines = Engines(args.model)
    with tempfile.TemporaryDirectory() as root:
        runs = {name: run_arm(name, args, engines, Path(root)) for name in ARMS}
    engines.close()
    sso, other = (runs[name]["quality"] for name in ARMS)
    shared = [query for query in sso if query in other]
    report: dict[str, Any] = {
        "settings": {k: str(v) for k, v in vars(args).items() if k not in ("drawn", "json")},
        "original_logp": fmean(found.original_logp for q in shared for found in sso[q]),
    }
    for side in ("rejected", "chosen"):
        pair = [
            [fmean(getattr(draw, f"{side}_logp") for draw in found[q]) for q in shared]
            for found in (sso, other)
        ]
        report[side] = {
            "logp_sso": fmean(pair[0]),
            "logp_pbaa_generator": fmean(pair[1]),
            **compare(*pair),
        }
    report["measures"] = {name: run["measures"] for name, run in runs.items()}
    print(json.dumps({k: v for k, v in report.items() if k != "measures"}, indent=2))
    if args.json:
        args.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
