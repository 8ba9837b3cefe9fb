"""Training, generation and the hand-over of memory between them on a GPU, against TRL and plain vLLM.

    python benchmarking/gpu.py [--json FILE] [--minutes 10]

A Llama of 1B shape with random weights (nothing is downloaded), bf16. Phases, each in processes of its own: ours and
TRL's DPOTrainer on the same pairs, order and optimizer steps (their losses must agree), on a GPU ours also without
FlexAttention; our vLLM engine and ``vllm.LLM`` on the same prompts, greedy. The device's free memory is read before and after each process: what one phase
keeps, the next lacks. Prints ratios: above 1 ours is faster, or takes more memory.

``--device cpu --shape tiny`` goes the same way without a GPU, in float32; there ``--engine hf`` measures the hf engine,
and without vLLM the generation is left out with its reason. Those figures say nothing about a GPU.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
SHAPES: dict[str, dict[str, Any]] = {
    "1b": {
        "vocab_size": 128256,
        "hidden_size": 2048,
        "intermediate_size": 8192,
        "num_hidden_layers": 16,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "max_position_embeddings": 8192,
    },
    "tiny": {
        "vocab_size": 512,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "max_position_embeddings": 2048,
    },
}
WORK: dict[str, dict[str, int]] = {
    "1b": {"pairs": 64, "step": 8, "micro_tokens": 16384, "prompts": 512, "new": 256},
    "tiny": {"pairs": 4, "step": 2, "micro_tokens": 2048, "prompts": 8, "new": 8},
}
"""Pairs of a training, those of a step, prompts and new tokens of a generation."""
TRL_BATCHES = {"1b": (4, 8), "tiny": (2,)}
LOSS_TOLERANCE = {"fp32": 2e-3, "bf16": 2e-2}
LEFT_GB = 0.5
"""Memory that a process may seem to keep: other programs of the machine."""


def random_model(folder: Path, shape: str) -> Path:
    """A Llama of this shape with random weights, and a tokenizer of single bytes with as many entries."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from tests.conftest import byte_tokenizer

    settings = SHAPES[shape]
    ids = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(**settings, **ids, tie_word_embeddings=True))
    model.save_pretrained(folder)
    byte_tokenizer(settings["vocab_size"]).save_pretrained(folder)
    return folder


def free_gb(device: str) -> float:
    """Free memory of the device: of the first GPU by a process of its own, which holds nothing after it."""
    if device == "cpu":
        import psutil

        return float(psutil.virtual_memory().available) / 1e9
    code = "import torch; print(torch.cuda.mem_get_info(0)[0])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(done.stdout) / 1e9


def prompts_of(count: int) -> list[list[dict[str, str]]]:
    """Chats of some 100 to 400 tokens."""
    import random

    from benchmarking.training_workers import WORDS

    rng = random.Random(3)
    lengths = [rng.randrange(15, 60) for _ in range(count)]
    return [
        [{"role": "user", "content": " ".join(rng.choices(WORDS, k=length))}] for length in lengths
    ]


def generate(kind: str, model: Path, o: dict[str, Any]) -> dict[str, float]:
    """Seconds and new tokens of our engine (``vllm``, ``hf``) or of ``plain`` vLLM, after one short call that warms up."""
    prompts = prompts_of(o["prompts"])
    calls = (prompts[:4], prompts)
    seconds, tokens = 0.0, 0
    if kind == "plain":
        from vllm import LLM, SamplingParams

        llm = LLM(
            str(model),
            dtype="bfloat16" if o["bf16"] else "float32",
            max_model_len=2048,
            enable_prefix_caching=True,
            **({"gpu_memory_utilization": 0.9} if o["bf16"] else {}),
        )
        sampling = SamplingParams(temperature=0.0, max_tokens=o["new"])
        for part in calls:
            began = time.perf_counter()
            found = llm.chat(part, sampling, use_tqdm=False)
            seconds = time.perf_counter() - began
            tokens = sum(len(answer.outputs[0].token_ids) for answer in found)
        return {"seconds": seconds, "tokens": float(tokens)}
    from groundwork.sampling_params import SamplingParams as Sampling
    from harness.engines import EngineSettings, open_engine

    dtype = "bf16" if o["bf16"] else "fp32"
    settings = EngineSettings(kind=kind, device=o["device"], dtype=dtype, max_length=2048)
    engine = open_engine(settings, model)
    for part in calls:
        began = time.perf_counter()
        answers = engine.chat(part, Sampling(o["new"]))
        seconds = time.perf_counter() - began
        tokens = sum(answer.completion_tokens for answer in answers)
    engine.close()
    return {"seconds": seconds, "tokens": float(tokens)}


