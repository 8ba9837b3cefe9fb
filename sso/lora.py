"""LoRA and QLoRA: adapters put into a policy's linear layers, and merged into its checkpoint by key.

The adapters go into the model itself, without a wrapper round it, so that DDP and FSDP see the class that
they know. Merging reads the source checkpoint tensor by tensor: no second model, no names of wrappers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from groundwork.errors import UserError
from groundwork.files import read_json, write_json
from sso.settings import LoraSettings

INDEX = "model.safetensors.index.json"
NOT_PLAIN = ("use_dora", "rank_pattern", "alpha_pattern", "modules_to_save", "layer_replication")
"""Keys of an adapter's configuration that make it more than A, B and one factor."""


@dataclass(frozen=True)
class Adapter:
    """One adapted layer: the key of its weight in the checkpoint, the names of A (rank, in) and B (out, rank)
    in the model, the factor of B A, and whether the checkpoint holds the weight as (in, out)."""

    key: str
    a: str
    b: str
    scaling: float
    transposed: bool


def add_lora(policy: Any, lora: LoraSettings, seed: int, whole: str = "") -> Any:
    """The policy with fresh LoRA adapters (all linear layers unless targets are named), the rest frozen but
    the module ``whole``, which is trained in full (the head of a reward model).

    Raises:
        UserError: targets that no layer has, or that are the embedding or the output layer.
    """
    import torch
    from peft import LoraConfig, inject_adapter_in_model

    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,  # type: ignore[arg-type]  # fractions work too
        lora_dropout=lora.dropout,
        target_modules=list(lora.target_modules) or _linear_layers(policy, whole),
    )
    torch.manual_seed(seed)
    try:
        policy = inject_adapter_in_model(config, policy)
    except ValueError as error:
        raise UserError(f"lora.target_modules: {error}") from error
    for name, parameter in policy.named_parameters():
        parameter.requires_grad_(bool(whole) and name.startswith(f"{whole}."))
    refused = {policy.get_output_embeddings(), policy.get_input_embeddings()}
    for name, module in policy.named_modules():
        if module in refused and hasattr(module, "base_layer"):
            raise UserError(
                f"lora.target_modules: {name} is the embedding or the output layer, whose adapters are "
                "not trained; name layers between them (as q_proj, v_proj) or none for all"
            )
        if not hasattr(module, "base_layer"):
            continue
        for parameter in (module.lora_A, module.lora_B):
            parameter.requires_grad_(True).float()  # as mixed precision keeps trained weights
    policy._hf_peft_config_loaded = True  # what the trainer looks at before it trains 4-bit weights
    return policy


def has_lora(policy: Any) -> bool:
    """Whether ``add_lora`` has been at this model."""
    return bool(getattr(policy, "_hf_peft_config_loaded", False))


def adapters_of(policy: Any, source: Path) -> list[Adapter]:
    """Every adapter with the key of its weight in the checkpoint ``source``.

    Raises:
        UserError: a layer that the checkpoint does not hold as one tensor of its own.
    """
    keys = set(checkpoint_files(source))
    prefix = f"{policy.base_model_prefix}."
    found = []
    for found_name, module in policy.named_modules():
        if not hasattr(module, "base_layer"):
            continue
        name = _plain(found_name)
        weight = f"{name}.weight"
        names = (weight, weight.removeprefix(prefix), prefix + weight)
        key = next((k for k in names if k in keys), None)
        if key is None:
            raise UserError(
                f"LoRA on {name}: {source} has no tensor {weight}; leave the layer out of "
                "lora.target_modules"
            )
        (adapter,) = module.lora_A.keys()
        found.append(
            Adapter(
                key,
                f"{name}.lora_A.{adapter}.weight",
                f"{name}.lora_B.{adapter}.weight",
                float(module.scaling[adapter]),
                bool(module.fan_in_fan_out),
            )
        )
    return found


def adapter_state(policy: Any) -> dict[str, Any]:
    """The trained tensors by name, whole and on the CPU; every process of a sharded policy must call it."""
    state = {}
    for name, parameter in policy.named_parameters():
        if parameter.requires_grad:
            value = parameter.detach()
            whole = value.full_tensor() if hasattr(value, "full_tensor") else value
            state[_plain(name)] = whole.float().cpu()
    return state


