import dataclasses

import pytest

from tfchain.core.errors import InputError
from tfchain.models.encoders.anatomy import list_modules
from tfchain.models.encoders.config import EncoderConfig, PoolingConfig, TransformerConfig
from tfchain.models.encoders.dense_config import DenseConfig


def test_one_number_holds_for_all_layers_and_several_for_one_each(small_config: EncoderConfig) -> None:
    shape = small_config.transformer
    assert shape.layer_heads == (2, 2)
    assert shape.layer_head_dim(1) == 4
    shrunk = dataclasses.replace(shape, num_heads=(2, 1), intermediate_dim=(12, 5), head_dim=4)
    assert shrunk.layer_heads == (2, 1)
    assert shrunk.layer_intermediate_dims == (12, 5)


def test_a_dict_round_trip_gives_the_same_config(small_config: EncoderConfig) -> None:
    config = dataclasses.replace(
        small_config,
        transformer=dataclasses.replace(small_config.transformer, num_heads=(2, 1), head_dim=4),
        pooling=PoolingConfig(modes=("mean", "cls")),
        dense=(DenseConfig(in_dim=16, out_dim=3),),
    )
    assert EncoderConfig.from_dict(config.to_dict()) == config
    assert config.embedding_dim == 3
    assert dataclasses.replace(config, dense=()).embedding_dim == 16


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_heads": (2, 2, 2)}, "one number, or a number for each layer. Received: 3 numbers for num_layers=2"),
        ({"num_heads": 3}, "`hidden_dim` must be a multiple of `num_heads`"),
        ({"intermediate_dim": 0}, "`intermediate_dim` must be at least 1. Received: intermediate_dim=0"),
        ({"activation": "softmax"}, "`activation` must be one of gelu"),
        ({"max_positions": 0}, "`max_positions` must be at least 1. Received: max_positions=0"),
        ({"vocabulary_size": 0}, "`vocabulary_size` must be at least 1"),
        ({"attention_dropout": -0.1}, "`attention_dropout` must be in"),
        ({"pairs": "prompted"}, "`pair_prompt` must be three texts for pairs='prompted'"),
        ({"pair_prompt": ["a", "b", "c"]}, "and None otherwise. Received: pairs='none'"),
        ({"pairs": "prompted", "pair_prompt": ["a", "b"]}, r"Received: pairs='prompted', pair_prompt=\('a', 'b'\)"),
        ({"dropout": 1.0}, r"`dropout` must be in \[0, 1\). Received: dropout=1.0"),
    ],
)
def test_values_out_of_range_are_named(small_config: EncoderConfig, change: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        dataclasses.replace(small_config.transformer, **change)


def test_an_unknown_pooling_mode_is_named() -> None:
    with pytest.raises(InputError, match="must name at least one of cls, max"):
        PoolingConfig(modes=("median",))  # type: ignore[arg-type]


def test_positions_of_roberta_start_behind_the_padding_id(small_config: EncoderConfig) -> None:
    shape: TransformerConfig = dataclasses.replace(small_config.transformer, position_offset=2)
    assert shape.max_length == 14


def test_a_dense_module_is_added_before_a_normalisation_at_the_end(small_config: EncoderConfig) -> None:
    dense = DenseConfig(in_dim=small_config.vector_dim, out_dim=small_config.vector_dim)
    usual = dataclasses.replace(small_config, dense=(), normalize=True)
    assert usual.with_dense(dense).module_order == ("dense", "normalize")
    assert usual.with_dense(dense).order == ()
    other = dataclasses.replace(usual, dense=(dense,), order=("normalize", "dense"))
    assert other.with_dense(dense).module_order == ("normalize", "dense", "dense")
    assert other.with_normalize().module_order == ("normalize", "dense", "normalize")
    assert other.with_normalize().with_normalize() == other.with_normalize()
    assert list_modules(other.with_normalize()) == ["normalize", "dense_0", "normalize_1"]


@pytest.mark.parametrize(
    "order", [("dense",), ("normalize", "dense", "dense"), ("normalize", "pooling"), ("normalize",)]
)
def test_an_order_of_other_modules_is_named(small_config: EncoderConfig, order: tuple[str, ...]) -> None:
    dense = DenseConfig(in_dim=small_config.vector_dim, out_dim=4)
    with pytest.raises(InputError, match="`order` must name each of the 1 dense modules, and a normalisation if"):
        dataclasses.replace(small_config, dense=(dense,), normalize=True, order=order)
