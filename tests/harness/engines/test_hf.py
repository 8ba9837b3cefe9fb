"""The in-process engine against transformers' own generate and forward, on a tiny model in fp32."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from groundwork.sampling_params import SamplingParams
from harness.engines import (
    Completion,
    ContextTooLong,
    EngineError,
    EngineSettings,
    Prompt,
    open_engine,
)
from harness.engines.batching import plan_batches
from harness.engines.decode_padded import PlainDecoder
from harness.engines.hf import HfEngine

SHOTS = "Question: how many legs has a spider? Answer: it has eight of them. "
PROMPTS: list[Prompt] = [
    *[SHOTS + f"Question: what of {name * (n + 1)}?" for n, name in enumerate("abcdef")],
    *[[{"role": "user", "content": "hello " * n}] for n in range(1, 6)],
    "x",
    [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why? Ünïcode 日本"}],
]


@pytest.fixture(scope="module")
def engine(tiny_model_dir: Path) -> Iterator[HfEngine]:
    torch.set_num_threads(1)
    engine = HfEngine(tiny_model_dir)
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def peer(tiny_model_dir: Path) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(tiny_model_dir).eval()


def _alone(engine: HfEngine, peer: Any, prompt: Prompt, new: int) -> tuple[str, int, bool]:
    ids = torch.tensor(engine.codec.encode([engine.codec.text(prompt)]))
    out = peer.generate(ids, max_new_tokens=new, do_sample=False)[0, ids.shape[1] :]
    ids = out.tolist()
    ended = ids[-1] in engine.codec.end_ids
    return engine.codec.decode(ids[:-1] if ended else ids), len(ids), not ended


@pytest.fixture(scope="module")
def early_ender(tiny_model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model with wild weights and many end tokens, so that rows end at different steps."""
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("early")
    config = LlamaConfig.from_pretrained(tiny_model_dir)
    config.initializer_range = 0.5
    config.tie_word_embeddings = False
    torch.manual_seed(11)
    model = LlamaForCausalLM(config).float()
    model.generation_config.eos_token_id = [2, *range(3, 259, 12)]
    model.generation_config.pad_token_id = 0
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(tiny_model_dir).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("rows", [None, 1, 3, 13])
def test_greedy_equals_generate_one_at_a_time(early_ender: Path, rows: int | None) -> None:
    from transformers import AutoModelForCausalLM

    peer = AutoModelForCausalLM.from_pretrained(early_ender).eval()
    engine = HfEngine(early_ender, batch_size=rows)
    found = engine.chat(PROMPTS, SamplingParams(48))
    for prompt, completion in zip(PROMPTS, found, strict=True):
        text, tokens, truncated = _alone(engine, peer, prompt, 48)
        assert completion.text == text
        assert completion.completion_tokens == tokens
        assert completion.truncated == truncated
    # Rows that end early and late must both be there, else compaction is not tried.
    assert len({c.completion_tokens for c in found}) > 4


@pytest.mark.parametrize("rows", [None, 4])
def test_plain_loop_gives_the_same(early_ender: Path, rows: int | None) -> None:
    fast, plain = HfEngine(early_ender, batch_size=rows), HfEngine(early_ender, batch_size=rows)
    plain._model.set_attn_implementation("sdpa")
    padded = PlainDecoder(plain._model, plain.codec, max_length=plain.max_length, piece_tokens=64)
    plain._served = replace(plain._served, decoder=padded)
    params = SamplingParams(32, stop=("A",))
    assert plain.chat(PROMPTS, params) == fast.chat(PROMPTS, params)
    params = SamplingParams(16, temperature=0.7, top_p=0.8)
    assert plain.chat(PROMPTS, params) == fast.chat(PROMPTS, params)
    rests = [f" it is {n}" for n in range(len(PROMPTS))]
    both = zip(plain.logprobs(PROMPTS, rests), fast.logprobs(PROMPTS, rests), strict=True)
    for one, two in both:
        assert one.total == pytest.approx(two.total, abs=1e-4)
        assert (one.tokens, one.greedy) == (two.tokens, two.greedy)


