"""The heads of sequence classification: their layers, and what config.json says of them."""

import pytest

from tfchain.core.errors import ModelFolderError
from tfchain.models.encoders.config import TransformerConfig
from tfchain.models.weights.classifier_heads import (
    CLASSIFIER_HEADS,
    find_classifier_head,
    read_classifier_head,
    write_classifier_head,
)
from tfchain.models.weights.reranker_folder import to_pair_encoder


def make_shape(architecture: str, **values: object) -> TransformerConfig:
    return TransformerConfig(
        architecture=architecture,
        vocabulary_size=9,
        hidden_dim=4,
        num_layers=1,
        num_heads=1,
        intermediate_dim=4,
        max_positions=8,
        **values,
    )


def test_the_heads_of_architectures() -> None:
    with pytest.raises(ModelFolderError, match="must have one of the architectures bert, ernie"):
        find_classifier_head("gpt2")
    made = to_pair_encoder(make_shape("distilbert"), 3)
    assert [dense.activation for dense in made.dense] == ["relu"]
    assert made.embedding_dim == 3
    assert all(head.class_name.endswith("ForSequenceClassification") for head in CLASSIFIER_HEADS.values())


def test_a_head_that_config_json_sets_is_written_as_it_is_read() -> None:
    values = {"classifier_pooling": "mean", "classifier_bias": True, "classifier_activation": "relu"}
    head = read_classifier_head("modernbert", values | {"other": 1})
    made = to_pair_encoder(make_shape("modernbert", norm_epsilon=1e-5), 2, head=head)
    assert made.pooling.modes == ("mean",)
    assert made.module_order == ("dense", "layer_norm")
    assert [(dense.use_bias, dense.activation) for dense in made.dense] == [(True, "relu")]
    assert write_classifier_head(made) == values | {"classifier_dropout": 0.0}
    usual = to_pair_encoder(make_shape("modernbert", norm_epsilon=1e-5), 1)
    assert write_classifier_head(usual) == {
        "classifier_pooling": "cls", "classifier_bias": False, "classifier_activation": "gelu",
        "classifier_dropout": 0.0,
    }  # fmt: skip
    assert write_classifier_head(to_pair_encoder(make_shape("mpnet"), 1)) == {}


@pytest.mark.parametrize(
    ("architecture", "values", "pooled", "last"),
    [
        ("bert", {}, 0.0, 0.1),  # the transformer's
        ("bert", {"classifier_dropout": None}, 0.0, 0.1),
        ("bert", {"classifier_dropout": 0.3}, 0.0, 0.3),
        ("roberta", {"classifier_dropout": 0.3}, 0.3, 0.3),
        ("electra", {}, 0.1, 0.1),
        ("mpnet", {"classifier_dropout": 0.3}, 0.1, 0.1),  # a key that MPNet does not have
        ("distilbert", {}, 0.0, 0.2),
        ("distilbert", {"seq_classif_dropout": 0.0}, 0.0, 0.0),
        ("albert", {"classifier_dropout_prob": 0.4}, 0.0, 0.4),
        ("modernbert", {}, 0.0, 0.0),
        ("modernbert", {"classifier_dropout": 0.2}, 0.0, 0.2),
        ("deberta-v2", {}, 0.0, 0.1),
        ("deberta-v2", {"cls_dropout": 0.3, "pooler_dropout": 0.2}, 0.2, 0.3),
    ],
)
def test_the_dropout_of_a_head_is_that_of_transformers(
    architecture: str, values: dict[str, object], pooled: float, last: float
) -> None:
    own: dict[str, dict[str, object]] = {
        "modernbert": {"norm_epsilon": 1e-5},
        "deberta-v2": {"disentangled": {"span": 4, "max_distance": 8}},
    }
    shape = make_shape(architecture, **own.get(architecture, {}))
    made = to_pair_encoder(shape, 1, head=read_classifier_head(architecture, values))
    assert made.head is not None
    assert (made.dense[0].dropout, made.head.dropout) == (pooled, last)
    again = to_pair_encoder(shape, 1, head=read_classifier_head(architecture, write_classifier_head(made)))
    assert again == made
