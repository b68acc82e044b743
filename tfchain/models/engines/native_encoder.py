"""An encoder on the project's own int8 kernels: 8-bit weights, lists of token ids in, vectors out."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tfchain.models.encoders.anatomy import LAYER_NORM, LAYER_NORM_EPSILON, find_block, list_dense, list_modules
from tfchain.models.encoders.config import EncoderConfig
from tfchain.models.encoders.dense_config import DenseConfig
from tfchain.models.encoders.keras_weights import KerasWeights
from tfchain.models.engines.kernel_folder import StoredKernels
from tfchain.models.engines.kernel_weights import NotFiniteError, load_kernel_weights, make_kernel_weights
from tfchain.models.native_library import MOST_THREADS, NativeModel, find_obstacle
from tfchain.models.weights.stored_encoder import StoredEncoder
from tfchain.runtime.token_batches import encode_in_batches

if TYPE_CHECKING:
    from tfchain.models.encoders.encoder import Encoder

TOKENS_A_THREAD = 128  # in a batch: with more, activations no longer fit into the processor's caches


def _exact_gelu(values: np.ndarray) -> np.ndarray:
    """Returns x/2 · (1 + erf(x/√2)); NumPy has no erf, and heads are small."""
    erf = np.asarray(np.frompyfunc(math.erf, 1, 1)(values / math.sqrt(2)), dtype="float32")
    return (0.5 * values * (1 + erf)).astype("float32")


HEAD_ACTIVATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "gelu": _exact_gelu,
    "linear": lambda values: values,
    "relu": lambda values: np.maximum(values, 0),
    "sigmoid": lambda values: 1 / (1 + np.exp(-values)),
    "tanh": np.tanh,
}


def find_obstacle_of(encoder: "Encoder | StoredEncoder | Any") -> str | None:
    """Returns why the kernels cannot run an encoder in this process; None if they can.

    Args:
        encoder: A Keras model, or an encoder in a folder, of which the weights are not checked here.
    """
    if isinstance(encoder, StoredEncoder):
        return find_obstacle_of_shape(encoder.config) or find_obstacle()
    from tfchain.models.engines.native_obstacles import find_obstacle_of_model

    return find_obstacle_of_model(encoder) or find_obstacle_of_shape(encoder.config) or find_obstacle()


def find_obstacle_of_shape(config: EncoderConfig) -> str | None:
    """Returns why the kernels cannot run an encoder of this shape; None if they can."""
    if not find_block(config.transformer).has_kernels:
        return f"the kernels do not compute layers of the architecture {config.transformer.architecture!r}"
    if config.transformer.widened == "sum" and config.transformer.token_embedding_dim is not None:
        return "the kernels widen token embeddings before positions are added, and not their normalised sum"
    if config.transformer.has_token_flags:
        return "the kernels sum token vectors up, and attend to every token"
    if config.transformer.layer_weights:
        return "the kernels return the last layer's output, and no mean over layers"
    if config.tokens is None and "max" in config.pooling.modes:
        return "the pooling 'max' is not a weighted sum of token vectors"
    return None


class NativeEncoder:
    """Computes vectors of lists of token ids in int8 on the CPU.

    The kernels quantize like LiteRT's dynamic range: a product's weights have a scale for each output, and its inputs
    are quantized row by row during the computation. Token embeddings have a scale for each token; LiteRT has one for
    the table. A text's vector is bitwise the same on its own and in any batch, except for rounding in dense heads,
    which stay in float32. Positions are counted from a text's first token: a text that contains the padding token of
    RoBERTa or MPNet needs TensorFlow.

    Args:
        encoder: An encoder for which `find_obstacle_of` returns None. Its weights are copied.
        num_threads: Threads of a call, at most 16. Default: 1.

    Raises:
        NotFiniteError: if a weight is not finite.
        TfchainError: if the kernels cannot run in this process.
        MemoryError: if there is not enough memory.
    """

    def __init__(self, encoder: "Encoder | StoredEncoder | StoredKernels", *, num_threads: int = 1) -> None:
        config = encoder.config
        weights = encoder if isinstance(encoder, StoredEncoder | StoredKernels) else KerasWeights(encoder)
        self.num_threads = min(num_threads, MOST_THREADS)
        self._modes = config.pooling.modes
        self._num_vectors = None if config.tokens is None else config.tokens.num_vectors
        self._pad_token_id = config.transformer.pad_token_id
        modules = make_modules(config, weights)
        # A normalisation alone is the kernels'.
        is_theirs = config.module_order == ("normalize",) and config.tokens is None
        self._modules = [module for module in modules if not (is_theirs and module is normalize)]
        file = getattr(encoder, "kernel_file", None)
        self._model = NativeModel(
            make_kernel_weights(config, weights) if file is None else load_kernel_weights(file, config)
        )

    def __call__(self, token_ids: Sequence[Sequence[int]], skipped: int = 0) -> np.ndarray:
        """Computes the vectors of texts.

        Args:
            token_ids: The ids of each text, without padding.
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
        if self._num_vectors is not None:
            return self._lay_out(flat, starts, self._num_vectors)
        vectors = self._model(flat, starts, self._weigh(token_ids, starts, skipped), num_threads=self.num_threads)
        return self._finish(vectors)

    def _finish(self, vectors: np.ndarray) -> np.ndarray:
        """Runs what follows the pooling."""
        for module in self._modules:
            vectors = module(vectors)
        return vectors

    def _lay_out(self, flat: np.ndarray, starts: np.ndarray, num_vectors: int) -> np.ndarray:
        """Returns the vectors of each text's tokens one after the other, with zeros behind, as `TokenMatrix` does.

        The kernels give weighted sums: with one pooling for each place of a token, each sum is one token's vector. The
        sums of a text of 300 tokens take a hundredth of what its layers take.
        """
        lengths = np.diff(starts)
        places = np.arange(starts[-1]) - np.repeat(starts[:-1], lengths)
        weights = np.zeros((int(lengths.max()), int(starts[-1])), dtype="float32")
        weights[places, np.arange(starts[-1])] = 1
        sums = self._model(flat, starts, weights, num_threads=self.num_threads)
        rows = np.repeat(np.arange(len(lengths)), lengths)
        vectors = self._finish(sums.reshape(len(lengths), len(weights), -1)[rows, places])
        laid = np.zeros((len(lengths), num_vectors, vectors.shape[1]), dtype="float32")
        is_kept = places < num_vectors
        laid[rows[is_kept], places[is_kept]] = vectors[is_kept]
        return laid.reshape(len(lengths), -1)

    def encode(
        self,
        token_ids: Sequence[Sequence[int]],
        *,
        batch_size: int = 32,
        skipped: int = 0,
        progress: Callable[[int], Any] | None = None,
    ) -> np.ndarray | None:
        """Computes the vectors of texts in batches; returns None if there are no texts.

        Args:
            token_ids: The ids of each text, without padding.
            batch_size: The maximum number of texts in a step. Default: 32.
            skipped: How many of each text's first tokens pooling leaves out. Default: 0.
            progress: Called after each step with its number of texts. Default: not called.
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
        """Returns each token's weight in its text's vector, float32 `(poolings, tokens)`; 0 if a text has no tokens."""
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
                elif mode == "weightedmean":  # by the position in the text, counting skipped tokens
                    places = np.arange(skipped + 1, skipped + count + 1, dtype="float32")
                    row[start:end] = places / places.sum()
                else:
                    row[start if mode == "cls" else end - 1] = 1
        return weights


class DenseModule:
    """A Dense module in float32, in NumPy."""

    def __init__(self, config: DenseConfig, weights: Mapping[str, np.ndarray], name: str) -> None:
        self._kernel = _check_finite(weights[f"{name}/kernel"], name)
        self._bias = _check_finite(weights[f"{name}/bias"], name) if config.use_bias else None
        self._activate = HEAD_ACTIVATIONS[config.activation]

    def __call__(self, vectors: np.ndarray) -> np.ndarray:
        vectors = vectors @ self._kernel
        return self._activate(vectors if self._bias is None else vectors + self._bias)


class LayerNormModule:
    """A layer normalisation of vectors, in NumPy."""

    def __init__(self, weights: Mapping[str, np.ndarray], name: str) -> None:
        self._gamma, self._beta = (_check_finite(weights[f"{name}/{part}"], name) for part in ("gamma", "beta"))

    def __call__(self, vectors: np.ndarray) -> np.ndarray:
        centred = vectors - vectors.mean(axis=-1, keepdims=True)
        deviation = np.sqrt(np.square(centred).mean(axis=-1, keepdims=True) + LAYER_NORM_EPSILON)
        return np.asarray(centred / deviation * self._gamma + self._beta, dtype="float32")


def make_modules(config: EncoderConfig, weights: Mapping[str, np.ndarray]) -> list[Callable[[np.ndarray], np.ndarray]]:
    """Makes what follows the pooling, in order: dense modules, normalisations and a task's head, in NumPy."""
    dense = {name: DenseModule(module, weights, name) for name, module in list_dense(config)}
    made: list[Callable[[np.ndarray], np.ndarray]] = []
    for name in list_modules(config):
        is_norm = name.startswith(LAYER_NORM)
        made.append(LayerNormModule(weights, name) if is_norm else dense.get(name, normalize))
    return made


def normalize(vectors: np.ndarray) -> np.ndarray:
    """Returns vectors of length one."""
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))[:, None]
    return np.asarray(vectors / np.maximum(lengths, 1e-12), dtype="float32")


def _check_finite(weight: np.ndarray, name: str) -> np.ndarray:
    array = np.asarray(weight, dtype="float32")
    if not np.isfinite(array).all():
        raise NotFiniteError(name)
    return array
