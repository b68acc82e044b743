"""`SparseEncoder`: texts to weights of the vocabulary's words, by SPLADE's head or by a table of words for queries."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfchain.core.errors import ModelFolderError
from tfchain.core.texts import check_texts
from tfchain.models.encoders.config import EncoderConfig
from tfchain.models.encoders.token_vectors import TokenVectorConfig
from tfchain.models.indexes.sparse import SparseVectors
from tfchain.models.precision import EngineName
from tfchain.models.shared_model import SharedModel
from tfchain.models.text_encoder import TextEncoder
from tfchain.models.tokenizers.hugging_face import load_tokenizer
from tfchain.models.tokenizers.stored import read_stored_tokenizer
from tfchain.models.weights.download import find_local
from tfchain.models.weights.folder import ModelFolder, to_transformer_config
from tfchain.models.weights.json_file import read_json
from tfchain.models.weights.sparse_folder import MASKED_HEADS, SparseRoute, read_sparse_folder, read_table
from tfchain.models.weights.stored_encoder import StoredEncoder
from tfchain.models.weights.tensor_files import TensorFiles

TABLE = "embeddings/token/embeddings"
MOST_MATRIX_BYTES = 64 * 2**20  # of the transformer's output at once, padding included


class SparseEncoder:
    """Encodes texts as sparse vectors: a weight for each word of the vocabulary that a text is about.

    A weight is `log(1 + relu(x))` of a masked language model's logit for the word, the largest (or the sum) over the
    text's tokens. A folder with a Router may have a table for queries, and then no model runs for them: a query's
    weights are those of its own tokens, each once (inference-free, as OpenSearch's doc models are).

    Papers: Formal et al. 2021, SPLADE v2 (https://arxiv.org/abs/2109.10086); Geng et al. 2024, Towards Competitive
    Search Relevance For Inference-Free Learned Sparse Retrievers (https://arxiv.org/abs/2411.04403).

    Args:
        document: What encodes documents.
        query: What encodes queries. Default: the same.

    Example:
        >>> encoder = SparseEncoder.from_pretrained("a folder of naver/splade-v3")
        >>> index = SparseIndex(encoder.encode_document(["The cat sleeps.", "Stocks fell on Monday."]))
        >>> index.search(encoder.encode_query(["What does the cat do?"]))[0][0][0]
        0
    """

    def __init__(self, document: "MaskedModel | TokenTable", query: "MaskedModel | TokenTable | None" = None) -> None:
        self.document = document
        self.query = query or document

    @classmethod
    def from_pretrained(cls, path: str | Path, *, engine: EngineName = "auto") -> "SparseEncoder":
        """Reads the folder of sentence-transformers' SparseEncoder, with a Router or without.

        Args:
            path: The folder.
            engine: The engine that runs the transformer. Default: `auto`.

        Raises:
            ModelFolderError: if the folder cannot be read, or holds another kind of model.
        """
        folder = find_local(path)
        if folder is None:
            raise ModelFolderError(f"A sparse encoder is read from a folder. Received: {path}. Download it first.")
        documents, queries = read_sparse_folder(folder)
        document = _read_side(documents, engine)
        made = cls(document, document if queries == documents else _read_side(queries, engine))
        if made.query.size != made.document.size:
            raise ModelFolderError(
                f"{folder} must have one vocabulary for documents and queries. Received: {made.document.size} and "
                f"{made.query.size} tokens. Get the folder again."
            )
        return made

    def encode_document(self, texts: Sequence[str], *, batch_size: int = 32) -> SparseVectors:
        """Returns the sparse vectors of documents.

        Args:
            texts: The documents.
            batch_size: The most texts in a step. Default: 32.
        """
        return self.document(check_texts(texts), batch_size)

    def encode_query(self, texts: Sequence[str], *, batch_size: int = 32) -> SparseVectors:
        """Returns the sparse vectors of queries."""
        return self.query(check_texts(texts), batch_size)

    def decode(self, vectors: SparseVectors, text: int, top_k: int = 20) -> list[tuple[str, float]]:
        """Returns the words of a vector with the largest weights, largest first."""
        ids, weights = vectors[text]
        order = np.argsort(-weights, kind="stable")[:top_k]
        words = self.document.tokenizer.convert_ids_to_tokens(ids[order].tolist())
        return list(zip(words, weights[order].tolist(), strict=True))


class MaskedModel:
    """A masked language model with SPLADE's pooling.

    Args:
        text_encoder: The transformer, with a vector for each token.
        head: The head's weights: `dense`, `dense_bias`, `gamma`, `beta`, `decoder` `(vocabulary, dim)` and `bias`.
        route: How its logits become weights.
    """

    def __init__(self, text_encoder: TextEncoder, head: dict[str, np.ndarray], route: SparseRoute) -> None:
        self.text_encoder = text_encoder
        self.route = route
        self._head = head

    @property
    def size(self) -> int:
        """The number of tokens in the vocabulary."""
        return len(self._head["decoder"])

    @property
    def tokenizer(self) -> Any:
        """The transformers tokenizer."""
        return self.text_encoder.tokenizer.tokenizer

    def __call__(self, texts: Sequence[str], batch_size: int = 32) -> SparseVectors:
        """Returns the vectors of texts."""
        config = self.text_encoder.config
        assert config is not None  # made by `_read_side`
        step = max(1, MOST_MATRIX_BYTES // (4 * self.text_encoder.embedding_dim))
        rows = []
        for start in range(0, len(texts), step):
            part = list(texts[start : start + step])
            token_ids = self.text_encoder.tokenizer(part)
            matrices = self.text_encoder.encode(part, prompt="", batch_size=batch_size, progress=False)
            for ids, matrix in zip(token_ids, matrices, strict=True):
                weights = self._weigh(matrix.reshape(-1, config.vector_dim)[: len(ids)])
                kept = np.flatnonzero(weights)
                rows.append((kept, weights[kept]))
        return SparseVectors.from_rows(rows, self.size)

    def _weigh(self, hidden: np.ndarray) -> np.ndarray:
        """Returns the weight of each word, float32 `(vocabulary,)`, from `(tokens, dim)`."""
        head, config = self._head, self.text_encoder.config
        assert config is not None
        made = _activate(config.transformer.activation, hidden @ head["dense"].T + head["dense_bias"])
        centred = made - made.mean(axis=-1, keepdims=True)
        deviation = np.sqrt(np.square(centred).mean(axis=-1, keepdims=True) + config.transformer.norm_epsilon)
        logits = (centred / deviation * head["gamma"] + head["beta"]) @ head["decoder"].T + head["bias"]
        if self.route.pooling == "max":  # the largest first: the logarithm keeps the order
            return self._log(logits.max(axis=0))
        return np.asarray(self._log(logits).sum(axis=0), dtype="float32")

    def _log(self, logits: np.ndarray) -> np.ndarray:
        weights = np.log1p(np.maximum(logits, 0))
        return np.asarray(np.log1p(weights) if self.route.activation == "log1p_relu" else weights, dtype="float32")


class TokenTable:
    """A weight for each token, in the place of a model.

    Args:
        tokenizer: A transformers tokenizer.
        weights: float32 `(vocabulary,)`.
    """

    def __init__(self, tokenizer: Any, weights: np.ndarray) -> None:
        self.tokenizer = tokenizer
        self.weights = weights

    @property
    def size(self) -> int:
        """The number of tokens in the vocabulary."""
        return len(self.weights)

    def __call__(self, texts: Sequence[str], batch_size: int = 32) -> SparseVectors:
        """Returns the vectors of texts: each of their tokens once, without special ones; weights of 0 are left out."""
        rows = []
        if texts:
            for ids in self.tokenizer(list(texts), add_special_tokens=False, truncation=True)["input_ids"]:
                distinct = np.unique(np.asarray(ids, dtype="int32"))
                weights = self.weights[distinct]
                rows.append((distinct[weights != 0], weights[weights != 0]))
        return SparseVectors.from_rows(rows, self.size)


def _read_side(route: SparseRoute, engine: EngineName) -> MaskedModel | TokenTable:
    if route.table is not None:
        tokenizer = load_tokenizer(route.table)
        return TokenTable(tokenizer, read_table(route.table, len(tokenizer)))
    place = route.transformer
    assert place is not None  # a route has one or the other
    transformer = to_transformer_config(read_json(place / "config.json"), place)
    if transformer.architecture not in MASKED_HEADS:
        raise ModelFolderError(
            f"{place} must hold a masked language model of {', '.join(MASKED_HEADS)}. "
            f"Received: {transformer.architecture}. Use another model."
        )
    tokenizer = read_stored_tokenizer(place, None) or load_tokenizer(place)
    own = getattr(tokenizer, "model_max_length", None) or transformer.max_length
    length = min(route.max_length or own, transformer.max_length)
    config = EncoderConfig(
        transformer=dataclasses.replace(transformer, has_token_flags=True),
        tokens=TokenVectorConfig(num_vectors=length),
    )
    stored = StoredEncoder(ModelFolder(encoder=config, transformer_path=place, heads="any"))
    shared = SharedModel(stored)
    encoder = TextEncoder(tokenizer, shared, engine=engine, max_length=length)
    encoder.runner.refresh(shared.get_fingerprint)
    return MaskedModel(encoder, _read_head(place, transformer.architecture, stored), route)


def _read_head(place: Path, architecture: str, stored: StoredEncoder) -> dict[str, np.ndarray]:
    names, tensors = MASKED_HEADS[architecture], TensorFiles(place)
    found = {
        "dense": f"{names.dense}.weight",
        "dense_bias": f"{names.dense}.bias",
        "gamma": f"{names.norm}.weight",
        "beta": f"{names.norm}.bias",
        "bias": names.bias,
    }
    missing = sorted(set(found.values()) - set(tensors))
    if missing:
        raise ModelFolderError(
            f"{place} lacks the head of a masked language model: {', '.join(missing)}. Get the folder again."
        )
    head = {part: np.asarray(tensors[name], dtype="float32") for part, name in found.items()}
    is_tied = names.decoder not in set(tensors)
    head["decoder"] = stored[TABLE] if is_tied else np.asarray(tensors[names.decoder], dtype="float32")
    return head


def _activate(name: str, values: np.ndarray) -> np.ndarray:
    """Returns the activation of a head, `gelu` or another of the transformer's."""
    if name == "gelu":
        from scipy.special import erf

        return np.asarray(0.5 * values * (1 + erf(values / np.sqrt(2))), dtype="float32")
    if name == "gelu_new":
        cubic = np.sqrt(2 / np.pi) * (values + 0.044715 * values**3)
        return np.asarray(0.5 * values * (1 + np.tanh(cubic)), dtype="float32")
    return np.maximum(values, 0) if name == "relu" else values / (1 + np.exp(-values))
