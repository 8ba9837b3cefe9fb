"""Training on several processes against one, a Ray cluster against the sequence, and the estimator of memory against
measured peaks.

``python benchmarking/scale.py --json FILE`` needs some 70 minutes of two cores and no GPU: tiny models over gloo, the
135M model on the CPU, 8B on fake tensors under torch's own memory tracker.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
CASES = ("joint-ipo", "generator-dpo", "lora-checkpointed")
WORLDS = (8, 4, 2, 1)
PASSES = (1, 2)


def run(*command: str) -> str:
    """Standard output of a program of this repository.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    environment["ACCELERATE_USE_CPU"] = "true"
    words = [sys.executable, *command]
    done = subprocess.run(
        words, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout


def fsdp_difference(model: Path, folder: Path) -> float:
    """The largest difference of a weight between one process and two or four with shards."""
    from safetensors.torch import load_file

    program = "tests.sso.distributed_training"
    run("-m", program, str(model), str(folder / "1"), "copies", *CASES)
    found = 0.0
    for world in (2, 4):
        torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(world))
        run(*torchrun, "-m", program, str(model), str(folder / str(world)), "sharded", *CASES)
        for case in CASES:
            one, many = (
                load_file(folder / name / case / "model" / "model.safetensors")
                for name in ("1", str(world))
            )
            found = max(found, *(float((one[k] - many[k]).abs().max()) for k in one))
    return found


def estimate_errors(tiny: Path, model: Path | None) -> dict[str, dict[str, float]]:
    """Measured bytes, estimate and relative error of each training."""
    program = "benchmarking/scale_memory.py"
    asked = {
        f"8B, FSDP2 on {world}, passes of a step: {passes}": ("fsdp", str(world), str(passes))
        for world in WORLDS
        for passes in PASSES
    }
    asked["tiny, CPU"] = ("cpu", str(tiny), "300", "plain")
    if model is not None:
        for tokens in ("150", "450"):
            for form in ("plain", "lean"):
                asked[f"135M, CPU, {tokens} words, {form}"] = ("cpu", str(model), tokens, form)
    found = {}
    for name, words in asked.items():
        result: dict[str, float] = json.loads(run(program, *words).splitlines()[-1])
        result["error"] = result["estimate"] / result["measured"] - 1
        print(f"{name}: {result}", file=sys.stderr)
        found[name] = result
    return found


def queries(count: int) -> dict[str, float]:
    """Peak memory with so many queries of 2,000 tokens, and seconds of it over those of half as many."""
    half, whole = (
        json.loads(run("benchmarking/scale_queries.py", str(n), "2000").splitlines()[-1])
        for n in (count // 2, count)
    )
    name = f"queries_{count // 1000}k"
    return {
        f"{name}_peak_gb": whole["peak_gb"],
        f"{name}_seconds_ratio_of_double": whole["seconds"] / half["seconds"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--model", type=Path, help="folder of SmolLM2-135M-Instruct")
    parser.add_argument("--queries", type=int, default=60_000, help="long queries of an iteration")
    options = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    from tests.conftest import build_tiny_model

    result: dict[str, Any] = {"cpus": os.cpu_count()}
    with tempfile.TemporaryDirectory() as folder:
        tiny = build_tiny_model(Path(folder) / "tiny")
        result["fsdp_max_weight_difference"] = fsdp_difference(tiny, Path(folder))
        result |= json.loads(run("benchmarking/scale_ray.py", str(tiny), folder).splitlines()[-1])
        details = estimate_errors(tiny, options.model)
    result["estimate_error"] = max(abs(row["error"]) for row in details.values())
    result["estimate_details"] = details
    result |= queries(options.queries)
    options.json.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