@pytest.mark.parametrize("architecture", ["qwen2", "mistral", "gemma"])
def test_other_architectures(tiny_model_dir: Path, tmp_path: Path, architecture: str) -> None:
    import transformers

    sizes = {
        "vocab_size": 259,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 1,
        "head_dim": 8,
        "max_position_embeddings": 512,
        "eos_token_id": 2,
        "pad_token_id": 0,
    }
    if architecture == "mistral":
        sizes["sliding_window"] = None
    torch.manual_seed(5)
    config = transformers.AutoConfig.for_model(architecture, **sizes)
    model = transformers.AutoModelForCausalLM.from_config(config).float().eval()
    model.save_pretrained(tmp_path)
    transformers.AutoTokenizer.from_pretrained(tiny_model_dir).save_pretrained(tmp_path)
    engine = HfEngine(tmp_path)
    for prompt, completion in zip(PROMPTS, engine.chat(PROMPTS, SamplingParams(24)), strict=True):
        assert completion.text == _alone(engine, model, prompt, 24)[0]


def test_sliding_windows_are_respected(tiny_model_dir: Path, tmp_path: Path) -> None:
    from transformers import AutoTokenizer, MistralConfig, MistralForCausalLM

    torch.manual_seed(5)
    config = MistralConfig(
        vocab_size=259,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        sliding_window=16,
        max_position_embeddings=512,
        eos_token_id=2,
        pad_token_id=0,
    )
    model = MistralForCausalLM(config).float().eval()
    model.save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(tiny_model_dir).save_pretrained(tmp_path)
    engine = HfEngine(tmp_path)
    assert isinstance(engine._served.decoder, PlainDecoder)
    for prompt, completion in zip(PROMPTS, engine.chat(PROMPTS, SamplingParams(24)), strict=True):
        assert completion.text == _alone(engine, model, prompt, 24)[0]


def test_same_call_same_texts_and_seeds_matter(tiny_model_dir: Path, engine: HfEngine) -> None:
    params = SamplingParams(24, temperature=0.9, top_p=0.95)
    seeds = list(range(100, 100 + len(PROMPTS)))
    first = engine.chat(PROMPTS, params, seeds=seeds)
    again = HfEngine(tiny_model_dir).chat(PROMPTS, params, seeds=seeds)
    assert first == again
    other = engine.chat(PROMPTS, params, seeds=[s + 1 for s in seeds])
    assert sum(a.text != b.text for a, b in zip(first, other, strict=True)) > len(PROMPTS) / 2


def test_a_samples_noise_is_its_own(engine: HfEngine) -> None:
    params = SamplingParams(16, temperature=0.7, top_p=0.8)
    together = engine.chat(PROMPTS, params, seeds=range(len(PROMPTS)))
    for number, prompt in enumerate(PROMPTS):
        assert engine.chat([prompt], params, seeds=[number])[0].text == together[number].text


def test_finished_batches_are_left_out_and_others_are_whole(tiny_model_dir: Path) -> None:
    engine = HfEngine(tiny_model_dir, batch_size=4)
    complete = engine.chat(PROMPTS, SamplingParams(8))
    ids = engine.codec.encode([engine.codec.text(p) for p in PROMPTS])
    batches = plan_batches(ids, 8, rows=engine.rows, slots=engine.slots)
    finished = {*batches[0].items, batches[1].items[0]}
    seen: dict[int, Completion] = {}
    engine.chat(PROMPTS, SamplingParams(8), finished=finished, on_done=seen.__setitem__)
    assert set(seen) == set(range(len(PROMPTS))) - set(batches[0].items)
    assert all(seen[item] == complete[item] for item in seen)


def test_stop_strings_cut_the_text(engine: HfEngine) -> None:
    free = engine.chat(PROMPTS, SamplingParams(32))
    longest = max(free, key=lambda c: len(c.text))
    number = free.index(longest)
    mark = longest.text[5:7]
    found = engine.chat(PROMPTS, SamplingParams(32, stop=(mark, "never there")))[number]
    assert found.text == longest.text.split(mark)[0]
    assert not found.truncated
    assert found.completion_tokens < longest.completion_tokens


def test_limit_and_context(tiny_model_dir: Path) -> None:
    engine = HfEngine(tiny_model_dir, max_length=40)
    prompt = "p" * 30
    (found,) = engine.chat([prompt], SamplingParams(100))
    assert (found.prompt_tokens, found.truncated) == (30, True)
    assert found.completion_tokens == 10
    with pytest.raises(ContextTooLong) as caught:
        engine.chat(["short", "p" * 40], SamplingParams(1))
    assert (caught.value.needed, caught.value.available, caught.value.index) == (41, 40, 1)
    with pytest.raises(EngineError, match="context of 4096"):
        HfEngine(tiny_model_dir, max_length=5000)
    with pytest.raises(EngineError, match="empty"):
        engine.chat([""], SamplingParams(1))


