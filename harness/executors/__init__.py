"""Executors that run stages in other processes: ``LocalWorkers`` on this machine, ``RayExecutor`` on the nodes of a Ray
cluster (an extra). ``harness.executor.InProcess`` is the default.

Inputs: an ``Order`` (folder and configuration of a run, from which any process makes the same plan), then stages of
that plan whose inputs are there. Outputs: ``Outcome`` per stage. Each stage works under its claim, so that executors,
``sso-bench work`` and processes that outlive their parent never work on one twice.
"""

from __future__ import annotations

from collections.abc import Callable

from harness.config import RunConfig
from harness.executor import Executor
from harness.executors.order import Order, OrderedStages

__all__ = ["Order", "OrderedStages", "open_executor"]


def open_executor(config: RunConfig, order: Order, say: Callable[[str], None]) -> Executor | None:
    """The executor that the settings name; None for the default one, in the calling process.

    Raises:
        UserError: Ray is not installed or reaches no cluster, or more workers than GPUs.
    """
    if config.executor.kind == "ray":
        from harness.executors.ray_cluster import RayExecutor

        return RayExecutor(order, config, say)
    if config.executor.workers > 1:
        from harness.executors.local import LocalWorkers

        return LocalWorkers(order, config.executor.workers, say)
    return None
