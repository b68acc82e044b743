"""`POST /v1/search`: the best documents for a query, with highlights; and which served models search."""

import base64
import json
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfchain.core.errors import InputError, ModelFolderError
from tfchain.core.filters.files import METADATA_FOLDER
from tfchain.core.filters.filter import Filter, parse_filter
from tfchain.core.texts import check_queries, replace_surrogates
from tfchain.core.thumbnails import THUMBNAIL_TYPE, THUMBNAILS_FOLDER, ThumbnailFiles
from tfchain.core.titles import TITLES_FOLDER, TitleFiles
from tfchain.deployment.server.http.rest import Answer
from tfchain.deployment.server.http.routes import Request, Router
from tfchain.deployment.server.manager import Manager
from tfchain.deployment.server.metrics.serving import Call, ServingMetrics
from tfchain.deployment.server.observing.answered import LONGEST_ID, SEARCH, Asker
from tfchain.deployment.server.observing.watch import Watch
from tfchain.deployment.server.status import Code, StatusError
from tfchain.deployment.server.text.body import Body, read_body
from tfchain.deployment.server.text.embedding import TextService
from tfchain.deployment.server.text.errors import JSON, FieldError, TooMuchError, write_openai_error
from tfchain.deployment.server.text.highlights import find_highlights
from tfchain.deployment.server.text.metadata import VersionMetadata, lets_all_through, open_metadata
from tfchain.deployment.server.text.text_model import Hit, TextModel, find_text_model
from tfchain.deployment.server.text.version_files import VersionFiles

DEFAULT_TOP_K = 10
MAX_QUERIES = 256
_UBI_FIELDS = ("query_id", "client_id", "application", "query_attributes")
_FIELDS = ("query", "model", "top_k", "filter", "highlights", "thumbnails", "ubi")


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """What a request to `/v1/search` asks for.

    Args:
        queries: The queries.
        model: The model's name; None for the only one that is served.
        top_k: The number of hits; None for ten, or as many as the version gives.
        filter: The condition that the hits' metadata must meet; None for none.
        has_highlights: Whether hits come with highlights.
        has_thumbnails: Whether hits that are pictures come with thumbnails. Default: False.
        ubi: What the client says of itself, as in a query of User Behavior Insights; None if it says nothing.
    """

    queries: list[str]
    model: str | None
    top_k: int | None
    filter: Filter | None
    has_highlights: bool
    has_thumbnails: bool = False
    ubi: Asker | None = None


def add_search(
    router: Router,
    manager: Manager,
    *,
    timeout_ms: int | None = None,
    metrics: ServingMetrics | None = None,
    watch: Watch | None = None,
) -> None:
    """Adds `POST /v1/search` and `GET /v1/search/models`.

    Args:
        router: The table to add to.
        manager: The manager of the models.
        timeout_ms: The time limit of a search; None for no limit.
        metrics: Counts the calls. Default: metrics of its own.
        watch: Observes the queries; results then have a `query_id` for feedback. Default: nobody does.
    """
    service = TextService(manager, timeout_ms, router.limits, metrics or ServingMetrics(), watch)
    metadata, titles = VersionFiles(METADATA_FOLDER, open_metadata), VersionFiles(TITLES_FOLDER, TitleFiles)
    thumbnails = VersionFiles(THUMBNAILS_FOLDER, ThumbnailFiles)

    def search(request: Request, call: Call) -> Answer:
        start = time.perf_counter()
        asked = read_search_request(request.body)
        with service.lend(asked.model, call) as model:
            found = run_search(model, asked, metadata=metadata.find(model), titles=titles.find(model))
            if asked.has_thumbnails:
                add_thumbnails(found, thumbnails.find(model))
            named = {"model": model.lease.name, "version": str(model.lease.version)}
            if watch is not None:
                observe_search(service, call, request, model, asked, found)
        took = round(1000 * (time.perf_counter() - start), 2)
        return _answer({**named, "took_ms": took, "results": found})

    def models(_: Request) -> Answer:
        return _answer({"models": list_search_models(manager)})

    router.add("POST", "/v1/search", service.counted("search", search), errors=write_openai_error)
    router.add("GET", "/v1/search/models", models, errors=write_openai_error)


def read_search_request(body: bytes) -> SearchRequest:
    """Reads the body of a request.

    Raises:
        FieldError: if it is not as documented.
    """
    values = read_body(body)
    _check_fields(values)
    try:
        queries = [replace_surrogates(text) for text in check_queries(values.get("query"))]
    except InputError as error:
        raise FieldError(str(error), "query") from error
    if len(queries) > MAX_QUERIES:
        raise TooMuchError(
            f"A request may have at most {MAX_QUERIES} queries. Received: {len(queries)}. Send several requests.",
            "query",
            reason="array_above_max_length",
        )
    return SearchRequest(
        queries,
        values.text("model"),
        values.count("top_k"),
        _read_filter(values),
        values.switch("highlights") is not False,
        values.switch("thumbnails") is True,
        _read_ubi(values),
    )


