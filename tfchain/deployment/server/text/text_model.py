"""A version that answers texts, as the endpoints of texts use it: vectors, token counts and hits."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import numpy as np

from tfchain.core.signatures import (
    EMBED,
    EMBED_DOCUMENT,
    EMBED_IDS,
    EMBED_QUERY,
    EMBED_QUERY_IDS,
    RERANK,
    SEARCH_FILTERED,
    SERVING_DEFAULT,
    TOKENIZE,
    TOKENIZE_DOCUMENT,
    TOKENIZE_QUERY,
)
from tfchain.deployment.server.manager import Lease, Manager, ModelSpec
from tfchain.deployment.server.predict import predict
from tfchain.deployment.server.servables.deadline import Deadline
from tfchain.deployment.server.status import invalid_argument, not_found
from tfchain.deployment.server.text.version_description import (
    VersionTokenizer,
    find_tokenizer,
    read_description,
    read_text_model,
    to_number,
    to_numbers,
)

OnRun = Callable[[str, float], None]  # (model, seconds)
SIGNATURE_OF = {"": EMBED, "query": EMBED_QUERY, "document": EMBED_DOCUMENT}
TOKENIZE_OF = {"": TOKENIZE, "query": TOKENIZE_QUERY, "document": TOKENIZE_DOCUMENT}


@dataclass(frozen=True, slots=True)
class Hit:
    """A document that a search found."""

    id: str
    score: float
    text: str


@dataclass(frozen=True, slots=True)
class Label:
    """A label of a text, with its probability."""

    name: str
    score: float


class TextModel:
    """A version lent to a request of an endpoint for texts; use it in a `with` block.

    Args:
        lease: The version.
        timeout_ms: The time limit of all runs together, from now on; None for no limit.
        on_run: Called with the model's name and the seconds of each run that succeeded. Default: nobody is told.

    Raises:
        StatusError: INVALID_ARGUMENT if the version embeds no texts.
    """

    def __init__(self, lease: Lease, timeout_ms: int | None, on_run: OnRun = lambda *_: None) -> None:
        self.lease = lease
        self._on_run = on_run
        self._deadline = Deadline(timeout_ms)
        if EMBED not in lease.servable.signatures:
            raise invalid_argument(
                f"The model {lease.name} (version {lease.version}) embeds no texts: it has no signature {EMBED!r}. Ask "
                "it by its own signatures, at /v1/models."
            )

    def __enter__(self) -> "TextModel":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.lease.__exit__(kind, error, trace)

    @functools.cached_property
    def description(self) -> Mapping[str, Any]:
        """What the export wrote of the version; empty if it wrote nothing."""
        return read_description(self.lease.path)

    @property
    def embedding_dim(self) -> int:
        """The length of a vector; 0 if the version does not tell."""
        return to_number(self._values.get("embedding_dim"))

    @property
    def max_tokens(self) -> int:
        """The most tokens of a text, special ones included; longer texts are cut off. 0 if it is not known."""
        return to_number(self._values.get("max_tokens"))

    def most_tokens(self, purpose: str) -> int:
        """Returns `max_tokens` of texts for a purpose, such as `query`, for which it may be another."""
        lengths = self._values.get("role_lengths")
        found = to_number(lengths.get(f"{purpose}_length")) if isinstance(lengths, dict) else 0
        return found or self.max_tokens

    @property
    def matryoshka_dims(self) -> list[int]:
        """The shorter lengths to which vectors may be cut; empty if the model was not trained for that."""
        return to_numbers(self._values.get("matryoshka_dims"))

    @property
    def classifies(self) -> bool:
        """Whether the version gives texts, or pairs of texts, labels."""
        signature = self.lease.servable.signatures.get(SERVING_DEFAULT)
        return signature is not None and {"labels", "scores"} <= set(signature.outputs)

    @property
    def classifies_pairs(self) -> bool:
        """Whether it is pairs of texts that get labels."""
        return self.classifies and "text_pair" in self.lease.servable.signatures[SERVING_DEFAULT].inputs

    @property
    def labels(self) -> list[str]:
        """All labels, in the order of the model's outputs; empty if the version does not tell."""
        found = self.description.get("labels")
        return [name for name in found if isinstance(name, str)] if isinstance(found, list) else []

    @property
    def has_search(self) -> bool:
        """Whether the version searches documents."""
        signature = self.lease.servable.signatures.get(SERVING_DEFAULT)
        return signature is not None and {"ids", "scores", "texts"} <= set(signature.outputs)

    @property
    def top_k(self) -> int:
        """The number of documents that a search returns at most; 0 if the version does not tell."""
        return to_number(self.description.get("top_k"))

    def find_tokenizer(self, purpose: str = "") -> VersionTokenizer:
        """Finds the tokenizer of the texts for a purpose, as in `embed`."""
        return find_tokenizer(self.lease.path, purpose)

    def embed(self, texts: Sequence[str], purpose: str = "") -> np.ndarray:
        """Returns the vectors of texts.

        Args:
            texts: One text or more.
            purpose: `query` or `document`, for the model's prompt for these; empty for its default prompt.

        Returns:
            float32 `(texts, dim)`.

        Raises:
            StatusError: if the run fails.
        """
        name = SIGNATURE_OF[purpose]
        signature = name if name in self.lease.servable.signatures else EMBED
        return self._run(signature, {"text": _to_array(texts)}, ["embedding"])[0]

    def embed_ids(self, token_ids: Sequence[Sequence[int]]) -> np.ndarray:
        """Returns the vectors of texts that are given as token ids, special ones included.

        Args:
            token_ids: The token ids of one text or more, as `embedding.check_ids` lets them through.

        Raises:
            StatusError: if the run fails.
        """
        longest = max(map(len, token_ids))
        ids = np.zeros((len(token_ids), longest), np.int32)
        mask = np.zeros_like(ids)
        for row, text in enumerate(token_ids):
            ids[row, : len(text)], mask[row, : len(text)] = text, 1
        return self._run(EMBED_IDS, {"token_ids": ids, "padding_mask": mask}, ["embedding"])[0]

    def has_prompt(self, purpose: str) -> bool:
        """Whether the version has another prompt for `query` or `document` than its default one."""
        return bool(purpose) and SIGNATURE_OF[purpose] in self.lease.servable.signatures

    @property
    def has_query_encoder(self) -> bool:
        """Whether queries have an encoder of their own, with its own tokenizer."""
        return EMBED_QUERY_IDS in self.lease.servable.signatures

    def tokenize(self, texts: Sequence[str], purpose: str = "") -> list[np.ndarray]:
        """Returns each text's token ids as the model sees them: with prompt and special tokens, cut off.

        Args:
            texts: One text or more.
            purpose: As in `embed`.

        Raises:
            StatusError: if the version has no signature for that, or the run fails.
        """
        ids, mask = self._tokenize(texts, purpose, ["token_ids", "padding_mask"])
        return [row[kept != 0] for row, kept in zip(ids, mask, strict=True)]

    def count_tokens(self, texts: Sequence[str], purpose: str = "") -> int:
        """Returns the number of tokens of all texts, as `tokenize` counts them; 0 for versions without `tokenize`."""
        if TOKENIZE not in self.lease.servable.signatures:
            return 0
        return int(np.count_nonzero(self._tokenize(texts, purpose, ["padding_mask"])[0]))

    def _tokenize(self, texts: Sequence[str], purpose: str, outputs: Sequence[str]) -> list[np.ndarray]:
        signature = TOKENIZE_OF[purpose] if self.has_prompt(purpose) else TOKENIZE
        if signature not in self.lease.servable.signatures:
            raise invalid_argument(
                f"The model {self.lease.name} (version {self.lease.version}) has no signature {signature!r}. Export it "
                "again with this tfchain."
            )
        return self._run(signature, {"text": _to_array(texts)}, outputs)

    def search(self, queries: Sequence[str], allowed: np.ndarray | None = None) -> list[list[Hit]]:
        """Returns the best documents of each query, as many as the version was exported for.

        Args:
            queries: The queries.
            allowed: Which documents may be found, booleans `(documents,)`; for a version whose documents have metadata.
                Default: all.

        Raises:
            StatusError: if the version does not search, or the run fails.
        """
        if not self.has_search:
            raise invalid_argument(
                f"The model {self.lease.name} (version {self.lease.version}) searches no documents. Serve a search "
                "chain that documents were added to."
            )
        outputs = ["ids", "scores", "texts"]
        if allowed is None:
            found, most = self._run(SERVING_DEFAULT, {"text": _to_array(queries)}, outputs), None
        else:
            most = int(np.count_nonzero(allowed))  # after these are blanks
            found = self._run(SEARCH_FILTERED, {"text": _to_array(queries), "allowed": allowed}, outputs)
        return [
            [Hit(_to_text(key), float(score), _to_text(text)) for key, score, text in zip(*rows, strict=True)][:most]
            for rows in zip(*found, strict=True)
        ]

    def check_classifies(self) -> None:
        """Raises a StatusError, INVALID_ARGUMENT, if the version gives no labels."""
        if not self.classifies:
            raise invalid_argument(
                f"The model {self.lease.name} (version {self.lease.version}) classifies no texts. Serve a "
                "TextClassificationChain."
            )

    def classify(self, texts: Sequence[Sequence[str]]) -> list[list[Label]]:
        """Returns the labels of texts, best first, as many as the version was exported for.

        Args:
            texts: Lists of one text, or of two if the version classifies pairs.

        Raises:
            StatusError: if the version gives no labels, or the run fails.
        """
        self.check_classifies()
        columns = ("text", "text_pair") if self.classifies_pairs else ("text",)
        inputs = {name: _to_array([text[place] for text in texts]) for place, name in enumerate(columns)}
        found = self._run(SERVING_DEFAULT, inputs, ["labels", "scores"])
        return [
            [Label(_to_text(name), float(score)) for name, score in zip(*rows, strict=True)]
            for rows in zip(*found, strict=True)
        ]

    @property
    def reranks(self) -> bool:
        """Whether the version scores pairs of texts, with one output for each."""
        signature = self.lease.servable.signatures.get(RERANK)
        return signature is not None and self.description.get("reranks") is not False

    def check_reranks(self) -> None:
        """Raises a StatusError, INVALID_ARGUMENT, if the version scores no pairs."""
        if not self.reranks:
            raise invalid_argument(
                f"The model {self.lease.name} (version {self.lease.version}) does not rerank. Serve a Reranker, or a "
                "search chain with one; or score documents by the cosine of their vectors with the query's "
                "(/v1/embeddings, /similarity)."
            )

    def rerank(self, query: str, texts: Sequence[str]) -> np.ndarray:
        """Returns the model's outputs for a query with each text, float32 `(texts,)`.

        Args:
            query: The query.
            texts: One text or more.

        Raises:
            StatusError: if the run fails.
        """
        inputs = {"text": _to_array([query] * len(texts)), "text_pair": _to_array(texts)}
        return self._run(RERANK, inputs, ["output"])[0]

    @functools.cached_property
    def _values(self) -> Mapping[str, Any]:
        return read_text_model(self.lease.path)

    def _run(self, signature: str, inputs: Mapping[str, np.ndarray], outputs: Sequence[str]) -> list[np.ndarray]:
        prediction = predict(
            self.lease.servable,
            signature,
            inputs,
            to_array=lambda _, array: array,
            output_filter=outputs,
            timeout_ms=self._deadline.left_ms(),
        )
        self._on_run(self.lease.name, prediction.run_seconds)
        return [prediction.outputs[name] for name in outputs]


