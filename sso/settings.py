"""Settings of the training core, by section; defaults with their source."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from groundwork.records import Section
from groundwork.sampling_params import SamplingParams


class PrincipleSettings(Section):
    """Where principles come from."""

    source: Literal["predefined", "generated"] = Field(
        "predefined", description="predefined guidelines, or guidelines generated for each query"
    )
    select: Literal["policy", "random", "none"] = Field(
        "policy",
        description="who chooses the features of a query; none: guidelines are written without features",
    )
    file: str | None = Field(
        None, description="YAML of features and guidelines; default: the shipped ones"
    )
    features_per_query: int = Field(2, ge=1, le=7, description="features a principle is about")
    concision_probability: float = Field(
        0.2, ge=0, le=1, description="share of queries whose principle also asks for a short answer"
    )
    max_new_tokens: int = Field(256, ge=8, description="tokens of a written principle")
    system_role: Literal["auto", "system", "user"] = Field(
        "auto",
        description="the turn of the guidelines; auto: the user's where the template has no system turn",
    )

    @model_validator(mode="after")
    def _has_text(self) -> PrincipleSettings:
        if self.select == "none" and self.source == "predefined":
            raise ValueError(
                "predefined guidelines are those of features: select none needs generated"
            )
        return self


class SamplingSettings(Section):
    """How y+, y- and yo are sampled (paper: temperature 0.7, top-p 0.8, up to 2048 new tokens)."""

    temperature: float = Field(0.7, ge=0, description="of y+ and y-")
    top_p: float = Field(0.8, gt=0, le=1, description="of y+ and y-")
    max_new_tokens: int = Field(2048, ge=1, description="longest answer in tokens")
    original_greedy: bool = Field(True, description="yo without sampling")
    keep_truncated: bool = Field(False, description="keep pairs whose answers the limit cut")
    measure_original: bool = Field(
        True, description="sample yo also in arms that don't train on it, to measure on-policyness"
    )
    on_policyness: bool = Field(
        True, description="score every pair's sides (and yo) under the policy"
    )

    def params(self) -> SamplingParams:
        """How y+ and y- are sampled."""
        return SamplingParams(self.max_new_tokens, self.temperature, self.top_p)

    def original_params(self) -> SamplingParams:
        """How yo is sampled."""
        return SamplingParams(self.max_new_tokens) if self.original_greedy else self.params()


class LossSettings(Section):
    """Preference losses; beta 0.1, gamma 0.1, alpha 0.5, beta_g 0.1 are the authors' defaults."""

    kind: Literal["ipo", "dpo"] = Field("ipo", description="preference loss of the policy")
    beta: float = Field(0.1, gt=0, description="of the preference loss")
    gamma: float = Field(
        0.1,
        ge=0,
        description="weight of the chosen sides' average log-probability in the generator's loss",
    )
    alpha: float = Field(0.5, ge=0, le=1, description="share of y+ in the weight W of sso-joint")
    beta_g: float = Field(
        0.1, ge=0, description="weight of the generator's part in the loss of sso-joint"
    )
    w_gradient: bool = Field(True, description="let gradients pass through the weight W")


class LoraSettings(Section):
    """LoRA instead of full fine-tuning; ``rank`` 0 is full fine-tuning."""

    rank: int = Field(0, ge=0, description="0: full fine-tuning")
    alpha: float = Field(16.0, description="scale of the update")
    dropout: float = Field(0.0, ge=0, lt=1, description="of the adapter's input")
    target_modules: tuple[str, ...] = Field(
        (), description="names of layers; default: all linear layers"
    )
    quantize_4bit: bool = Field(False, description="QLoRA: the frozen weights in four bits (CUDA)")


class TrainingSettings(Section):
    """Optimisation of both training steps (paper: lr 5e-7 cosine, 4 % warm-up, one epoch)."""

    learning_rate: float = Field(5e-7, gt=0, description="peak, after the warm-up")
    schedule: str = Field("cosine", description="a name of transformers' schedules")
    warmup_ratio: float = Field(
        0.04, ge=0, lt=1, description="share of the steps in which the rate rises"
    )
    weight_decay: float = Field(0.0, ge=0, description="of AdamW")
    epochs: float = Field(1.0, gt=0, description="passes over the pairs")
    batch_size: int = Field(
        32, ge=1, description="prompts (not completions) an optimizer step, over all devices"
    )
    micro_tokens: int = Field(8192, ge=64, description="tokens of one packed forward pass")
    max_length: int = Field(2048, ge=16, description="tokens of prompt and completion together")
    truncation: Literal["drop", "cut"] = Field("drop", description="what happens to longer pairs")
    precision: Literal["fp32", "bf16"] = Field("fp32", description="of the computation")
    gradient_checkpointing: bool = Field(
        False, description="compute activations again instead of keeping them"
    )
    dropout: bool = Field(
        False, description="train with the dropout and router jitter of the model's configuration"
    )
    saved_precision: Literal["same", "fp32"] = Field(
        "same",
        description="of the checkpoint that a training leaves; fp32 keeps changes that bf16 rounds away",
    )
    max_grad_norm: float = Field(1.0, gt=0, description="gradients are clipped at this norm")
    checkpoint_every: int = Field(
        0, ge=0, description="optimizer steps between mid-stage checkpoints; 0 = none"
    )
    report_to: tuple[str, ...] = Field(
        ("tensorboard",), description="trackers: tensorboard, wandb or trackio"
    )
    lora: LoraSettings = LoraSettings()


SPEED_ONLY = frozenset({"micro_tokens", "gradient_checkpointing", "checkpoint_every", "report_to"})
"""Keys of ``TrainingSettings`` that move speed, memory or logging and no result: in no fingerprint."""


class LaunchSettings(Section):
    """How trainings are started; nothing here changes what they compute."""

    devices: Literal["auto"] | int = Field(
        "auto", description="training processes per node; auto: one per GPU, one on a CPU"
    )
    strategy: Literal["auto", "ddp", "fsdp"] = Field(
        "auto", description="full copies (ddp) or shards (fsdp); auto: ddp where the copies fit"
    )
    cpu_offload: bool = Field(
        False, description="fsdp keeps weights and optimizer in the memory of the CPU"
    )
    nodes: int = Field(1, ge=1, description="machines that train together")
    own_process: bool | Literal["auto"] = Field(
        True,
        description="false: one process, this one, for debuggers, whose memory stays taken; auto: so without a GPU",
    )
    command: str = Field(
        "",
        description="starts all processes, with {devices}, {nodes} and {program}; default: torchrun",
    )

    @field_validator("devices")
    @classmethod
    def _some(cls, value: Any) -> Any:
        if value != "auto" and value < 1:
            raise ValueError("auto, or at least 1")
        return value

    @field_validator("command")
    @classmethod
    def _holds_the_program(cls, value: str) -> str:
        if value and "{program}" not in value:
            raise ValueError("needs {program} where the training's own command goes")
        return value


class MethodSettings(Section):
    """Everything a step of an arm depends on."""

    principles: PrincipleSettings = PrincipleSettings()
    sampling: SamplingSettings = SamplingSettings()
    loss: LossSettings = LossSettings()
    training: TrainingSettings = TrainingSettings()