def test_logprobs_equal_a_plain_forward(engine: HfEngine, peer: Any) -> None:
    texts = [engine.codec.text(prompt) for prompt in PROMPTS]
    rests = [" A", " B", " eight legs", ""]
    contexts = [text for text in texts for _ in rests]
    continuations = rests * len(texts)
    found = engine.logprobs(contexts, continuations)
    for context, rest, result in zip(contexts, continuations, found, strict=True):
        kept = context.rstrip()
        head = engine.codec.encode([kept])[0]
        whole = engine.codec.encode([context + rest])[0]
        logits = peer(torch.tensor([whole])).logits[0].log_softmax(dim=-1)
        places = range(len(head), len(whole))
        total = sum(logits[i - 1, whole[i]].item() for i in places)
        assert result.total == pytest.approx(total, abs=2e-4)
        assert result.tokens == len(places)
        assert result.greedy == all(logits[i - 1].argmax() == whole[i] for i in places)


def test_greedy_flag_on_the_models_own_answer(engine: HfEngine) -> None:
    chats = [prompt for prompt in PROMPTS if not isinstance(prompt, str)]
    answers = [c.text for c in engine.chat(chats, SamplingParams(6))]
    # Byte tokens: text that is valid UTF-8 tokenises back to the tokens that were written.
    pairs = [
        (p, a)
        for p, a in zip(chats, answers, strict=True)
        if "\N{REPLACEMENT CHARACTER}" not in a and a
    ]
    assert pairs
    found = engine.logprobs([p for p, _ in pairs], [a for _, a in pairs])
    assert all(result.greedy for result in found)
    changed = engine.logprobs([p for p, _ in pairs], ["~" + a for _, a in pairs])
    assert not any(result.greedy for result in changed)


def test_pairs_are_split_as_lm_eval_splits_them(tiny_model_dir: Path, engine: HfEngine) -> None:
    from lm_eval.models.huggingface import HFLM

    peer = HFLM(pretrained=str(tiny_model_dir), device="cpu", batch_size=1)
    cases = [("a b ", "c"), ("a b", " c"), ("end\n\n", "x y"), ("Answer:", " 42 is it")]
    for context, rest in cases:
        expected = peer._encode_pair(context, rest)
        assert engine.codec.encode_pairs([context], [rest])[0] == expected


def test_template_and_end_tokens(engine: HfEngine) -> None:
    text = engine.render([{"role": "user", "content": "hi"}])
    assert text == "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"
    assert engine.codec.end_ids == {2}
    assert engine.count_tokens(text) == len("user\nhi\nassistant\n") + 3


def test_factory_and_wrong_settings(tiny_model_dir: Path) -> None:
    assert open_engine(EngineSettings(kind="auto", device="cpu"), tiny_model_dir).name == "hf"
    with pytest.raises(ValueError, match="'auto', 'hf', 'vllm', 'openai' or 'fake'"):
        EngineSettings(kind="hff")  # type: ignore[arg-type]
    with pytest.raises(EngineError, match="dtype fp8"):
        open_engine(EngineSettings(kind="hf", dtype="fp8"), tiny_model_dir)
    if not torch.cuda.is_available():
        with pytest.raises(EngineError, match="no CUDA"):
            open_engine(EngineSettings(kind="hf", device="cuda"), tiny_model_dir)


@pytest.mark.slow
def test_quickstart_model_greedy_equals_generate(smollm2_dir: Path) -> None:
    from transformers import AutoModelForCausalLM

    questions = ["What is 12 + 30?", "Name a red fruit.", "Why is the sky blue?", "Say hello."]
    chats: list[Prompt] = [[{"role": "user", "content": q}] for q in questions]
    engine = HfEngine(smollm2_dir)
    peer = AutoModelForCausalLM.from_pretrained(smollm2_dir, dtype=torch.float32).eval()
    found = engine.chat([*chats, *[SHOTS * 4 + q for q in questions]], SamplingParams(24))
    expected = [_alone(engine, peer, chat, 24)[0] for chat in chats]
    expected += [_alone(engine, peer, SHOTS * 4 + q, 24)[0] for q in questions]
    same = sum(c.text == text for c, text in zip(found, expected, strict=True))
    # Another batch shape sums in another order: one near-tie in eight may turn.
    assert same >= len(expected) - 1
