"""Loading the policy to train (full, LoRA, QLoRA) and writing a complete checkpoint."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Literal

from groundwork.checksums import known_sha256
from groundwork.errors import UserError
from sso.settings import LoraSettings, TrainingSettings


def load_tokenizer(model: Path) -> Any:
    """The tokenizer of a checkpoint folder."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(model, trust_remote_code=False)


def load_policy(model: Path, settings: TrainingSettings) -> Any:
    """The causal model in ``model`` ready to train; safetensors only.

    Full fine-tuning keeps float32 weights (bf16 is autocast over them); a LoRA base is
    loaded in the training precision, QLoRA's in 4 bits.
    """
    import torch
    from transformers import AutoModelForCausalLM

    lora = settings.lora
    dtype = torch.bfloat16 if lora.rank and settings.precision == "bf16" else torch.float32
    options: dict[str, Any] = {
        "dtype": dtype,
        "use_safetensors": True,
        "trust_remote_code": False,
    }
    if lora.quantize_4bit:
        options["quantization_config"] = _four_bits(lora)
    try:
        policy = AutoModelForCausalLM.from_pretrained(model, **options)
    except OSError as error:
        raise UserError(f"{model}: no safetensors checkpoint to train: {error}") from error
    policy.config.use_cache = False
    return policy


