"""Speed of the hf engine against ``transformers.generate`` on the same prompts, greedy.

    python benchmarking/generation.py --model DIR [--json FILE] [--quick] [--threads N]

Two workloads from the shipped sample data: ``chat`` (the sample queries, little in common) and
``shots`` (grade-school questions behind five worked examples, one shared prefix). Peers: ``generate``
with batches of 32 and of 128 prompts, sorted by length, padded on the left, as fast as its own API
goes; ``no-prefix`` and ``no-packing`` are the engine with one of its means switched off; ``vllm`` (only when named by
``--runners``, and where it is installed) is the vLLM engine, float32, whose CPU time is not known. Each run is a process of its own; the order alternates from repeat to repeat and medians are reported.

Both wall time and CPU time are given: on a machine that is not idle only the latter means much (use
``--threads 1``: threads that wait for one another burn CPU time too). ``agreement`` is the share of
prompts with the same text as batch-32 ``generate``; ``generate`` at batch 128 shows how far a mere change
of batch shape moves it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from groundwork.sampling_params import SamplingParams

SAMPLE = Path(__file__).resolve().parents[1] / "harness" / "data" / "sample"
RUNNERS = ("engine", "no-prefix", "no-packing", "generate-32", "generate-128")


def chat_prompts(count: int) -> list[list[dict[str, str]]]:
    """Sample queries as chats, repeated with a number when there are fewer than ``count``."""
    rows = _rows("queries/queries.jsonl")
    texts = [row["query"] for row in rows]
    numbered = [f"{t} (Version {n // len(texts)}.)" for n, t in enumerate(texts * 100)]
    return [[{"role": "user", "content": t}] for t in [*texts, *numbered[len(texts) :]][:count]]


def shot_prompts(count: int) -> list[list[dict[str, str]]]:
    """Questions behind five worked examples, one chat each."""
    examples = _rows("gsm8k/train.jsonl")[:5]
    shots = "\n\n".join(f"Question: {r['question']}\nAnswer: {r['answer']}" for r in examples)
    questions = [row["question"] for row in _rows("gsm8k/test.jsonl")]
    numbered = [f"Case {n}. {q}" for n, q in enumerate(questions * 100)]
    texts = [f"{shots}\n\nQuestion: {q}\nAnswer:" for q in numbered[:count]]
    return [[{"role": "user", "content": text}] for text in texts]


def _rows(name: str) -> list[dict[str, Any]]:
    lines = (SAMPLE / name).read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


# --- one measured run, in a process of its own --------------------------------------------------


def run_engine(model: Path, prompts: list[Any], new: int, runner: str) -> tuple[list[str], int]:
    """Texts and generated tokens of the engine; timing is the caller's."""
    from groundwork import cpu_kernels
    from harness.engines import EngineSettings, batching, open_engine
    from harness.engines.resumable import BatchEngine

    if runner == "no-prefix":
        batching.MIN_PREFIX = 1 << 30
    if runner == "no-packing":
        cpu_kernels._packs = lambda rows: False
    kind = "vllm" if runner == "vllm" else "hf"
    engine: BatchEngine = open_engine(EngineSettings(kind=kind, max_length=2048), model)

    def work() -> tuple[list[str], int]:
        found = engine.chat(prompts, SamplingParams(new))
        return [c.text for c in found], sum(c.completion_tokens for c in found)

    result = timed(work)
    engine.close()
    if runner == "vllm":
        TIMES["cpu"] = float("nan")
    return result


def run_generate(model: Path, prompts: list[Any], new: int, batch: int) -> tuple[list[str], int]:
    """Texts and generated tokens of ``generate``."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model, padding_side="left")
    peer = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).eval()

    def work() -> tuple[list[str], int]:
        texts = [
            tokenizer.apply_chat_template(p, tokenize=False, add_generation_prompt=True)
            for p in prompts
        ]
        order = sorted(range(len(texts)), key=lambda i: -len(texts[i]))
        out, tokens = [""] * len(texts), 0
        for start in range(0, len(order), batch):
            part = order[start : start + batch]
            ids = tokenizer(
                [texts[i] for i in part],
                return_tensors="pt",
                padding=True,
                add_special_tokens=False,
            )
            with torch.inference_mode():
                made = peer.generate(**ids, max_new_tokens=new, do_sample=False)
            for item, row in zip(part, made[:, ids["input_ids"].shape[1] :].tolist(), strict=True):
                end = tokenizer.eos_token_id
                length = row.index(end) + 1 if end in row else len(row)
                tokens += length
                out[item] = tokenizer.decode(row[:length], skip_special_tokens=True)
        return out, tokens

    return timed(work)


TIMES: dict[str, float] = {}


def timed(work: Any) -> tuple[list[str], int]:
    """Run ``work``, noting wall and CPU seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    result: tuple[list[str], int] = work()
    TIMES.update(wall=time.perf_counter() - wall, cpu=time.process_time() - cpu)
    return result


