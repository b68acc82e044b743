"""Describes the endpoints of search, for the OpenAPI document."""

from tfchain.core.filters.filter import COMBINATIONS, COMPARISONS
from tfchain.deployment.server.http.openapi import ApiDocument, Schema, array, operation, record, ref
from tfchain.deployment.server.text.search import DEFAULT_TOP_K, MAX_QUERIES

_TEXT: Schema = {"type": "string"}
_COUNT: Schema = {"type": ["integer", "null"], "minimum": 0}
_QUERY: Schema = {"type": "string", "minLength": 1}
_ERRORS = {
    400: "A field is wrong, or the model does not search.",
    404: "No such model is served.",
    413: "The body is too large.",
    429: "Too many requests are running or waiting; the header Retry-After says when to try again.",
    500: "The model failed.",
    504: "The time limit was exceeded.",
}
_HIGHLIGHT = record(
    {
        "text": {**_TEXT, "description": "A passage of the document."},
        "start": {"type": "integer", "minimum": 0, "description": "Its place in the document, in Unicode code points."},
        "marks": array(
            array({"type": "integer", "minimum": 0}, minItems=2, maxItems=2),
            description="Start and end of the query's words in the passage, in Unicode code points.",
        ),
    }
)

SCHEMAS: dict[str, Schema] = {
    "SearchRequest": record(
        {"query": {"anyOf": [_QUERY, array(_QUERY, maxItems=MAX_QUERIES)]}},
        {
            "model": {"type": ["string", "null"], "description": "May be left out if only one model is served."},
            "top_k": {
                "type": ["integer", "null"],
                "minimum": 1,
                "description": f"The number of hits, at most the version's. Default: {DEFAULT_TOP_K}.",
            },
            "filter": {
                "type": ["object", "null"],
                "description": "Conditions that the metadata of a hit must meet, such as "
                '{"language": "en", "year": {"$gte": 2020}}; with '
                f"{', '.join((*COMPARISONS, *COMBINATIONS))}.",
            },
            "highlights": {"type": ["boolean", "null"], "description": "Whether to mark the query's words."},
            "thumbnails": {
                "type": ["boolean", "null"],
                "description": "Whether hits that are pictures come with thumbnails. Default: false.",
            },
            "ubi": {
                "type": ["object", "null"],
                "description": "What the client says of its query, for the query log: `query_id`, `client_id`, "
                "`application` and `query_attributes`, as in User Behavior Insights.",
            },
        },
    ),
    "SearchHit": record(
        {"id": _TEXT, "score": {"type": "number"}, "text": _TEXT},
        {
            "title": {
                **_TEXT,
                "description": "There if a document of the version has a title; empty for documents without one.",
            },
            "metadata": {"type": "object", "description": "There if a document of the version has metadata."},
            "highlights": array(_HIGHLIGHT),
            "thumbnail": {
                **_TEXT,
                "description": "A small JPEG as a `data:` address; there if asked for, and the hit is a picture.",
            },
        },
    ),
    "SearchAnswer": record(
        {
            "model": _TEXT,
            "version": _TEXT,
            "took_ms": {"type": "number"},
            "results": array(
                record(
                    {"query": _TEXT, "hits": array(ref("SearchHit"))},
                    {"query_id": {**_TEXT, "description": "For feedback; there if the query is observed."}},
                )
            ),
        }
    ),
    "SearchModels": record(
        {"models": array(record({"name": _TEXT, "version": _TEXT, "documents": _COUNT, "top_k": _COUNT}))}
    ),
}


def describe_search(document: ApiDocument) -> None:
    """Adds the endpoints of search to the document."""
    search = operation(
        "search",
        "The best documents for a query or several, with highlights.",
        tag="Search",
        body=ref("SearchRequest"),
        answer=ref("SearchAnswer"),
        error="OpenAIError",
        errors=_ERRORS,
    )
    models = operation(
        "search_models",
        "The served models that search.",
        tag="Search",
        answer=ref("SearchModels"),
        error="OpenAIError",
    )
    document.add({"/v1/search": {"post": search}, "/v1/search/models": {"get": models}}, SCHEMAS)
