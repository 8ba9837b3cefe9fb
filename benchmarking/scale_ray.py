"""A run of three arms and two iterations on a Ray cluster of two nodes on this machine, against the sequence.

``python benchmarking/scale_ray.py MODEL FOLDER`` prints JSON: whether the tables are equal, both times, and whether a
run whose second node is killed in the middle ends with the same tables and the journals it had. Texts come from the
fake engine; trainings are real, over two processes: on one machine in the sequence, one per node on the cluster.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import unittest.mock
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_worker_niceness", "0")  # else Ray's workers stand back behind all else
os.environ["ACCELERATE_USE_CPU"] = "true"
SETTINGS = (
    "engine.kind=fake",
    "queries.per_iteration=4",
    "preferences.per_iteration=4",
    "sampling.max_new_tokens=16",
    "training.batch_size=2",
    "training.micro_tokens=4096",
    "training.max_length=4096",
    "pair_accuracy.limit=2",
)
ARMS, ITERATIONS = "[sso,pbaa,ultrafeedback]", 2


def run(model: Path, out: Path, *overrides: str, seed: int = 0) -> float:
    """Seconds of the run."""
    from rich.console import Console

    from harness.cli.options import select_benchmarks
    from harness.config import load_config
    from harness.experiment import run_experiment
    from harness.progress import Reporter

    given = [*SETTINGS, f"model={model}", f"seeds=[{seed}]", *overrides]
    config = select_benchmarks(load_config("quickstart", given), "gsm8k", 2)
    console = Console(file=sys.stderr, width=160)
    began = time.monotonic()
    run_experiment(config, out, Reporter(console))
    return time.monotonic() - began


def table(out: Path) -> str:
    return (out / "tables" / "iterations.csv").read_text()


def answers(out: Path) -> dict[str, int]:
    """Lines of every journal of answers."""
    files = out.glob("[!.]*/**/generations.jsonl")
    return {str(f.relative_to(out)): len(f.read_bytes().splitlines()) for f in files}


def cluster_of_two(port: int = 0) -> tuple[Any, Any]:
    """A cluster that this process is connected to, and its second node; see ``start_two``."""
    import ray

    cluster, second = start_two(port)
    ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
    return cluster, second


def start_two(port: int = 0) -> tuple[Any, Any]:
    """A cluster, and its second node. A process that is connected to a cluster ends a minute after its head.

    Args:
        port: where the head node listens; 0: any free port.
    """
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 1, "object_store_memory": 80_000_000}
    head = {**node, "include_dashboard": False, "gcs_server_port": port}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    return cluster, cluster.add_node(**node)


def kill_when_begun(cluster: Any, node: Any, out: Path, found: dict[str, Any]) -> None:
    """Kill the node while a training is at work and some stages are done; a new one comes in its place. Ray's
    processes end with the thread that started them: this one lasts as long as the program."""

    def watch() -> None:
        while not list(out.glob("*/iter-1/policy/stage.json")):
            time.sleep(0.2)
        found["before"] = answers(out)
        cluster.remove_node(node, allow_graceful=False)
        with unittest.mock.patch("signal.signal"):  # Ray's own handler can't be set from a thread
            cluster.add_node(num_cpus=1, object_store_memory=80_000_000)
        found["killed"] = time.monotonic()
        threading.Event().wait()

    threading.Thread(target=watch, daemon=True).start()


def compare(
    model: Path, folder: Path, arms: str = ARMS, iterations: int = ITERATIONS
) -> dict[str, Any]:
    """The sequence, the cluster, and the cluster with a node killed."""
    import ray

    plan = (f"methods={arms}", f"iterations={iterations}")
    sequence = run(model, folder / "local", *plan, "launch.devices=2")
    over_nodes = (*plan, "executor.kind=ray", "launch.nodes=2", "launch.devices=1")
    cluster, second = cluster_of_two()
    found: dict[str, Any] = {"before": {}}
    try:
        makespan = run(model, folder / "ray", *over_nodes)
        kill_when_begun(cluster, second, folder / "killed", found)
        run(model, folder / "killed", *over_nodes)
    finally:
        ray.shutdown()
        cluster.shutdown()
    after = answers(folder / "killed")
    if "killed" not in found:
        raise RuntimeError("the run ended before its node was killed")
    return {
        "ray_vs_local_tables_equal": table(folder / "ray") == table(folder / "local"),
        "ray_makespan_vs_sequential": makespan / sequence,
        "ray_sequential_seconds": sequence,
        "ray_seconds": makespan,
        "ray_node_killed_tables_equal": table(folder / "killed") == table(folder / "local"),
        "ray_node_killed_lost_answers": sum(
            max(0, lines - after.get(name, 0)) for name, lines in found["before"].items()
        ),
    }


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    print(
        json.dumps(
            compare(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:4], *map(int, sys.argv[4:5]))
        )
    )
