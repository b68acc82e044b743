"""What all families of checkpoints have in common."""

import json
from pathlib import Path
from typing import Any, get_args

import pytest

from tfchain.core.errors import ModelFolderError
from tfchain.models.encoders.config import Architecture, EncoderConfig, TransformerConfig
from tfchain.models.weights.architectures import FAMILIES
from tfchain.models.weights.folder import read_folder, to_transformer_config
from tfchain.models.weights.save_pretrained import to_hugging_face

FIXTURES = Path(__file__).parents[3] / "parity" / "fixtures"
SHAPE: dict[str, Any] = {"vocabulary_size": 9, "hidden_dim": 8, "num_layers": 2, "num_heads": 2, "intermediate_dim": 12}
SHAPES: dict[str, dict[str, Any]] = {
    "bert": {"max_positions": 16, "num_token_types": 2, "activation": "relu", "norm_epsilon": 1e-5, "pad_token_id": 3},
    "distilbert": {"max_positions": 16, "activation": "gelu_new", "dropout": 0.2, "attention_dropout": 0.3},
    "roberta": {"max_positions": 18, "num_token_types": 1, "position_offset": 2, "pad_token_id": 1},
    "xlm-roberta": {"max_positions": 18, "num_token_types": 1, "position_offset": 2, "pad_token_id": 1},
    "mpnet": {"max_positions": 18, "position_offset": 2, "pad_token_id": 1, "relative_attention_buckets": 8},
    "albert": {
        "max_positions": 16,
        "num_token_types": 2,
        "num_shared_layers": 1,
        "token_embedding_dim": 4,
        "widened": "sum",
        "activation": "gelu_new",
        "dropout": 0.0,
        "attention_dropout": 0.0,
    },
    "camembert": {"max_positions": 18, "num_token_types": 1, "position_offset": 2, "pad_token_id": 1},
    "electra": {"max_positions": 16, "num_token_types": 2, "token_embedding_dim": 4, "widened": "sum"},
    "ernie": {"max_positions": 16, "num_token_types": 4},
}
# Read as another architecture, or from the tensors themselves.
NOT_WRITTEN = {"dpr", "mt5", "static"}
NAMES = {
    "jina_embeddings_v3": "jina_v3",
    "deberta-v2": "deberta_v2",
    "xlm-roberta-xl": "xlm_roberta_xl",
}  # an architecture → its fixture, where the names differ
BERT_KEYS = {
    "vocab_size": 9, "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 12,
    "max_position_embeddings": 16,
}  # fmt: skip
NOMIC_KEYS = {
    "model_type": "nomic_bert", "vocab_size": 9, "n_embd": 8, "n_layer": 2, "n_head": 2, "n_inner": 12,
    "n_positions": 8192, "activation_function": "swiglu", "rotary_emb_base": 1000, "rotary_emb_fraction": 1.0,
    "qkv_proj_bias": False, "mlp_fc2_bias": False, "max_trained_positions": 2048, "causal": False,
}  # fmt: skip


def test_every_architecture_has_a_family() -> None:
    assert set(FAMILIES) == {*get_args(Architecture), *NOT_WRITTEN}


def read(values: dict[str, Any]) -> TransformerConfig:
    return to_transformer_config(values, Path("folder"))


def read_fixture(architecture: str) -> TransformerConfig:
    return read(json.loads((FIXTURES / NAMES.get(architecture, architecture) / "config.json").read_text()))


@pytest.mark.parametrize("architecture", [name for name in get_args(Architecture) if name not in NOT_WRITTEN])
def test_a_shape_written_as_config_json_is_read_again(architecture: Architecture) -> None:
    if architecture in SHAPES:
        shape = TransformerConfig(architecture=architecture, **SHAPE, **SHAPES[architecture])
    else:
        shape = read_fixture(architecture)
    written = to_hugging_face(EncoderConfig(transformer=shape))
    assert TransformerConfig(**written.pop("tfchain")) == shape
    assert read(json.loads(json.dumps(written))) == shape
    assert shape.architecture == architecture


