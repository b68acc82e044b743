"""What the endpoints for embeddings share: which model and prompt a request means, its vectors, and its tokens."""

import contextlib
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np

from tfchain.deployment.server.http.limits import RequestLimits
from tfchain.deployment.server.http.rest import Answer
from tfchain.deployment.server.http.routes import Request, RouteHandler
from tfchain.deployment.server.manager import Manager
from tfchain.deployment.server.metrics.serving import Call, ServingMetrics
from tfchain.deployment.server.observing.answered import Answered, Asker
from tfchain.deployment.server.observing.watch import Watch
from tfchain.deployment.server.status import Code, StatusError, not_found
from tfchain.deployment.server.text.body import TokenIds
from tfchain.deployment.server.text.errors import FieldError, TooMuchError
from tfchain.deployment.server.text.text_model import TextModel, find_text_model

PURPOSE_OF = {
    "query": "query",
    "search_query": "query",
    "passage": "document",
    "document": "document",
    "search_document": "document",
}
_SUFFIXES = ("query", "passage", "document")
TEXTS_IN_A_RUN = 64  # so that memory does not grow with the request, and short texts are not padded to the longest
FOREIGN_IDS = (
    "`{field}` has token ids that are not of this model's tokenizer: the ids of a text begin and end with those of an "
    "empty text, {empty}. Send texts, or ids of this server's /tokenize. LangChain's OpenAIEmbeddings sends ids of "
    "OpenAI's tokenizer unless it is made with check_embedding_ctx_length=False."
)


@dataclass(frozen=True, slots=True)
class TextService:
    """What the endpoints for texts stand on.

    Args:
        manager: The manager of the models.
        timeout_ms: The time limit of a request; None for no limit.
        limits: The limits of a request.
        metrics: Counts the calls.
        watch: Observes the texts that are answered; None if nobody does.
    """

    manager: Manager
    timeout_ms: int | None = None
    limits: RequestLimits = field(default_factory=RequestLimits)
    metrics: ServingMetrics = field(default_factory=ServingMetrics)
    watch: Watch | None = None

    def counted(self, api: str, handle: Callable[[Request, Call], Answer]) -> RouteHandler:
        """Returns a handler whose calls are counted, those with a wrong body too.

        Args:
            api: The endpoint's name in the metrics.
            handle: Answers a request; it tells the call the model, or has `lend` do so.
        """

        def answer(request: Request) -> Answer:
            with Call(self.metrics, "REST", api=api) as call:
                call.left_ms = None if request.deadline is None else request.deadline.left_ms
                return handle(request, call)

        return answer

    @contextlib.contextmanager
    def lend(self, name: str | None, call: Call) -> Iterator[TextModel]:
        """Lends a model's latest version, and tells the call which it is.

        Args:
            name: The model; None for the only one that is served.
            call: The call.

        Raises:
            StatusError: NOT_FOUND if no such model answers; INVALID_ARGUMENT if none is named and several are served,
                or it embeds no texts.
        """
        call.model = name or ""
        with self._find(name, self.timeout_ms if call.left_ms is None else call.left_ms()) as model:
            call.model = model.lease.name
            yield model

    def observe(
        self,
        call: Call,
        request: Request,
        model: TextModel,
        task: str,
        texts: Sequence[str] | Sequence[TokenIds],
        asker: Asker | None = None,
        **answers: Any,
    ) -> list[str]:
        """Leaves answered texts for the observer; answers that were given to token ids are not observed.

        Args:
            call: The call, which knows how long it took.
            request: The request.
            model: The version.
            task: What was asked for, as in `Answered`.
            texts: The texts.
            asker: What the client says of itself. Default: what the headers say.
            **answers: Fields of `Answered`: the answers, in the texts' order.

        Returns:
            The texts' ids; empty if nobody observes the request.
        """
        if self.watch is None or not texts or not isinstance(texts[0], str) or not self.watch.observes():
            return []
        asker = asker or Asker.of_headers(request.headers)
        query_ids = asker.make_ids(len(texts))
        named = (model.lease.name, model.lease.version, task, cast("Sequence[str]", texts))
        self.watch.put(Answered(*named, call.seconds, query_ids, asker=asker, **answers))
        return query_ids

    def count_run(self, model: str, seconds: float) -> None:
        """Measures a model's run."""
        self.metrics.count_run(model, "Predict", seconds)

    def _find(self, name: str | None, timeout_ms: int | None) -> TextModel:
        served = self.manager.names()
        if name is None and len(served) > 1:
            raise FieldError(f"Several models are served: `model` must be one of {', '.join(served)}.", "model")
        try:
            return find_text_model(self.manager, name, timeout_ms, self.count_run)
        except StatusError as error:
            if error.code is not Code.NOT_FOUND or name is None:
                raise
            known = ", ".join(served) or "none"
            raise not_found(f"The model {name!r} does not exist, or is not served now. Served: {known}.") from error


