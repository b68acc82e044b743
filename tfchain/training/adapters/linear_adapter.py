"""A linear map of a model's vectors that brings queries nearer to their passages, fitted on vectors alone."""

from collections.abc import Sequence

import numpy as np

from tfchain.core.errors import InputError
from tfchain.models.encoders.dense_config import DenseConfig
from tfchain.models.encoders.encoder import Encoder
from tfchain.models.shared_model import SharedModel
from tfchain.models.text_encoder import TextEncoder
from tfchain.training.adapters.options import AdapterOptions

BETAS = (0.9, 0.999)  # Adam's defaults (Kingma and Ba 2015)
LEAST = 1e-8


def fit_linear_adapter(
    text_encoder: TextEncoder,
    queries: Sequence[str],
    passages: Sequence[str],
    own: Sequence[int],
    options: AdapterOptions | None = None,
    *,
    batch_size: int = 32,
    progress: bool | None = None,
) -> TextEncoder:
    """Returns a text encoder whose vectors are a linear map of another's; the given encoder does not change.

    Each text is encoded once. The map, which begins as the identity, then learns to find each query's own passage among
    all others. It costs seconds, compares with far more passages than a batch of `fit` holds, and can forget little of
    what the model knows; `fit` can learn more, from more data. The map becomes the model's last Dense module, also of
    an encoder of its own for queries, so that everything that a model can do (saving, export, int8, a further `fit`)
    goes on as before.

    Args:
        text_encoder: Tokenizer and encoder.
        queries: The queries, such as those that `SynthesizeQueries` makes.
        passages: The passages: the queries' own, and others of the corpus.
        own: The number of each query's own passage.
        options: How to fit. Default: `AdapterOptions()`.
        batch_size: The most texts that are encoded at once. Default: 32.
        progress: Whether to show a progress bar. Default: when it takes more than a second.

    Raises:
        InputError: if there are fewer than two passages, a number is not a passage's, or the encoder is not tfchain's
            own, has a task's head, or compares by dot product.
    """
    check_encoder(text_encoder)
    numbers = np.asarray(own, dtype=np.int64)
    if len(passages) < 2 or not len(queries) or len(numbers) != len(queries):
        raise InputError(
            f"There must be two passages or more, and queries, each with its passage. Received: {len(passages)} "
            f"passages, {len(queries)} queries, {len(numbers)} numbers."
        )
    if numbers.min() < 0 or numbers.max() >= len(passages):
        raise InputError(f"`own` must be numbers of the {len(passages)} passages. Received: {numbers.max()}.")
    found = text_encoder.encode_document(passages, batch_size=batch_size, progress=progress)
    asked = text_encoder.encode_query(queries, batch_size=batch_size, progress=progress)
    kernel = fit_map(asked, found, numbers, options or AdapterOptions())
    adapted = _add_map(text_encoder, kernel)
    if text_encoder.query_route is not None:
        adapted.query_route = _add_map(text_encoder.query_route, kernel)
    return adapted


def _add_map(text_encoder: TextEncoder, kernel: np.ndarray) -> TextEncoder:
    """Returns a text encoder that ends in the map."""
    encoder = check_encoder(text_encoder)
    dense = DenseConfig(in_dim=len(kernel), out_dim=len(kernel), use_bias=False, activation="linear")
    made = Encoder(encoder.config.with_dense(dense), name=encoder.name)
    made.set_weights([*encoder.get_weights(), kernel])
    return text_encoder.with_encoder(SharedModel(made, is_private=True))


def fit_map(queries: np.ndarray, passages: np.ndarray, own: np.ndarray, options: AdapterOptions) -> np.ndarray:
    """Fits a matrix so that mapped queries find their passages by cosine.

    Minimizes the cross-entropy of each query's own passage among the passages of a step by Adam, from the identity.

    Args:
        queries: float32 `(queries, dim)`.
        passages: float32 `(passages, dim)`.
        own: The row of each query's own passage, int64 `(queries,)`.
        options: How to fit.

    Returns:
        float32 `(dim, dim)`: a vector `v` becomes `v @ matrix`.
    """
    rng = np.random.default_rng(options.seed)
    dim = queries.shape[1]
    matrix = np.eye(dim, dtype=np.float32)
    mean, square = np.zeros_like(matrix), np.zeros_like(matrix)
    for step in range(1, options.steps + 1):
        rows = rng.choice(len(queries), min(options.batch_size, len(queries)), replace=False)
        chosen = np.unique(own[rows])
        if len(passages) > options.passages:
            chosen = np.union1d(chosen, rng.choice(len(passages), options.passages, replace=False))
        else:
            chosen = np.arange(len(passages))
        places = np.searchsorted(chosen, own[rows])
        _, gradient = loss_and_gradient(matrix, queries[rows], passages[chosen], places, options.scale)
        mean += (1 - BETAS[0]) * (gradient - mean)
        square += (1 - BETAS[1]) * (gradient**2 - square)
        rate = options.learning_rate * (1 - BETAS[1] ** step) ** 0.5 / (1 - BETAS[0] ** step)
        matrix -= rate * mean / (np.sqrt(square) + LEAST)
    return matrix


def loss_and_gradient(
    matrix: np.ndarray, queries: np.ndarray, passages: np.ndarray, own: np.ndarray, scale: float
) -> tuple[float, np.ndarray]:
    """Returns the mean cross-entropy of the queries' own passages, and its gradient by the matrix.

    Args:
        matrix: `(dim, dim)`.
        queries: `(queries, dim)`.
        passages: `(passages, dim)`.
        own: The row of each query's own passage, `(queries,)`.
        scale: What cosines are multiplied by.
    """
    asked, asked_norms = to_unit(queries @ matrix)  # (queries, dim)
    found, found_norms = to_unit(passages @ matrix)  # (passages, dim)
    scores = scale * asked @ found.T  # (queries, passages)
    scores -= scores.max(axis=1, keepdims=True)
    shares = np.exp(scores)
    shares /= shares.sum(axis=1, keepdims=True)
    rows = np.arange(len(own))
    loss = -float(np.log(np.maximum(shares[rows, own], 1e-30)).mean())
    shares[rows, own] -= 1
    shares *= scale / len(own)  # the gradient by the cosines
    by_asked = through_norm(shares @ found, asked, asked_norms)
    by_found = through_norm(shares.T @ asked, found, found_norms)
    return loss, queries.T @ by_asked + passages.T @ by_found


def to_unit(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns vectors of length one, and their lengths before, `(n, 1)`."""
    norms = np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return vectors / norms, norms


def through_norm(gradient: np.ndarray, units: np.ndarray, norms: np.ndarray) -> np.ndarray:
    """Returns the gradient by vectors of the gradient by their directions."""
    part: np.ndarray = (gradient - units * (units * gradient).sum(axis=1, keepdims=True)) / norms
    return part


def check_encoder(text_encoder: TextEncoder) -> Encoder:
    """Returns the encoder, if it can have a linear adapter.

    Raises:
        InputError: if it cannot.
    """
    encoder = text_encoder.own_encoder
    if not isinstance(encoder, Encoder):
        raise InputError(f"An adapter needs an encoder of tfchain. Received: {type(encoder).__name__}. Use `fit`.")
    if encoder.config.head is not None:
        raise InputError("An adapter maps vectors that are searched. Received: an encoder with a task's head.")
    if text_encoder.similarity != "cosine":
        raise InputError(
            f"An adapter is fitted for cosines. Received: similarity={text_encoder.similarity!r}. Use `fit`."
        )
    return encoder