def worker(options: argparse.Namespace) -> None:
    """Entry of a measured process: one runner on one workload, result to a file."""
    import resource

    import torch

    torch.set_num_threads(options.threads)
    make = chat_prompts if options.workload == "chat" else shot_prompts
    prompts = make(options.items)
    if options.worker.startswith("generate-"):
        batch = int(options.worker.rpartition("-")[2])
        texts, tokens = run_generate(options.model, prompts, options.new, batch)
    else:
        texts, tokens = run_engine(options.model, prompts, options.new, options.worker)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    found = {"texts": texts, "tokens": tokens, "peak_gb": peak, **TIMES}
    Path(options.out).write_text(json.dumps(found), encoding="utf-8")


# --- the comparison ------------------------------------------------------------------------------


def measure(options: argparse.Namespace, workload: str, runner: str) -> dict[str, Any]:
    """One run of ``runner`` as a fresh process."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.json"
        command = [sys.executable, __file__, "--model", str(options.model), "--worker", runner]
        command += ["--workload", workload, "--items", str(options.items), "--out", str(out)]
        command += ["--new", str(options.new), "--threads", str(options.threads)]
        environment = {**os.environ, "OMP_NUM_THREADS": str(options.threads)}
        subprocess.run(command, check=True, env=environment, stderr=subprocess.DEVNULL)
        found: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
        return found


def compare(options: argparse.Namespace, workload: str) -> dict[str, Any]:
    """All runners on one workload; medians over the repeats."""
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in options.runners}
    for repeat in range(options.repeats):
        for name in options.runners[:: 1 if repeat % 2 == 0 else -1]:
            runs[name].append(measure(options, workload, name))
            last = runs[name][-1]
            print(f"{workload} {name}: {last['tokens']} tokens, {last['wall']:.1f} s", flush=True)
    reference = runs.get("generate-32", next(iter(runs.values())))[0]["texts"]
    results = {}
    for name, found in runs.items():
        same = sum(a == b for a, b in zip(found[0]["texts"], reference, strict=True))
        wall = statistics.median(run["wall"] for run in found)
        cpu = statistics.median(run["cpu"] for run in found)
        results[name] = {
            "tokens": found[0]["tokens"],
            "tokens_per_second": found[0]["tokens"] / wall,
            "tokens_per_cpu_second": found[0]["tokens"] / cpu,
            "agreement": same / len(reference),
            "peak_gb": max(run["peak_gb"] for run in found),
            "repeats_identical": all(run["texts"] == found[0]["texts"] for run in found),
        }
    return results


def table(results: dict[str, dict[str, Any]]) -> str:
    """The results as Markdown."""
    lines = ["| workload | runner | tokens/s | tokens/CPU-s | same text | peak GB |"]
    lines.append("| --- | --- | ---: | ---: | ---: | ---: |")
    for workload, runners in results.items():
        for name, row in runners.items():
            lines.append(
                f"| {workload} | {name} | {row['tokens_per_second']:.0f} | "
                f"{row['tokens_per_cpu_second']:.0f} | {row['agreement']:.1%} | {row['peak_gb']:.2f} |"
            )
    return "\n".join(lines)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True, help="folder of the model")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("--quick", action="store_true", help="32 prompts, 16 new tokens, once")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--items", type=int, default=128)
    parser.add_argument("--new", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--runners", type=lambda text: text.split(","), default=list(RUNNERS))
    for hidden in ("--worker", "--workload", "--out"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        worker(options)
        return
    if options.quick:
        options.items, options.new, options.repeats = 32, 16, 1
    results = {workload: compare(options, workload) for workload in ("chat", "shots")}
    print(table(results))
    if options.json:
        about = {"items": options.items, "new_tokens": options.new, "threads": options.threads}
        options.json.write_text(json.dumps({**about, "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