def learned_positions(model: Path) -> int | None:
    """The number of positions that a model has learned embeddings of; None where it has none."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(model, trust_remote_code=False)
    limit = getattr(config.get_text_config(), "max_position_embeddings", None)
    if limit is None:
        return None
    with torch.device("meta"):
        shape = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    tables = {
        module.num_embeddings
        for module in shape.modules()
        if isinstance(module, torch.nn.Embedding) and module is not shape.get_input_embeddings()
    }
    return int(limit) if tables & {limit, limit + 1, limit + 2} else None


def fitted_length(model: Path, settings: TrainingSettings) -> int:
    """``max_length``, or the positions that the model has learned where those are fewer than the default.

    Raises:
        UserError: a ``max_length`` in the settings that is more than the model has learned.
    """
    positions = learned_positions(model)
    if positions is None or settings.max_length <= positions:
        return settings.max_length
    if "max_length" in settings.model_fields_set:
        raise UserError(
            f"training.max_length is {settings.max_length}, but {model} has learned "
            f"{positions} positions: set training.max_length={positions}"
        )
    return positions


def repair_generation_config(policy: Any) -> tuple[str, ...]:
    """Make generation settings that transformers would refuse to save ones that it takes; notes on it.

    Many checkpoints have ``temperature`` or ``top_p`` without ``do_sample``: they mean sampling.
    """
    config = getattr(policy, "generation_config", None)
    if config is None or _saves(config):
        return ()
    config.do_sample = True
    if _saves(config):
        return (
            "generation_config.json has sampling settings without do_sample: it is set to true",
        )
    from transformers import GenerationConfig

    kept = {
        name: getattr(config, name, None)
        for name in ("bos_token_id", "eos_token_id", "pad_token_id", "max_length")
    }
    policy.generation_config = GenerationConfig(**{k: v for k, v in kept.items() if v is not None})
    return ("generation_config.json is not valid: only its token ids are kept",)


def _saves(config: Any) -> bool:
    try:
        config.validate(strict=True)
    except (ValueError, TypeError):
        return False
    return True


def add_lora(
    policy: Any, lora: LoraSettings, task: Literal["CAUSAL_LM", "SEQ_CLS"] = "CAUSAL_LM"
) -> Any:
    """The model with fresh LoRA adapters (all linear layers unless targets are named); the head of a
    ``SEQ_CLS`` model is trained in full."""
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,  # type: ignore[arg-type]  # fractions work too
        lora_dropout=lora.dropout,
        target_modules=list(lora.target_modules) or "all-linear",
        task_type=task,
    )
    try:
        return get_peft_model(policy, config)
    except ValueError as error:
        raise UserError(f"lora.target_modules: {error}") from error


def save_policy(
    policy: Any, state: dict[str, Any] | None, tokenizer: Any, source: Path, out: Path, dtype: Any
) -> None:
    """Write weights, configuration, generation settings, tokenizer and template to ``out``.

    Written beside and renamed, so that ``out`` is complete or absent. LoRA adapters are merged into a
    fresh copy of the base, so that every engine can load the result. ``state`` is the gathered
    state dict of a sharded policy.
    """
    partial = out.with_name(out.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    if hasattr(policy, "peft_config"):
        policy, state = _merged(policy, state, source), None
    cast = {k: v.to(dtype) for k, v in (state or policy.state_dict()).items() if _is_float(v)}
    whole = {**(state or policy.state_dict()), **cast}
    policy.config.use_cache = True
    previous, policy.config.dtype = policy.config.dtype, dtype
    attention, policy.config._attn_implementation = policy.config._attn_implementation, "sdpa"
    policy.save_pretrained(partial, state_dict=whole)
    policy.config.dtype, policy.config._attn_implementation = previous, attention
    policy.config.use_cache = False
    tokenizer.save_pretrained(partial)
    shutil.rmtree(out, ignore_errors=True)
    partial.rename(out)


def weights_fingerprint(model: Path) -> str:
    """The identity of a checkpoint: its weight files and its configuration."""
    digest = hashlib.sha256()
    for file in [*sorted(model.glob("*.safetensors")), model / "config.json"]:
        digest.update(f"{file.name} {known_sha256(file)}\n".encode())
    return digest.hexdigest()


def changed_share(source: Path, out: Path) -> float:
    """The share of the source checkpoint's weights that are not the same in ``out``, 0 to 1.

    Compared as they were saved: a change that is lost when weights are rounded to bfloat16 is none.
    """
    changed = total = 0
    before, after = _tensors(source), _tensors(out)
    for name in before.keys() & after.keys():
        old, new = before[name](), after[name]()
        if old.shape == new.shape:
            changed += int((old.to(new.dtype) != new).sum())
            total += new.numel()
    return changed / total if total else 1.0


def _tensors(model: Path) -> dict[str, Callable[[], Any]]:
    """How to read each tensor of a checkpoint, by name."""
    from safetensors import safe_open

    found: dict[str, Callable[[], Any]] = {}
    for file in sorted(model.glob("*.safetensors")):
        handle = safe_open(file, framework="pt")
        for name in handle.keys():  # noqa: SIM118 (no mapping)
            found[name] = partial(handle.get_tensor, name)
    return found


def _merged(policy: Any, state: dict[str, Any] | None, source: Path) -> Any:
    """The base in float32 with the adapters merged in (4-bit bases are read again unquantized)."""
    import torch
    from peft import get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

    adapter = get_peft_model_state_dict(policy, state_dict=state)
    scores = str(policy.peft_config["default"].task_type).endswith("SEQ_CLS")
    kind, extra = (
        (AutoModelForSequenceClassification, {"num_labels": 1})
        if scores
        else (AutoModelForCausalLM, {})
    )
    base = kind.from_pretrained(
        source, dtype=torch.float32, use_safetensors=True, trust_remote_code=False, **extra
    )
    if scores:
        base.config.pad_token_id = policy.config.pad_token_id
    repair_generation_config(base)
    fresh = get_peft_model(base, policy.peft_config["default"])
    set_peft_model_state_dict(fresh, {k: v.float().cpu() for k, v in adapter.items()})
    return fresh.merge_and_unload()


def _four_bits(lora: LoraSettings) -> Any:
    import importlib.util

    import torch
    from transformers import BitsAndBytesConfig

    if not lora.rank:
        raise UserError("lora.quantize_4bit needs LoRA: set lora.rank (for example 16)")
    if not torch.cuda.is_available():
        raise UserError("lora.quantize_4bit needs a CUDA GPU, and there is none")
    if importlib.util.find_spec("bitsandbytes") is None:
        raise UserError("lora.quantize_4bit needs bitsandbytes: pip install 'sso-bench[qlora]'")
    return BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.bfloat16
    )


def _is_float(value: Any) -> bool:
    return bool(value.is_floating_point())
