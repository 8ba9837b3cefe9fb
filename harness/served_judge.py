"""A judge that the tool serves itself: ``vllm:MODEL`` or ``hf:MODEL``.

The server starts when the first verdict is asked for, once the engines of the run have given their
memory back, and ends with ``stop`` or with this process, however that ends.
"""

from __future__ import annotations

import importlib.util
import os
import socket
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from groundwork.chat_tokens import TEMPLATE_DATE
from groundwork.errors import UserError
from groundwork.guarded_process import GuardedProcess
from harness.engines import EngineSettings
from harness.engines.chat_tokenizer import template_with_date
from harness.models import ResolvedModel, resolve_model
from judges import Comparison, JudgeSettings, Rating, Verdict
from judges.server import ServerJudge
from judges.settings import PairPrompt
from judges.store import VerdictStore

STARTING_S = 900.0
JUDGE_CONTEXT = 16_384
"""Tokens of a judge's prompt and reply that room is kept for, unless ``engine.max_length`` says more:
Arena-Hard's two answers of 4,096 tokens with the question and the verdict."""
KINDS = ("vllm", "hf")
Log = Callable[[str], None]


def served_kind(name: str) -> Literal["vllm", "hf"] | None:
    """The kind of server that a judge's name asks for (``vllm:...``, ``hf:...``)."""
    kind, mark, _ = name.partition(":")
    return kind if mark and kind in KINDS else None  # type: ignore[return-value]


class ServedJudge:
    """See ``judges.Judge``; ``settings.name`` is ``vllm:MODEL`` or ``hf:MODEL``.

    Args:
        engine: devices of the server (tensor parallel, share of the GPU's memory, context).
        free: gives the memory of the run's engines back, before the server starts.
    """

    comparable = True

    def __init__(
        self,
        settings: JudgeSettings,
        store: Path,
        engine: EngineSettings,
        *,
        free: Callable[[], None] = lambda: None,
        log: Log = lambda line: None,
    ) -> None:
        self.name = settings.name
        self.notes: list[str] = []
        self._settings, self._store, self._engine = settings, store, engine
        self._free, self._log = free, log
        self._process: GuardedProcess | None = None
        self._judge: ServerJudge | None = None
        self._described: dict[str, Any] = {}
        self._resolved: ResolvedModel | None = None

    @cached_property
    def snapshot(self) -> str:
        """Kind and name of the model, with the fingerprint of its weights, and the day where vLLM is given one."""
        model = self._model()
        dated = served_kind(self.name) == "vllm" and template_with_date(model.path)
        return f"{self.name}@{model.fingerprint[:16]}" + (f"+{TEMPLATE_DATE}" if dated else "")

    def check(self) -> None:
        """Whether the judge can be served here; nothing is started.

        Raises:
            UserError: vLLM is not installed, no such model, or one that the memory can't hold.
        """
        if served_kind(self.name) == "vllm" and importlib.util.find_spec("vllm") is None:
            raise UserError(
                f"judge {self.name} needs vllm, which is not installed: pip install "
                f"'sso-bench[vllm]', or --judge hf:{self.name.partition(':')[2]}"
            )
        weights = sum(file.stat().st_size for file in self._model().path.glob("*.safetensors"))
        room = _memory() * (self._engine.gpu_memory if served_kind(self.name) == "vllm" else 1.0)
        if weights > room:
            raise UserError(
                f"judge {self.name} has {weights / 1e9:.1f} GB of weights, and {room / 1e9:.1f} GB "
                "of memory are there for it: a smaller model, or more devices "
                "(engine.tensor_parallel)"
            )

    def preferences(self, comparisons: Sequence[Comparison], *, seed: int = 0) -> list[Verdict]:
        """As ``ServerJudge.preferences``."""
        return self._running().preferences(comparisons, seed=seed)

    def ratings(self, ratings: Sequence[Rating]) -> list[Verdict]:
        """As ``ServerJudge.ratings``."""
        return self._running().ratings(ratings)

    def pairwise(
        self, comparisons: Sequence[Comparison], *, prompt: PairPrompt = "pair-v2"
    ) -> list[tuple[Verdict, Verdict]]:
        """As ``ServerJudge.pairwise``."""
        return self._running().pairwise(comparisons, prompt=prompt)

    def graded(self, comparisons: Sequence[Comparison]) -> list[tuple[Verdict, Verdict]]:
        """As ``ServerJudge.graded``."""
        return self._running().graded(comparisons)

    def calibration_note(self, benchmark: str) -> str:
        """As ``ServerJudge.calibration_note``."""
        known = VerdictStore(self._store).fact(f"calibration:{self.snapshot}") or {}
        return str(known.get(benchmark, {}).get("note", ""))

    def estimate(self, calls: int, prompt_tokens: int) -> float:
        """0: nothing is paid."""
        return 0.0

    def describe(self) -> dict[str, Any]:
        """As ``ServerJudge.describe``, of the last time that the server ran."""
        if self._judge is not None:
            self._described = self._judge.describe()
        return {**self._described, "judge": self.name, "snapshot": self.snapshot, "server": "own"}

    def stop(self) -> None:
        """End the server; the next verdict starts it again."""
        if self._process is not None:
            self.describe()
            self._process.close()
            self._log(f"judge {self.name}: server ended")
        self._process = self._judge = None

    def _model(self) -> ResolvedModel:
        if self._resolved is None:
            self._resolved = resolve_model(self.name.partition(":")[2], log=self._log)
        return self._resolved

    def _running(self) -> ServerJudge:
        """The judge on the running server; starts it.

        Raises:
            UserError: the server ends, or is not ready in time; names its log.
        """
        if self._judge is None or self._process is None or not self._process.running():
            self._free()
            port, path = _free_port(), self._model().path
            log = Path(tempfile.mkdtemp(prefix="sso-bench-judge-")) / "server.log"
            self._log(f"judge {self.name}: starting its server (log: {log})")
            self._process = GuardedProcess(
                _command(served_kind(self.name) or "hf", path, port, self.name, self._engine),
                log,
                _environment(),
            )
            try:
                _wait(f"http://127.0.0.1:{port}/v1/models", self._process, self.name, log)
                settings = replace(
                    self._settings,
                    base_url=f"http://127.0.0.1:{port}/v1",
                    identity=self.snapshot,
                    max_cost=None,
                    prices=None,
                )
                self._judge = ServerJudge(settings, VerdictStore(self._store))
                self._judge.check()
            except BaseException:
                self.stop()
                raise
            self.notes = self._judge.notes
            for note in self.notes:
                self._log(f"judge: {note}")
        return self._judge


