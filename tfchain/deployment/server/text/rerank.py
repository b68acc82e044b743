"""Reranking as Cohere, Jina and text-embeddings-inference have it: arguments are checked; no model does it yet."""

from typing import NoReturn

from tfchain.deployment.server.http.rest import Answer
from tfchain.deployment.server.http.routes import Request, Router
from tfchain.deployment.server.manager import ModelSpec
from tfchain.deployment.server.metrics.serving import Call
from tfchain.deployment.server.status import StatusError, invalid_argument, not_found
from tfchain.deployment.server.text.body import Body, read_body
from tfchain.deployment.server.text.embedding import TextService
from tfchain.deployment.server.text.errors import write_rerank_error, write_tei_error


class RerankApi:
    """Answers the endpoints for reranking.

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
        self._check_cohere(body, has_objects=True)
        self._refuse(body, call)

    def rerank_v2(self, request: Request, call: Call) -> Answer:
        """Answers `POST /v2/rerank`, where documents are texts."""
        body = read_body(request.body)
        self._check_cohere(body, has_objects=False)
        self._refuse(body, call)

    def rerank_tei(self, request: Request, call: Call) -> Answer:
        """Answers `POST /rerank` of text-embeddings-inference."""
        body = read_body(request.body)
        body.text("query", is_required=True)
        body.texts("texts", most=self._service.limits.max_batch_size)
        for name in ("raw_scores", "return_text", "truncate"):
            body.switch(name)
        body.choice("truncation_direction", ("Right", "Left", "right", "left"))
        self._refuse(body, call)

    def _check_cohere(self, body: Body, *, has_objects: bool) -> None:
        body.text("query", is_required=True)
        documents = body.get("documents")
        if has_objects and isinstance(documents, list):
            texts = [document.get("text") if isinstance(document, dict) else document for document in documents]
            if not all(isinstance(text, str) for text in texts):
                raise body.error("documents", "`documents` must be a list of strings, or of objects with a `text`.")
            body.check_count("documents", len(texts), self._service.limits.max_batch_size)
        else:
            body.texts("documents", most=self._service.limits.max_batch_size)
        body.count("top_n")
        body.count("max_tokens_per_doc")
        body.switch("return_documents")

    def _refuse(self, body: Body, call: Call) -> NoReturn:
        """Raises the reason why the request cannot be answered."""
        manager = self._service.manager
        name = body.text("model")
        call.model = name or ""
        if name is not None:
            try:
                with manager.lend(ModelSpec(name)):
                    pass
            except StatusError as error:
                served = ", ".join(manager.names()) or "none"
                raise not_found(
                    f"The model {name!r} does not exist, or is not served now. Served: {served}."
                ) from error
        raise invalid_argument(
            "No model that reranks is served: tfchain's versions embed, search or classify. Score the documents by the "
            "cosine of their vectors with the query's (/v1/embeddings, /similarity), or rerank elsewhere."
        )
