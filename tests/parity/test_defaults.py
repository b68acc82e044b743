"""What a configuration leaves out is what transformers makes of it."""

from pathlib import Path

import pytest
import transformers

from tfchain.models.weights.folder import to_transformer_config

CLASSES = {
    "bert": transformers.BertConfig,
    "distilbert": transformers.DistilBertConfig,
    "roberta": transformers.RobertaConfig,
    "xlm-roberta": transformers.XLMRobertaConfig,
    "mpnet": transformers.MPNetConfig,
}
SIZES = {
    "vocab_size": 30, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 12,
    "max_position_embeddings": 16,
}  # fmt: skip
DISTILBERT_SIZES = {
    "vocab_size": 30, "dim": 8, "n_layers": 1, "n_heads": 2, "hidden_dim": 12, "max_position_embeddings": 16,
}  # fmt: skip
NAMES = {
    "norm_epsilon": "layer_norm_eps",
    "dropout": "hidden_dropout_prob",
    "attention_dropout": "attention_probs_dropout_prob",
    "activation": "hidden_act",
    "num_token_types": "type_vocab_size",
    "pad_token_id": "pad_token_id",
    "relative_attention_buckets": "relative_attention_num_buckets",
}
DISTILBERT_NAMES = {
    "dropout": "dropout",
    "attention_dropout": "attention_dropout",
    "activation": "activation",
    "pad_token_id": "pad_token_id",
}
NONE = {"mpnet": {"num_token_types"}}  # its configuration has the key, its network no such embedding


@pytest.mark.parametrize("architecture", CLASSES)
def test_values_that_config_json_leaves_out_are_those_of_transformers(architecture: str) -> None:
    is_distilbert = architecture == "distilbert"
    sizes, names = (DISTILBERT_SIZES, DISTILBERT_NAMES) if is_distilbert else (SIZES, NAMES)
    theirs = CLASSES[architecture](**sizes)
    ours = to_transformer_config({"model_type": architecture, **sizes}, Path("folder"))
    for own, name in names.items():
        if hasattr(theirs, name) and own not in NONE.get(architecture, set()):
            assert getattr(ours, own) == getattr(theirs, name), own
    assert ours.norm_epsilon == 1e-12  # DistilBERT's network has it fixed
    counts_from_padding = architecture in ("roberta", "xlm-roberta", "mpnet")
    assert ours.position_offset == (theirs.pad_token_id + 1 if counts_from_padding else 0)
    assert ours.num_token_types == (0 if architecture in ("distilbert", "mpnet") else theirs.type_vocab_size)
    assert (ours.relative_attention_buckets > 0) is (architecture == "mpnet")
