"""`POST /v1/search`: the best documents for a query, with highlights; and which served models search."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfchain.core.errors import InputError
from tfchain.core.texts import check_queries, replace_surrogates
from tfchain.deployment.server.http.rest import Answer
from tfchain.deployment.server.http.routes import Request, Router
from tfchain.deployment.server.manager import Manager
from tfchain.deployment.server.metrics.serving import Call, ServingMetrics
from tfchain.deployment.server.status import StatusError, invalid_argument
from tfchain.deployment.server.text.embedding import TextService
from tfchain.deployment.server.text.errors import write_openai_error
from tfchain.deployment.server.text.highlights import find_highlights
from tfchain.deployment.server.text.text_model import Hit, TextModel, find_text_model

DEFAULT_TOP_K = 10
MAX_QUERIES = 256
_FIELDS = ("query", "model", "top_k", "highlights")


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """What a request to `/v1/search` asks for.

    Args:
        queries: The queries.
        model: The model's name; None for the only one that is served.
        top_k: The number of hits; None for ten, or as many as the version gives.
        has_highlights: Whether hits come with highlights.
    """

    queries: list[str]
    model: str | None
    top_k: int | None
    has_highlights: bool


def add_search(
    router: Router,
    manager: Manager,
    *,
    timeout_ms: int | None = None,
    metrics: ServingMetrics | None = None,
) -> None:
    """Adds `POST /v1/search` and `GET /v1/search/models`.

    Args:
        router: The table to add to.
        manager: The manager of the models.
        timeout_ms: The time limit of a search; None for no limit.
        metrics: Counts the calls. Default: metrics of its own.
    """
    service = TextService(manager, timeout_ms, router.limits, metrics or ServingMetrics())

    def search(request: Request, call: Call) -> Answer:
        start = time.perf_counter()
        asked = read_search_request(request.body)
        with service.lend(asked.model, call) as model:
            found = run_search(model, asked)
            named = {"model": model.lease.name, "version": str(model.lease.version)}
        took = round(1000 * (time.perf_counter() - start), 2)
        return _json_answer(200, {**named, "took_ms": took, "results": found})

    def models(_: Request) -> Answer:
        return _json_answer(200, {"models": list_search_models(manager)})

    router.add("POST", "/v1/search", service.counted("search", search), errors=write_openai_error)
    router.add("GET", "/v1/search/models", models, errors=write_openai_error)


def read_search_request(body: bytes) -> SearchRequest:
    """Reads the body of a request.

    Raises:
        StatusError: INVALID_ARGUMENT if it is not as documented.
    """
    try:
        values = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise invalid_argument(f"The body must be JSON. {error}.") from error
    if not isinstance(values, dict):
        raise invalid_argument('The body must be a JSON object, such as {"query": "a question"}.')
    _check_fields(values)
    model, top_k, has_highlights = values.get("model"), values.get("top_k"), values.get("highlights")
    if model is not None and not isinstance(model, str):
        raise invalid_argument(f"`model` must be a model's name. Received: {json.dumps(model):.100}.")
    if top_k is not None and (not isinstance(top_k, int) or isinstance(top_k, bool) or top_k < 1):
        raise invalid_argument(f"`top_k` must be a whole number of at least 1. Received: {json.dumps(top_k):.100}.")
    if has_highlights is not None and not isinstance(has_highlights, bool):
        raise invalid_argument(f"`highlights` must be true or false. Received: {json.dumps(has_highlights):.100}.")
    try:
        queries = [replace_surrogates(text) for text in check_queries(values["query"])]
    except InputError as error:
        raise invalid_argument(str(error)) from error
    if len(queries) > MAX_QUERIES:
        raise invalid_argument(
            f"A request may have at most {MAX_QUERIES} queries. Received: {len(queries)}. Send several requests."
        )
    return SearchRequest(queries, model, top_k, has_highlights is not False)


def run_search(model: TextModel, request: SearchRequest) -> list[dict[str, Any]]:
    """Searches, and returns the results as the answer has them.

    Raises:
        StatusError: if the version does not search or was exported for fewer hits, or the run fails.
    """
    top_k, most = request.top_k, model.top_k
    if model.has_search and top_k is not None and most and top_k > most:
        raise invalid_argument(
            f"`top_k` must be at most {most}, for which version {model.lease.version} of {model.lease.name} was "
            f"exported. Received: top_k={top_k}. Export it with `chain.export(path, top_k={top_k})` or "
            f"`tfchain export --top-k {top_k}`."
        )
    found = model.search(request.queries) if request.queries or not model.has_search else []
    return [
        {"query": query, "hits": [_write_hit(query, hit, request) for hit in hits[: top_k or DEFAULT_TOP_K]]}
        for query, hits in zip(request.queries, found, strict=True)
    ]


def list_search_models(manager: Manager) -> list[dict[str, Any]]:
    """Returns the served models that search: name, latest version, number of documents, and the most hits.

    The numbers are None for versions that do not tell.
    """
    found = []
    for name in manager.names():
        try:
            with find_text_model(manager, name, None) as model:
                if model.has_search:
                    described = model.description
                    found.append(
                        {
                            "name": name,
                            "version": str(model.lease.version),
                            "documents": described.get("documents"),
                            "top_k": described.get("top_k"),
                        }
                    )
        except StatusError:
            continue  # it embeds no texts, or has just been unloaded
    return found


def _check_fields(values: Mapping[str, Any]) -> None:
    if "filter" in values:
        raise invalid_argument(
            "`filter` is not supported: exported versions hold ids and texts, no metadata. Filter the hits by id, or "
            "serve the documents of each filter as a model of their own."
        )
    unknown = sorted(values.keys() - set(_FIELDS))
    if unknown:
        raise invalid_argument(f"The body has an unknown field. Received: {unknown[0]!r:.100}. Known: {_listed()}.")
    if "query" not in values:
        raise invalid_argument(f"`query` is missing: a text, or a list of texts. Known fields: {_listed()}.")


def _listed() -> str:
    return ", ".join(f"`{name}`" for name in _FIELDS)


def _write_hit(query: str, hit: Hit, request: SearchRequest) -> dict[str, Any]:
    written: dict[str, Any] = {"id": hit.id, "score": float(str(np.float32(hit.score))), "text": hit.text}
    if request.has_highlights:
        written["highlights"] = [
            {"text": highlight.text, "start": highlight.start, "marks": highlight.marks}
            for highlight in find_highlights(query, hit.text)
        ]
    return written


def _json_answer(status: int, value: Any) -> Answer:
    text = json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
    return Answer(status, (("Content-Type", "application/json"),), text)
