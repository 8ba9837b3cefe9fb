"""Fixtures shared by all rooms: a tiny model made on the spot, and real data where they are."""

from __future__ import annotations

import gc
import importlib.util
import os
import platform
from pathlib import Path
from typing import Any

import pytest

REPO = Path(__file__).resolve().parent.parent

CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def pytest_collection_finish() -> None:
    """What the imports made stays: without this, each collection of garbage takes half a second."""
    gc.freeze()


def _shared(variable: str, name: str) -> Path:
    folder = Path(os.environ.get(variable) or REPO.parent / "shared" / name)
    if not folder.is_dir():
        pytest.skip(f"no real {name}: set {variable} to its folder")
    return folder


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder of real benchmark data, else the test is skipped."""
    return _shared("SSO_BENCH_DATA", "data")


@pytest.fixture(scope="session")
def reference_dir() -> Path:
    """Folder of reference results (paper tables, golden loss cases), else the test is skipped."""
    return _shared("SSO_BENCH_REFERENCE", "reference")


def byte_tokenizer(size: int = 0) -> Any:
    """A tokenizer of single bytes with a ChatML template, filled up to ``size`` entries."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    words += sorted(pre_tokenizers.ByteLevel.alphabet())
    words += [f"filler{n}" for n in range(size - len(words))]
    vocab = {word: n for n, word in enumerate(words)}
    core = Tokenizer(models.BPE(vocab=vocab, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        bos_token="<|im_start|>",
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        unk_token="<|endoftext|>",
    )
    tokenizer.chat_template = CHATML
    return tokenizer


def build_tiny_model(folder: Path, seed: int = 0) -> Path:
    """Write a random two-layer Llama with a byte-level tokenizer and a ChatML template."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = byte_tokenizer()
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=4096,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
        tie_word_embeddings=True,
    )
    state = torch.random.get_rng_state()
    torch.manual_seed(seed)
    model = LlamaForCausalLM(config).float()
    torch.random.set_rng_state(state)
    model.generation_config.eos_token_id = 2
    model.generation_config.pad_token_id = 0
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random chat model as a folder (safetensors, tokenizer, chat template)."""
    folder = build_tiny_model(tmp_path_factory.mktemp("tiny-model"))
    gc.freeze()  # transformers has been imported now
    return folder


@pytest.fixture(scope="session")
def smollm2_dir() -> Path:
    """The quick-start model; skipped where neither hub, package index nor cache gives it."""
    from harness.models import QUICKSTART_MODEL, resolve_model

    try:
        return resolve_model(QUICKSTART_MODEL).path
    except (OSError, ValueError) as error:
        pytest.skip(f"quick-start model not available: {error}")


@pytest.fixture(scope="session")
def vllm_here() -> None:
    """vLLM can run here; else the test is skipped, or an error where it was installed on purpose
    (``SSO_BENCH_NEEDS_VLLM``, as in the ``vllm`` environment of tox)."""
    if importlib.util.find_spec("vllm") is None:
        if os.environ.get("SSO_BENCH_NEEDS_VLLM"):
            pytest.fail("vLLM was to be tested and is not installed")
        pytest.skip("vLLM is not installed")
    flags = Path("/proc/cpuinfo")
    if platform.machine() == "x86_64" and flags.is_file() and " avx2" not in flags.read_text():
        pytest.skip("NOT TESTED: this processor has no AVX2, which vLLM's CPU build needs")
