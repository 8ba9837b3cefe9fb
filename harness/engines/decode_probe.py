"""Which decode loop serves a model: the fastest one whose numbers are the untouched model's.

The yardstick is taken before anything is replaced: whole forward passes over single sequences, long enough
to fill caches and to leave sliding windows behind. Each loop then decodes the same tokens, step by
step, and scores the same continuations.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from groundwork.attention import switch_attention
from groundwork.kept_note import KeptNote
from groundwork.rope import length_limit
from groundwork.sampling_params import SamplingParams
from harness.engines.base import Completion, ContinuationLogprob
from harness.engines.batching import Batch, Group
from harness.engines.chat_tokenizer import Codec
from harness.engines.decode import Decoder
from harness.engines.decode_alone import SingleDecoder, whole_logits
from harness.engines.decode_padded import PlainDecoder
from harness.engines.decode_state import Row, choose
from harness.engines.errors import EngineError

STEPS = 10
SHORT, LONGEST_WINDOW = 24, 512
TOLERANCE = 3e-3
"""Nats by which log-probabilities may differ in float32."""

ERRORS = (
    TypeError,
    ValueError,
    RuntimeError,
    AttributeError,
    KeyError,
    IndexError,
    AssertionError,
)


@dataclass(frozen=True)
class Served:
    """The loop for a model, the one for sequences beyond ``limit`` tokens, and notes on the choice."""

    decoder: Any
    alone: Any
    limit: int | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class DecodeYardstick:
    """Sequences (the first two share a prefix), how many of their tokens are prompt, and the untouched
    model's log-probabilities (STEPS, vocabulary) of the tokens that follow; ``rounding`` is what a mere
    change of shape does to them."""

    sequences: tuple[tuple[int, ...], ...]
    prompts: tuple[int, ...]
    prefix: int
    logps: tuple[torch.Tensor, ...]
    rounding: float


@torch.inference_mode()
def measure_decoding(model: Any, max_length: int) -> DecodeYardstick:
    """The yardstick of a model as ``transformers`` loads it.

    Raises:
        EngineError: the model does not run.
    """
    config = model.config.get_text_config()
    length = min(_probe_length(config), max(4, max_length - STEPS))
    limit = length_limit(config)
    if limit is not None:
        length = max(4, min(length, limit - STEPS))
    generator = torch.Generator().manual_seed(0)
    rows = torch.randint(3, config.vocab_size, (3, length + STEPS), generator=generator).tolist()
    prefix = length // 2
    rows[1][:prefix] = rows[0][:prefix]
    prompts = (length, max(prefix + 1, length - 3), max(2, length // 3))
    sequences = tuple(tuple(r[: n + STEPS]) for r, n in zip(rows, prompts, strict=True))
    found, rounding = [], 0.0
    try:
        for ids, prompt in zip(sequences, prompts, strict=True):
            wanted = slice(prompt - 1, prompt - 1 + STEPS)
            logps = whole_logits(model, ids[:-1])[wanted].log_softmax(-1)
            if model.dtype != torch.float32:
                longer = whole_logits(model, [*ids, *rows[0][:7]])[wanted].log_softmax(-1)
                rounding = max(rounding, float((longer - logps).abs().mean()))
            found.append(logps)
    except ERRORS as error:
        raise EngineError(f"engine hf can't run {type(model).__name__}: {_line(error)}") from None
    return DecodeYardstick(sequences, prompts, prefix, tuple(found), rounding)


def _probe_length(config: Any) -> int:
    names = ("sliding_window", "attention_chunk_size", "window_size", "attention_window_size")
    windows = [getattr(config, name, None) for name in names]
    known = [w + 6 for w in windows if isinstance(w, int) and 0 < w <= LONGEST_WINDOW]
    return max(known, default=SHORT) if known else SHORT


def serve(model: Any, codec: Codec, prepare: Callable[[Any], object], **limits: int) -> Served:
    """The fastest decode loop that gives what ``model`` gives; ``prepare`` puts the leaner layers in.

    What was found is kept in the user's cache for models of the same architecture.

    Raises:
        EngineError: no loop does.
    """
    kept = KeptNote("decode-loops", model, [Path(__file__).parent], {"limits": limits})
    known = kept.read() or {}
    yardstick = None if known else measure_decoding(model, limits["max_length"])
    limit = length_limit(model.config)
    prepare(model)
    if yardstick is None:
        found = _follow(model, codec, known, limits)
    else:
        found = _find(model, codec, yardstick, limits)
        loop = _NAMES[type(found.decoder)]
        kept.write({"loop": loop, "cached": found.alone.cached, "notes": found.notes})
    if limit is None:
        return found
    note = f"sequences of more than {limit} tokens run one at a time: rotary angles"
    return replace(found, limit=limit, notes=(note, *found.notes))


_NAMES = {Decoder: "shared prefixes", PlainDecoder: "padded", SingleDecoder: "one prompt"}


def _loops(
    kind: type, model: Any, codec: Codec, limits: Mapping[str, int]
) -> tuple[Any, SingleDecoder]:
    """A decode loop of this kind and the one for sequences that run alone; ``Decoder`` switches attention."""
    own = switch_attention(model) if kind is Decoder else None
    alone = SingleDecoder(model, codec, max_length=limits["max_length"], attention=own)
    return alone if kind is SingleDecoder else kind(model, codec, **limits), alone


def _follow(
    model: Any, codec: Codec, known: Mapping[str, Any], limits: Mapping[str, int]
) -> Served:
    """The loop that an earlier probe found."""
    (kind,) = (kind for kind, name in _NAMES.items() if name == known["loop"])
    decoder, alone = _loops(kind, model, codec, limits)
    alone.cached = known["cached"]
    return Served(decoder, alone, None, tuple(known["notes"]))


def _find(
    model: Any, codec: Codec, yardstick: DecodeYardstick, limits: Mapping[str, int]
) -> Served:
    notes: list[str] = []
    try:
        fast, alone = _loops(Decoder, model, codec, limits)
        if not (why := difference(fast, yardstick)):
            return Served(fast, alone, None, ())
        switch_attention(model, alone.attention)
    except ValueError as error:
        why = str(error)
    notes.append(f"the model's own attention and cache: {why}")
    padded, alone = _loops(PlainDecoder, model, codec, limits)
    if not (why := difference(padded, yardstick)):
        return Served(padded, alone, None, tuple(notes))
    notes[-1] = f"one prompt at a time: {why}"
    if difference(alone, yardstick):
        alone.cached = False
        notes.append("every step from the first token on: the model's cache gives other numbers")
        try:  # what remains is the model itself: its numbers are right, if it runs
            _decoded(alone, yardstick)
        except ERRORS as error:
            raise EngineError(
                f"engine hf can't serve {type(model).__name__}: {_line(error)}"
            ) from None
        finally:
            alone.choose = choose
    return Served(alone, alone, None, tuple(notes))


def difference(decoder: Any, yardstick: DecodeYardstick) -> str:
    """Why a loop does not give the yardstick's numbers; empty where it does."""
    try:
        found = _decoded(decoder, yardstick)
        totals = _scored(decoder, yardstick)
    except ERRORS as error:
        return _line(error)
    finally:
        decoder.choose = choose
    half = yardstick.rounding > 0
    for row, expected in enumerate(yardstick.logps):
        gap = (torch.stack(found[row]) - expected).abs()
        scale = max(1.0, float(expected.abs().max()) / 10)
        slack = 0.05 + 5 * yardstick.rounding if half else TOLERANCE * scale
        worst = float(gap.mean() if half else gap.max())
        if not worst <= slack:
            return f"decoding differs from the model's forward pass by {worst:.2g} nats"
        targets = yardstick.sequences[row][-STEPS:]
        total = float(sum(expected[step, token] for step, token in enumerate(targets)))
        if not abs(totals[row] - total) <= STEPS * (5 * slack if half else slack):
            return (
                f"log-probabilities differ from the model's by {abs(totals[row] - total):.2g} nats"
            )
    return ""


