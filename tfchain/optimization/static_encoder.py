"""Static encoders made from any encoder: a vector for each token, weighted, and trained to match the encoder's."""

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np

from tfchain.core.checks import check_whole_number
from tfchain.core.errors import InputError
from tfchain.core.sampling import spread_evenly
from tfchain.core.texts import check_texts
from tfchain.models.encoders.blocks.static import NO_LIMIT, TABLE, make_static_shape
from tfchain.models.encoders.encoder import Encoder
from tfchain.models.shared_model import SharedModel
from tfchain.models.text_encoder import TextEncoder
from tfchain.models.tokenizers.host import HostTokenizer
from tfchain.models.tokenizers.static_vocabulary import make_static_tokenizer
from tfchain.models.weights.pretrained import make_encoder
from tfchain.optimization.distill import distill
from tfchain.optimization.recipes import Distill
from tfchain.optimization.reduce import find_directions, project

logger = logging.getLogger(__name__)

DISTILL = Distill(epochs=5, batch_size=128, learning_rate=3e-2)
MOST_TEXTS = 10_000  # for the teacher's directions, and to turn the table towards them
RIDGE = 1e-3  # of the mean square of the table's vectors, so that directions without texts stay small


def make_static_encoder(
    teacher: TextEncoder,
    texts: Sequence[str] | None = None,
    *,
    vocabulary: Sequence[str] = (),
    dim: int = 256,
    sif: float | None = 1e-4,
    recipe: Distill | None = DISTILL,
    progress: bool | None = None,
) -> TextEncoder:
    """Makes a static encoder: a text's vector is the mean of its tokens' vectors, which takes microseconds.

    Use it where an encoder with layers is too slow or too large, and some ranking quality may be lost: to search large
    collections on small machines, or as the first of two stages. Texts make it much better, the more the better; they
    need no judgments.

    Three steps make it. First, each token of the teacher's vocabulary is encoded by the teacher as a text of its own;
    the vectors are reduced to `dim` principal components, and multiplied by a / (a + p), where p is how often the token
    occurs (SIF; Arora et al. 2017, https://openreview.net/forum?id=SyK00v5xx), so that frequent words weigh less.
    model2vec (https://github.com/MinishLab/model2vec) does the same. Second, with texts, the table is turned to where
    the teacher puts the texts, by least squares. Third, the table is trained to match the teacher's vectors of the
    texts, reduced to `dim` by their own principal directions.

    Args:
        teacher: The encoder to learn from; a chain's is `chain.text_encoder`. In int8 it is faster.
        texts: Texts of the kind that the static encoder is for: documents, sentences, queries. Default: none; then p
            follows Zipf's law by the order of the vocabulary, and the second and third step are left out.
        vocabulary: Words that get a vector of their own, in addition to the teacher's tokens; for WordPiece tokenizers.
            Default: none.
        dim: Width of the vectors, at most the teacher's. Default: 256.
        sif: The a of the weights, in (0, 1); None for no weights. Default: 1e-4.
        recipe: How the table is trained; None leaves the third step out. Default: five epochs.
        progress: Whether to show progress bars. Default: when the work takes more than a second.

    Returns:
        The static encoder, which can be saved, compressed, exported and trained like any other.

    Raises:
        InputError: if an argument is out of range, the teacher's tokenizer cannot be used, or the teacher is not one of
            tfchain's own encoders and `dim` is below its width.

    Example:
        >>> small = make_static_encoder(chain.text_encoder, texts)
        >>> fast = NeuralSearchChain(tokenizer=small.tokenizer.source, model=small.encoder)
    """
    dim = check_whole_number("dim", dim)
    if dim > teacher.embedding_dim:
        raise InputError(f"`dim` must be at most the teacher's {teacher.embedding_dim}. Received: dim={dim}.")
    if sif is not None and (isinstance(sif, bool) or not isinstance(sif, int | float) or not 0 < sif < 1):
        raise InputError(f"`sif` must be above 0 and below 1, or None. Received: sif={sif!r}.")
    if recipe is not None and (not isinstance(recipe, Distill) or recipe.objective == "layers"):
        raise InputError(
            f"`recipe` must be a Distill of embeddings or scores, or None. Received: {recipe!r:.100}. A static encoder "
            "has no layers."
        )
    chosen = check_texts(texts or ())
    tokenizer, origin = make_static_tokenizer(teacher.tokenizer, vocabulary)
    if dim >= len(origin):
        raise InputError(f"`dim` must be below the {len(origin)} tokens of the vocabulary. Received: dim={dim}.")
    table = reduce_tokens(encode_tokens(teacher, origin, progress=progress), dim)
    if sif is not None:
        table *= weigh_tokens(HostTokenizer(tokenizer, max_length=NO_LIMIT), len(origin), chosen, sif)
    normalize = teacher.similarity == "cosine"
    made = _make_text_encoder(tokenizer, table, teacher, normalize=normalize)
    if not chosen:
        return made
    sample = spread_evenly(list(dict.fromkeys(chosen)), MOST_TEXTS)
    guide, targets = reduce_teacher(teacher, sample, dim, progress=progress)
    means = _make_text_encoder(tokenizer, table, teacher, normalize=False).encode(sample, progress=progress)
    table = turn(table, means, targets)
    made = _make_text_encoder(tokenizer, table, teacher, normalize=normalize)
    return made if recipe is None else distill(made, guide, recipe, chosen, progress=progress)