def choose_prompt(served: Collection[str], model: str | None, input_type: str | None) -> tuple[str | None, str]:
    """Returns the model and the purpose that a request means.

    Args:
        served: The names of the models that are served.
        model: The name in the request: a model's, or one that ends in `-query`, `-passage` or `-document`.
        input_type: The purpose in the request; one of `PURPOSE_OF`, or None.

    Raises:
        FieldError: if the two contradict each other.
    """
    purpose = PURPOSE_OF.get(input_type or "", "")
    if model is None or model in served:
        return model, purpose
    name, _, suffix = model.rpartition("-")
    if suffix not in _SUFFIXES or name not in served:
        return model, purpose
    if purpose and purpose != PURPOSE_OF[suffix]:
        raise FieldError(
            f"`input_type` contradicts the model's name, {model!r}. Received: {input_type!r}.", "input_type"
        )
    return name, PURPOSE_OF[suffix]


def embed(model: TextModel, inputs: Sequence[str] | Sequence[TokenIds], purpose: str, field_name: str) -> np.ndarray:
    """Returns the vectors of texts, or of token ids, `TEXTS_IN_A_RUN` at a time.

    Args:
        model: The model.
        inputs: Texts, or each text's token ids.
        purpose: As in `TextModel.embed`.
        field_name: The request's field that has them.

    Returns:
        float32 `(texts, dim)`.

    Raises:
        FieldError: if token ids are not of the model's tokenizer.
        StatusError: if a run fails, or the time is up.
    """
    check_ids(model, [ids for ids in inputs if not isinstance(ids, str)], purpose, field_name)
    order = sorted(range(len(inputs)), key=lambda row: len(inputs[row]))
    vectors = np.zeros((len(inputs), 0), np.float32)
    for start in range(0, len(order), TEXTS_IN_A_RUN):
        rows = order[start : start + TEXTS_IN_A_RUN]
        part = _embed_part(model, [inputs[row] for row in rows], purpose)
        if not vectors.size:
            vectors = np.empty((len(inputs), part.shape[1]), np.float32)
        vectors[rows] = part
    if not np.isfinite(vectors).all():
        raise StatusError(Code.INTERNAL, f"The model {model.lease.name} returned a vector with NaN or infinity.")
    return vectors


def _embed_part(model: TextModel, inputs: list[str | TokenIds], purpose: str) -> np.ndarray:
    texts = [text for text in inputs if isinstance(text, str)]
    if texts:
        return model.embed(texts, purpose)
    return model.embed_ids([ids for ids in inputs if not isinstance(ids, str)])


def count_tokens(model: TextModel, inputs: Sequence[str] | Sequence[TokenIds], purpose: str) -> int:
    """Returns the number of tokens that the model sees."""
    texts = [text for text in inputs if isinstance(text, str)]
    return model.count_tokens(texts, purpose) if texts else sum(map(len, inputs))


