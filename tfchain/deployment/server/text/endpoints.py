"""Adds the endpoints that clients of embedding servers speak."""

from collections.abc import Callable

from tfchain.deployment.server.http.monitoring import Readiness
from tfchain.deployment.server.http.openapi import ApiDocument
from tfchain.deployment.server.http.routes import Router
from tfchain.deployment.server.manager import Manager
from tfchain.deployment.server.metrics.serving import ServingMetrics
from tfchain.deployment.server.observing.watch import Watch
from tfchain.deployment.server.text.embedding import TextService
from tfchain.deployment.server.text.openai import OpenAIApi
from tfchain.deployment.server.text.rerank import RerankApi
from tfchain.deployment.server.text.tei import TeiApi
from tfchain.deployment.server.text.text_schema import SCHEMAS, TEXT_PATHS


def add_text_endpoints(
    router: Router,
    manager: Manager,
    *,
    readiness: Callable[[], Readiness],
    document: ApiDocument,
    timeout_ms: int | None = None,
    metrics: ServingMetrics | None = None,
    watch: Watch | None = None,
) -> None:
    """Adds the endpoints of OpenAI, text-embeddings-inference, Cohere and Jina, and describes them.

    Args:
        router: The table to add to; its limits are those of the endpoints.
        manager: The manager of the models.
        readiness: Tells whether the server can answer now.
        document: The OpenAPI document, to which the endpoints' description is added.
        timeout_ms: The time limit of a request. Default: no limit.
        metrics: Counts the calls. Default: metrics of its own.
        watch: Observes the texts that are answered. Default: nobody does.
    """
    service = TextService(manager, timeout_ms, router.limits, metrics or ServingMetrics(), watch)
    OpenAIApi(service).add_to(router)
    TeiApi(service, readiness, document.version).add_to(router)
    RerankApi(service).add_to(router)
    document.add(TEXT_PATHS, SCHEMAS)
