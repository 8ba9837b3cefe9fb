"""Stages as tasks of a Ray cluster, each with its resources; Ray places them, and again where a node is lost."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from groundwork.errors import UserError
from harness.config import RunConfig
from harness.executors.order import Order
from harness.executors.ray_checks import answers, check_devices, check_layout, check_nodes
from harness.executors.ray_task import News, run_stage
from harness.executors.stage_needs import needs
from harness.stage import Stage
from harness.stage_runner import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

RETRIES = 3
"""Times that a stage whose node is lost is started again."""
DRAIN_S = 30.0
"""Seconds that stages have to end after they are told to stop."""
HEAD_S = 10.0
"""Seconds without an answer of the head node's address after which it counts as lost."""
PASSED_ON = ("OMP_NUM_THREADS", "SSO_BENCH_CACHE", "SSO_BENCH_DATA", "HF_HOME", "HF_HUB_OFFLINE")
"""Variables that tasks get from here; keys of judges are each node's own."""


@contextlib.contextmanager
def signals_through() -> Iterator[None]:
    """What a signal's handler raises (SIGTERM: a clean stop) Ray hands on as the cause of an error of its own."""
    try:
        yield
    except SystemError as error:
        raise error.__cause__ or error from None


class RayExecutor:
    """See ``harness.executor.Executor``; ``say`` gets the tasks' news.

    Raises:
        UserError: Ray is not installed or reaches no cluster; a node does not see the run folder or the model's,
            has other package versions, or none has the devices that a stage needs.
    """

    @signals_through()
    def __init__(self, order: Order, config: RunConfig, say: Callable[[str], None]) -> None:
        self._ray = import_ray()
        self._say = say
        self._config = config
        self._own = not self._ray.is_initialized()
        if self._own:
            self._connect(config.executor.address)
        try:
            nodes = self._nodes()
            self.gpus = int(max(node["Resources"].get("GPU", 0) for node in nodes))
            self.slots = max(2, len(nodes))
            self._order = replace(order, config=with_devices(config, self.gpus).model_dump_json())
            check_devices(config, self.gpus)
            check_layout(with_devices(config, self.gpus), nodes)
            check_nodes(self._ray, nodes, order.root, config.model)
            say(f"ray: {len(nodes)} nodes, {self.gpus} GPUs on the largest")
        except BaseException:
            self._disconnect()
            raise
        self._news: Any = self._news_here()
        self._task: Any = self._ray.remote(run_stage)
        self._running: dict[Any, tuple[Stage, str | None, int]] = {}
        self._tries: dict[str, int] = {}
        self._head = self._ray.get_runtime_context().gcs_address
        self._lost = ""
        self._few = 0

    def room(self, stage: Stage) -> bool:
        """See ``Executor``: Ray's queue holds any number."""
        return True

    @signals_through()
    def submit(self, stage: Stage, wanted: str | None = None) -> None:
        """Queue the stage with what it needs.

        Raises:
            UserError: the head node is lost.
        """
        self._check_head()
        cpus, gpus = needs(stage, self._config, self.gpus)
        options = {"num_cpus": cpus, "num_gpus": gpus, "max_retries": RETRIES, "name": stage.id}
        task = self._task.options(**options).remote(self._order, stage.id, wanted, self._news)
        self._running[task] = (stage, wanted, len(self._nodes()))

    @signals_through()
    def wait(self, seconds: float) -> list[Outcome]:
        """See ``Executor``.

        Raises:
            UserError: the head node is lost.
        """
        self._check_head()
        if not self._running:
            time.sleep(seconds)
            return []
        ended, _ = self._ray.wait(list(self._running), timeout=seconds)
        self._check_head()
        self._tell()
        self._tell_of_few()
        outcomes = []
        for task in ended:
            stage, wanted, nodes = self._running.pop(task)
            outcome = self._outcome(task, stage)
            lost = len(self._nodes()) < nodes
            if outcome.state == "failed" and lost and self._tries.get(stage.id, 0) < RETRIES:
                self._tries[stage.id] = self._tries.get(stage.id, 0) + 1
                self._say(f"{stage.id}: a node was lost: started again")
                self.submit(stage, wanted)
                continue
            outcomes.append(outcome)
        return outcomes

    @signals_through()
    def close(self) -> None:
        """See ``Executor``."""
        if self._lost:
            return  # each call of Ray would wait for the head; the process ends next
        if self._running:
            self._stop()
        self._running.clear()
        self._disconnect()

    def _news_here(self) -> Any:
        """The actor on this node, which lives as long as the driver."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        here = self._ray.get_runtime_context().get_node_id()
        place = NodeAffinitySchedulingStrategy(here, soft=True)
        return self._ray.remote(News).options(num_cpus=0, scheduling_strategy=place).remote()

    def _stop(self) -> None:
        """Have the stages at work end cleanly. Not by ``ray.cancel``: where a task ends meanwhile, Ray may end this
        process with it."""
        until = time.monotonic() + DRAIN_S
        with contextlib.suppress(self._ray.exceptions.RayError):
            while self._ray.get(self._news.stop.remote(), timeout=DRAIN_S):
                if time.monotonic() > until:
                    break
                time.sleep(0.2)

    def _outcome(self, task: Any, stage: Stage) -> Outcome:
        try:
            outcome: Outcome = self._ray.get(task)
        except self._ray.exceptions.RayError as error:
            words = str(error).strip().splitlines() or [type(error).__name__]
            return Outcome(stage.id, "failed", error=f"ray: {words[0]}")
        return outcome

    def _tell(self) -> None:
        with contextlib.suppress(self._ray.exceptions.RayError):
            for line in self._ray.get(self._news.take.remote(), timeout=10):
                self._say(line)

    def _tell_of_few(self) -> None:
        """Say once that trainings over several nodes wait for one."""
        few = len(self._nodes())
        if few != self._few and few < self._config.launch.nodes:
            self._say(
                f"ray: launch.nodes is {self._config.launch.nodes}, but the cluster has {few} now: "
                "trainings wait for another node"
            )
        self._few = few

    def _check_head(self) -> None:
        """Raises ``UserError`` where the head node's address answers no more, before a call of Ray waits for it."""
        if self._lost or not answers(self._head, HEAD_S):
            self._lost = (
                f"the Ray cluster's head node ({self._head}) is lost; finished work is kept: start the cluster and "
                "give the same command, or give it with --executor local"
            )
            raise UserError(self._lost)

    def _nodes(self) -> list[dict[str, Any]]:
        return [node for node in self._ray.nodes() if node["Alive"]]

    def _connect(self, address: str) -> None:
        """To the cluster; where ``auto`` finds none, one of this machine is started."""
        passed = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        options = {
            "log_to_driver": False,
            "logging_level": logging.ERROR,
            "runtime_env": {"env_vars": passed},
        }
        polite = signal.getsignal(signal.SIGTERM)
        try:
            self._ray.init(address=address, **options)
        except ConnectionError as error:
            if address != "auto":
                raise UserError(f"no Ray cluster answers at {address}") from error
            self._ray.init(include_dashboard=False, **options)
        finally:
            signal.signal(signal.SIGTERM, polite)  # Ray puts its own in place

    def _disconnect(self) -> None:
        if self._own:
            self._ray.shutdown()


def with_devices(config: RunConfig, gpus: int) -> RunConfig:
    """The configuration of a training over several nodes with what ``auto`` can't see from outside them: a node's
    GPUs, and shards where these are there."""
    launch = config.launch
    if launch.nodes == 1:
        return config
    found: dict[str, Any] = {}
    if launch.devices == "auto":
        found["devices"] = gpus or 1
    if launch.strategy == "auto" and gpus and not config.training.lora.rank:
        found["strategy"] = "fsdp"
    return config.model_copy(update={"launch": launch.model_copy(update=found)})


def import_ray() -> Any:
    """Raises ``UserError`` where Ray is not installed."""
    try:
        import ray
    except ImportError:
        raise UserError(
            "--executor ray needs Ray, which is not installed here: pip install 'sso-bench[ray]'"
        ) from None
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    return ray
