"""Reranking as Cohere, Jina and text-embeddings-inference have it, by versions with a cross-encoder."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tfchain.deployment.server.http.rest import Answer
from tfchain.deployment.server.http.routes import Request, Router
from tfchain.deployment.server.metrics.serving import Call
from tfchain.deployment.server.observing.answered import RERANKING
from tfchain.deployment.server.text.body import Body, read_body
from tfchain.deployment.server.text.embedding import TEXTS_IN_A_RUN, TextService
from tfchain.deployment.server.text.errors import JSON, FieldError, write_json, write_rerank_error, write_tei_error
from tfchain.deployment.server.text.text_model import TextModel

_CUT = (
    "`truncate` must be true and `truncation_direction` Right: this server cannot tell whether a pair is cut off, and "
    "cuts as the model's tokenizer does."
)


class RerankApi:
    """Answers the endpoints for reranking: relevance scores from 0 to 1, the sigmoid of the model's output.

    Args:
        service: Lends the models.
    """

    def __init__(self, service: TextService) -> None:
        self._service = service

    def add_to(self, router: Router) -> None:
        """Adds the endpoints."""
        router.add("POST", "/v1/rerank", self._service.counted("rerank", self.rerank_v1), errors=write_rerank_error)
        router.add("POST", "/v2/rerank", self._service.counted("rerank", self.rerank_v2), errors=write_rerank_error)
        router.add("POST", "/rerank", self._service.counted("rerank", self.rerank_tei), errors=write_tei_error)

    def rerank_v1(self, request: Request, call: Call) -> Answer:
        """Answers `POST /v1/rerank`, where documents are texts or objects with a text."""
        body = read_body(request.body)
        return self._answer_cohere(request, body, self._read_cohere(body, has_objects=True), call)

    def rerank_v2(self, request: Request, call: Call) -> Answer:
        """Answers `POST /v2/rerank`, where documents are texts."""
        body = read_body(request.body)
        return self._answer_cohere(request, body, self._read_cohere(body, has_objects=False), call)

    def rerank_tei(self, request: Request, call: Call) -> Answer:
        """Answers `POST /rerank` of text-embeddings-inference."""
        body = read_body(request.body)
        query = body.text("query", is_required=True) or ""
        texts = body.texts("texts", most=self._service.limits.max_batch_size)
        is_raw, has_text, cuts = (body.switch(name) for name in ("raw_scores", "return_text", "truncate"))
        direction = body.choice("truncation_direction", ("Right", "Left", "right", "left")) or "right"
        if cuts is False or direction.lower() == "left":
            raise FieldError(_CUT, "truncate")
        with self._service.lend(body.text("model"), call) as model:
            outputs = score_texts(model, query, texts)
            self._observe(call, request, model, query, outputs)
        scores = outputs if is_raw else to_relevance(outputs)
        ranks = [
            {"index": place, "score": _to_number(scores[place])} | ({"text": texts[place]} if has_text else {})
            for place in _order(outputs)
        ]
        return Answer(200, JSON, write_json(ranks))

    def _read_cohere(self, body: Body, *, has_objects: bool) -> list[str]:
        """Checks the fields, and returns the documents' texts."""
        body.text("query", is_required=True)
        texts = self._read_documents(body, has_objects)
        body.count("top_n")
        body.count("max_tokens_per_doc")
        body.switch("return_documents")
        return texts

    def _read_documents(self, body: Body, has_objects: bool) -> list[str]:
        documents, most = body.get("documents"), self._service.limits.max_batch_size
        if not has_objects or not isinstance(documents, list):
            return body.texts("documents", most=most)
        texts = []
        for document in documents:
            text = document.get("text") if isinstance(document, dict) else document
            if not isinstance(text, str):
                raise body.error("documents", "`documents` must be a list of strings, or of objects with a `text`.")
            texts.append(text)
        body.check_count("documents", len(texts), most)
        return texts

    def _observe(self, call: Call, request: Request, model: TextModel, query: str, outputs: np.ndarray) -> None:
        """Leaves a query with its scores, best first, for the observer."""
        if self._service.watch is not None:
            scores = [np.sort(outputs)[::-1]]
            self._service.observe(call, request, model, RERANKING, [query], purpose="query", scores=scores)

    def _answer_cohere(self, request: Request, body: Body, texts: list[str], call: Call) -> Answer:
        query, top_n = body.text("query") or "", body.count("top_n")
        with self._service.lend(body.text("model"), call) as model:
            outputs = score_texts(model, query, texts)
            name = model.lease.name
            self._observe(call, request, model, query, outputs)
        scores = to_relevance(outputs)
        has_documents = body.switch("return_documents") is True
        results = [
            {"index": place, "relevance_score": _to_number(scores[place])}
            | ({"document": {"text": texts[place]}} if has_documents else {})
            for place in _order(outputs)[:top_n]
        ]
        return Answer(200, JSON, write_json({"model": name, "results": results}))


def score_texts(model: TextModel, query: str, texts: Sequence[str]) -> np.ndarray:
    """Returns the outputs for a query with each text, float32 `(texts,)`: those of a length together.

    Args:
        model: The version.
        query: The query.
        texts: One text or more.

    Raises:
        StatusError: if the version does not rerank, or a run fails.
    """
    model.check_reranks()
    order = sorted(range(len(texts)), key=lambda row: len(texts[row]))
    outputs = np.empty(len(texts), dtype="float32")
    for start in range(0, len(order), TEXTS_IN_A_RUN):
        rows = order[start : start + TEXTS_IN_A_RUN]
        outputs[rows] = model.rerank(query, [texts[row] for row in rows])
    return outputs


def to_relevance(outputs: np.ndarray) -> np.ndarray:
    """Returns the sigmoid of outputs."""
    return (0.5 * (1 + np.tanh(0.5 * outputs))).astype("float32")


def _order(outputs: np.ndarray) -> list[int]:
    """Returns the places of the outputs, largest first; equal ones keep their order."""
    order: list[int] = np.argsort(-outputs, kind="stable").tolist()
    return order


def _to_number(score: Any) -> float:
    return float(str(np.float32(score)))
