"""Loading the policy to train (full, LoRA, QLoRA) and writing a complete checkpoint."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from groundwork.checksums import known_sha256
from groundwork.errors import UserError
from sso.lora import adapters_of, has_lora, merge_adapters
from sso.settings import LoraSettings, TrainingSettings

_LOAD_ON_FIRST = {"ACCELERATE_USE_FSDP": "true", "FSDP_CPU_RAM_EFFICIENT_LOADING": "true"}


def load_tokenizer(model: Path) -> Any:
    """The tokenizer of a checkpoint folder."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(model, trust_remote_code=False)


def load_policy(model: Path, settings: TrainingSettings, *, first_only: bool = False) -> Any:
    """The causal model in ``model`` ready to train; safetensors only.

    Full fine-tuning keeps float32 weights (bf16 is autocast over them); a LoRA base is
    loaded in the training precision, QLoRA's in 4 bits. With ``first_only`` the first of several
    processes reads the weights; the others get theirs when the model is sharded.
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
        options["device_map"] = {"": int(os.environ.get("LOCAL_RANK", "0"))}
    efficient = first_only and not lora.quantize_4bit
    try:
        with _environment(_LOAD_ON_FIRST if efficient else {}):
            policy = AutoModelForCausalLM.from_pretrained(model, **options)
    except OSError as error:
        raise UserError(f"{model}: no safetensors checkpoint to train: {error}") from error
    policy.config.use_cache = False
    return policy


@contextlib.contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


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


def save_policy(
    policy: Any, state: dict[str, Any], tokenizer: Any, source: Path, out: Path, dtype: Any
) -> None:
    """Write weights, configuration, generation settings, tokenizer and template to ``out``.

    Written beside and renamed, so that ``out`` is complete or absent. ``state`` is the gathered
    state dict of the policy, of a policy with LoRA the adapters' alone: they are merged into the weights
    of ``source``, so that every engine can load the result.
    """
    partial = out.with_name(out.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    config, before = policy.config, {}
    given = {
        "use_cache": True,
        "dtype": dtype,
        "_attn_implementation": "sdpa",
        "architectures": [type(policy).__name__.removeprefix("FSDP")],
    }
    for name, value in given.items():
        before[name] = getattr(config, name, None)
        setattr(config, name, value)
    if has_lora(policy):
        partial.mkdir(parents=True)
        merge_adapters(source, partial, adapters_of(policy, source), state, dtype)
        config.save_pretrained(partial)
        if getattr(policy, "generation_config", None) is not None:
            policy.generation_config.save_pretrained(partial)
    else:
        # gathered shards of tied weights are copies: one is written, as of an unsharded policy
        tied = getattr(policy, "all_tied_weights_keys", None) or {}
        own = {k: v for k, v in state.items() if tied.get(k) not in state}
        whole = {k: v.to(dtype) if _is_float(v) else v for k, v in own.items()}
        policy.save_pretrained(partial, state_dict=whole)
    for name, value in before.items():
        setattr(config, name, value)
    tokenizer.save_pretrained(partial)
    shutil.rmtree(out, ignore_errors=True)
    partial.rename(out)


def count_weights(model: Path) -> int:
    """Number of weights, from the safetensors headers (tied weights counted once)."""
    total = 0
    for file in sorted(model.glob("*.safetensors")):
        with file.open("rb") as handle:
            size = int.from_bytes(handle.read(8), "little")
            header: dict[str, Any] = json.loads(handle.read(size))
        total += sum(math.prod(t["shape"]) for n, t in header.items() if n != "__metadata__")
    return total


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
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_compute_dtype=torch.bfloat16,
        bnb_4bit_quant_storage=torch.bfloat16,  # bytes that FSDP can shard
    )


def _is_float(value: Any) -> bool:
    return bool(value.is_floating_point())