@pytest.mark.parametrize(
    ("architecture", "changes"),
    [
        ("qwen3", {"use_sliding_window": True, "sliding_window": 7, "max_window_layers": 1, "layer_types": None}),
        ("qwen2", {"is_causal": False, "use_sliding_window": True, "sliding_window": 3, "layer_types": None,
                   "max_window_layers": 0}),
        ("mistral", {"sliding_window": None}),
        ("mistral", {"is_causal": False}),
        ("llama", {"rope_parameters": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 20}}),
        ("llama", {"rope_parameters": {"rope_type": "linear", "rope_theta": 500.0, "factor": 2.0}, "head_dim": 10}),
        ("gemma3_text", {"use_bidirectional_attention": False, "sliding_window": 5}),
        ("gte", {"model_type": "new", "rope_theta": 20_000, "rope_scaling": {"type": "ntk", "factor": 8.0},
                 "rope_parameters": None}),
    ],
)  # fmt: skip
def test_what_checkpoints_set_beside_the_usual_is_kept(architecture: str, changes: dict[str, Any]) -> None:
    shape = read(json.loads((FIXTURES / architecture / "config.json").read_text()) | changes)
    assert shape != read_fixture(architecture)
    written = to_hugging_face(EncoderConfig(transformer=shape))
    del written["tfchain"]
    assert read(json.loads(json.dumps(written))) == shape


def test_windows_reach_as_far_as_transformers_says() -> None:
    assert (read_fixture("modernbert").layer.window, read_fixture("modernbert").layer.local_layers) == (4, (1, 2))
    assert (read_fixture("gemma3_text").layer.window, read_fixture("gemma3_text").layer.local_layers) == (4, (0,))
    assert (read_fixture("mistral").layer.window, read_fixture("mistral").layer.local_layers) == (5, (0, 1))


def test_modernbert_of_2024_gives_the_pattern_of_its_layers_as_a_number() -> None:
    shape = read({**BERT_KEYS, "model_type": "modernbert", "num_hidden_layers": 7, "global_rope_theta": 160000.0,
                  "local_rope_theta": 10000.0, "global_attn_every_n_layers": 3, "local_attention": 128})  # fmt: skip
    assert (shape.layer.window, shape.layer.local_layers) == (64, (1, 2, 4, 5))
    assert (shape.rotary.base, shape.rotary.local_base) == (160000.0, 10000.0)


def test_nomics_own_keys_are_those_of_transformers_by_other_names() -> None:
    shape = read(NOMIC_KEYS)
    written = to_hugging_face(EncoderConfig(transformer=shape))
    del written["tfchain"]
    assert read(written) == shape
    assert (shape.max_length, shape.activation, shape.rotary.base) == (8192, "silu", 1000.0)
    assert read({**NOMIC_KEYS, "rotary_scaling_factor": 2}).max_length == 2048


def test_code_that_lets_qwen2_attend_both_ways_is_known_by_its_name() -> None:
    values = {**BERT_KEYS, "model_type": "qwen2", "num_key_value_heads": 1}
    assert read(values).layer.is_causal
    assert not read({**values, "auto_map": {"AutoModel": "modeling_qwen.Qwen2Model"}}).layer.is_causal


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({**NOMIC_KEYS, "moe_every_n_layers": 2}, "`moe_every_n_layers` must be 0. Received: 2"),
        ({**NOMIC_KEYS, "activation_function": "gelu"}, "must be swiglu or geglu. Received: 'gelu'"),
        ({**BERT_KEYS, "model_type": "new", "logn_attention_scale": True}, "`logn_attention_scale` must be False"),
        ({**BERT_KEYS, "model_type": "bert", "position_embedding_type": "alibi"}, "must be one of geglu, reglu"),
        ({**BERT_KEYS, "model_type": "bert", "position_embedding_type": "relative_key"}, "with 'absolute' only"),
        ({**BERT_KEYS, "model_type": "llama", "rope_scaling": {"rope_type": "longrope"}}, "Received: 'longrope'"),
        ({**BERT_KEYS, "model_type": "gemma3_text", "attn_logit_softcapping": 50.0}, "must be none. Received: 50.0"),
        ({**BERT_KEYS, "model_type": "mamba"}, "has the architecture 'mamba'; tfchain reads bert, "),
    ],
)
def test_what_tfchain_does_not_compute_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelFolderError, match=message):
        read(values)


def test_a_folder_with_values_out_of_range_is_refused(tmp_path: Path) -> None:
    values = {**BERT_KEYS, "model_type": "llama", "num_attention_heads": 0}
    (tmp_path / "config.json").write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(ModelFolderError, match="has a configuration that cannot be read: ZeroDivisionError"):
        read_folder(tmp_path)
