"""Engines: what writes text and scores continuations, behind one contract (``base.Engine``).

In: prompts (chats or rendered strings), sampling settings, a seed an item. Out: ``Completion`` and
``ContinuationLogprob``. One file an engine: ``hf`` (transformers, in process), ``vllm`` (a process of
its own), ``openai`` (any compatible server), ``fake`` (tests). ``ResumableEngine`` wraps any of them
with a journal, so that a killed run goes on where it was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from harness.engines.base import Completion, ContinuationLogprob, Engine, Message, Prompt
from harness.engines.errors import ContextTooLong, EngineError
from harness.engines.resumable import BatchEngine, ResumableEngine

__all__ = [
    "BatchEngine",
    "Completion",
    "ContextTooLong",
    "ContinuationLogprob",
    "Engine",
    "EngineError",
    "Message",
    "Prompt",
    "ResumableEngine",
    "open_engine",
]


def open_engine(
    kind: str,
    model: Path | str,
    *,
    device: str = "auto",
    dtype: str = "auto",
    batch_size: int | None = None,
    max_length: int | None = None,
    settings: Mapping[str, Any] | None = None,
) -> BatchEngine:
    """Open an engine of a kind (``auto``, ``hf``, ``vllm``, ``openai``, ``fake``) on a model.

    ``model`` is a folder, else what ``harness.models.resolve_model`` takes (for ``openai`` the name
    that the server knows). ``auto`` is vLLM where there is CUDA and vLLM, else ``hf``. ``settings``
    holds what only some engines read: ``tensor_parallel``, ``data_parallel``, ``gpu_memory``,
    ``base_url``.

    Raises:
        EngineError: an unknown kind, or an engine that can't be opened here.
        ModelError: a model that can't be found or used.
    """
    if kind == "auto":
        kind = _automatic(device)
    if kind not in _KINDS:
        known = ", ".join(["auto", *_KINDS])
        raise EngineError(f"engine {kind!r} is unknown; the engines are {known}")
    return _KINDS[kind](
        model,
        dict(settings or {}),
        {"device": device, "dtype": dtype, "batch_size": batch_size, "max_length": max_length},
    )


def _automatic(device: str) -> str:
    import importlib.util

    import torch

    if device.startswith("cpu") or not torch.cuda.is_available():
        return "hf"
    return "vllm" if importlib.util.find_spec("vllm") else "hf"


def _folder(model: Path | str) -> Path:
    from harness.models import resolve_model

    return resolve_model(str(model)).path


def _hf(model: Path | str, settings: dict[str, Any], options: dict[str, Any]) -> BatchEngine:
    from harness.engines.hf import HfEngine

    return HfEngine(_folder(model), **options)


def _vllm(model: Path | str, settings: dict[str, Any], options: dict[str, Any]) -> BatchEngine:
    from harness.engines.vllm import VllmEngine

    known = ("tensor_parallel", "data_parallel", "gpu_memory")
    return VllmEngine(
        _folder(model), **options, **{key: settings[key] for key in known if key in settings}
    )


def _openai(model: Path | str, settings: dict[str, Any], options: dict[str, Any]) -> BatchEngine:
    from harness.engines.openai import OpenAIEngine

    return OpenAIEngine(
        str(model),
        base_url=settings.get("base_url"),
        max_length=options["max_length"],
        concurrency=options["batch_size"] or 16,
    )


def _fake(model: Path | str, settings: dict[str, Any], options: dict[str, Any]) -> BatchEngine:
    from harness.engines.fake import FakeEngine

    return FakeEngine(model, max_length=options["max_length"])


_KINDS: dict[str, Callable[[Path | str, dict[str, Any], dict[str, Any]], BatchEngine]] = {
    "hf": _hf,
    "vllm": _vllm,
    "openai": _openai,
    "fake": _fake,
}
