"""Starts the processes of one training on the nodes of a Ray cluster: ``python -m sso.launch.ray_ranks NODES DEVICES
PROGRAM...``, as ``launch.command`` does.

One bundle of a placement group per node, one actor per bundle, which starts ``DEVICES`` processes with the rank, world
size and address that torch.distributed reads. Each process ends with its actor, and the actors with this program.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

LOOK_S = 0.2
PASSED_ON = ("PYTHONPATH", "OMP_NUM_THREADS", "ACCELERATE_USE_CPU", "SSO_BENCH_CACHE")
"""Variables of this program that its processes on other nodes get."""


class NodeRanks:
    """The processes on one node; an actor, so that it ends with the program that made it."""

    def __init__(self) -> None:
        self._processes: list[subprocess.Popen[bytes]] = []

    def address(self) -> tuple[str, int]:
        """This node's address and a free port, where the first process listens."""
        import ray

        with socket.socket() as probe:
            probe.bind(("", 0))
            return ray.util.get_node_ip_address(), int(probe.getsockname()[1])

    def run(self, program: Sequence[str], environments: Sequence[Mapping[str, str]]) -> int:
        """Start one process per environment and wait; the first exit code that is not 0, which ends the others."""
        for environment in environments:
            env = {**os.environ, **environment}
            self._processes.append(subprocess.Popen(list(program), env=env))
        while True:
            codes = [process.poll() for process in self._processes]
            if bad := [code for code in codes if code]:
                self.stop()
                return bad[0]
            if all(code == 0 for code in codes):
                return 0
            time.sleep(LOOK_S)

    def stop(self) -> None:
        """End the processes politely, so that they say so in their reports."""
        for process in self._processes:
            with contextlib.suppress(OSError):
                process.terminate()


def environments(
    nodes: int, devices: int, master: tuple[str, int], passed: Mapping[str, str]
) -> list[list[dict[str, str]]]:
    """Per node, the environment of each of its processes."""
    shared = {
        **passed,
        "MASTER_ADDR": master[0],
        "MASTER_PORT": str(master[1]),
        "WORLD_SIZE": str(nodes * devices),
        "LOCAL_WORLD_SIZE": str(devices),
    }
    return [
        [
            {**shared, "RANK": str(node * devices + local), "LOCAL_RANK": str(local)}
            for local in range(devices)
        ]
        for node in range(nodes)
    ]


def main(nodes: int, devices: int, program: Sequence[str]) -> int:
    """Run the program's processes; 0 where all ended with 0."""
    import ray
    from ray.util.placement_group import placement_group
    from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

    ray.init(
        address=os.environ.get("RAY_ADDRESS", "auto"),
        log_to_driver=False,
        logging_level=logging.ERROR,
    )
    gpus = any(node["Resources"].get("GPU") for node in ray.nodes() if node["Alive"])
    bundle = {"CPU": devices, **({"GPU": devices} if gpus else {})}
    group = placement_group([bundle] * nodes, strategy="STRICT_SPREAD")
    ray.get(group.ready())
    made: Any = ray.remote(NodeRanks)
    actors = [
        made.options(
            num_cpus=devices,
            num_gpus=devices if gpus else 0,
            max_concurrency=2,
            scheduling_strategy=PlacementGroupSchedulingStrategy(
                group, placement_group_bundle_index=number
            ),
        ).remote()
        for number in range(nodes)
    ]
    passed = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    if gpus:
        passed.pop("ACCELERATE_USE_CPU", None)
    master = ray.get(actors[0].address.remote())
    parts = environments(nodes, devices, master, passed)
    running = [
        actor.run.remote(list(program), part) for actor, part in zip(actors, parts, strict=True)
    ]
    try:
        while running:
            ended, running = ray.wait(running)
            if code := ray.get(ended[0]):
                return int(code)
        return 0
    except ray.exceptions.RayError as error:
        print(f"a node was lost: {error}", file=sys.stderr)
        return 1
    finally:
        with contextlib.suppress(ray.exceptions.RayError):
            ray.wait([actor.stop.remote() for actor in actors], num_returns=nodes, timeout=10)
        time.sleep(1.0 if running else 0.0)  # for the last words of the others


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]))
