"""Tiny random models of many families, for the tests of everything that replaces a model's own code.

Each is a causal language model of transformers with two or so layers; ``ARCHITECTURES`` maps a name to the
model type and what its configuration needs beyond the common sizes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

VOCABULARY = 259
"""That of the tiny tokenizer of ``tests/conftest.py``."""

COMMON: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "tie_word_embeddings": False,
    "max_position_embeddings": 512,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
GPT2_SIZES = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 512, "n_inner": 48}
MOE = {
    "num_experts": 4,
    "num_local_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 24,
}
MLA = {
    "q_lora_rank": 16,
    "kv_lora_rank": 16,
    "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 8,
    "v_head_dim": 4,
    "num_key_value_heads": 4,
}
DEEPSEEK = {
    **MLA,
    "n_routed_experts": 4,
    "n_shared_experts": 1,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 24,
    "first_k_dense_replace": 1,
    "n_group": 1,
    "topk_group": 1,
}
PHI3 = {"num_key_value_heads": 4, "original_max_position_embeddings": 24}
LONGROPE = {
    "rope_type": "longrope",
    "rope_theta": 10000.0,
    "short_factor": [1.0] * 4,
    "long_factor": [4.0, 3.0, 2.0, 1.5],
    "original_max_position_embeddings": 24,
}
DYNAMIC = {"rope_type": "dynamic", "factor": 10.0, "rope_theta": 10000.0}
YARN = {
    "rope_type": "yarn",
    "factor": 4.0,
    "rope_theta": 10000.0,
    "original_max_position_embeddings": 128,
}
LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "rope_theta": 10000.0,
    "original_max_position_embeddings": 64,
}
ALTERNATING = ["sliding_attention", "full_attention"]

ARCHITECTURES: dict[str, tuple[str, Mapping[str, Any]]] = {
    "llama": ("llama", {}),
    "llama-tied-bias": (
        "llama",
        {"tie_word_embeddings": True, "attention_bias": True, "mlp_bias": True},
    ),
    "llama-yarn": ("llama", {"rope_parameters": YARN}),
    "llama-llama3-rope": ("llama", {"rope_parameters": LLAMA3}),
    "llama-dynamic-ntk": ("llama", {"rope_parameters": DYNAMIC, "max_position_embeddings": 24}),
    "mistral": ("mistral", {"sliding_window": None}),
    "mistral-window": ("mistral", {"sliding_window": 16}),
    "ministral": ("ministral", {"sliding_window": 16, "layer_types": ALTERNATING}),
    "mixtral": ("mixtral", {**MOE, "sliding_window": None}),
    "mixtral-jitter": ("mixtral", {**MOE, "sliding_window": None, "router_jitter_noise": 0.1}),
    "qwen2": ("qwen2", {}),
    "qwen2-window": (
        "qwen2",
        {"use_sliding_window": True, "sliding_window": 16, "max_window_layers": 1},
    ),
    "qwen2-moe": (
        "qwen2_moe",
        {**MOE, "shared_expert_intermediate_size": 24, "decoder_sparse_step": 1},
    ),
    "qwen3": ("qwen3", {}),
    "qwen3-moe": ("qwen3_moe", MOE),
    "qwen3-next": (
        "qwen3_next",
        {
            **MOE,
            "shared_expert_intermediate_size": 24,
            "linear_num_key_heads": 2,
            "linear_num_value_heads": 4,
            "linear_key_head_dim": 8,
            "linear_value_head_dim": 8,
            "linear_conv_kernel_dim": 4,
            "layer_types": ["linear_attention", "full_attention"],
        },
    ),
    "gemma": ("gemma", {}),
    "gemma2": ("gemma2", {"query_pre_attn_scalar": 8, "sliding_window": 16}),
    "gemma3": (
        "gemma3_text",
        {"query_pre_attn_scalar": 8, "sliding_window": 16, "layer_types": ALTERNATING},
    ),
    "gemma3n": (
        "gemma3n_text",
        {
            "intermediate_size": [48] * 4,
            "num_hidden_layers": 4,
            "activation_sparsity_pattern": [0.95, 0.0, 0.0, 0.0],
            "hidden_size_per_layer_input": 8,
            "vocab_size_per_layer_input": VOCABULARY,
            "laurel_rank": 4,
            "num_kv_shared_layers": 2,
            "sliding_window": 16,
            "layer_types": [*ALTERNATING, *ALTERNATING],
            "altup_num_inputs": 2,
        },
    ),
    "gemma4": (
        "gemma4_text",
        {
            "num_hidden_layers": 4,
            "hidden_size_per_layer_input": 8,
            "vocab_size_per_layer_input": VOCABULARY,
            "num_kv_shared_layers": 2,
            "sliding_window": 16,
            "layer_types": [*ALTERNATING, *ALTERNATING],
            "global_head_dim": 16,
            "num_global_key_value_heads": 1,
        },
    ),
    "phi": ("phi", {"num_key_value_heads": 4, "partial_rotary_factor": 0.5}),
    "phi-dropout": ("phi", {"resid_pdrop": 0.1, "attention_dropout": 0.1}),
    "phi3": ("phi3", {**PHI3, "original_max_position_embeddings": 512}),
    "phi3-longrope": ("phi3", {**PHI3, "rope_parameters": LONGROPE}),
    "phimoe": ("phimoe", {**MOE, "router_jitter_noise": 0.01, "sliding_window": None}),
    "gpt2": ("gpt2", GPT2_SIZES),
    "gpt-bigcode": ("gpt_bigcode", GPT2_SIZES),
    "gpt-neo": (
        "gpt_neo",
        {
            "num_layers": 2,
            "num_heads": 4,
            "window_size": 16,
            "attention_types": [[["global", "local"], 1]],
        },
    ),
    "gpt-neox": ("gpt_neox", {"rotary_pct": 0.5}),
    "gpt-neox-japanese": ("gpt_neox_japanese", {"intermediate_multiple_size": 2}),
    "gptj": ("gptj", {**GPT2_SIZES, "rotary_dim": 4}),
    "codegen": ("codegen", {**GPT2_SIZES, "rotary_dim": 4}),
    "opt": ("opt", {"ffn_dim": 48, "word_embed_proj_dim": 32, "dropout": 0.1, "layerdrop": 0.1}),
    "bloom": ("bloom", {"n_layer": 2, "n_head": 4}),
    "mpt": (
        "mpt",
        {"d_model": 32, "n_heads": 4, "n_layers": 2, "max_seq_len": 512, "expansion_ratio": 2},
    ),
    "falcon": (
        "falcon",
        {"head_dim": None, "multi_query": True, "new_decoder_architecture": False},
    ),
    "falcon-new": (
        "falcon",
        {"head_dim": None, "new_decoder_architecture": True, "num_kv_heads": 2},
    ),
    "falcon-alibi": (
        "falcon",
        {
            "head_dim": None,
            "alibi": True,
            "multi_query": False,
            "bias": True,
            "parallel_attn": False,
        },
    ),
    "gpt-oss": (
        "gpt_oss",
        {**MOE, "sliding_window": 16, "layer_types": ALTERNATING, "intermediate_size": 24},
    ),
    "cohere": ("cohere", {"logit_scale": 0.3}),
    "cohere2": ("cohere2", {"logit_scale": 0.3, "sliding_window": 16, "layer_types": ALTERNATING}),
    "olmo": ("olmo", {"clip_qkv": 4.0}),
    "olmo2": ("olmo2", {}),
    "olmo3": ("olmo3", {"sliding_window": 16, "layer_types": ALTERNATING}),
    "olmoe": ("olmoe", MOE),
    "stablelm": ("stablelm", {"partial_rotary_factor": 0.5, "use_parallel_residual": True}),
    "granite": (
        "granite",
        {"logits_scaling": 3.0, "embedding_multiplier": 2.0, "residual_multiplier": 0.5},
    ),
    "granitemoe": ("granitemoe", {**MOE, "logits_scaling": 3.0}),
    "granitemoehybrid": (
        "granitemoehybrid",
        {
            **MOE,
            "layer_types": ["mamba", "attention"],
            "mamba_n_heads": 8,
            "mamba_d_head": 8,
            "mamba_d_state": 8,
            "mamba_chunk_size": 16,
            "mamba_n_groups": 1,
            "shared_intermediate_size": 24,
        },
    ),
    "glm": ("glm", {"partial_rotary_factor": 0.5}),
    "glm4": ("glm4", {"partial_rotary_factor": 0.5}),
    "glm4-moe": ("glm4_moe", {**DEEPSEEK, "num_key_value_heads": 2, "partial_rotary_factor": 0.5}),
    "nemotron": ("nemotron", {"partial_rotary_factor": 0.5}),
    "starcoder2": ("starcoder2", {"sliding_window": None, "residual_dropout": 0.1}),
    "persimmon": ("persimmon", {"num_key_value_heads": 4, "partial_rotary_factor": 0.5}),
    "smollm3": ("smollm3", {"no_rope_layers": [1, 0]}),
    "exaone4": ("exaone4", {"sliding_window": 16, "layer_types": ALTERNATING}),
    "ernie4-5": ("ernie4_5", {}),
    "arcee": ("arcee", {}),
    "seed-oss": ("seed_oss", {}),
    "hunyuan": ("hunyuan_v1_dense", {}),
    "helium": ("helium", {}),
    "apertus": ("apertus", {}),
    "dots1": ("dots1", {**DEEPSEEK, "num_key_value_heads": 2}),
    "diffllama": ("diffllama", {}),
    "deepseek-v2": ("deepseek_v2", {**DEEPSEEK, "topk_method": "greedy"}),
    "deepseek-v3": ("deepseek_v3", DEEPSEEK),
    "minicpm3": ("minicpm3", {**MLA, "scale_emb": 2, "dim_model_base": 16}),
    "longcat": (
        "longcat_flash",
        {
            **MLA,
            "ffn_hidden_size": 48,
            "expert_ffn_hidden_size": 24,
            "n_routed_experts": 4,
            "zero_expert_num": 2,
            "moe_topk": 2,
            "num_layers": 1,
        },
    ),
    "mamba": ("mamba", {"state_size": 4}),
    "mamba2": (
        "mamba2",
        {"state_size": 8, "num_heads": 8, "head_dim": 8, "n_groups": 1, "chunk_size": 16},
    ),
    "falcon-mamba": ("falcon_mamba", {"state_size": 4}),
    "rwkv": ("rwkv", {"attention_hidden_size": 32, "context_length": 512}),
    "jamba": (
        "jamba",
        {
            **MOE,
            "attn_layer_period": 2,
            "attn_layer_offset": 1,
            "expert_layer_period": 2,
            "expert_layer_offset": 1,
            "mamba_d_state": 4,
            "use_mamba_kernels": False,
        },
    ),
    "bamba": (
        "bamba",
        {
            "attn_layer_indices": [1],
            "mamba_n_heads": 8,
            "mamba_d_head": 8,
            "mamba_d_state": 8,
            "mamba_chunk_size": 16,
            "mamba_n_groups": 1,
        },
    ),
    "zamba2": (
        "zamba2",
        {
            "num_hidden_layers": 3,
            "layers_block_type": ["mamba", "hybrid", "mamba"],
            "hybrid_layer_ids": [1],
            "mamba_d_state": 8,
            "chunk_size": 16,
            "n_mamba_heads": 8,
            "mamba_headdim": 8,
            "mamba_ngroups": 1,
            "num_mem_blocks": 1,
            "num_key_value_heads": 4,
        },
    ),
    "falcon-h1": (
        "falcon_h1",
        {
            "mamba_d_ssm": 32,
            "mamba_n_heads": 4,
            "mamba_d_head": 8,
            "mamba_d_state": 8,
            "mamba_chunk_size": 16,
            "mamba_n_groups": 1,
        },
    ),
    "nemotron-h": (
        "nemotron_h",
        {
            "layers_block_type": ["mamba", "attention", "mlp"],
            "num_hidden_layers": 3,
            "mamba_num_heads": 8,
            "mamba_head_dim": 8,
            "ssm_state_size": 8,
            "chunk_size": 16,
            "n_groups": 1,
        },
    ),
    "lfm2": (
        "lfm2",
        {
            "layer_types": ["conv", "full_attention"],
            "block_auto_adjust_ff_dim": False,
            "conv_L_cache": 3,
        },
    ),
    "recurrent-gemma": (
        "recurrent_gemma",
        {
            "num_hidden_layers": 3,
            "lru_width": 32,
            "attention_window_size": 16,
            "block_types": ("recurrent", "recurrent", "attention"),
        },
    ),
    "biogpt": ("biogpt", {}),
    "xglm": ("xglm", {"d_model": 32, "ffn_dim": 48, "num_layers": 2, "attention_heads": 4}),
    "doge": ("doge", {"num_experts": 0, "keep_window_size": 512}),
    "bitnet": ("bitnet", {}),
    "cwm": ("cwm", {"sliding_window": 16, "layer_types": ALTERNATING}),
    "vaultgemma": ("vaultgemma", {"query_pre_attn_scalar": 8, "sliding_window": 16}),
    "youtu": ("youtu", {**MLA}),
    "jetmoe": ("jetmoe", {**MOE, "kv_channels": 8, "num_key_value_heads": 2}),
}


def build(name: str, seed: int = 0) -> Any:
    """The random model of that name, in float32 and evaluation mode, with weights wild enough to tell
    tokens apart."""
    from transformers import AutoConfig, AutoModelForCausalLM

    kind, extra = ARCHITECTURES[name]
    sizes = {k: v for k, v in {**COMMON, **extra}.items() if v is not None or k == "sliding_window"}
    config = AutoConfig.for_model(kind, **sizes)
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() >= 2 and parameter.is_floating_point():
                noise = torch.randn(parameter.shape, generator=generator)
                parameter.add_(noise * 0.8 / parameter.shape[-1] ** 0.5)
    model.generation_config.eos_token_id = 2
    model.generation_config.pad_token_id = 0
    return model


def save(name: str, folder: Path, tokenizer_of: Path, seed: int = 0) -> Path:
    """The model of that name as a complete checkpoint folder, with another folder's tokenizer."""
    from transformers import AutoTokenizer

    build(name, seed).save_pretrained(folder)
    AutoTokenizer.from_pretrained(tokenizer_of).save_pretrained(folder)
    return folder
