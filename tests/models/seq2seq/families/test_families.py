"""What a family reads of config.json, and writes back."""

import json
from pathlib import Path

import pytest

from tests.models.seq2seq.conftest import FIXTURES
from tfchain.core.errors import ModelFolderError
from tfchain.models.seq2seq.families import FAMILIES
from tfchain.models.seq2seq.families.bart_like import read_sizes, write_sizes
from tfchain.models.seq2seq.families.family import make_attention, make_source_attention
from tfchain.models.seq2seq.families.m2m_100 import read_m2m_100
from tfchain.models.seq2seq.families.marian import read_marian
from tfchain.models.seq2seq.families.t5 import read_mt5, read_t5
from tfchain.models.seq2seq.folder import read_config

T5 = {"vocab_size": 9, "d_model": 16, "num_layers": 1, "num_heads": 2, "d_kv": 8, "d_ff": 4}


@pytest.mark.parametrize("name", ["marian", "m2m_100", "nllb", "t5", "mt5"])
def test_a_shape_is_written_as_it_is_read(name: str) -> None:
    values = json.loads((FIXTURES / name / "config.json").read_text(encoding="utf-8"))
    tensors = {"lm_head.weight"} if name == "mt5" else set()
    config = read_config(values, tensors, Path("config"))
    family = FAMILIES[config.family]
    assert read_config({"model_type": config.family, **family.write(config)}, tensors, Path("again")) == config
    assert family.model_class == values["architectures"][0]


def test_t5_scales_its_output_only_where_embeddings_are_shared() -> None:
    assert read_t5(T5, set())["head_scale"] == 0.25
    assert read_t5({**T5, "tie_word_embeddings": False}, {"lm_head.weight"})["head_scale"] == 1
    assert read_mt5(T5, set())["head_scale"] == 1
    assert not read_t5(T5, set())["has_own_head"]
    assert read_t5({**T5, "feed_forward_proj": "gated-gelu"}, {"lm_head.weight"})["activation"] == "gelu_new"


def test_what_tfchain_does_not_have_is_refused() -> None:
    values = json.loads((FIXTURES / "marian" / "config.json").read_text(encoding="utf-8"))
    for change, message in (
        ({"normalize_before": True}, "`normalize_before` false"),
        ({"activation_function": "tanh"}, "The activation must be one of"),
        ({"d_model": 15}, "`num_heads` must divide `hidden_dim`"),
    ):
        with pytest.raises(ModelFolderError, match=message):
            read_config({**values, **change}, set(), Path("folder"))
    with pytest.raises(ModelFolderError, match="`feed_forward_proj` must be one of"):
        read_config({**T5, "model_type": "t5", "feed_forward_proj": "gated-tanh"}, set(), Path("folder"))


def test_marian_may_have_a_vocabulary_for_each_side() -> None:
    values = json.loads((FIXTURES / "marian" / "config.json").read_text(encoding="utf-8"))
    assert read_marian(values, set())["target_vocabulary_size"] is None
    own = read_marian({**values, "share_encoder_decoder_embeddings": False, "decoder_vocab_size": 7}, set())
    assert own["target_vocabulary_size"] == 7
    assert read_m2m_100(values, set())["norm_place"] == "pre"
    assert read_sizes(values)["embedding_scale"] == 4
    assert write_sizes(read_config(values, set(), Path("f")))["scale_embedding"]


def test_attentions_are_mapped_part_by_part() -> None:
    assert make_attention("attention", "self_attn", "{}_proj", "out_proj") == {
        "attention/query_key_value": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
        "attention/output": ("self_attn.out_proj",),
    }
    assert make_source_attention("cross", "{}", "o")["source_attention/key_value"] == ("cross.k", "cross.v")
