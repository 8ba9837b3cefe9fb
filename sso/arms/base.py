"""What an arm is: the steps that turn one iteration's policy into the next one.

A step is a function from input folders to one output folder. The harness runs the steps (and
skips those already done), so a step keeps no state of its own: everything it needs comes in its
``StepContext``, everything it makes goes into ``ctx.folder``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from groundwork.sampling_params import SamplingParams
from groundwork.stage_result import StageResult
from sso.records import Message, Principle, Query
from sso.settings import MethodSettings


class CompletionLike(Protocol):
    """What the core reads of a generated completion."""

    @property
    def text(self) -> str: ...
    @property
    def completion_tokens(self) -> int: ...
    @property
    def truncated(self) -> bool: ...


class TextEngine(Protocol):
    """The part of a text-generation engine that the core needs."""

    def chat(
        self,
        prompts: Sequence[str | Sequence[Message]],
        params: SamplingParams,
        *,
        seeds: Sequence[int] | None = None,
        on_done: Callable[[int, Any], None] | None = None,
    ) -> Sequence[CompletionLike]:
        """One completion per prompt, in order, each with its own seed.

        ``on_done(index, completion)`` is called as items finish, in any order.
        """

    def logprobs(
        self,
        prompts: Sequence[str | Sequence[Message]],
        continuations: Sequence[str],
        *,
        ended: Sequence[bool] | None = None,
    ) -> Sequence[Any]:
        """Per pair an object with ``total`` (nats) and ``tokens``; where ``ended``, the token that ends a
        turn is part of the continuation."""


@dataclass(frozen=True)
class StepContext:
    """All that a step may use.

    ``inputs`` maps the names in ``Step.inputs`` to folders: ``policy`` (the checkpoint that enters
    the iteration), ``preferences`` (a folder with ``preferences.jsonl``), or an earlier step's name.
    ``queries`` are this iteration's share. ``engine(folder)`` gives a text engine on a checkpoint
    folder; engines belong to the caller, who closes them. ``writer`` is the engine that writes
    principles, ``None`` for the policy itself; ``principles`` are those of the queries, by query id, where
    a stage of their own wrote them. ``progress(done, total)`` may be called at will. ``train``
    takes the place of ``sso.training.train``: ``sso.launch.launch`` runs it in processes of its own.
    """

    folder: Path
    inputs: Mapping[str, Path]
    queries: Sequence[Query]
    settings: MethodSettings
    iteration: int
    seed: int
    engine: Callable[[Path], TextEngine]
    writer: TextEngine | None = None
    principles: Mapping[str, Principle] | None = None
    progress: Callable[[int, int], None] = lambda done, total: None
    train: Callable[..., StageResult] | None = None


@dataclass(frozen=True)
class Step:
    """One stage of an iteration. ``name`` is its folder; ``settings`` the names of the
    ``MethodSettings`` sections it depends on (a change in another one does not redo it).

    ``queries`` says whose query set a ``sample`` step gets, where policy and generator have sets of their
    own. A ``train`` step leaves a checkpoint folder ``ctx.folder / "model"`` (safetensors, tokenizer and
    all); a ``sample`` step leaves JSONL files of records.
    """

    name: str
    kind: Literal["sample", "train"]
    inputs: tuple[str, ...]
    settings: tuple[str, ...]
    run: Callable[[StepContext], StageResult]
    queries: Literal["policy", "generator"] = "policy"


@dataclass(frozen=True)
class Arm:
    """One method of a comparison.

    Tables and reports print ``title`` and sort arms by ``order``; an ``ablation`` is another arm with a
    part left out or changed. The last ``train`` step's checkpoint is the next policy. ``judged`` names the
    step whose ``pairs.jsonl`` the pair-accuracy judge reads (``PreferencePair`` lines).
    """

    name: str
    title: str
    order: int
    steps: tuple[Step, ...]
    judged: str
    uses_queries: bool = True
    uses_preferences: bool = False
    ablation: bool = False
