"""Average log-probabilities through the real engine, against the model's own forward pass."""

from __future__ import annotations

from pathlib import Path

import pytest

from sso.pair_metrics import average_logprobs

PROMPTS = [
    ({"role": "user", "content": "Name a river."},),
    ({"role": "system", "content": "Be brief."}, {"role": "user", "content": "2 + 2?"}),
    ({"role": "user", "content": "Name a river."},),
]
TEXTS = ["The Danube is one.", "4", "Rivers:\n\n- Elbe\n- Po"]
CUT = [False, False, True]


def by_hand(folder: Path) -> list[float]:
    """One forward pass a text, no batching; the template's prompt, the text, the end-of-turn token."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    found = []
    for prompt, text, cut in zip(PROMPTS, TEXTS, CUT, strict=True):
        head = tokenizer.apply_chat_template(
            list(prompt), tokenize=False, add_generation_prompt=True
        )
        before = tokenizer(head, add_special_tokens=False)["input_ids"]
        after = tokenizer(text, add_special_tokens=False)["input_ids"]
        if not cut:
            after = [*after, tokenizer.convert_tokens_to_ids("<|im_end|>")]
        with torch.no_grad():
            logits = model(torch.tensor([before + after])).logits[0]
        logps = torch.log_softmax(logits[len(before) - 1 : -1].double(), -1)
        picked = logps[torch.arange(len(after)), torch.tensor(after)]
        found.append(float(picked.mean()))
    return found


def by_engine(folder: Path) -> list[float]:
    from harness.engines.hf import HfEngine

    engine = HfEngine(folder, device="cpu")
    try:
        return average_logprobs(engine, PROMPTS, TEXTS, CUT)
    finally:
        engine.close()


def test_tiny_model(tiny_model_dir: Path) -> None:
    assert by_engine(tiny_model_dir) == pytest.approx(by_hand(tiny_model_dir), abs=2e-5)


@pytest.mark.slow
def test_quickstart_model(smollm2_dir: Path) -> None:
    assert by_engine(smollm2_dir) == pytest.approx(by_hand(smollm2_dir), abs=2e-5)
