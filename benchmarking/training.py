"""Speed and memory of the training core against its peers and against the machine's limit.

    python benchmarking/training.py --model DIR [--json FILE] [--quick] [--section NAME ...]

Every measured run is a process of its own, so that peak memory (VmHWM) is that run's; peers and
ours alternate within one invocation, each repeat in turn, and medians of the repeats are reported. All
trainers see the same token ids in the same order and take the same optimizer steps with references
precomputed and not timed; the losses after the first update must agree, or the benchmark fails.

Sections: ``trl`` (pairs against TRL's DPOTrainer at its fastest batch size, ours twice: in its usual
setting and in the lean one, with gradient checkpointing and small micro-batches), ``generator`` (the
generator objective against three plain forward passes), ``kernels`` (ours with the leaner modules of
``groundwork.cpu_kernels`` and without them), ``limit`` (share of the GEMM peak),
``scaling`` (8 to 64 pairs, 64 to 1024 prompt tokens). ``benchmarking/gpu.py`` has a 1B shape in bf16 on CUDA.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

WORKERS = Path(__file__).with_name("training_workers.py")
LOSS_TOLERANCE = 2e-3
LEAN_MICRO_TOKENS = 640
SECTIONS = ("trl", "generator", "kernels", "limit", "scaling")


def measure(worker: str, **options: Any) -> dict[str, Any]:
    """One measured run in a process of its own."""
    command = [sys.executable, str(WORKERS), worker, json.dumps(options)]
    environment = {**os.environ, "TQDM_DISABLE": "1", "TRANSFORMERS_VERBOSITY": "error"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise SystemExit(f"{worker} {options} failed:\n{done.stderr[-3000:]}")
    result = json.loads(done.stdout.strip().splitlines()[-1])
    if "seconds" in result:
        result["pairs_per_second"] = result["pairs"] / result["seconds"]
        print(
            f"  {worker:6} {result['pairs_per_second']:.3f} pairs/s, "
            f"{result['peak_gb']:.2f} GB, loss {result['loss']:.5f}",
            flush=True,
        )
    return result


def median(results: list[dict[str, Any]], key: str) -> float:
    return statistics.median(result[key] for result in results)


def same_loss(a: dict[str, Any], b: dict[str, Any]) -> None:
    """The trainers did the same thing, or the comparison means nothing."""
    if abs(a["loss"] - b["loss"]) > LOSS_TOLERANCE * max(1.0, abs(b["loss"])):
        raise SystemExit(f"losses differ: {a['loss']:.6f} and {b['loss']:.6f}")


def against(
    peer: str,
    name: str,
    base: dict[str, Any],
    repeats: int,
    sizes: list[int],
    lean: dict[str, Any] | None = None,
) -> Any:
    """Ours and a peer in turn, the peer at the batch size at which it is fastest.

    ``lean``: options of ours at its smallest, measured beside the two.
    """
    trial = {**base, "pairs": 2 * base["step"]}
    if len(sizes) > 1:
        print(f"{name}: the peer's batch size")
        trials = {size: measure(peer, **trial, batch=size) for size in sizes}
        best = max(trials, key=lambda size: trials[size]["pairs_per_second"])
    else:
        trials, best = {}, sizes[0]
    print(f"{name}: {repeats} repeats, peer at batch {best}")
    ours, peers, leans = [], [], []
    for _ in range(repeats):
        ours.append(measure("ours", **base))
        peers.append(measure(peer, **base, batch=best))
        same_loss(ours[-1], peers[-1])
        if lean:
            leans.append(measure("ours", **{**base, **lean}))
            same_loss(leans[-1], peers[-1])
    ratios = {}
    if lean:
        ratios["lean_speed"] = median(leans, "pairs_per_second") / median(peers, "pairs_per_second")
        ratios["lean_memory"] = median(leans, "peak_gb") / median(peers, "peak_gb")
    return {
        **ratios,
        "lean": leans,
        "peer_batch": best,
        "peer_trials": trials,
        "ours": ours,
        "peer": peers,
        "speed": median(ours, "pairs_per_second") / median(peers, "pairs_per_second"),
        "memory": median(ours, "peak_gb") / median(peers, "peak_gb"),
    }


def scaling(base: dict[str, Any], quick: bool) -> dict[str, Any]:
    """Seconds a pair and memory as pairs and prompts grow."""
    print("scaling")
    pairs = {
        n: measure("ours", **{**base, "pairs": n}) for n in ((8, 16) if quick else (8, 16, 32, 64))
    }
    lengths = (64, 256) if quick else (64, 128, 256, 512, 1024)
    prompts = {
        n: measure("ours", **{**base, "pairs": 2 * base["step"], "principle": n}) for n in lengths
    }
    return {"pairs": pairs, "prompt_tokens": prompts}


def kernels_off(base: dict[str, Any], repeats: int) -> dict[str, Any]:
    """Ours without the leaner modules for the CPU, against ours, in turn."""
    print("CPU kernels on, then off")
    on, off = [], []
    for _ in range(repeats):
        on.append(measure("ours", **base))
        off.append(measure("ours", **base, kernels=False))
        same_loss(on[-1], off[-1])
    return {
        "on": on,
        "off": off,
        "speed": median(off, "pairs_per_second") / median(on, "pairs_per_second"),
        "memory": median(off, "peak_gb") / median(on, "peak_gb"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--model", help="checkpoint folder (SmolLM2-135M-Instruct for the record)")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--quick", action="store_true", help="16 pairs, one repeat, small scaling")
    parser.add_argument("--section", action="append", choices=SECTIONS)
    parser.add_argument("--pairs", type=int, help="pairs of a repeat (32; --quick 16)")
    parser.add_argument("--step", type=int, default=8, help="pairs of an optimizer step")
    parser.add_argument("--repeats", type=int, help="repeats (3; --quick 1)")
    parser.add_argument("--peer-batch", type=int, help="do not look for the peer's best batch size")
    parser.add_argument(
        "--clock",
        choices=("wall", "cpu"),
        default="wall",
        help="cpu: one thread and its processor time, for a machine shared with other work",
    )
    parser.add_argument("--micro-tokens", type=int, default=1280)
    args = parser.parse_args()
    if not args.model:
        parser.error("--model is needed")
    report(args, args.section or list(SECTIONS))


def report(args: argparse.Namespace, sections: list[str]) -> None:
    """Run the sections, print them and write the JSON."""
    import torch

    repeats = args.repeats or (1 if args.quick else 3)
    base = {
        "model": args.model,
        "pairs": args.pairs or (16 if args.quick else 32),
        "step": args.step,
        "clock": args.clock,
        "principle": 300,
        "completion": 120,
        "objective": "pair",
        "micro_tokens": args.micro_tokens,
        "recompute": False,
        "bf16": False,
    }
    figures: dict[str, Any] = {"device": "cuda" if torch.cuda.is_available() else "cpu"}
    detail: dict[str, Any] = {"settings": base}
    if "trl" in sections:
        sizes = [args.peer_batch] if args.peer_batch else [1, 2] if args.quick else [1, 2, 4, 8]
        lean = {"recompute": True, "micro_tokens": LEAN_MICRO_TOKENS}
        detail["trl"] = found = against("trl", "pairs against TRL", base, repeats, sizes, lean)
        # both of one setting, the lean one; the usual one is faster and takes more memory
        figures |= {
            "pairs_per_second_vs_trl": found["lean_speed"],
            "peak_memory_vs_trl": found["lean_memory"],
            "usual_pairs_per_second_vs_trl": found["speed"],
            "usual_peak_memory_vs_trl": found["memory"],
        }
    if "generator" in sections:
        generator = {**base, "objective": "generator"}
        sizes = [args.peer_batch] if args.peer_batch else [1, 2] if args.quick else [1, 2, 4]
        found = against("plain", "generator against plain passes", generator, repeats, sizes)
        detail["generator"] = found
        figures |= {
            "generator_speed_vs_plain_passes": found["speed"],
            "generator_memory_vs_plain_passes": found["memory"],
        }
    if "kernels" in sections:
        detail["kernels"] = found = kernels_off(base, repeats)
        figures |= {
            "kernels_off_speed": found["speed"],
            "kernels_off_memory": found["memory"],
        }
    if "limit" in sections:
        detail["gemm"] = peak = measure("gemm", clock=args.clock)
        runs = detail.get("trl", {}).get("ours") or [
            measure("ours", **base) for _ in range(repeats)
        ]
        rate = statistics.median(run["flops"] / run["seconds"] for run in runs)
        figures |= {
            "fraction_of_flop_limit": rate / peak["peak"],
            "gflops": rate / 1e9,
            "gemm_peak_gflops": {k: v / 1e9 for k, v in peak["rates"].items()},
        }
    if "scaling" in sections:
        detail["scaling"] = scaling(base, args.quick)
    print(json.dumps(figures, indent=2))
    if args.json:
        args.json.write_text(json.dumps({**figures, "detail": detail}, indent=2) + "\n")


if __name__ == "__main__":
    main()
