"""Our side of ``evaluation.py``, as a process of its own: one loaded model, every benchmark asked for.

    python benchmarking/evaluation_ours.py --model DIR --data DIR --out DIR --benchmarks gsm8k,mt_bench ...

Per benchmark, ``timings.json`` has the seconds inside the engine's calls and outside them, and
scoring. AlpacaEval's verdicts come from a verdict store that holds them all (filling it is not timed);
MT-Bench ends with its answers, as FastChat's answer generation does.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from harness.benchmarks import EvalRequest, get_benchmark, load_protocol
from harness.benchmarks.answer_key import ObjectiveBenchmark
from harness.data import open_source

JUDGE = "gpt-4-1106-preview"


def request(
    name: str, data: str, items: int | None, new_tokens: int, shots: int | None = None
) -> EvalRequest:
    """The community protocol on the drawn items, with the answer length of this run; greedy."""
    overrides: dict[str, Any] = {"max_new_tokens": new_tokens}
    if name == "alpaca_eval":
        overrides["temperature"] = 0.0
    if shots is not None:
        overrides["shots"] = shots
    return EvalRequest(open_source(data), load_protocol(name), limit=items, overrides=overrides)


def objective(name: str) -> ObjectiveBenchmark:
    """The benchmark with an answer key of that name."""
    found = get_benchmark(name)
    assert isinstance(found, ObjectiveBenchmark)
    return found


class Timed:
    """An engine that adds up the time inside its generation calls, and the tokens written."""

    def __init__(self, engine: Any) -> None:
        self.engine = engine
        self.seconds = 0.0
        self.tokens = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.engine, name)

    def chat(self, *args: Any, **options: Any) -> Any:
        """As the engine's, timed."""
        started = time.perf_counter()
        try:
            made = self.engine.chat(*args, **options)
            self.tokens += sum(one.completion_tokens for one in made)
            return made
        finally:
            self.seconds += time.perf_counter() - started


def score_objective(name: str, asked: EvalRequest, folder: Path) -> float:
    """Scored; the verdicts of every item into ``items.json``. Nothing in it is left out of the time."""
    made = objective(name).score(asked, folder)
    values = {item.item_id: item.values for item in made.items}
    (folder / "items.json").write_text(json.dumps(values))
    return 0.0


def score_alpaca_eval(asked: EvalRequest, folder: Path) -> float:
    """Scored from stored verdicts, length control and intervals included; seconds of filling the store."""
    from judging import fill

    from harness.benchmarks.alpaca_eval.benchmark import comparison, prepare
    from harness.benchmarks.answers_file import read_outputs
    from judges import JudgeSettings, open_judge

    started = time.perf_counter()
    drawn = prepare(asked).instructions
    rows = read_outputs(folder, [i.item_id for i in drawn])
    store = folder / "verdicts.sqlite"
    fill(store, [comparison(*both) for both in zip(drawn, rows, strict=True)])
    filling = time.perf_counter() - started
    judge = open_judge(JudgeSettings(JUDGE, offline=True), store)
    get_benchmark("alpaca_eval").score(asked, folder, judge)
    return filling


def run(args: argparse.Namespace) -> dict[str, Any]:
    """All benchmarks with one engine; seconds by part."""
    from harness.engines import EngineSettings, open_engine

    begun = time.perf_counter()
    engine = Timed(
        open_engine(EngineSettings(kind="hf", device="cpu", dtype="fp32"), Path(args.model))
    )
    parts: dict[str, Any] = {"loading": time.perf_counter() - begun, "untimed": 0.0}
    for name in args.benchmarks:
        asked = request(name, args.data, args.items, args.new_tokens, args.shots)
        started, before, tokens = time.perf_counter(), engine.seconds, engine.tokens
        folder = args.out / name
        folder.mkdir(parents=True, exist_ok=True)
        get_benchmark(name).generate(asked, engine, folder)  # type: ignore[arg-type]
        generated, untimed = time.perf_counter(), 0.0
        if name == "alpaca_eval":
            untimed = score_alpaca_eval(asked, folder)
        elif name != "mt_bench":
            untimed = score_objective(name, asked, folder)
        inside = engine.seconds - before
        parts[name] = {
            "engine": inside,
            "rest_of_generation": generated - started - inside,
            "scoring": time.perf_counter() - generated - untimed,
            "tokens": engine.tokens - tokens,
        }
        parts["untimed"] += untimed
    parts["engine"] = engine.seconds
    return parts


def main() -> None:
    """Entry of the process."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--benchmarks", type=lambda text: text.split(","), required=True)
    parser.add_argument("--items", type=int, required=True)
    parser.add_argument("--new-tokens", type=int, required=True)
    parser.add_argument("--shots", type=int)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "timings.json").write_text(json.dumps(run(args)))


if __name__ == "__main__":
    main()
