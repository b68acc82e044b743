"""An encoder on the project's own int8 kernels: its weights in 8 bits, and lists of token ids to vectors."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from tfchain.models.encoders.config import DenseConfig
from tfchain.models.encoders.encoder import HEAD, Encoder
from tfchain.models.encoders.pooling import Normalize, Pooling
from tfchain.models.encoders.transformer import (
    AttentionMask,
    LayerNorm,
    RelativePositionBias,
    SelfAttention,
    TransformerEmbeddings,
    TransformerLayer,
    make_activation,
)
from tfchain.models.engines.native_library import MOST_THREADS, Layer, NativeModel, Product, Weights, find_obstacle
from tfchain.models.weights.stored_weights import quantize_rows
from tfchain.runtime.token_batches import encode_in_batches

TOKENS_A_THREAD = 128  # of a batch: with more, what the layers pass on leaves the processor's caches
LAYERS = (
    *(keras.layers.InputLayer, keras.layers.Dense, keras.layers.Embedding, keras.layers.Dropout, LayerNorm),
    *(AttentionMask, RelativePositionBias, SelfAttention, TransformerEmbeddings, TransformerLayer, Pooling, Normalize),
)
HEAD_ACTIVATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "linear": lambda values: values,
    "relu": lambda values: np.maximum(values, 0),
    "sigmoid": lambda values: 1 / (1 + np.exp(-values)),
    "tanh": np.tanh,
}


def find_obstacle_of(encoder: keras.Model) -> str | None:
    """Why the kernels do not run an encoder in this process; None if they do."""
    if type(encoder) is not Encoder:
        return f"the model is a {type(encoder).__name__}, not one of tfchain's own encoders"
    config = encoder.config
    if "max" in config.pooling.modes:
        return "the pooling 'max' is no weighted sum of token vectors"
    modules = (*config.dense, *([config.head] if config.head else []))
    unknown = [module.activation for module in modules if module.activation not in HEAD_ACTIVATIONS]
    if unknown:
        return f"a dense head has the activation {unknown[0]!r}"
    for layer in encoder._flatten_layers(include_self=False):
        obstacle = _find_obstacle_of_layer(layer, encoder)
        if obstacle is not None:
            return f"its layer {layer.path} {obstacle}"
    if not all(np.isfinite(np.asarray(weight)).all() for weight in encoder.weights):
        return "not all of its weights are finite"
    return find_obstacle()


def _find_obstacle_of_layer(layer: Any, encoder: Encoder) -> str | None:
    config = encoder.config.transformer
    if type(layer) not in LAYERS and layer is not encoder.backbone:
        return f"is of the class {type(layer).__name__}"
    if getattr(layer, "quantization_mode", None) is not None:
        return "is one that Keras has quantized"
    if isinstance(layer, TransformerLayer) and layer.intermediate.activation is not make_activation(config.activation):
        return "has another activation than the configuration says"
    if isinstance(layer, LayerNorm) and layer.epsilon != config.norm_epsilon:
        return "has another epsilon than the configuration says"
    return None


class NativeEncoder:
    """Vectors of lists of token ids, computed in int8 on the processor.

    The kernels quantize as LiteRT's dynamic range does: the weights of each product with a scale for each output, what
    goes into it row by row as it comes. Token embeddings have a scale for each token, where LiteRT has one for the
    table. A text's vector is the same to the last bit alone and in any batch, but for what dense heads, which stay in
    float32, may round otherwise. Positions are counted from a text's first token: where the padding of RoBERTa or MPNet
    is written in a text, TensorFlow must compute it.

    Args:
        encoder: One that `find_obstacle_of` names nothing for. Its weights are copied.
        num_threads: Threads of a call; 16 at most. Default: 1.

    Raises:
        TfchainError: if the kernels do not run in this process.
        MemoryError: if there is not enough memory.
    """

    def __init__(self, encoder: Encoder, *, num_threads: int = 1) -> None:
        config = encoder.config
        self.num_threads = min(num_threads, MOST_THREADS)
        self._modes = config.pooling.modes
        self._pad_token_id = config.transformer.pad_token_id
        self._dense = [
            _DenseModule(module, encoder.get_layer(f"dense_{number}")) for number, module in enumerate(config.dense)
        ]
        self._normalizes = config.normalize and bool(config.dense)  # without them the kernels do it
        self._head = None if config.head is None else _DenseModule(config.head, encoder.get_layer(HEAD))
        self._model = NativeModel(read_weights(encoder))

    def __call__(self, token_ids: Sequence[Sequence[int]], skipped: int = 0) -> np.ndarray:
        """Vectors of texts.

        Args:
            token_ids: Each text's ids, not padded.
            skipped: How many of each text's first tokens pooling leaves out (a prompt). Default: 0.

        Returns:
            float32 `(texts, dim)`, in the order given.

        Raises:
            InputError: if a text is too long, or a token id is not in the vocabulary.
        """
        if len(token_ids) == 1 and len(token_ids[0]):
            flat = np.array(token_ids[0], dtype="int32")
            starts = np.array((0, len(flat)), dtype="int32")
        else:
            filled = [ids if len(ids) else (self._pad_token_id,) for ids in token_ids]
            flat = np.concatenate([np.asarray(ids, dtype="int32") for ids in filled])
            starts = np.zeros(len(filled) + 1, dtype="int32")
            np.cumsum([len(ids) for ids in filled], out=starts[1:])
        vectors = self._model(flat, starts, self._weigh(token_ids, starts, skipped), num_threads=self.num_threads)
        for module in self._dense:
            vectors = module(vectors)
        if self._normalizes:
            vectors /= np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
        return vectors if self._head is None else self._head(vectors)

    def encode(
        self,
        token_ids: Sequence[Sequence[int]],
        *,
        batch_size: int = 32,
        skipped: int = 0,
        progress: Callable[[int], Any] | None = None,
    ) -> np.ndarray | None:
        """As the call, in batches; None where there is no text.

        Args:
            token_ids: Each text's ids, not padded.
            batch_size: The most texts in one step. Default: 32.
            skipped: How many of each text's first tokens pooling leaves out. Default: 0.
            progress: Called with the number of texts done after each step. Default: not.
        """
        if len(token_ids) == 1:  # a query
            vector = self(token_ids, skipped)
            if progress is not None:
                progress(1)
            return vector
        return encode_in_batches(
            self,
            lambda rows: ([token_ids[row] for row in rows], skipped),
            np.array([len(ids) for ids in token_ids], dtype=np.int64),
            batch_size=batch_size,
            tokens_in_batch=TOKENS_A_THREAD * self.num_threads,
            progress=progress,
        )

    def _weigh(self, token_ids: Sequence[Sequence[int]], starts: np.ndarray, skipped: int) -> np.ndarray:
        """Each token's part in its text's vector: float32 `(poolings, tokens)`, all 0 for a text without tokens."""
        weights = np.zeros((len(self._modes), starts[-1]), dtype="float32")
        for text, ids in enumerate(token_ids):
            count = len(ids) - skipped
            if count < 1:
                continue
            start, end = int(starts[text]) + skipped, int(starts[text + 1])
            for row, mode in zip(weights, self._modes, strict=True):
                if mode == "mean":
                    row[start:end] = 1 / count
                elif mode == "mean_sqrt_len_tokens":
                    row[start:end] = 1 / np.sqrt(count)
                elif mode == "weightedmean":  # by the place in the text, those left out counted
                    places = np.arange(skipped + 1, skipped + count + 1, dtype="float32")
                    row[start:end] = places / places.sum()
                else:
                    row[start if mode == "cls" else end - 1] = 1
        return weights


class _DenseModule:
    """A Dense module in float32, on NumPy."""

    def __init__(self, config: DenseConfig, layer: keras.layers.Dense) -> None:
        self._kernel = _to_float(layer.kernel)
        self._bias = _to_float(layer.bias) if config.use_bias else None
        self._activate = HEAD_ACTIVATIONS[config.activation]

    def __call__(self, vectors: np.ndarray) -> np.ndarray:
        vectors = vectors @ self._kernel
        return self._activate(vectors if self._bias is None else vectors + self._bias)


def read_weights(encoder: Encoder) -> Weights:
    """An encoder's weights as the kernels take them: matrices in 8 bits, the rest in float32.

    Args:
        encoder: One that `find_obstacle_of` names nothing for.
    """
    config = encoder.config.transformer
    embeddings = encoder.get_layer("embeddings")
    tokens, token_scales = quantize_rows(_to_float(embeddings.token.embeddings))
    fixed = _to_float(embeddings.position.embeddings)[config.position_offset :]
    if embeddings.token_type is not None:
        fixed = fixed + _to_float(embeddings.token_type.embeddings)[0]
    projection = embeddings.projection
    relative = None
    if config.relative_attention_buckets:
        bias = encoder.get_layer("relative_position_bias")
        last = len(fixed) - 1
        near = np.asarray(bias.find_buckets(np.arange(-last, last + 1)))
        relative = _to_float(bias.table)[near].T  # (heads, 2 * positions - 1)
        if len(relative) == 1:  # for however many a layer has
            relative = np.repeat(relative, max(config.layer_heads), axis=0)
    return Weights(
        tokens=tokens,
        token_scales=token_scales,
        fixed=fixed,
        projection=None if projection is None else _quantize(projection),
        norm=np.stack([_to_float(embeddings.norm.gamma), _to_float(embeddings.norm.beta)]),
        layers=[_read_layer(encoder.get_layer(f"layer_{number}")) for number in range(config.num_layers)],
        activation=config.activation,
        epsilon=config.norm_epsilon,
        relative=relative,
        normalizes=encoder.config.normalize and not encoder.config.dense,
    )


def _read_layer(layer: Any) -> Layer:
    heads, width = layer.num_heads, layer.head_dim
    first = _quantize(layer.attention.query_key_value)
    order = np.arange(3 * heads * width).reshape(3, heads, width).swapaxes(0, 1).reshape(-1)
    norms = (layer.attention_norm, layer.output_norm)
    return Layer(
        heads=heads,
        head_dim=width,
        query_key_value=Product(first.weights[order], first.scales[order], first.bias[order]),
        attention_output=_quantize(layer.attention.output_product),
        intermediate=_quantize(layer.intermediate),
        output=_quantize(layer.output_product),
        norms=np.stack([_to_float(weight) for norm in norms for weight in (norm.gamma, norm.beta)]),
    )


def _quantize(dense: keras.layers.Dense) -> Product:
    weights, scales = quantize_rows(_to_float(dense.kernel).T)
    return Product(weights, scales, _to_float(dense.bias))


def _to_float(weight: Any) -> np.ndarray:
    return np.asarray(weight, dtype="float32")