def check_ids(model: TextModel, token_ids: Sequence[TokenIds], purpose: str, field_name: str) -> None:
    """Raises if token ids are not those of the model's tokenizer, or come with a prompt."""
    if not token_ids:
        return
    tokenizer = model.find_tokenizer(purpose)
    most, size, empty = model.most_tokens(purpose), tokenizer.vocabulary_size, tokenizer.empty_text
    if purpose == "query" and model.has_query_encoder:
        raise FieldError(
            f"`{field_name}` has token ids, and queries of this model have an encoder of their own. Send texts, or "
            "send the ids to the signature embed_query_ids.",
            field_name,
        )
    for row, ids in enumerate(token_ids):
        if model.has_prompt(purpose):
            raise FieldError(
                f"`{field_name}` has token ids, before which no prompt can be put. Send texts, or ids with the prompt, "
                "and ask for no prompt.",
                field_name,
            )
        if not size or not empty:
            raise FieldError("This version takes no token ids: it does not tell its vocabulary.", field_name)
        if not has_special_tokens(ids, empty) or not all(0 <= token < size for token in ids):
            raise FieldError(FOREIGN_IDS.format(field=field_name, empty=empty), field_name)
        if most and len(ids) > most:
            raise TooMuchError(
                f"`{field_name}` must have at most {most} token ids a text. Received: {len(ids)} in text {row}.",
                field_name,
            )


def has_special_tokens(ids: Sequence[int], empty: Sequence[int]) -> bool:
    """Whether a text's ids begin and end with those of an empty text."""
    return len(ids) >= len(empty) and find_special_tokens(ids, empty) is not None


def find_special_tokens(ids: Sequence[int], empty: Sequence[int]) -> tuple[int, int] | None:
    """Returns how many special tokens are before and after a text; None if they are not there.

    An empty text's ids do not say where the text goes: it is in the middle, or, of an odd number, on either side of it.
    """
    ids, empty = list(ids), list(empty)
    for before in dict.fromkeys((len(empty) // 2, len(empty) - len(empty) // 2)):
        after = len(empty) - before
        if ids[:before] == empty[:before] and ids[len(ids) - after :] == empty[before:]:
            return before, after
    return None


def check_not_cut(model: TextModel, texts: Sequence[str], purpose: str, field_name: str, *, advice: str) -> None:
    """Raises if a text may have been cut off: if it has as many tokens as the model takes.

    Args:
        model: The model.
        texts: The texts.
        purpose: As in `TextModel.embed`.
        field_name: The request's field that has them.
        advice: What to do, the end of the error.
    """
    most = model.most_tokens(purpose)
    if not most:
        return
    for row, ids in enumerate(model.tokenize(texts, purpose)):
        if len(ids) >= most:
            raise TooMuchError(
                f"`{field_name}` must have less than {most} tokens a text, special ones included. Text {row} has as "
                f"many or more. {advice}",
                field_name,
            )


def cut_vectors(model: TextModel, vectors: np.ndarray, dimensions: int | None) -> np.ndarray:
    """Returns vectors of the length that a request asks for.

    Args:
        model: The model.
        vectors: float32 `(texts, dim)`.
        dimensions: The length; None for the model's.

    Raises:
        FieldError: if the model's vectors cannot be cut to that length.
    """
    full = vectors.shape[1]
    if dimensions is None or dimensions == full:
        return vectors
    if dimensions not in model.matryoshka_dims:
        raise _wrong_dimensions(model, dimensions, full)
    return normalize(vectors[:, :dimensions])


def check_dimensions(model: TextModel, dimensions: int | None) -> None:
    """Raises early what `cut_vectors` would raise, unless the version does not tell the length of its vectors."""
    full = model.embedding_dim
    if dimensions is not None and full and dimensions != full and dimensions not in model.matryoshka_dims:
        raise _wrong_dimensions(model, dimensions, full)


def _wrong_dimensions(model: TextModel, dimensions: int, full: int) -> FieldError:
    known = ", ".join(map(str, sorted({*model.matryoshka_dims, full})))
    reason = "" if model.matryoshka_dims else " The model was not trained so that its vectors may be cut (Matryoshka)."
    return FieldError(f"`dimensions` must be one of {known}. Received: {dimensions}.{reason}", "dimensions")


def normalize(vectors: np.ndarray) -> np.ndarray:
    """Scales vectors to length one; vectors of zeros stay."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: np.ndarray = vectors / np.where(lengths > 0, lengths, 1).astype(np.float32)
    return scaled
