"""The engine's section of the configuration: which one, on what, how large."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from groundwork.records import Section


class EngineSettings(Section):
    """The text-generation engine."""

    kind: Literal["auto", "hf", "vllm", "openai", "fake"] = Field(
        "auto", description="auto: vllm where there are CUDA and vllm, else hf"
    )
    device: str = Field("auto", description="auto, cpu, cuda or cuda:N")
    dtype: str = Field("auto", description="auto, fp32 or bf16")
    batch_size: int | None = Field(
        None, ge=1, description="sequences at a time; default: by memory"
    )
    max_length: int | None = Field(
        None, ge=16, description="tokens of prompt and answer together; default: the model's"
    )
    loaded_models: int = Field(1, ge=1, description="models kept in memory at a time")
    tensor_parallel: int = Field(1, ge=1, description="GPUs that hold one copy of the model")
    data_parallel: Literal["auto"] | Annotated[int, Field(ge=1)] = Field(
        "auto", description="processes of vllm; auto: all visible GPUs / tensor_parallel"
    )
    gpu_memory: float = Field(
        0.9, gt=0, le=1, description="share of a GPU's memory that vllm may take"
    )
    base_url: str | None = Field(None, description="address of the server, for kind openai")
