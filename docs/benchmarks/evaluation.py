"""One checkpoint through the objective suite, against the ``lm_eval`` commands one after the other.

    python docs/benchmarks/evaluation.py --model DIR --data DIR [--items 50] [--json FILE]

Both sides get the same items (drawn under our limit, handed to ``lm_eval --samples``), prompts and
decoding; each side runs as processes of its own, imports and model loading included, and prompts and
verdicts are compared item by item on the way. Greedy texts can differ between batch shapes, so a few
verdicts may: they are listed.

Figures: ``wall_vs_peer_commands`` (ours over theirs), ``own_overhead_share`` (the part of our wall time
outside the engine's loading and its calls, grading included), ``rescored_items_per_second``
(100,000 saved GSM8K and MMLU-Pro answers scored again). ``--rescore-only`` needs no model.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from harness.benchmarks import EvalRequest, get_benchmark, load_protocol
from harness.benchmarks.objective import ObjectiveBenchmark
from harness.data.source import open_source

BENCHMARKS = ("gsm8k", "mmlu_pro", "math")
RESCORED = 100_000


def request(name: str, args: argparse.Namespace) -> EvalRequest:
    """The community protocol on the drawn items, with the answer length of this run."""
    overrides = {"max_new_tokens": args.new_tokens}
    spec = load_protocol(name)
    return EvalRequest(open_source(args.data), spec, limit=args.items, overrides=overrides)


def objective(name: str) -> ObjectiveBenchmark:
    """The benchmark with an answer key of that name."""
    found = get_benchmark(name)
    assert isinstance(found, ObjectiveBenchmark)
    return found


# --- ours: one process, one loaded model ---------------------------------------------------------


class Timed:
    """An engine that adds up the time inside its generation calls."""

    def __init__(self, engine: Any) -> None:
        self.engine = engine
        self.seconds = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.engine, name)

    def chat(self, *args: Any, **options: Any) -> Any:
        """As the engine's, timed."""
        started = time.perf_counter()
        try:
            return self.engine.chat(*args, **options)
        finally:
            self.seconds += time.perf_counter() - started


def run_ours(args: argparse.Namespace, out: Path) -> None:
    """The worker: all benchmarks with one engine; seconds by part into ``timings.json``."""
    from harness.engines import open_engine

    begun = time.perf_counter()
    engine = Timed(open_engine("hf", Path(args.model), device="cpu", dtype="fp32"))
    loading = time.perf_counter() - begun
    parts: dict[str, Any] = {"loading": loading}
    for name in BENCHMARKS:
        started, before = time.perf_counter(), engine.seconds
        folder = out / name
        folder.mkdir(parents=True, exist_ok=True)
        objective(name).generate(request(name, args), engine, folder)
        generated = time.perf_counter()
        made = objective(name).score(request(name, args), folder)
        (folder / "items.json").write_text(
            json.dumps({item.item_id: item.values for item in made.items})
        )
        parts[name] = {
            "engine": engine.seconds - before,
            "rest_of_generation": generated - started - (engine.seconds - before),
            "scoring": time.perf_counter() - generated,
        }
    parts["engine"] = engine.seconds
    (out / "timings.json").write_text(json.dumps(parts))


# --- theirs: one command a benchmark -------------------------------------------------------------


def peer_tasks(name: str, args: argparse.Namespace, folder: Path) -> dict[str, list[str]]:
    """Task files that redirect lm-eval's own to local data; task -> ids of our items in its order."""
    import yaml

    from harness.benchmarks.lm_eval_bridge import tasks_root

    data, benchmark = open_source(args.data), objective(name)
    places = {
        "gsm8k": {
            "test": ("gsm8k/test.jsonl",),
            "train": ("gsm8k/train.jsonl", "gsm8k/train_first300.jsonl"),
        },
        "mmlu_pro": {
            "test": ("mmlu_pro/test.jsonl",),
            "validation": ("mmlu_pro/validation.jsonl",),
        },
        "math": {"test": ("math/math_500.jsonl",)},
    }[name]
    drawn, everything = benchmark.items(request(name, args))
    kept = {item.item_id for item in drawn}
    found: dict[str, list[str]] = {}
    folder.mkdir(parents=True, exist_ok=True)
    for task in sorted({item.task for item in drawn}):
        own = next((tasks_root() / benchmark.folder).rglob(f"{task}.yaml"))
        redirected = {
            "include": str(own),
            "task": task,
            "dataset_path": "json",
            "dataset_name": None,
            "dataset_kwargs": {"data_files": {k: str(data.path(*v)) for k, v in places.items()}},
        }
        (folder / f"{task}.yaml").write_text(yaml.safe_dump(redirected))
        members = [item.item_id for item in everything if item.task == task]
        found[task] = [item_id for item_id in members if item_id in kept]
        positions = [n for n, item_id in enumerate(members) if item_id in kept]
        (folder / f"{task}.samples").write_text(json.dumps(positions))
    return found


def run_peer(name: str, args: argparse.Namespace, out: Path) -> float:
    """The ``lm_eval`` command of one benchmark; wall seconds."""
    folder = out / "tasks"
    tasks = peer_tasks(name, args, folder)
    samples = {task: json.loads((folder / f"{task}.samples").read_text()) for task in tasks}
    generation = {"max_gen_toks": args.new_tokens, "until": []}
    command = [sys.executable, "-m", "lm_eval", "--model", "hf"]
    command += ["--model_args", f"pretrained={args.model},dtype=float32", "--device", "cpu"]
    command += ["--tasks", ",".join(tasks), "--include_path", str(folder)]
    command += ["--samples", json.dumps(samples), "--batch_size", str(args.peer_batch)]
    command += ["--apply_chat_template", "--fewshot_as_multiturn", "True"]
    command += ["--gen_kwargs", json.dumps(generation), "--output_path", str(out), "--log_samples"]
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"lm_eval failed on {name}:\n{done.stderr[-2000:]}")
    return time.perf_counter() - started