def merge_adapters(
    source: Path, out: Path, adapters: list[Adapter], state: Mapping[str, Any], dtype: Any
) -> None:
    """Write the weights of ``source`` with the adapters merged to ``out``, file by file, tensor by tensor.

    What ``state`` holds beside the adapters was trained in full, and takes its place under its own name.
    """
    from safetensors import safe_open
    from safetensors.torch import save_file

    by_key = {adapter.key: adapter for adapter in adapters}
    parts = {name for adapter in adapters for name in (adapter.a, adapter.b)}
    trained = {k: v.to(dtype).contiguous() for k, v in state.items() if k not in parts}
    files = checkpoint_files(source)
    names = sorted(set(files.values()))
    index = {**dict.fromkeys(trained, names[0]), **files}
    for file in names:
        tensors = {key: value for key, value in trained.items() if index[key] == file}
        with safe_open(source / file, framework="pt") as handle:
            for key in sorted(set(handle.keys()) - tensors.keys()):
                value = handle.get_tensor(key)
                if key in by_key:
                    value = _merged(value, by_key[key], state)
                tensors[key] = value.to(dtype) if value.is_floating_point() else value
        save_file(tensors, out / file, {"format": "pt"})
    if (source / INDEX).is_file():
        old = read_json(source / INDEX)
        write_json(out / INDEX, {**old, "weight_map": index})


def merge_saved_adapter(folder: Path, base: Path, out: Path) -> None:
    """Write the model ``base`` with the adapter that peft saved in ``folder`` merged to ``out``, in the base's
    precision, with the tokenizer and template of the adapter's folder where it has them.

    Raises:
        UserError: another kind of adapter than LoRA, one that is damaged, or one of another model.
    """
    import shutil

    from safetensors import SafetensorError, safe_open
    from safetensors.torch import load_file

    config = read_json(folder / "adapter_config.json")
    odd = [name for name in NOT_PLAIN if config.get(name)]
    if config.get("peft_type") != "LORA" or config.get("bias", "none") != "none" or odd:
        what = odd[0] if odd else config.get("peft_type")
        raise UserError(f"{folder} is no plain LoRA adapter ({what}): merge it with peft")
    try:
        raw = load_file(folder / "adapter_model.safetensors")
    except (OSError, SafetensorError) as error:
        raise UserError(f"{folder}: the adapter can't be read: {error}") from None
    state = {name.removeprefix("base_model.model."): value.float() for name, value in raw.items()}
    files = checkpoint_files(base)
    rank = int(config["r"])
    scaling = config["lora_alpha"] / (rank**0.5 if config.get("use_rslora") else rank)
    layers = [name.removesuffix(".lora_A.weight") for name in state if ".lora_A." in name]
    adapters = [
        Adapter(
            f"{layer}.weight",
            f"{layer}.lora_A.weight",
            f"{layer}.lora_B.weight",
            float(scaling),
            bool(config.get("fan_in_fan_out")),
        )
        for layer in layers
    ]
    wanted = {adapter.key for adapter in adapters} | {n for n in state if ".lora_" not in n}
    missing = sorted(wanted - files.keys())
    if missing or not adapters:
        raise UserError(f"{folder} is no adapter of {base}: {(missing or ['no layer'])[0]}")
    out.mkdir(parents=True, exist_ok=True)
    for source in (base, folder):
        for file in source.iterdir():
            weights = file.suffix in (".safetensors", ".bin", ".pt", ".pth")
            if file.is_file() and not weights and file.name not in (INDEX, "adapter_config.json"):
                shutil.copyfile(file, out / file.name)
    with safe_open(base / files[adapters[0].key], framework="pt") as handle:
        dtype = handle.get_tensor(adapters[0].key).dtype
    merge_adapters(base, out, adapters, state, dtype)


def checkpoint_files(source: Path) -> dict[str, str]:
    """The file of every tensor of a checkpoint, by key."""
    from safetensors import safe_open

    if (source / INDEX).is_file():
        found: dict[str, str] = read_json(source / INDEX)["weight_map"]
        return found
    keys = {}
    for file in sorted(source.glob("*.safetensors")):
        with safe_open(file, framework="pt") as handle:
            keys.update(dict.fromkeys(handle.keys(), file.name))
    return keys


def _plain(name: str) -> str:
    """A name in the model without the wrapper of layers that recompute their activations."""
    return name.replace("_checkpoint_wrapped_module.", "")


def _merged(weight: Any, adapter: Adapter, state: Mapping[str, Any]) -> Any:
    change = adapter.scaling * (state[adapter.b] @ state[adapter.a])
    return weight.float() + (change.t() if adapter.transposed else change)


def _linear_layers(policy: Any, whole: str) -> list[str]:
    """Names of all linear layers between the embedding and the output layer, without ``whole``."""
    import torch
    from transformers.pytorch_utils import Conv1D

    kinds: tuple[type, ...] = (torch.nn.Linear, Conv1D)
    outside = (policy.get_output_embeddings(), policy.get_input_embeddings())
    return [
        name
        for name, module in policy.named_modules()
        if isinstance(module, kinds) and module not in outside and name != whole
    ]
