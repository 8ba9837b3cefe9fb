"""Do the hf and the vllm engine answer alike? Greedy, float32, the same prompts.

    python benchmarking/engine_agreement.py --model DIR --data DIR [--items 100] [--new-tokens 64]
        [--vllm-python PYTHON] [--json FILE]

GSM8K and MMLU-Pro items without examples. Each engine is a process of its own; vLLM may live in another
environment, which needs this project and vLLM but none of the benchmarks' packages. Reported: the
share of items with the same extracted answer, with the same text, and tokens per second. For every item
with another text: the first token at which the two part, and by how much the model itself prefers one
of the two tokens there (a gap of logits, computed by transformers on the common prefix). A gap of
rounding size (below 0.001) is a tie that the order of summation decides.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from groundwork.sampling_params import SamplingParams

BENCHMARKS = ("gsm8k", "mmlu_pro")
TIE = 1e-3


class Recorded:
    """An engine that notes the prompts it is given, and answers from a list when it has one."""

    def __init__(self, engine: Any) -> None:
        self.engine = engine
        self.prompts: list[str] = []
        self.seconds, self.tokens = 0.0, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.engine, name)

    def chat(self, prompts: Sequence[str], params: SamplingParams, **options: Any) -> Any:
        """As the engine's; prompts, seconds and tokens noted."""
        self.prompts += prompts
        started = time.perf_counter()
        made = self.engine.chat(prompts, params, **options)
        self.seconds += time.perf_counter() - started
        self.tokens += sum(one.completion_tokens for one in made)
        return made


def write_hf(args: argparse.Namespace, work: Path) -> None:
    """The benchmarks with the hf engine; outputs, prompts and speed into ``work``."""
    from evaluation_ours import objective, request

    from harness.engines import EngineSettings, open_engine

    engine = Recorded(
        open_engine(EngineSettings(kind="hf", device="cpu", dtype="fp32"), args.model)
    )
    counts = []
    for name in BENCHMARKS:
        (work / "hf" / name).mkdir(parents=True)
        before = len(engine.prompts)
        asked = request(name, args.data, args.items, args.new_tokens, 0)
        objective(name).generate(asked, engine, work / "hf" / name)
        counts.append(len(engine.prompts) - before)
    made = {"seconds": engine.seconds, "tokens": engine.tokens}
    (work / "hf.json").write_text(json.dumps({**made, "prompts": engine.prompts, "counts": counts}))


def write_vllm(args: argparse.Namespace, work: Path) -> None:
    """The same prompts with the vllm engine; texts and speed into ``work``."""
    from harness.engines import EngineSettings, open_engine

    asked = json.loads((work / "hf.json").read_text())
    engine = Recorded(
        open_engine(
            EngineSettings(kind="vllm", device="cpu", dtype="fp32", max_length=4096), args.model
        )
    )
    engine.chat(asked["prompts"][:2], SamplingParams(2))  # the first call warms up
    engine.seconds, engine.tokens, texts, start = 0.0, 0, [], 0
    for count in asked["counts"]:
        prompts = asked["prompts"][start : start + count]
        texts += [one.text for one in engine.chat(prompts, SamplingParams(args.new_tokens))]
        start += count
    engine.engine.close()
    made = {"seconds": engine.seconds, "tokens": engine.tokens, "texts": texts}
    (work / "vllm.json").write_text(json.dumps(made))


def compare(args: argparse.Namespace, work: Path) -> dict[str, Any]:
    """Figures of both, and every difference with its cause."""
    from evaluation_ours import objective, request

    from harness.benchmarks.answers_file import read_saved, write_outputs

    hf, vllm = (json.loads((work / f"{name}.json").read_text()) for name in ("hf", "vllm"))
    figures: dict[str, Any] = {
        "tokens_per_second": {
            n: f["tokens"] / f["seconds"] for n, f in (("hf", hf), ("vllm", vllm))
        }
    }
    parting, texts, prompts = Parting(args.model), iter(vllm["texts"]), iter(hf["prompts"])
    for name in BENCHMARKS:
        asked = request(name, args.data, args.items, args.new_tokens, 0)
        rows = read_saved(work / "hf" / name / "outputs.jsonl")
        others = [{**row, "output": next(texts)} for row in rows]
        shutil.copytree(work / "hf" / name, work / "vllm" / name)
        write_outputs(work / "vllm" / name, others)
        answers = [
            [(item.extracted, item.values) for item in objective(name).score(asked, folder).items]
            for folder in (work / "hf" / name, work / "vllm" / name)
        ]
        same = [a == b for a, b in zip(*answers, strict=True)]
        differences = [
            {"item": row["item_id"], "same_answer": alike, **parting.of(prompt, row, other)}
            for row, other, alike, prompt in zip(rows, others, same, prompts, strict=False)
            if row["output"] != other["output"]
        ]
        figures[name] = {
            "items": len(rows),
            "same_answer": sum(same) / len(rows),
            "same_text": 1 - len(differences) / len(rows),
            "ties": sum(found["logit_gap"] < TIE for found in differences),
            "differences": differences,
        }
    return figures


class Parting:
    """Where two greedy texts part, and how close the choice was there."""

    def __init__(self, model: Path) -> None:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.tokenizer = AutoTokenizer.from_pretrained(model)
        self.model = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).eval()

    def of(self, prompt: str, row: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
        """Position of the first differing token of the answer, the two tokens, the gap of their logits."""
        import torch

        context, one, two = (
            self.tokenizer(text, add_special_tokens=False).input_ids
            for text in (prompt, row["output"], other["output"])
        )
        end = [self.tokenizer.eos_token_id]
        one, two = one + end, two + end
        place = next(k for k, (a, b) in enumerate(zip(one, two, strict=False)) if a != b)
        with torch.inference_mode():
            logits = self.model(torch.tensor([context + one[:place]])).logits[0, -1]
        gap = abs(float(logits[one[place]] - logits[two[place]]))
        tokens = [self.tokenizer.decode([ids[place]]) for ids in (one, two)]
        return {"token": place, "of": len(one) - 1, "tokens": tokens, "logit_gap": gap}


def main() -> None:
    """Command line; the engines are run as processes of their own."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--data", required=True, help="folder of real data")
    parser.add_argument("--items", type=int, default=100, help="of each benchmark")
    parser.add_argument("--new-tokens", type=int, default=64)
    parser.add_argument("--vllm-python", default=sys.executable, help="interpreter that has vLLM")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        (write_hf if args.worker[0] == "hf" else write_vllm)(args, Path(args.worker[1]))
        return
    with tempfile.TemporaryDirectory() as work:
        for name, python in (("hf", sys.executable), ("vllm", args.vllm_python)):
            command = [python, __file__, "--model", str(args.model), "--data", args.data]
            command += ["--items", str(args.items), "--new-tokens", str(args.new_tokens)]
            paths = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
            subprocess.run([*command, "--worker", name, work], check=True, env=paths)
        figures = compare(args, Path(work))
    print(json.dumps(figures, indent=1))
    if args.json:
        args.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
