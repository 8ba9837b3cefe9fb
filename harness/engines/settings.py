"""The engine's section of the configuration: which one, on what, how large."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from groundwork.records import Section


class EngineSettings(Section):
    """The text-generation engine."""

    kind: Literal["auto", "hf", "vllm", "openai", "fake"] = "auto"
    device: str = "auto"
    dtype: str = "auto"
    batch_size: int | None = Field(None, ge=1)
    max_length: int | None = Field(None, ge=16)
    loaded_models: int = Field(1, ge=1, description="models kept in memory at a time")
    tensor_parallel: int = Field(1, ge=1)
    data_parallel: Literal["auto"] | Annotated[int, Field(ge=1)] = Field(
        "auto", description="processes of vllm; auto: all visible GPUs / tensor_parallel"
    )
    gpu_memory: float = Field(0.9, gt=0, le=1)
    base_url: str | None = None
