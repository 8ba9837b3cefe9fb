"""The checkpoints that a trainer leaves in a folder: which there are, and whether one is still being written."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from groundwork.files import digest
from harness.model_checks import ModelError, json_object
from harness.models import ResolvedModel, model_fingerprint, resolve_model

NAME = re.compile(r"(?:checkpoint|global_step|step|epoch|iter)[-_]?(\d+)")
"""Folders of TRL, LLaMA-Factory and most trainers (``checkpoint-500``), and of this tool (``iter-2``)."""
INSIDE = ("", "model", "policy/model")
"""Where in such a folder the weights may lie; the last one in an iteration of this tool."""
MARKS = ("config.json", "adapter_config.json")

State = tuple[tuple[str, int, int], ...]


@dataclass(frozen=True)
class Checkpoint:
    """A folder with weights, made at a step of a training."""

    step: int
    name: str
    path: Path

    @property
    def adapter(self) -> bool:
        """Whether it holds a LoRA adapter alone."""
        return (self.path / "adapter_config.json").is_file() and not (
            self.path / "config.json"
        ).is_file()

    def state(self) -> State:
        """Names, sizes and times of its files: another one means that it was written on."""
        files = sorted(file for file in self.path.glob("*") if file.is_file())
        stats = [(file.name, file.stat()) for file in files]
        return tuple((name, stat.st_size, stat.st_mtime_ns) for name, stat in stats)


def find_checkpoints(folder: Path) -> list[Checkpoint]:
    """All that have begun to be written, by step; of two folders of one step the first by name."""
    found: dict[int, Checkpoint] = {}
    for child in sorted(folder.iterdir()):
        match = NAME.fullmatch(child.name)
        if match is None or not child.is_dir():
            continue
        places = [child / inside for inside in INSIDE]
        begun = [place for place in places if any((place / mark).is_file() for mark in MARKS)]
        if begun:
            step = int(match[1])
            found.setdefault(step, Checkpoint(step, child.name, begun[0]))
    return [found[step] for step in sorted(found)]


def checkpoint_model(checkpoint: Checkpoint, base: ResolvedModel | None) -> ResolvedModel:
    """The checkpoint as a model; an adapter keeps its own path, and its fingerprint covers its base.

    Raises:
        ModelError: it is not whole, or can't be used.
    """
    if not checkpoint.adapter:
        return resolve_model(str(checkpoint.path.absolute()))
    base = adapter_base(checkpoint, base)
    if not any(checkpoint.path.glob("adapter_model*.safetensors")):
        raise ModelError(f"{checkpoint.path} has no adapter_model.safetensors")
    both = digest([base.fingerprint, model_fingerprint(checkpoint.path)])[:16]
    return ResolvedModel(checkpoint.path.absolute(), "folder", str(checkpoint.path), both)


def adapter_base(checkpoint: Checkpoint, base: ResolvedModel | None) -> ResolvedModel:
    """The model that an adapter belongs to: ``base``, else the one that it names.

    Raises:
        ModelError: it names none, or one that can't be used.
    """
    if base is not None:
        return base
    named = json_object(checkpoint.path / "adapter_config.json").get("base_model_name_or_path")
    if not isinstance(named, str) or not named:
        raise ModelError(f"{checkpoint.path} is an adapter that names no base: give it as --model")
    return resolve_model(named)
