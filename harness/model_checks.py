"""What a model folder may hold: checked before anything of it is loaded, in bounded time.

The folder is not trusted. Weight files are read by their headers, then once for numbers that are not
finite; configuration, tokenizer and template are tried in a child process with bounds.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from groundwork.bounded_child import in_bounded_child
from groundwork.errors import UserError
from groundwork.printable import one_line

MOST_HEADER = 100_000_000
"""Bytes of a safetensors header, as in the format's own reader."""
MOST_JSON = 1 << 28
CPU_SECONDS = 60
MEMORY = 8 << 30
ZERO_ROWS = 0.25
"""Share of a weight matrix's rows that are zero from which the file counts as damaged."""
SIZES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1,
         "BOOL": 1, "F8_E4M3": 1, "F8_E5M2": 1, "U16": 2, "U32": 4, "U64": 8, "C64": 8}  # fmt: skip
CHATS = (
    [{"role": "user", "content": "Hello."}],
    [
        {"role": "user", "content": "Hello."},
        {"role": "assistant", "content": "Hello."},
        {"role": "user", "content": "Bye."},
    ],
)


class ModelError(UserError):
    """A model that can't be found or can't be used."""


def json_object(file: Path) -> dict[str, Any]:
    """A JSON object of a model folder; empty where there is no such file."""
    if not file.is_file():
        return {}
    if file.stat().st_size > MOST_JSON:
        raise ModelError(f"{file} is larger than any such file ({file.stat().st_size >> 20} MB)")
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{file} is not JSON: {one_line(str(error), 120)}") from None
    if not isinstance(found, dict):
        raise ModelError(f"{file} is not a JSON object")
    return found


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a model folder, by name."""
    return sorted(folder.glob("*.safetensors"))


def check_weight_files(folder: Path) -> tuple[int, int]:
    """(tensors, numbers) of all weight files by their headers, each file exactly as long as it says.

    Raises:
        ModelError: a truncated or damaged file.
    """
    tensors = numbers = 0
    for file in weight_files(folder):
        for shape in header_shapes(file):
            tensors, numbers = tensors + 1, numbers + math.prod(shape)
    return tensors, numbers


def header_shapes(file: Path) -> list[list[int]]:
    """The shapes of a safetensors file's tensors.

    Raises:
        ModelError: the file is shorter or longer than its header says, or has no usable header.
    """
    size = file.stat().st_size
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if size < 8 or not 2 <= length <= min(MOST_HEADER, size - 8):
            raise ModelError(f"{file} is truncated or no safetensors file")
        raw = stream.read(length)
    try:
        header = json.loads(raw)
        rows = [row for name, row in header.items() if name != "__metadata__"]
        shapes = [[int(n) for n in row["shape"]] for row in rows]
        ends = [row["data_offsets"] for row in rows]
        fit = all(
            min(begin, *shape, end - begin) >= 0
            and end - begin == math.prod(shape) * SIZES[row["dtype"]]
            for row, shape, (begin, end) in zip(rows, shapes, ends, strict=True)
            if row["dtype"] in SIZES
        )
        end = max((int(end) for _, end in ends), default=0)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ModelError(f"{file} has a damaged header") from None
    if size != 8 + length + end or not fit:
        what = "truncated" if size < 8 + length + end else "damaged"
        raise ModelError(f"{file} is {what}: {size} bytes, {8 + length + end} by its header")
    return shapes


def check_contents(folder: Path, fingerprint: str, cache: Path) -> None:
    """Everything that needs the files' contents, once per fingerprint of the folder.

    Raises:
        ModelError: weights that are no numbers or lost, a configuration that is not theirs, code that
            would have to be run, or a tokenizer or template that can't be used in bounded time.
    """
    note = cache / "checked-models" / fingerprint
    if note.is_file():
        return
    tensors, numbers = check_weight_files(folder)
    _check_layers(folder, tensors)
    _check_numbers(folder)
    said = in_bounded_child(lambda: _try(folder, numbers), cpu_seconds=CPU_SECONDS, memory=MEMORY)
    if said is None:
        raise ModelError(
            f"model folder {folder}: its configuration, tokenizer or chat template takes more than "
            f"{CPU_SECONDS} s or {MEMORY >> 30} GB on a short chat"
        )
    if said != "ok":
        raise ModelError(f"model folder {folder}: {one_line(said, 300)}")
    with contextlib.suppress(OSError):
        note.parent.mkdir(parents=True, exist_ok=True)
        note.touch()


def _check_layers(folder: Path, tensors: int) -> None:
    config = json_object(folder / "config.json")
    for section in (config, config.get("text_config")):
        layers = section.get("num_hidden_layers") if isinstance(section, dict) else None
        if isinstance(layers, int) and layers > tensors:
            raise ModelError(
                f"model folder {folder}: config.json has {layers} layers, the weights have {tensors} "
                "tensors"
            )


def _check_numbers(folder: Path) -> None:
    """Weights that are not finite, or lost to zeros, named with their file."""
    import torch
    from safetensors import SafetensorError, safe_open

    sparse = {"quantization_config", "sparsity_config"} & set(json_object(folder / "config.json"))
    for file in weight_files(folder):
        try:
            with safe_open(file, framework="pt") as stream:
                for name in stream.keys():  # noqa: SIM118 (no mapping)
                    weight = stream.get_tensor(name)
                    if not weight.is_floating_point():
                        continue
                    if not bool(
                        torch.isfinite(weight.float() if weight.itemsize == 1 else weight).all()
                    ):
                        raise ModelError(f"{file}: {name} holds numbers that are not finite")
                    if weight.ndim == 2 and "embed" not in name and not sparse:
                        _check_rows(weight, name, file)
        except SafetensorError as error:
            raise ModelError(f"{file} can't be read: {one_line(str(error), 120)}") from None


def _check_rows(weight: Any, name: str, file: Path) -> None:
    zero = int((weight == 0).all(dim=1).sum())
    if zero and zero >= ZERO_ROWS * len(weight):
        raise ModelError(
            f"{file}: {name} is zero in {zero} of {len(weight)} rows: the file is damaged, or was never "
            "written whole"
        )


def _try(folder: Path, numbers: int) -> str:
    """Build the model without weights, and render two chats: ``ok``, or what is wrong. In a child."""
    if said := _try_config(folder, numbers):
        return said
    return _try_template(folder) or "ok"


def _try_config(folder: Path, numbers: int) -> str:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        with torch.device("meta"):
            shape = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    except (RuntimeError, NotImplementedError):
        return ""  # not every model can be built without memory; loading it will tell
    except Exception as error:  # whatever a configuration can make the library raise
        return f"config.json can't be used: {type(error).__name__}: {error}"
    described = sum(p.numel() for p in shape.parameters())
    quantized = getattr(config, "quantization_config", None) is not None
    if described > 2 * numbers + 1000 and not quantized:
        return f"config.json describes {described} weights, the files hold {numbers}"
    return ""


def _try_template(folder: Path) -> str:
    from transformers import AutoTokenizer

    os.environ["HF_HUB_OFFLINE"] = "1"
    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except Exception as error:
        return f"its tokenizer can't be used: {type(error).__name__}: {error}"
    for chat in CHATS:
        try:
            text = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
        except Exception as error:
            return f"its chat template can't be used: {type(error).__name__}: {error}"
        if not isinstance(text, str) or len(text) > 1_000_000:
            return "its chat template makes more than 1 MB of a short chat"
    return ""


def code_files(config: Mapping[str, Any]) -> list[str]:
    """The classes of the folder's own code that a configuration names."""
    named = config.get("auto_map")
    values = named.values() if isinstance(named, dict) else []
    return [str(v[0] if isinstance(v, list) and v else v) for v in values]