def run_search(
    model: TextModel, request: SearchRequest, *, metadata: VersionMetadata | None, titles: TitleFiles | None
) -> list[dict[str, Any]]:
    """Searches, and returns the results as the answer has them.

    Args:
        model: The version.
        request: What is asked.
        metadata: The metadata of the version's documents; None if none of them has any.
        titles: Their titles; None if none of them has one.

    Raises:
        StatusError: if the version does not search or was exported for fewer hits, or the run fails.
    """
    top_k, most = request.top_k, model.top_k
    if model.has_search and top_k is not None and most and top_k > most:
        raise FieldError(
            f"`top_k` must be at most {most}, for which version {model.lease.version} of {model.lease.name} was "
            f"exported. Received: top_k={top_k}. Export it with `chain.export(path, top_k={top_k})` or "
            f"`tfchain export --top-k {top_k}`.",
            "top_k",
        )
    top_k = top_k or DEFAULT_TOP_K
    try:
        found = [hits[:top_k] for hits in _find_hits(model, request, metadata)]
        ids = [hit.id for hits in found for hit in hits]
        named = {} if titles is None else dict(zip(ids, titles.find(ids), strict=True))
        described = {} if metadata is None else dict(zip(ids, metadata.find(ids), strict=True))
    except ModelFolderError as error:
        raise StatusError(Code.INTERNAL, str(error)) from error
    return [
        {
            "query": query,
            "hits": [_write_hit(query, hit, request, named.get(hit.id), described.get(hit.id)) for hit in hits],
        }
        for query, hits in zip(request.queries, found, strict=True)
    ]


def add_thumbnails(results: list[dict[str, Any]], thumbnails: ThumbnailFiles | None) -> None:
    """Writes the thumbnails of pictures into results, as `data:` addresses, which a page shows without asking again.

    Args:
        results: What `run_search` returned.
        thumbnails: Those of the version; None if it has none.
    """
    if thumbnails is None:
        return
    for result in results:
        for hit in result["hits"]:
            content = thumbnails.find(hit["id"])
            if content is not None:
                hit["thumbnail"] = f"data:{THUMBNAIL_TYPE};base64,{base64.b64encode(content).decode()}"


def observe_search(
    service: TextService,
    call: Call,
    request: Request,
    model: TextModel,
    asked: SearchRequest,
    found: list[dict[str, Any]],
) -> None:
    """Leaves queries and hits for the observer, and writes the queries' ids into the results, for feedback."""
    ids = [[hit["id"] for hit in result["hits"]] for result in found]
    scores = [[hit["score"] for hit in result["hits"]] for result in found]
    attributes: dict[str, Any] = {"top_k": asked.top_k or DEFAULT_TOP_K}
    if asked.filter is not None:
        attributes["is_filtered"] = True
    answers = {"ids": ids, "scores": scores, "attributes": attributes, "purpose": "query"}
    query_ids = service.observe(call, request, model, SEARCH, asked.queries, asked.ubi, **answers)
    for result, query_id in zip(found, query_ids, strict=False):  # no ids if nobody observes the request
        result["query_id"] = query_id


def _find_hits(model: TextModel, request: SearchRequest, metadata: VersionMetadata | None) -> list[list[Hit]]:
    """Returns the hits of each query, as many as the version gives."""
    if not request.queries and model.has_search:
        return []
    if request.filter is None or not model.has_search:
        return model.search(request.queries)
    if metadata is not None:
        return model.search(request.queries, metadata.match(request.filter))
    if lets_all_through(model, request.filter):
        return model.search(request.queries)
    return [[] for _ in request.queries]


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


def _check_fields(values: Body) -> None:
    known = ", ".join(f"`{name}`" for name in _FIELDS)
    unknown = sorted(set(values.names) - set(_FIELDS))
    if unknown:
        raise FieldError(f"The body has an unknown field. Received: {unknown[0]!r:.100}. Known: {known}.", unknown[0])
    if "query" not in values.names:
        raise FieldError(f"`query` is missing: a text, or a list of texts. Known fields: {known}.", "query")


def _read_ubi(values: Body) -> Asker | None:
    """Returns what the client says of itself; None if it says nothing, so that the request's headers count."""
    if values.get("ubi") is None:
        return None
    ubi = values.object("ubi")
    unknown = sorted(set(ubi.names) - set(_UBI_FIELDS))
    if unknown:
        known = ", ".join(f"`{name}`" for name in _UBI_FIELDS)
        raise FieldError(f"`ubi` has an unknown field. Received: {unknown[0]!r:.100}. Known: {known}.", "ubi")
    texts = {name: ubi.text(name, may_be_empty=True) or "" for name in _UBI_FIELDS[:3]}
    for name, text in texts.items():
        if len(text) > LONGEST_ID:
            raise FieldError(f"`ubi.{name}` must have at most {LONGEST_ID} characters. Received: {len(text)}.", "ubi")
    attributes = ubi.get("query_attributes") or {}
    if not isinstance(attributes, dict):
        raise FieldError("`ubi.query_attributes` must be an object.", "ubi")
    named = {"application": texts["application"]} if texts["application"] else {}
    return Asker(texts["query_id"], texts["client_id"], {**attributes, **named})


def _read_filter(values: Body) -> Filter | None:
    """Returns the filter; None if it is missing or null."""
    value = values.get("filter")
    try:
        return None if value is None else parse_filter(value)
    except InputError as error:
        raise FieldError(str(error), "filter") from error


def _write_hit(
    query: str, hit: Hit, request: SearchRequest, title: str | None, metadata: dict[str, Any] | None
) -> dict[str, Any]:
    written: dict[str, Any] = {"id": hit.id, "score": float(str(np.float32(hit.score)))}
    if title is not None:
        written["title"] = title
    written["text"] = hit.text
    if metadata is not None:
        written["metadata"] = metadata
    if request.has_highlights:
        written["highlights"] = [
            {"text": highlight.text, "start": highlight.start, "marks": highlight.marks}
            for highlight in find_highlights(query, hit.text)
        ]
    return written


def _answer(value: Any) -> Answer:
    """Writes an answer in UTF-8, which is half of the escapes' size for Chinese."""
    return Answer(200, JSON, json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
