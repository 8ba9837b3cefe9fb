"""The ``lm_eval`` command on our items, and both sides' prompts, texts and verdicts item by item.

Its task files are taken as they are; an include folder only redirects their data to local files, and
``--samples`` names the items drawn under our limit.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from evaluation_ours import objective
from evaluation_peers import timed

from harness.benchmarks import EvalRequest
from harness.benchmarks.lm_eval_bridge import tasks_root

FILES = {
    "gsm8k": {
        "test": ("gsm8k/test.jsonl",),
        "train": ("gsm8k/train.jsonl", "gsm8k/train_first300.jsonl"),
    },
    "mmlu_pro": {
        "test": ("mmlu_pro/test.jsonl",),
        "validation": ("mmlu_pro/validation.jsonl",),
    },
    "math": {"test": ("math/math_500.jsonl",)},
}


def peer_tasks(name: str, asked: EvalRequest, folder: Path) -> dict[str, list[str]]:
    """Task files that redirect lm-eval's own to local data; task -> ids of our items in its order."""
    import yaml

    benchmark = objective(name)
    drawn, everything = benchmark.items(asked)
    kept = {item.item_id for item in drawn}
    found: dict[str, list[str]] = {}
    folder.mkdir(parents=True, exist_ok=True)
    for task in sorted({item.task for item in drawn}):
        own = next((tasks_root() / benchmark.folder).rglob(f"{task}.yaml"))
        files = {split: str(asked.data.path(*names)) for split, names in FILES[name].items()}
        redirected = {
            "include": str(own),
            "task": task,
            "dataset_path": "json",
            "dataset_name": None,
            "dataset_kwargs": {"data_files": files},
        }
        (folder / f"{task}.yaml").write_text(yaml.safe_dump(redirected))
        members = [item.item_id for item in everything if item.task == task]
        found[task] = [item_id for item_id in members if item_id in kept]
        positions = [n for n, item_id in enumerate(members) if item_id in kept]
        (folder / f"{task}.samples").write_text(json.dumps(positions))
    return found


def run_peer(
    name: str, asked: EvalRequest, out: Path, model: str, new_tokens: int, batch: int
) -> float:
    """Wall seconds of the ``lm_eval`` command of one benchmark."""
    folder = out / "tasks"
    tasks = peer_tasks(name, asked, folder)
    samples = {task: json.loads((folder / f"{task}.samples").read_text()) for task in tasks}
    generation = {"max_gen_toks": new_tokens, "until": []}
    command = [sys.executable, "-m", "lm_eval", "--model", "hf"]
    command += ["--model_args", f"pretrained={model},dtype=float32", "--device", "cpu"]
    command += ["--tasks", ",".join(tasks), "--include_path", str(folder)]
    command += ["--samples", json.dumps(samples), "--batch_size", str(batch)]
    command += ["--apply_chat_template", "--fewshot_as_multiturn", "True"]
    command += ["--gen_kwargs", json.dumps(generation), "--output_path", str(out), "--log_samples"]
    return timed(command, out)


def compare(name: str, asked: EvalRequest, ours: Path, theirs: Path) -> dict[str, Any]:
    """Counts of equal prompts, texts and verdicts, and the items that differ.

    ``ours`` is our folder of the benchmark, ``theirs`` what ``run_peer`` wrote to.
    """
    from harness.benchmarks.answers_file import read_saved

    tasks = peer_tasks(name, asked, theirs / "tasks")
    rows = {row["item_id"]: row for row in read_saved(ours / "outputs.jsonl")}
    values = json.loads((ours / "items.json").read_text())
    counts = {"items": 0, "same_prompt": 0, "same_text": 0, "verdicts": 0, "same_verdict": 0}
    texts, differing = [], []
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
                if sample["resps"][0][0] != row["output"]:
                    texts.append(item_id)
            for metric, value in verdicts(name, sample).items():
                counts["verdicts"] += 1
                same = float(value) == values[item_id][metric]
                counts["same_verdict"] += same
                if not same:
                    differing.append(f"{item_id} {metric}")
    return {**counts, "other_text": texts, "other_verdict": differing}


def verdicts(name: str, sample: dict[str, Any]) -> dict[str, float]:
    """lm-eval's verdicts of one logged sample under our metric names."""
    if name == "math":
        return {"math_verify": sample["math_verify"], "minerva": sample["exact_match"]}
    return {sample["filter"].replace("-", "_"): sample["exact_match"]}