def encode_tokens(teacher: TextEncoder, origin: Sequence[int | str], *, progress: bool | None = None) -> np.ndarray:
    """Encodes each token as a text of its own, between the special tokens that the teacher puts around a text.

    Args:
        teacher: The teacher.
        origin: Token ids of the teacher, or words.
        progress: Whether to show a progress bar. Default: when the work takes more than a second.

    Returns:
        float32 `(tokens, dim)`.
    """
    opening, closing = _find_special_ids(teacher.tokenizer)
    words = [item for item in origin if isinstance(item, str)]
    ids = [[*opening, item, *closing] for item in origin if not isinstance(item, str)]
    vectors = [teacher.runner(ids, batch_size=256)]
    if words:
        vectors.append(teacher.encode(words, batch_size=256, progress=progress))
    return np.concatenate(vectors)  # added words come last


def reduce_tokens(vectors: np.ndarray, dim: int) -> np.ndarray:
    """Returns the principal components of tokens' vectors, float32 `(tokens, dim)`, their mean left out.

    Args:
        vectors: `(tokens, width)`.
        dim: The number of components.
    """
    centred = vectors.astype("float64") - vectors.mean(axis=0)
    return np.ascontiguousarray(centred @ find_directions(centred, dim)).astype("float32")


def weigh_tokens(tokenizer: HostTokenizer, size: int, texts: Sequence[str], sif: float) -> np.ndarray:
    """Returns the weight of each token, float32 `(tokens, 1)`: a / (a + p).

    Args:
        tokenizer: The static encoder's.
        size: The number of tokens.
        texts: Texts in which tokens are counted. Without any, p is the share of 1 / (rank + 1) by Zipf's law, where
            the rank is the id plus 1, since vocabularies begin with special and frequent tokens.
        sif: The a.
    """
    if texts:
        counts = np.zeros(size)
        for ids in tokenizer(list(texts)):
            counts += np.bincount(ids, minlength=size)
    else:
        counts = 1 / np.arange(2, size + 2)
    weights: np.ndarray = sif / (sif + counts / max(counts.sum(), 1e-12))
    return weights[:, None].astype("float32")


def reduce_teacher(
    teacher: TextEncoder, texts: Sequence[str], dim: int, *, progress: bool | None = None
) -> tuple[TextEncoder, np.ndarray]:
    """Returns the teacher with vectors of a width, and its vectors of the texts, float32 `(texts, dim)`.

    Args:
        teacher: The teacher.
        texts: Texts that show the principal directions.
        dim: The width.
        progress: Whether to show a progress bar. Default: when the work takes more than a second.
    """
    vectors = teacher.encode(list(texts), progress=progress)
    if dim == teacher.embedding_dim:
        return teacher, vectors
    encoder = teacher.own_encoder
    if not isinstance(encoder, Encoder):
        raise InputError(
            "`dim` can be below the teacher's width for tfchain's own encoders only. "
            f"Received: dim={dim}, and a {type(encoder).__name__} of {teacher.embedding_dim}."
        )
    directions = find_directions(vectors, dim)
    is_cosine = teacher.similarity == "cosine"
    shared = SharedModel(project(encoder, directions, normalize=is_cosine), is_private=True)
    reduced = teacher.with_encoder(shared, query_route=None)  # it gives vectors of documents alone
    targets = vectors @ directions
    if is_cosine:
        targets /= np.maximum(np.linalg.norm(targets, axis=1, keepdims=True), 1e-12)
    return reduced, targets


def turn(table: np.ndarray, means: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Returns the table multiplied by the matrix that brings means of its rows closest to their targets.

    Args:
        table: float32 `(tokens, dim)`.
        means: The means of texts' rows, `(texts, dim)`.
        targets: The same texts' vectors by the teacher, `(texts, dim)`.
    """
    values = means.astype("float64")
    moments = values.T @ values
    moments[np.diag_indices_from(moments)] += RIDGE * np.trace(moments) / len(moments)
    return np.ascontiguousarray(table @ np.linalg.solve(moments, values.T @ targets)).astype("float32")


def _make_text_encoder(tokenizer: Any, table: np.ndarray, teacher: TextEncoder, *, normalize: bool) -> TextEncoder:
    shape = make_static_shape(*table.shape, normalize=normalize, pad_token_id=tokenizer.pad_token_id)
    encoder = make_encoder(shape, {TABLE: table})
    return TextEncoder(tokenizer, SharedModel(encoder, is_private=True), similarity=teacher.similarity)


def _find_special_ids(tokenizer: HostTokenizer) -> tuple[list[int], list[int]]:
    """Returns the ids that the tokenizer puts before and after a text."""
    inside = list(tokenizer.whole.encode("a", add_special_tokens=False).ids)
    ids = list(tokenizer.whole.encode("a").ids)
    for start in range(len(ids) - len(inside) + 1):
        if ids[start : start + len(inside)] == inside:
            return ids[:start], ids[start + len(inside) :]
    raise InputError(f"The teacher's tokenizer must put special tokens around a text. Received: {ids} around {inside}.")