def compare(name: str, args: argparse.Namespace, ours: Path, theirs: Path) -> dict[str, Any]:
    """Prompts, texts and verdicts of both sides, item by item."""
    from harness.benchmarks.outputs import read_saved

    tasks = peer_tasks(name, args, theirs / "tasks")
    rows = {row["item_id"]: row for row in read_saved(ours / name / "outputs.jsonl")}
    values = json.loads((ours / name / "items.json").read_text())
    counts = {"items": 0, "same_prompt": 0, "same_text": 0, "verdicts": 0, "same_verdict": 0}
    differing = []
    for task, ids in tasks.items():
        positions = json.loads((theirs / "tasks" / f"{task}.samples").read_text())
        file = next(theirs.rglob(f"samples_{task}_*.jsonl"))
        seen = set()
        for sample in map(json.loads, file.read_text(encoding="utf-8").strip().split("\n")):
            item_id = ids[positions.index(sample["doc_id"])]
            row = rows[item_id]
            if item_id not in seen:
                seen.add(item_id)
                counts["items"] += 1
                counts["same_prompt"] += sample["prompt_hash"] == row["prompt_hash"]
                counts["same_text"] += sample["resps"][0][0] == row["output"]
            for metric, value in verdicts(name, sample).items():
                counts["verdicts"] += 1
                same = float(value) == values[item_id][metric]
                counts["same_verdict"] += same
                if not same:
                    differing.append(f"{item_id} {metric}")
    return {**counts, "differing": differing}


def verdicts(name: str, sample: dict[str, Any]) -> dict[str, float]:
    """lm-eval's verdicts of one logged sample under our metric names."""
    if name == "math":
        return {"math_verify": sample["math_verify"], "minerva": sample["exact_match"]}
    return {sample["filter"].replace("-", "_"): sample["exact_match"]}


# --- scoring alone -------------------------------------------------------------------------------


def rescoring(data: Path, folder: Path) -> dict[str, float]:
    """Seconds for 100,000 saved answers: half GSM8K's, half MMLU-Pro's, repeated to that number."""
    from harness.benchmarks.rescore import rescore

    files = {
        "gsm8k/community": data / "gsm8k" / "replay_llm_outputs.jsonl",
        "mmlu_pro/official": data / "mmlu_pro" / "replay_Meta-Llama-3_1-8B-Instruct.jsonl",
    }
    seconds = {}
    for protocol, file in files.items():
        lines = file.read_text(encoding="utf-8").strip().split("\n")
        rows = [json.loads(line) for line in lines]
        number = RESCORED // len(files)
        repeated = folder / f"{protocol.replace('/', '-')}.jsonl"
        with repeated.open("w", encoding="utf-8") as out:
            for n in range(number):
                out.write(json.dumps({**rows[n % len(rows)], "item_id": str(n)}) + "\n")
        started = time.perf_counter()
        assert len(rescore(repeated, protocol).items) == number
        seconds[protocol] = time.perf_counter() - started
    return seconds


def main() -> None:
    """Run, print, and write the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--model", help="folder of the checkpoint")
    parser.add_argument("--data", required=True, help="folder of real data")
    parser.add_argument("--items", type=int, default=50)
    parser.add_argument("--new-tokens", type=int, default=256)
    parser.add_argument("--peer-batch", type=int, default=16)
    parser.add_argument("--rescore-only", action="store_true")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        run_ours(args, args.worker)
        return
    figures: dict[str, Any] = {"items": args.items, "cores": os.cpu_count()}
    with tempfile.TemporaryDirectory() as work:
        if not args.rescore_only:
            if not args.model:
                parser.error("--model is needed (or --rescore-only)")
            figures |= side_by_side(args, Path(work))
        seconds = rescoring(Path(args.data), Path(work))
    figures["rescoring_seconds"] = seconds
    figures["rescored_items_per_second"] = RESCORED / sum(seconds.values())
    print(json.dumps(figures, indent=1))
    if args.json:
        args.json.write_text(json.dumps(figures, indent=1))


def side_by_side(args: argparse.Namespace, work: Path) -> dict[str, Any]:
    """Both sides on the same items."""
    ours = work / "ours"
    ours.mkdir()
    command = [sys.executable, __file__, "--worker", str(ours), "--model", args.model]
    command += ["--data", args.data, "--items", str(args.items)]
    started = time.perf_counter()
    subprocess.run([*command, "--new-tokens", str(args.new_tokens)], check=True)
    wall = time.perf_counter() - started
    timings = json.loads((ours / "timings.json").read_text())
    peers = {name: run_peer(name, args, work / f"peer-{name}") for name in BENCHMARKS}
    same = {name: compare(name, args, ours, work / f"peer-{name}") for name in BENCHMARKS}
    outside = wall - timings["engine"] - timings["loading"]
    return {
        "our_seconds": wall,
        "peer_seconds": peers,
        "wall_vs_peer_commands": wall / sum(peers.values()),
        "own_overhead_share": outside / wall,
        "timings": timings,
        "agreement": same,
    }


if __name__ == "__main__":
    main()