class Phases:
    """Runs workers one after another, with the device's free memory around each, within the time that is left."""

    def __init__(self, device: str, minutes: float) -> None:
        self.device = device
        self.until = time.monotonic() + 60 * minutes
        self.memory: list[dict[str, Any]] = []

    def run(self, name: str, program: list[str]) -> dict[str, Any]:
        """The last line that the program prints, as JSON.

        Raises:
            SystemExit: it failed, or the time is over.
        """
        before = free_gb(self.device)
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "TQDM_DISABLE": "1"}
        if self.device == "cpu":
            environment["CUDA_VISIBLE_DEVICES"] = ""
        left = self.until - time.monotonic()
        try:
            done = subprocess.run(
                [sys.executable, *program],
                capture_output=True,
                text=True,
                env=environment,
                timeout=max(1.0, left),
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise SystemExit(f"{name}: not done in the time that was left ({left:.0f} s)") from None
        if done.returncode:
            raise SystemExit(f"{name} failed:\n{done.stderr[-3000:]}")
        after = free_gb(self.device)
        self.memory.append({"phase": name, "free_before_gb": before, "free_after_gb": after})
        found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
        print(
            f"  {name}: {found['seconds']:.2f} s, free {before:.2f} then {after:.2f} GB", flush=True
        )
        return found

    def kept_gb(self) -> float:
        """The most that a phase kept of the device's memory."""
        return max(row["free_before_gb"] - row["free_after_gb"] for row in self.memory)


def train(phases: Phases, model: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Ours against TRL at its fastest batch size.

    Raises:
        SystemExit: their losses differ: they did not do the same thing, and the comparison means nothing.
    """
    work = WORK[options.shape]
    base = {
        "model": str(model),
        **{name: work[name] for name in ("pairs", "step", "micro_tokens")},
        "principle": 300 if options.shape == "1b" else 40,
        "completion": 120 if options.shape == "1b" else 40,
        "objective": "pair",
        "recompute": False,
        "bf16": options.device == "cuda",
    }
    workers = str(ROOT / "benchmarking" / "training_workers.py")
    ours = phases.run("training, ours", [workers, "ours", json.dumps(base)])
    peers = [
        phases.run(
            f"training, TRL, batches of {batch}",
            [workers, "trl", json.dumps({**base, "batch": batch})],
        )
        for batch in TRL_BATCHES[options.shape]
    ]
    best = min(peers, key=lambda run: run["seconds"] / run["pairs"])
    apart = abs(ours["loss"] - best["loss"])
    if apart > LOSS_TOLERANCE["bf16" if base["bf16"] else "fp32"]:
        raise SystemExit(f"losses differ: {ours['loss']:.6f} and {best['loss']:.6f}")
    speed = (best["seconds"] / best["pairs"]) / (ours["seconds"] / ours["pairs"])
    found = {}
    if options.device == "cuda":
        words = [workers, "ours", json.dumps({**base, "parts": True})]
        parts = phases.run("training, ours without FlexAttention", words)
        found["training_speed_vs_attention_in_parts"] = parts["seconds"] / ours["seconds"]
    return found | {
        "training_notes": ours["notes"],
        "training_pairs_per_second": ours["pairs"] / ours["seconds"],
        "training_speed_vs_trl": speed,
        "training_peak_memory_vs_trl": ours["peak_gb"] / best["peak_gb"],
        "training_loss_difference": apart,
    }


def generation(phases: Phases, model: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Our engine against plain vLLM, or the reason why not."""
    has_vllm = importlib.util.find_spec("vllm") is not None
    if options.engine == "vllm" and not has_vllm:
        return {"generation_left_out": "vllm is not installed: pip install 'sso-bench[vllm]'"}
    o = {**WORK[options.shape], "bf16": options.device == "cuda", "device": options.device}

    def run(kind: str, name: str) -> dict[str, Any]:
        program = [__file__, "--worker", kind, "--folder", str(model), "--options", json.dumps(o)]
        return phases.run(name, program)

    ours = run(options.engine, f"generation, our {options.engine} engine")
    found = {"generation_tokens_per_second": ours["tokens"] / ours["seconds"]}
    if options.engine == "vllm":
        plain = run("plain", "generation, plain vLLM")
        rate = plain["tokens"] / plain["seconds"]
        found["generation_speed_vs_plain_vllm"] = found["generation_tokens_per_second"] / rate
    return found


def missing(options: argparse.Namespace) -> str:
    """What keeps the benchmark from running here, in one line; empty where nothing does."""
    import torch

    if options.device == "cuda" and not torch.cuda.is_available():
        return "benchmarking/gpu.py needs CUDA, which is not here (--device cpu --shape tiny tries the way without)"
    if importlib.util.find_spec("trl") is None:
        return "benchmarking/gpu.py compares with TRL, which is not installed: pip install 'sso-bench[test]'"
    return ""


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--shape", choices=tuple(SHAPES), default="1b")
    parser.add_argument("--engine", choices=("vllm", "hf"), default="vllm")
    parser.add_argument("--minutes", type=float, default=10.0, help="end at the latest after these")
    for hidden in ("--worker", "--folder", "--options"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        found = generate(options.worker, Path(options.folder), json.loads(options.options))
        print(json.dumps(found), flush=True)
        return 0
    if reason := missing(options):
        print(reason, file=sys.stderr)
        return 2
    phases = Phases(options.device, options.minutes)
    figures: dict[str, Any] = {"device": device_name(options.device), "shape": options.shape}
    with tempfile.TemporaryDirectory() as folder:
        model = random_model(Path(folder), options.shape)
        figures |= train(phases, model, options)
        figures |= generation(phases, model, options)
    figures["memory_kept_between_phases_gb"] = phases.kept_gb()
    figures["memory_handed_over"] = phases.kept_gb() < LEFT_GB
    print(json.dumps(figures, indent=2))
    if options.json:
        text = json.dumps({**figures, "memory": phases.memory}, indent=2)
        options.json.write_text(text + "\n")
    return 0


def device_name(device: str) -> str:
    """The GPU's name, or ``cpu``, from a process that holds nothing of it after."""
    if device == "cpu":
        return "cpu"
    code = "import torch; print(torch.cuda.get_device_name(0))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
