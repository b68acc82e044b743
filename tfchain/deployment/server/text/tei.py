"""text-embeddings-inference's API: `/embed`, `/similarity`, `/info` and `/health`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

import numpy as np

from tfchain.deployment.server.http.monitoring import Readiness
from tfchain.deployment.server.http.rest import Answer
from tfchain.deployment.server.http.routes import Request, Router
from tfchain.deployment.server.metrics.serving import Call
from tfchain.deployment.server.observing.answered import EMBED
from tfchain.deployment.server.status import Code, StatusError
from tfchain.deployment.server.text.body import Body, TokenIds, read_body
from tfchain.deployment.server.text.embedding import (
    PURPOSE_OF,
    TEXTS_IN_A_RUN,
    TextService,
    check_dimensions,
    check_not_cut,
    cut_vectors,
    embed,
    normalize,
)
from tfchain.deployment.server.text.errors import JSON, FieldError, write_json, write_tei_error
from tfchain.deployment.server.text.predictions import DIRECTIONS, PredictApi
from tfchain.deployment.server.text.tei_tokens import PROMPTS, TeiTokensApi
from tfchain.deployment.server.text.text_model import TextModel, find_text_model
from tfchain.deployment.server.text.vector_text import write_vectors

_NOT_CUT = "Shorten it, or let it be cut off with `truncate`."
_CUT_LEFT = "This server cuts off the end of a text only: shorten it, or ask for `truncation_direction` Right."


@dataclass(frozen=True, slots=True)
class _Options:
    """How texts are embedded: the prompt, and what may happen to texts that are too long."""

    purpose: str
    may_cut: bool
    from_left: bool


class TeiApi:
    """Answers as text-embeddings-inference does.

    A request may name its model in `model`, which text-embeddings-inference does not have; `/info` in its query.

    Args:
        service: Lends the models.
        readiness: Tells whether the server can answer now.
        version: The version that `/info` tells.
    """

    def __init__(self, service: TextService, readiness: Callable[[], Readiness], version: str) -> None:
        self._service = service
        self._readiness = readiness
        self._version = version

    def add_to(self, router: Router) -> None:
        """Adds the endpoints."""
        predictions = PredictApi(self._service)
        predictions.add_to(router)
        TeiTokensApi(self._service).add_to(router)
        embed = self._service.counted("embed", self.embed)
        predict = self._service.counted("predict", predictions.predict)

        def choose(request: Request) -> Answer:
            return (predict if self._asks_labels(request) else embed)(request)

        router.add("POST", "/embed", embed, errors=write_tei_error)
        router.add("POST", "/", choose, errors=write_tei_error)  # where Hugging Face's InferenceClient sends
        router.add("POST", "/similarity", self._service.counted("similarity", self.similarity), errors=write_tei_error)
        router.add("GET", "/info", self._service.counted("info", self.info), errors=write_tei_error)
        router.add("GET", "/health", self.health, errors=write_tei_error, is_public=True, is_light=True)

    def embed(self, request: Request, call: Call) -> Answer:
        """Answers `POST /embed`."""
        body = read_body(request.body)
        inputs = body.inputs("inputs", most=self._service.limits.max_batch_size)
        _check_not_empty(inputs, "inputs")
        options, dimensions = _read_options(body), body.count("dimensions")
        is_normalized = body.switch("normalize")
        with self._service.lend(body.text("model"), call) as model:
            check_dimensions(model, dimensions)
            _check_lengths(model, inputs, options, "inputs")
            whole = embed(model, inputs, options.purpose, "inputs")
            vectors = cut_vectors(model, whole, dimensions)
            self._service.observe(call, request, model, EMBED, inputs, purpose=options.purpose, vectors=whole)
        if is_normalized is not False:
            vectors = normalize(vectors)
        return Answer(200, JSON, f"[{','.join(write_vectors(vectors))}]".encode())

    def similarity(self, request: Request, call: Call) -> Answer:
        """Answers `POST /similarity`: the cosine of a text with each of others."""
        body = read_body(request.body)
        inputs, options = body.object("inputs", is_required=True), _read_options(body.object("parameters"))
        source = inputs.text("source_sentence", is_required=True) or ""
        sentences = inputs.texts("sentences", most=self._service.limits.max_batch_size)
        _check_not_empty(sentences, "inputs.sentences")
        with self._service.lend(body.text("model"), call) as model:
            texts = [source, *sentences]
            _check_lengths(model, texts, options, "inputs")
            vectors = normalize(embed(model, texts, options.purpose, "inputs"))
        scores = np.clip(vectors[1:] @ vectors[0], -1.0, 1.0)
        return Answer(200, JSON, write_vectors(scores[np.newaxis])[0].encode())

    def info(self, request: Request, call: Call) -> Answer:
        """Answers `GET /info`."""
        name = parse_qs(request.query).get("model", [None])[0]
        limits = self._service.limits
        with self._service.lend(name, call) as model:
            values = model.description.get("text_model", {})
            kind: dict[str, Any] = {"embedding": {"pooling": "+".join(values.get("pooling", [])) or "unknown"}}
            if model.classifies:
                names = dict(enumerate(model.labels))
                kind = {"classifier": {"id2label": names, "label2id": {name: number for number, name in names.items()}}}
            info: dict[str, Any] = {
                "model_id": model.lease.name,
                "model_sha": str(model.lease.version),
                "model_dtype": values.get("precision", "unknown"),
                "model_type": kind,
                "max_concurrent_requests": limits.max_concurrent_requests,
                "max_input_length": model.max_tokens,
                "max_batch_tokens": model.max_tokens * TEXTS_IN_A_RUN,
                "max_batch_requests": None,
                "max_client_batch_size": limits.max_batch_size,
                "auto_truncate": True,
                "tokenization_workers": 1,
                "version": self._version,
                "sha": None,
                "docker_label": None,
            }
        return Answer(200, JSON, write_json(info))

    def health(self, _: Request) -> Answer:
        """Answers `GET /health`: 200 without a body, or 503."""
        if not self._readiness().is_ready:
            raise StatusError(Code.UNAVAILABLE, "unhealthy")
        return Answer(200, (), b"")

    def _asks_labels(self, request: Request) -> bool:
        """Returns whether a request to `/` is for a model that classifies; requests that are wrong are for no model."""
        manager = self._service.manager
        try:
            name = read_body(request.body).text("model") if len(manager.names()) > 1 else None
            with find_text_model(manager, name, self._service.timeout_ms) as model:
                return model.classifies
        except StatusError:
            return False


def _read_options(body: Body) -> _Options:
    direction = body.choice("truncation_direction", DIRECTIONS) or "Right"
    purpose = PURPOSE_OF.get(body.choice("prompt_name", PROMPTS) or "", "")
    return _Options(purpose, body.switch("truncate") is not False, direction.lower() == "left")


def _check_lengths(model: TextModel, inputs: Sequence[str] | Sequence[TokenIds], options: _Options, field: str) -> None:
    """Raises if a text would be cut off that must not be, or not from that side."""
    texts = [text for text in inputs if isinstance(text, str)]  # ids that are too long are always refused
    if not texts or (options.may_cut and not options.from_left):
        return
    advice = _CUT_LEFT if options.may_cut else _NOT_CUT
    check_not_cut(model, texts, options.purpose, field, advice=advice)


def _check_not_empty(inputs: Sequence[str] | Sequence[TokenIds], field: str) -> None:
    for row, text in enumerate(inputs):
        if not text:
            raise FieldError(f"`{field}` must have no empty texts. Received: one at position {row}.", field)
