"""The published shapes of the bases of the catalogue: data, not code.

What lives here: ``config.json`` and ``generation_config.json`` of each real base, and a narrowed
form of the first that keeps every trait. What does not: weights
(:mod:`supportbot_dagster.export.random_model`) and what the catalogue says about a base.

Where the figures come from:

- Gemma 4 E2B, language model: the shape that quantizes to the published 3.2 GB, and the keys that
  the converter asks for (``conversion/gemma.py``); rotary embeddings, context and norms are the
  defaults of ``transformers.Gemma4TextConfig``; the soft cap of 30 is in the vocabulary that comes
  with the converter. Towers: the defaults of ``Gemma4VisionConfig`` and ``Gemma4AudioConfig``,
  which name this checkpoint, with clipped linear layers in both.
- Llama: Meta's model cards and configurations (layers, heads, feed-forward size, the ``llama3``
  scaling of rotary embeddings by 32 or 8 from 8,192 positions).

The numbers of weights that come of them are those of the catalogue.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from supportbot_dagster.errors import UserError

Size = Literal["small", "full"]
"""``full`` has the published shape; ``small`` the same traits in fewer and narrower layers."""

_SLIDING, _FULL = "sliding_attention", "full_attention"
_GEMMA4_E2B: dict[str, Any] = {
    "architectures": ["Gemma4ForConditionalGeneration"],
    "model_type": "gemma4",
    "dtype": "bfloat16",
    "tie_word_embeddings": True,
    "initializer_range": 0.02,
    "eos_token_id": [1, 106],
    "image_token_id": 258880,
    "boi_token_id": 255999,
    "eoi_token_id": 258882,
    "audio_token_id": 258881,
    "boa_token_id": 256000,
    "eoa_token_id": 258883,
    "eoa_token_index": 258883,
    "video_token_id": 258884,
    "vision_soft_tokens_per_image": 280,
    "text_config": {
        "model_type": "gemma4_text",
        "dtype": "bfloat16",
        "vocab_size": 262144,
        "vocab_size_per_layer_input": 262144,
        "hidden_size": 1536,
        "hidden_size_per_layer_input": 256,
        "intermediate_size": 6144,
        "use_double_wide_mlp": True,
        "num_hidden_layers": 35,
        "num_kv_shared_layers": 20,
        "layer_types": [*([_SLIDING] * 4), _FULL] * 7,
        "num_attention_heads": 8,
        "num_key_value_heads": 1,
        "num_global_key_value_heads": None,
        "head_dim": 256,
        "global_head_dim": 512,
        "attention_k_eq_v": False,
        "attention_bias": False,
        "attention_dropout": 0.0,
        "sliding_window": 512,
        "max_position_embeddings": 131072,
        "rope_parameters": {
            _SLIDING: {"rope_type": "default", "rope_theta": 10000.0},
            _FULL: {
                "rope_type": "proportional",
                "rope_theta": 1000000.0,
                "partial_rotary_factor": 0.25,
            },
        },
        "final_logit_softcapping": 30.0,
        "hidden_activation": "gelu_pytorch_tanh",
        "rms_norm_eps": 1e-06,
        "enable_moe_block": False,
        "num_experts": None,
        "top_k_experts": None,
        "moe_intermediate_size": None,
        "use_bidirectional_attention": None,
        "tie_word_embeddings": True,
        "initializer_range": 0.02,
        "use_cache": True,
        "pad_token_id": 0,
        "eos_token_id": 1,
        "bos_token_id": 2,
    },
    "vision_config": {
        "model_type": "gemma4_vision",
        "dtype": "bfloat16",
        "hidden_size": 768,
        "intermediate_size": 3072,
        "num_hidden_layers": 16,
        "num_attention_heads": 12,
        "num_key_value_heads": 12,
        "head_dim": 64,
        "patch_size": 16,
        "pooling_kernel_size": 3,
        "position_embedding_size": 10240,
        "default_output_length": 280,
        "hidden_activation": "gelu_pytorch_tanh",
        "rms_norm_eps": 1e-06,
        "max_position_embeddings": 131072,
        "rope_parameters": {"rope_type": "default", "rope_theta": 100.0},
        "attention_bias": False,
        "attention_dropout": 0.0,
        "use_clipped_linears": True,
        "standardize": False,
        "initializer_range": 0.02,
    },
    "audio_config": {
        "model_type": "gemma4_audio",
        "dtype": "bfloat16",
        "hidden_size": 1024,
        "num_hidden_layers": 12,
        "num_attention_heads": 8,
        "subsampling_conv_channels": [128, 32],
        "conv_kernel_size": 5,
        "output_proj_dims": 1536,
        "attention_chunk_size": 12,
        "attention_context_left": 13,
        "attention_context_right": 0,
        "attention_invalid_logits_value": -1000000000.0,
        "attention_logit_cap": 50.0,
        "residual_weight": 0.5,
        "gradient_clipping": 10000000000.0,
        "hidden_act": "silu",
        "rms_norm_eps": 1e-06,
        "use_clipped_linears": True,
        "initializer_range": 0.02,
    },
}
# The last layers that have keys of their own are one sliding and one full: the runtime wants both.
_GEMMA4_SMALL: dict[str, Any] = {
    "text_config": {
        "hidden_size": 256,
        "hidden_size_per_layer_input": 64,
        "intermediate_size": 512,
        "num_hidden_layers": 4,
        "num_kv_shared_layers": 2,
        "layer_types": [_SLIDING, _FULL] * 2,
        "num_attention_heads": 2,
    },
    "vision_config": {
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "head_dim": 32,
        "position_embedding_size": 64,
    },
    "audio_config": {
        "hidden_size": 64,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "subsampling_conv_channels": [8, 4],
        "output_proj_dims": 64,
    },
}
_LLAMA: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "torch_dtype": "bfloat16",
    "vocab_size": 128256,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "max_position_embeddings": 131072,
    "rope_theta": 500000.0,
    "hidden_act": "silu",
    "rms_norm_eps": 1e-05,
    "attention_bias": False,
    "attention_dropout": 0.0,
    "mlp_bias": False,
    "pretraining_tp": 1,
    "initializer_range": 0.02,
    "use_cache": True,
    "bos_token_id": 128000,
    "eos_token_id": [128001, 128008, 128009],
}


def _llama_rope(factor: float) -> dict[str, Any]:
    return {
        "rope_type": "llama3",
        "factor": factor,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    }


_GEMMA4_GENERATION = {
    "bos_token_id": 2,
    "eos_token_id": [1, 106, 50],
    "pad_token_id": 0,
    "do_sample": True,
    "temperature": 1.0,
    "top_k": 64,
    "top_p": 0.95,
}
_LLAMA_GENERATION = {
    "bos_token_id": 128000,
    "eos_token_id": [128001, 128008, 128009],
    "do_sample": True,
    "temperature": 0.6,
    "top_p": 0.9,
}


@dataclass(frozen=True)
class _Shape:
    """One base: its published configuration and what is changed of it for a small model."""

    full: Mapping[str, Any]
    small: Mapping[str, Any]
    generation: Mapping[str, Any]


# Small models keep the size of a head, and heads that share a key; rows are a multiple of 256.
_SHAPES: dict[str, _Shape] = {
    "gemma-4-e2b": _Shape(
        full=_GEMMA4_E2B,
        small=_GEMMA4_SMALL,
        generation=_GEMMA4_GENERATION,
    ),
    "llama-3.2-3b": _Shape(
        full={
            **_LLAMA,
            "hidden_size": 3072,
            "intermediate_size": 8192,
            "num_hidden_layers": 28,
            "num_attention_heads": 24,
            "rope_scaling": _llama_rope(32.0),
            "tie_word_embeddings": True,
        },
        small={
            "hidden_size": 256,
            "intermediate_size": 512,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
        },
        generation=_LLAMA_GENERATION,
    ),
    "llama-3.2-1b": _Shape(
        full={
            **_LLAMA,
            "hidden_size": 2048,
            "intermediate_size": 8192,
            "num_hidden_layers": 16,
            "num_attention_heads": 32,
            "head_dim": 64,
            "rope_scaling": _llama_rope(32.0),
            "tie_word_embeddings": True,
        },
        small={
            "hidden_size": 256,
            "intermediate_size": 512,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 1,
        },
        generation=_LLAMA_GENERATION,
    ),
    "llama-3.1-8b": _Shape(
        full={
            **{key: value for key, value in _LLAMA.items() if key != "head_dim"},
            "hidden_size": 4096,
            "intermediate_size": 14336,
            "num_hidden_layers": 32,
            "num_attention_heads": 32,
            "rope_scaling": _llama_rope(8.0),
            "tie_word_embeddings": False,
        },
        small={
            "hidden_size": 256,
            "intermediate_size": 512,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
        },
        generation=_LLAMA_GENERATION,
    ),
}
KEYS = tuple(_SHAPES)
"""Keys of the catalogue whose shapes are here: every base but the embedded one."""


def base_config(key: str, size: Size = "full") -> dict[str, Any]:
    """``config.json`` of a base, as published or narrowed.

    Args:
        key: one of :data:`KEYS`.
        size: ``full`` or ``small``.

    Raises:
        UserError: if the key is unknown.
    """
    shape = _shape(key)
    config: dict[str, Any] = json.loads(json.dumps(shape.full))
    if size == "small":
        for name, value in shape.small.items():
            if isinstance(value, Mapping):
                config[name].update(value)
            else:
                config[name] = value
    return config


def generation_config(key: str) -> dict[str, Any]:
    """``generation_config.json`` of a base.

    Raises:
        UserError: if the key is unknown.
    """
    return dict(_shape(key).generation)


def _shape(key: str) -> _Shape:
    try:
        return _SHAPES[key]
    except KeyError:
        raise UserError(
            f"The shape of {key!r} is not known here. Known: {', '.join(KEYS)}."
        ) from None
