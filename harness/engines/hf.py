"""The in-process engine: a transformers model, batched, deterministic, seeded per item."""

from __future__ import annotations

import gc
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

from groundwork.rope import forget_lengths
from groundwork.sampling_params import SamplingParams
from harness.engines.base import Completion, ContinuationLogprob, Message, Prompt
from harness.engines.batching import Batch, Group, plan_batches
from harness.engines.chat_tokenizer import Codec
from harness.engines.errors import ContextTooLong, EngineError
from harness.models import check_model_folder, model_fingerprint, quiet_transformers

CPU_ROWS, CUDA_ROWS = 128, 256
CPU_CACHE_BYTES = 3 << 30
CPU_PIECE_TOKENS, CUDA_PIECE_TOKENS = 1024, 8192


class HfEngine:
    """A model folder loaded by transformers. See ``harness.engines.base.Engine``.

    The same request list always runs in the same batches, and a row's random numbers come from its
    own seed, so the same call gives the same texts, on the same machine, after any restart.
    """

    name = "hf"

    def __init__(
        self,
        folder: Path,
        *,
        device: str = "auto",
        dtype: str = "auto",
        batch_size: int | None = None,
        max_length: int | None = None,
    ) -> None:
        from groundwork.cpu_kernels import pack_linears
        from harness.engines.decode_probe import serve

        check_model_folder(folder)
        self.device = pick_device(device)
        self.dtype = pick_dtype(dtype, self.device)
        self.codec = Codec(folder)
        self.model_hash = model_fingerprint(folder)
        self._model: Any = _load(folder, self.device, self.dtype)
        self.max_length = context_length(self._model.config, max_length)
        cuda = self.device.startswith("cuda")
        self.rows = batch_size or (CUDA_ROWS if cuda else CPU_ROWS)
        self.slots = max(1, _cache_bytes(self.device) // _token_bytes(self._model))
        self._served: Any = serve(
            self._model,
            self.codec,
            lambda model: pack_linears(model, CPU_ROWS),
            max_length=self.max_length,
            piece_tokens=CUDA_PIECE_TOKENS if cuda else CPU_PIECE_TOKENS,
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the figures should know about how this model is run."""
        return self._served.notes

    def render(self, messages: Sequence[Message], *, add_generation_prompt: bool = True) -> str:
        """The chat as the model reads it."""
        return self.codec.render(messages, add_generation_prompt=add_generation_prompt)

    def count_tokens(self, text: str) -> int:
        """Number of tokens of ``text``, no special tokens added."""
        return len(self.codec.encode([text])[0])

    def chat(
        self,
        prompts: Sequence[Prompt],
        params: SamplingParams,
        *,
        seeds: Sequence[int] | None = None,
        on_done: Callable[[int, Completion], None] | None = None,
        finished: Collection[int] | None = None,
    ) -> list[Completion]:
        """One completion per prompt, in order (see the base contract).

        ``finished`` names items whose result the caller has already: a batch of only such items is
        skipped, any other batch is generated whole, so that every text is what an uninterrupted call
        gives; texts then go to ``on_done`` alone. Without ``seeds`` item i has seed i.

        Raises:
            ContextTooLong: a prompt fills the model's context; nothing has been generated yet.
        """
        ids = self.codec.prompt_ids(prompts)
        self._check_room(ids)
        seeds = list(seeds) if seeds is not None else list(range(len(prompts)))
        results = [Completion("", len(row), 0, False) for row in ids]

        def done(item: int, completion: Completion) -> None:
            if finished is None:
                results[item] = completion
            if on_done is not None:
                on_done(item, completion)

        lengths = [len(row) + params.max_new_tokens for row in ids]
        skip = set(finished or ())
        for decoder, batch in self._batches(ids, lengths, params.max_new_tokens):
            if not set(batch.items) <= skip:
                decoder.generate(batch, ids, seeds, params, done)
        return results

    def logprobs(
        self,
        prompts: Sequence[Prompt],
        continuations: Sequence[str],
        *,
        ended: Sequence[bool] | None = None,
        on_done: Callable[[int, ContinuationLogprob], None] | None = None,
        finished: Collection[int] | None = None,
    ) -> list[ContinuationLogprob]:
        """Log-probability of each continuation after its prompt.

        Split into tokens by ``Codec.prompt_pairs``; ``finished`` as in ``chat``.
        """
        pairs = self.codec.prompt_pairs(prompts, continuations, ended)
        results = [ContinuationLogprob(0.0, 0, True) for _ in pairs]
        # Items that feed the model the same tokens (one context, options of one token) share a row.
        rows: dict[tuple[tuple[int, ...], int], list[int]] = {}
        for item, (context, rest) in enumerate(pairs):
            if rest:
                rows.setdefault(((*context, *rest[:-1]), len(rest)), []).append(item)
            elif on_done is not None:
                on_done(item, results[item])
        inputs = [list(tokens) for tokens, _ in rows]
        members = list(rows.values())
        self._check_room(inputs, [group[0] for group in members])
        tails = [count for _, count in rows]
        lengths = [len(row) for row in inputs]
        skip = set(finished or ())

        def done(item: int, result: ContinuationLogprob) -> None:
            if finished is None:
                results[item] = result
            if on_done is not None:
                on_done(item, result)

        targets = [[pairs[item][1] for item in group] for group in members]
        for decoder, batch in self._batches(inputs, lengths, 0, tails):
            if not {item for row in batch.items for item in members[row]} <= skip:
                decoder.score(batch, inputs, targets, members, done)
        return results

    def close(self) -> None:
        """Free the model's memory."""
        self._model = self._served = None
        gc.collect()
        if self.device.startswith("cuda"):
            import torch

            torch.cuda.empty_cache()

    def _batches(
        self,
        ids: Sequence[Sequence[int]],
        lengths: Sequence[int],
        new_tokens: int,
        tails: Sequence[int] | None = None,
    ) -> list[tuple[Any, Batch]]:
        """Every batch with its decode loop; ``tails`` (for scoring) as in ``plan_batches``.

        Sequences whose ``lengths`` go beyond the limit of ``groundwork.rope`` run one at a time.
        """
        served = self._served
        if served.limit is not None:
            forget_lengths(self._model)  # of sequences of an earlier call
        far = [i for i, n in enumerate(lengths) if served.limit is not None and n > served.limit]
        near = [i for i in range(len(ids)) if i not in set(far)]
        scoring = tails is not None
        planned = plan_batches(
            [ids[i] for i in near],
            new_tokens,
            rows=1024 if scoring else self.rows,
            slots=1 << 20 if scoring else self.slots,
            open_tail=[tails[i] for i in near] if tails is not None else None,
        )
        batches = [
            Batch(tuple(Group(g.prefix, tuple(near[i] for i in g.items)) for g in batch.groups))
            for batch in planned
        ]
        alone = [(served.alone, Batch((Group(0, (i,)),))) for i in far]
        return [*((served.decoder, batch) for batch in batches), *alone]

    def _check_room(
        self, ids: Sequence[Sequence[int]], numbers: Sequence[int] | None = None
    ) -> None:
        for number, row in enumerate(ids):
            index = numbers[number] if numbers is not None else number
            if not row:
                raise EngineError(f"prompt {index} is empty (no tokens)")
            if len(row) >= self.max_length:
                raise ContextTooLong(len(row) + 1, self.max_length, index)


def pick_device(device: str) -> str:
    """``auto`` is CUDA where there is one, else the CPU."""
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise EngineError(f"device {device}: no CUDA device here (use cpu or auto)")
    return device


def pick_dtype(dtype: str, device: str) -> str:
    """``auto`` is float32 on the CPU (exactness) and bfloat16 elsewhere."""
    names = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}
    if dtype == "auto":
        return "float32" if device == "cpu" else "bfloat16"
    name = names.get(dtype, dtype)
    if name not in names.values():
        raise EngineError(f"dtype {dtype}: use auto, {', '.join(names)}")
    return name


def context_length(config: Any, limit: int | None) -> int:
    """The model's context in tokens, or the smaller ``limit`` of the settings."""
    text = config.get_text_config() if hasattr(config, "get_text_config") else config
    own = int(getattr(text, "max_position_embeddings", 0) or 0)
    rope = getattr(text, "rope_parameters", None) or {}
    if "dynamic" in str(rope.get("rope_type")):
        own = int(own * float(rope.get("factor") or 1.0))  # what dynamic NTK stretches it to
    if limit is not None and own and limit > own:
        raise EngineError(f"max_length {limit} is more than the model's context of {own} tokens")
    return limit or own or 2048


def _load(folder: Path, device: str, dtype: str) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    try:
        with quiet_transformers():
            model: Any = AutoModelForCausalLM.from_pretrained(
                folder,
                dtype=getattr(torch, dtype),
                use_safetensors=True,
                trust_remote_code=False,
            )
    except (OSError, ValueError, RuntimeError) as error:
        first = str(error).strip().splitlines()[0]
        raise EngineError(f"model folder {folder} can't be loaded: {first}") from None
    return model.to(device).eval()


def _token_bytes(model: Any) -> int:
    """Bytes of keys and values of one token over all layers (of a model without heads: of its states)."""
    config = model.config.get_text_config()
    heads = _number(config, "num_attention_heads") or 1
    key_heads = _number(config, "num_key_value_heads") or heads
    size = _number(config, "head_dim") or config.hidden_size // heads
    return int(2 * config.num_hidden_layers * key_heads * size * model.dtype.itemsize)


def _number(config: Any, name: str) -> int:
    """A number of the configuration; 0 where it has none, or one per layer."""
    try:
        return int(getattr(config, name, None) or 0)
    except (RuntimeError, AttributeError, TypeError, ValueError):
        return 0


def _cache_bytes(device: str) -> int:
    """What keys and values of a batch may take: fixed on the CPU, half of a GPU's free memory."""
    if not device.startswith("cuda"):
        return CPU_CACHE_BYTES
    import torch

    _, total = torch.cuda.mem_get_info(device)
    return max(1 << 30, (total - torch.cuda.memory_allocated(device)) // 2)
