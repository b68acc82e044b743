"""The block of newer architectures: rotary positions, gates, windows, grouped heads, norms where `LayerConfig` says."""

from collections.abc import Iterator
from typing import Any

from tfchain.models.encoders.blocks.block import Block, FindLayer, Group, Shapes
from tfchain.models.encoders.config import TransformerConfig
from tfchain.models.encoders.layer_config import LayerConfig

DEFAULT_LAYER = LayerConfig()


class GeneralBlock(Block):
    """Attention and a feed-forward network with the options of `LayerConfig` and `RotaryConfig`."""

    products = ("attention/query_key_value", "attention/output", "intermediate", "output")
    has_kernels = True

    def find_layer_config(self, config: TransformerConfig) -> LayerConfig:
        return _options(config)

    def list_shapes(self, config: TransformerConfig) -> Shapes:
        dim, token_dim, layer = config.hidden_dim, config.token_embedding_dim or config.hidden_dim, _options(config)
        yield "embeddings/token/embeddings", (config.vocabulary_size, token_dim)
        if config.num_token_types:
            yield "embeddings/token_type/embeddings", (config.num_token_types, dim)
        if token_dim != dim:
            yield from _list_product("embeddings/projection", token_dim, dim, True)
        if layer.embedding_norm:
            yield from _list_norm("embeddings/norm", dim, layer)

    def list_layer_shapes(self, config: TransformerConfig, number: int) -> Shapes:
        layer, dim, width = _options(config), config.hidden_dim, config.layer_head_dim(number)
        heads, units = config.layer_heads[number], config.layer_intermediate_dims[number]
        keys = heads // layer.queries_per_key
        yield from _list_product(
            "attention/query_key_value", dim, (heads + 2 * keys) * width, layer.query_key_value_bias
        )
        if layer.query_key_norm:
            yield from _list_norm("attention/query_norm", width, layer)
            yield from _list_norm("attention/key_norm", width, layer)
        yield from _list_product("attention/output", heads * width, dim, layer.attention_output_bias)
        if layer.has_norm(number):
            yield from _list_norm("attention_norm", dim, layer)
        if layer.norm_place == "both":
            yield from _list_norm("after_attention_norm", dim, layer)
        yield from _list_product("intermediate", dim, units * (1 + _is_gated(layer)), layer.intermediate_bias)
        yield from _list_product("output", units, dim, layer.output_bias)
        yield from _list_norm("feed_forward_norm", dim, layer)
        if layer.norm_place == "both":
            yield from _list_norm("after_feed_forward_norm", dim, layer)

    def list_final_shapes(self, config: TransformerConfig) -> Shapes:
        layer = _options(config)
        if layer.final_norm:
            yield from _list_norm("final_norm", config.hidden_dim, layer)

    def split_widths(self, config: TransformerConfig, number: int, product: str) -> tuple[int, ...] | None:
        if product != "attention/query_key_value":
            return None
        heads, width = config.layer_heads[number], config.layer_head_dim(number)
        keys = heads // _options(config).queries_per_key
        return heads * width, keys * width, keys * width

    def list_groups(self, config: TransformerConfig, number: int) -> tuple[Group, ...]:
        layer, width = _options(config), config.layer_head_dim(number)
        shared = layer.queries_per_key
        return (
            Group(
                field="num_heads",
                reader="attention/output",
                maker="attention/query_key_value",
                count=config.layer_heads[number] // shared,
                width=shared * width,
                made=(shared * width, width, width),
            ),
            Group(
                field="intermediate_dim",
                reader="output",
                maker="intermediate",
                count=config.layer_intermediate_dims[number],
                width=1,
                copies=1 + _is_gated(layer),
            ),
        )

    def count_keras_layers(self, config: TransformerConfig) -> int:
        layer = _options(config)
        embeddings = 3 + bool(config.num_token_types) + layer.embedding_norm  # with the token table and the dropout
        embeddings += config.token_embedding_dim not in (None, config.hidden_dim)
        inside = 9 + 2 * layer.query_key_norm + 2 * (layer.norm_place == "both")
        layers = config.num_layers * inside + sum(layer.has_norm(number) for number in range(config.num_layers))
        return embeddings + layers + layer.final_norm + len(_list_shared(config))

    def share(
        self, config: TransformerConfig, find_layer: FindLayer, token_ids: Any, padding_mask: Any, *, has_padding: bool
    ) -> dict[str, Any]:
        from keras import ops

        padding = find_layer("attention_mask")(padding_mask) if has_padding else ops.zeros(())
        shared = {"padding": padding, "bias": padding, "local_bias": padding}
        for name in _list_shared(config)[1:]:
            inputs = (padding, token_ids) if name.endswith("bias") else (token_ids,)
            shared[name.removeprefix("all_")] = find_layer(name)(*inputs)
        return shared

    def finish(self, config: TransformerConfig, find_layer: FindLayer, hidden: Any) -> Any:
        return find_layer("final_norm")(hidden) if _options(config).final_norm else hidden

    def make_layer(self, config: TransformerConfig, name: str, *, dtype: str) -> Any:
        from tfchain.models.encoders.general import embeddings, layer, norms, shared_inputs
        from tfchain.models.encoders.transformer import AttentionMask

        options = _options(config)
        if name == "attention_mask":
            return AttentionMask(name=name, dtype=dtype)
        if name.endswith("bias"):
            return shared_inputs.PositionBias(
                num_heads=config.layer_heads[0],
                layer=options,
                is_local=name.startswith("local"),
                max_length=config.max_length,
                name=name,
                dtype=dtype,
            )
        if name.endswith("rotary"):
            return shared_inputs.RotaryTable(
                rotary=config.rotary or {},
                head_dim=config.layer_head_dim(0),
                is_local=name.startswith("local"),
                name=name,
                dtype="float32",
            )
        if name == "final_norm":
            return norms.make_norm(options, config.norm_epsilon, name, dtype)
        common: dict[str, Any] = {"options": options, "norm_epsilon": config.norm_epsilon, "dropout": config.dropout}
        if name == "embeddings":
            return embeddings.TokenEmbeddings(
                vocabulary_size=config.vocabulary_size,
                hidden_dim=config.hidden_dim,
                token_embedding_dim=config.token_embedding_dim,
                num_token_types=config.num_token_types,
                name=name,
                dtype=dtype,
                **common,
            )
        number = int(name.removeprefix("layer_"))
        return layer.GeneralLayer(
            num_heads=config.layer_heads[number],
            head_dim=config.layer_head_dim(number),
            hidden_dim=config.hidden_dim,
            intermediate_dim=config.layer_intermediate_dims[number],
            window=options.find_window(number),
            is_interleaved=config.rotary is not None and config.rotary.is_interleaved,
            has_attention_norm=options.has_norm(number),
            activation=config.activation,
            attention_dropout=config.attention_dropout,
            max_length=config.max_length,
            name=name,
            dtype=dtype,
            **common,
        )


GENERAL = GeneralBlock()


def _options(config: TransformerConfig) -> LayerConfig:
    return config.layer or DEFAULT_LAYER


def _is_gated(layer: LayerConfig) -> bool:
    return layer.gate != "none"


def _list_shared(config: TransformerConfig) -> list[str]:
    """Returns the names of the layers that compute what all layers share."""
    layer = _options(config)
    is_local = {layer.find_window(number) is not None for number in range(config.num_layers)}
    names = ["attention_mask"]
    for kind, needs_bias in (("", layer.is_causal or layer.has_alibi), ("local_", True)):
        if (kind == "local_") not in is_local:
            continue
        names += [f"{kind or 'all_'}bias"] if needs_bias else []
        names += [f"{kind or 'all_'}rotary"] if config.rotary is not None else []
    return names


def _list_product(path: str, inputs: int, outputs: int, has_bias: bool) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{path}/kernel", (inputs, outputs)
    if has_bias:
        yield f"{path}/bias", (outputs,)


def _list_norm(path: str, dim: int, layer: LayerConfig) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{path}/gamma", (dim,)
    if layer.norm == "layer" and layer.norm_bias:
        yield f"{path}/beta", (dim,)