def _decoded(decoder: Any, yardstick: DecodeYardstick) -> list[list[torch.Tensor]]:
    """Log-probabilities (vocabulary,) of every step of every row, the rows' own tokens forced."""
    found: list[list[torch.Tensor]] = [[] for _ in yardstick.sequences]

    def forced(
        rows: Sequence[Row], logits: torch.Tensor, params: SamplingParams, step: int
    ) -> torch.Tensor:
        tokens = []
        for row, scores in zip(rows, logits, strict=True):
            if not row.done:
                found[row.item].append(scores.float().log_softmax(-1))
            place = min(yardstick.prompts[row.item] + step, len(yardstick.sequences[row.item]) - 1)
            tokens.append(yardstick.sequences[row.item][place])
        return torch.tensor(tokens, device=logits.device)

    decoder.choose = forced
    prompts = [s[:n] for s, n in zip(yardstick.sequences, yardstick.prompts, strict=True)]
    batch = Batch((Group(yardstick.prefix, (0, 1)), Group(0, (2,))))
    done: list[Completion] = []
    decoder.generate(
        batch,
        prompts,
        [0, 0, 0],
        SamplingParams(STEPS, ignore_end=True),
        lambda item, completion: done.append(completion),
    )
    return found


def _scored(decoder: Any, yardstick: DecodeYardstick) -> list[float]:
    totals = [0.0] * len(yardstick.sequences)

    def done(item: int, result: ContinuationLogprob) -> None:
        totals[item] = result.total

    inputs = [s[:-1] for s in yardstick.sequences]
    targets = [[list(s[-STEPS:])] for s in yardstick.sequences]
    batch = Batch((Group(yardstick.prefix, (0, 1)), Group(0, (2,))))
    decoder.score(batch, inputs, targets, [[0], [1], [2]], done)
    return totals


def _line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__} {text[0] if text else ''}".strip()
