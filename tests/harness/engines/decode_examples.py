"""What the tests of the three decode loops share: a model, its tokenizer, prompts, and the plain answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from groundwork.sampling_params import SamplingParams
from harness.engines.base import Completion, ContinuationLogprob
from harness.engines.batching import Batch, Group
from harness.engines.chat_tokenizer import Codec

SHARED = list(range(40, 60))
PROMPTS = [[*SHARED, 70, 71], [*SHARED, 80], [9, 10, 11]]
BATCH = Batch((Group(20, (0, 1)), Group(0, (2,))))


def untouched(folder: Path) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def codec_of(folder: Path) -> Codec:
    return Codec(folder)


def generated(decoder: Any, params: SamplingParams) -> dict[int, Completion]:
    """The completions of all prompts, by item, in whatever order rows ended."""
    found: dict[int, Completion] = {}
    decoder.generate(BATCH, PROMPTS, [7, 8, 9], params, found.__setitem__)
    return found


def plain(folder: Path, new: int) -> dict[int, Completion]:
    """What ``model.generate`` writes for each prompt alone."""
    model, codec = untouched(folder), codec_of(folder)
    found = {}
    for item, prompt in enumerate(PROMPTS):
        out = model.generate(torch.tensor([prompt]), max_new_tokens=new, do_sample=False)
        ids = out[0, len(prompt) :].tolist()
        ended = ids[-1] in codec.end_ids
        text = codec.decode(ids[:-1] if ended else ids)
        found[item] = Completion(text, len(prompt), len(ids), not ended)
    return found


def scored(decoder: Any, targets: list[list[list[int]]]) -> dict[int, ContinuationLogprob]:
    """Results of several targets behind each prompt, numbered one after another."""
    found: dict[int, ContinuationLogprob] = {}
    items, number = [], 0
    for row in targets:
        items.append(list(range(number, number + len(row))))
        number += len(row)
    inputs = [[*prompt, *row[0][:-1]] for prompt, row in zip(PROMPTS, targets, strict=True)]
    decoder.score(BATCH, inputs, targets, items, found.__setitem__)
    return found


def forward_totals(folder: Path, targets: list[list[list[int]]]) -> list[float]:
    """The same from one whole forward pass per target."""
    model = untouched(folder)
    totals = []
    for prompt, row in zip(PROMPTS, targets, strict=True):
        for target in row:
            with torch.inference_mode():
                logits = model(torch.tensor([[*prompt, *target]])).logits[0, len(prompt) - 1 : -1]
            totals.append(float(logits.log_softmax(-1)[range(len(target)), target].sum()))
    return totals
