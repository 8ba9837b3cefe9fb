"""Every architecture of ``tests/architectures.py`` in the engine: texts and log-probabilities are the
untouched model's, whichever loop the probe chose."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch

from groundwork.sampling_params import SamplingParams
from harness.engines.decode_alone import whole_logits
from harness.engines.hf import HfEngine
from tests.architectures import ARCHITECTURES, save

PROMPTS = [
    "one two three four five six seven 1",
    "one two three four five six seven 22",
    "x",
    "Why not?",
]
RESTS = [" because", " so", "!", " it is what it is"]
NEW = 14


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What an earlier test found is not known."""
    monkeypatch.setenv("SSO_BENCH_CACHE", str(tmp_path / "cache"))


def untouched(folder: Path, dtype: torch.dtype) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval()


def agrees(model: Any, prompt: list[int], written: list[int], slack: float) -> bool:
    """Whether every written token was the likeliest one, or within ``slack`` of it."""
    with torch.inference_mode():
        logps = whole_logits(model, [*prompt, *written])[len(prompt) - 1 : -1].log_softmax(-1)
    best = logps.max(dim=-1).values
    return bool((best - logps[range(len(written)), written] <= slack).all())


def greedy(model: Any, prompt: list[int]) -> list[int]:
    """``model.generate``, one prompt at a time."""
    out = model.generate(torch.tensor([prompt]), max_new_tokens=NEW, do_sample=False)
    return out[0, len(prompt) :].tolist()


@pytest.mark.slow
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_engine_computes_what_the_untouched_model_computes(
    name: str, tiny_model_dir: Path, tmp_path: Path
) -> None:
    folder = save(name, tmp_path, tiny_model_dir)
    assert_greedy_texts_and_log_probabilities_are_equal(folder)
    assert_bfloat16_writes_what_the_model_finds_likeliest(folder)


def assert_greedy_texts_and_log_probabilities_are_equal(folder: Path) -> None:
    """Texts are those of ``generate``, log-probabilities within 5e-3 of the forward pass."""
    engine, model = HfEngine(folder, max_length=200), untouched(folder, torch.float32)
    found = engine.chat(PROMPTS, SamplingParams(NEW))
    for prompt, completion in zip(engine.codec.encode(PROMPTS), found, strict=True):
        expected = greedy(copy.deepcopy(model), prompt)  # some keep a state of the longest prompt
        kept = expected[:-1] if expected[-1] in engine.codec.end_ids else expected
        assert completion.text == engine.codec.decode(kept), engine.notes
        assert completion.completion_tokens == len(expected)
    pairs = engine.codec.prompt_pairs(PROMPTS, RESTS)
    for (prompt, rest), scored in zip(pairs, engine.logprobs(PROMPTS, RESTS), strict=True):
        with torch.inference_mode():
            logits = whole_logits(copy.deepcopy(model), [*prompt, *rest[:-1]])
        logps = logits.log_softmax(-1)[-len(rest) :]
        assert scored.total == pytest.approx(float(logps[range(len(rest)), rest].sum()), abs=5e-3)


def assert_bfloat16_writes_what_the_model_finds_likeliest(folder: Path) -> None:
    """Each token within 0.35 nats of the likeliest, totals within 0.12 nats a token."""
    engine = HfEngine(folder, max_length=200, dtype="bf16")
    model = untouched(folder, torch.bfloat16)
    found = engine.chat(PROMPTS, SamplingParams(NEW))
    for prompt, completion in zip(engine.codec.encode(PROMPTS), found, strict=True):
        written = engine.codec.encode([completion.text])[0][: NEW - 1]
        if (
            len(written) == completion.completion_tokens
        ):  # bytes that are no text can't be read back
            assert agrees(model, prompt, written, slack=0.35), engine.notes
    pairs = engine.codec.prompt_pairs(PROMPTS, RESTS)
    for (prompt, rest), scored in zip(pairs, engine.logprobs(PROMPTS, RESTS), strict=True):
        with torch.inference_mode():
            logps = whole_logits(model, [*prompt, *rest[:-1]]).log_softmax(-1)[-len(rest) :]
        total = float(logps[range(len(rest)), rest].sum())
        assert scored.total == pytest.approx(total, abs=0.12 * len(rest))


@pytest.mark.parametrize(
    ("name", "loop"),
    [
        ("llama", "Decoder"),
        ("deepseek-v3", "Decoder"),
        ("falcon-alibi", "PlainDecoder"),
        ("mistral-window", "PlainDecoder"),
        ("gpt-oss", "PlainDecoder"),
        ("rwkv", "SingleDecoder"),
        ("recurrent-gemma", "SingleDecoder"),
    ],
)
def test_the_fastest_loop_that_is_right_serves(
    name: str, loop: str, tiny_model_dir: Path, tmp_path: Path
) -> None:
    engine = HfEngine(save(name, tmp_path, tiny_model_dir), max_length=200)
    assert type(engine._served.decoder).__name__ == loop
    assert bool(engine.notes) == (loop != "Decoder")
    (found,) = engine.chat(["x"], SamplingParams(6))
    ids = engine.codec.encode(["x"])[0]
    expected = untouched(tmp_path, torch.float32).generate(
        torch.tensor([ids]), max_new_tokens=6, do_sample=False
    )
    assert found.text == engine.codec.decode(expected[0, len(ids) :].tolist())


@pytest.mark.parametrize("name", ["phi3-longrope", "llama-dynamic-ntk"])
def test_texts_do_not_depend_on_batch_mates_where_rotary_angles_follow_the_length(
    name: str, tiny_model_dir: Path, tmp_path: Path
) -> None:
    engine = HfEngine(save(name, tmp_path, tiny_model_dir), max_length=200)
    prompts = ["a", "a prompt of more than twenty-four tokens", "bc"]
    together = engine.chat(prompts, SamplingParams(12))
    rests = [" so", " then", " and so on and so on and so on"]
    scored = engine.logprobs(prompts, rests)
    for number, prompt in enumerate(prompts):
        assert engine.chat([prompt], SamplingParams(12))[0].text == together[number].text
        (alone,) = engine.logprobs([prompt], [rests[number]])
        assert alone.total == pytest.approx(scored[number].total, abs=1e-4)


def test_a_model_that_does_not_run_is_one_line(
    tiny_model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import LlamaForCausalLM

    from harness.engines import EngineError

    def forward(self: object, *args: object, **kwargs: object) -> None:
        raise RuntimeError("kernel missing\nand a long story")

    monkeypatch.setattr(LlamaForCausalLM, "forward", forward)
    with pytest.raises(EngineError, match=r"engine hf can't run .*: RuntimeError kernel missing$"):
        HfEngine(tiny_model_dir)


@pytest.mark.parametrize("name", ["llama-dynamic-ntk", "bloom", "mamba"])
def test_a_loop_found_before_is_taken_again_without_a_probe(
    name: str, tiny_model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = save(name, tmp_path, tiny_model_dir)
    first = HfEngine(folder, max_length=64)
    expected = first.chat(PROMPTS, SamplingParams(4))

    def probed(*_: object) -> None:
        raise AssertionError("probed again")

    monkeypatch.setattr("harness.engines.decode_probe.measure_decoding", probed)
    second = HfEngine(folder, max_length=64)
    assert type(second._served.decoder) is type(first._served.decoder)
    assert (second.notes, second._served.limit) == (first.notes, first._served.limit)
    assert second.chat(PROMPTS, SamplingParams(4)) == expected
    with pytest.raises(AssertionError, match="probed again"):
        HfEngine(folder, max_length=63)