def _command(kind: str, model: Path, port: int, name: str, engine: EngineSettings) -> list[str]:
    if kind == "hf":
        return [sys.executable, "-m", "harness.engines.chat_server", str(model), str(port), name]
    from transformers import AutoConfig

    from harness.engines.hf import context_length

    own = context_length(
        AutoConfig.from_pretrained(model, trust_remote_code=False), engine.max_length
    )
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server"]
    command += ["--model", str(model), "--served-model-name", name]
    command += ["--load-format", "safetensors"]  # no code of the model is trusted by default
    command += ["--host", "127.0.0.1", "--port", str(port)]
    command += ["--tensor-parallel-size", str(engine.tensor_parallel)]
    command += ["--max-model-len", str(engine.max_length or min(own, JUDGE_CONTEXT))]
    if template := template_with_date(model):
        command += ["--chat-template", template]
    if _on_cpu():
        return [*command, "--enforce-eager"]  # compiling costs more than it saves there
    return [*command, "--gpu-memory-utilization", str(engine.gpu_memory)]


def _environment() -> dict[str, str]:
    from harness.engines.vllm import CPU_CACHE_GIGABYTES

    found = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", "HF_HUB_OFFLINE": "1"}
    if _on_cpu():
        found["VLLM_CPU_KVCACHE_SPACE"] = os.environ.get(
            "VLLM_CPU_KVCACHE_SPACE", CPU_CACHE_GIGABYTES
        )
    return {**os.environ, **found}


def _on_cpu() -> bool:
    import torch

    return not torch.cuda.is_available()


def _wait(url: str, process: GuardedProcess, name: str, log: Path) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + STARTING_S
    while process.running() and time.monotonic() < deadline:
        try:
            with opener.open(url, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.25)
    lines = log.read_text(errors="replace").strip().splitlines() if log.is_file() else []
    why = "is not ready in time" if process.running() else "ended"
    last = f": {lines[-1][:300]}" if lines else ""
    raise UserError(f"judge {name}: its server {why} (log: {log}){last}")


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _memory() -> float:
    """Bytes of memory of all GPUs, else of this machine."""
    import torch

    if torch.cuda.is_available():
        count = torch.cuda.device_count()
        return float(sum(torch.cuda.get_device_properties(i).total_memory for i in range(count)))
    return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