def find_text_model(
    manager: Manager, name: str | None, timeout_ms: int | None, on_run: OnRun = lambda *_: None
) -> TextModel:
    """Lends the latest version of a model for texts.

    Args:
        manager: The manager of the models.
        name: The model's name; None for the only model that is served.
        timeout_ms: The time limit of all runs together; None for no limit.
        on_run: As in `TextModel`. Default: nobody is told.

    Raises:
        StatusError: NOT_FOUND if no such model answers; INVALID_ARGUMENT if none is named and several are served, or
            it embeds no texts.
    """
    if name is None:
        served = manager.names()
        if len(served) > 1:
            raise invalid_argument(f"Several models are served: name one of {', '.join(served)}.")
        if not served:
            raise not_found("No model is served now.")
        name = served[0]
    lease = manager.lend(ModelSpec(name))
    try:
        return TextModel(lease, timeout_ms, on_run)
    except BaseException:
        lease.__exit__(None, None, None)
        raise


def _to_array(texts: Sequence[str]) -> np.ndarray:
    """Returns texts as the wire has them; half a surrogate pair becomes a question mark, as in a chain."""
    return np.array([text.encode("utf-8", "replace") for text in texts], dtype=object)


def _to_text(value: bytes) -> str:
    return value.decode("utf-8", "replace")
