"""Describes the endpoints for embeddings and reranking, for the OpenAPI document."""

from typing import Any

from tfchain.deployment.server.http.openapi import Schema, array, operation, record, ref
from tfchain.deployment.server.text.embedding import PURPOSE_OF

_TEXT = {"type": "string", "minLength": 1}
_WORD = {"type": "string"}
_NAME: Schema = {"type": ["string", "null"], "description": "The model; may be left out if only one is served."}
_SWITCH: Schema = {"type": ["boolean", "null"]}
_COUNT = {"type": "integer", "minimum": 0}
_ID = {"type": "integer", "minimum": 0}
_INPUT = {
    "anyOf": [_TEXT, array(_TEXT, minItems=1), array(_ID, minItems=1), array(array(_ID, minItems=1), minItems=1)],
    "description": "A text, several, or token ids of this server's tokenizer with its special tokens.",
}
_DIMENSIONS: Schema = {
    "type": ["integer", "null"],
    "minimum": 1,
    "description": "The length of the vectors: the model's, or a shorter one that it was trained for.",
}
_TRUNCATE: dict[str, Schema] = {
    "truncate": {**_SWITCH, "description": "false: refuse texts that may have been cut off. Default: true."},
    "truncation_direction": {
        "enum": ["Right", "Left", "right", "left", None],
        "description": "Left is refused for texts that would be cut off.",
    },
}
_PROMPT: dict[str, Schema] = {"prompt_name": {"enum": ["query", "document", "passage", None]}}
_VECTOR = array({"type": "number", "format": "float"})
_DOCUMENT_TEXTS = array(_WORD, minItems=1)

_PAIR = array(_TEXT, minItems=1, maxItems=2)
_LABEL = record({"score": {"type": "number"}, "label": _WORD})

_LIMITED = {
    413: "The body is too large.",
    429: "Too many requests are running or waiting; the header Retry-After says when to try again.",
}
_OPENAI_ERRORS = {
    400: "A field is wrong.",
    404: "No such model is served.",
    500: "The model failed.",
    504: "The time limit was exceeded.",
    **_LIMITED,
}
_TEI_ERRORS = {
    **_LIMITED,
    404: "No such model is served.",
    413: "There are too many texts, a text is too long, or the body is too large.",
    422: "A field is wrong.",
    424: "The model failed, or cannot do this.",
}
_RERANK_ERRORS = {400: "A field is wrong, or the model does not rerank.", 404: _OPENAI_ERRORS[404], **_LIMITED}

SCHEMAS: dict[str, Schema] = {
    "OpenAIError": record(
        {
            "error": record(
                {
                    "message": _WORD,
                    "type": _WORD,
                    "param": {"type": ["string", "null"]},
                    "code": {"type": ["string", "null"]},
                }
            )
        }
    ),
    "EmbeddingsRequest": record(
        {"input": _INPUT},
        {
            "model": {**_NAME, "description": "The model, or its name with -query, -document or -passage."},
            "encoding_format": {"enum": ["float", "base64", None], "description": "base64: float32, little-endian."},
            "dimensions": _DIMENSIONS,
            "input_type": {"enum": [*PURPOSE_OF, None], "description": "The prompt to put before each text."},
            "user": {"description": "Ignored."},
        },
    ),
    "EmbeddingsAnswer": record(
        {
            "object": {"const": "list"},
            "data": array(
                record({"object": {"const": "embedding"}, "index": _COUNT, "embedding": {"anyOf": [_VECTOR, _WORD]}})
            ),
            "model": _WORD,
            "usage": record({"prompt_tokens": _COUNT, "total_tokens": _COUNT}),
        }
    ),
    "ModelList": record(
        {
            "object": {"const": "list"},
            "data": array(
                record({"id": _WORD, "object": {"const": "model"}, "created": {"type": "integer"}, "owned_by": _WORD})
            ),
        }
    ),
    "TeiError": record({"error": _WORD, "error_type": _WORD}),
    "TeiEmbedRequest": record(
        {"inputs": _INPUT},
        {
            **_TRUNCATE,
            **_PROMPT,
            "normalize": {**_SWITCH, "description": "false: the vectors as the model makes them."},
            "dimensions": _DIMENSIONS,
            "model": _NAME,
        },
    ),
    "TeiEmbedAnswer": array(_VECTOR),
    "TeiRequest": {"anyOf": [ref("TeiEmbedRequest"), ref("TeiPredictRequest")]},
    "TeiAnswer": {"anyOf": [ref("TeiEmbedAnswer"), ref("TeiPredictAnswer")]},
    "TeiSimilarityRequest": record(
        {"inputs": record({"source_sentence": _TEXT, "sentences": array(_TEXT, minItems=1)})},
        {"parameters": {"type": ["object", "null"], "properties": {**_TRUNCATE, **_PROMPT}}, "model": _NAME},
    ),
    "TeiSimilarityAnswer": _VECTOR,
    "TeiTokenizeRequest": record(
        {"inputs": {"anyOf": [_WORD, array(_WORD, minItems=1)]}},
        {"add_special_tokens": _SWITCH, **_PROMPT, "model": _NAME},
    ),
    "TeiTokenizeAnswer": array(
        array(
            record(
                {"id": _ID, "text": _WORD, "special": {"type": "boolean"}},
                {"start": {"type": ["integer", "null"]}, "stop": {"type": ["integer", "null"]}},
            )
        )
    ),
    "TeiDecodeRequest": record(
        {"ids": {"anyOf": [array(_ID, minItems=1), array(array(_ID, minItems=1), minItems=1)]}},
        {"skip_special_tokens": {**_SWITCH, "description": "Default: true."}, **_PROMPT, "model": _NAME},
    ),
    "TeiDecodeAnswer": array(_WORD),
    "TeiPredictRequest": record(
        {
            "inputs": {
                "anyOf": [_TEXT, array(_TEXT, minItems=1, maxItems=2), array(_PAIR, minItems=1)],
                "description": "A text, a pair of texts, or a list of lists of one or two texts.",
            }
        },
        {**_TRUNCATE, "raw_scores": {**_SWITCH, "description": "Must not be true."}, "model": _NAME},
    ),
    "TeiLabels": array(_LABEL),
    "TeiPredictAnswer": {"anyOf": [ref("TeiLabels"), array(ref("TeiLabels"))]},
    "TeiInfo": record(
        {
            **dict.fromkeys(("model_id", "model_dtype", "version"), _WORD),
            "model_type": {"type": "object"},
            **dict.fromkeys(
                (
                    "max_concurrent_requests",
                    "max_input_length",
                    "max_batch_tokens",
                    "max_client_batch_size",
                    "tokenization_workers",
                ),
                _COUNT,
            ),
            "auto_truncate": {"type": "boolean"},
        }
    ),
    "TeiRerankRequest": record(
        {"query": _TEXT, "texts": _DOCUMENT_TEXTS},
        {"raw_scores": _SWITCH, "return_text": _SWITCH, **_TRUNCATE, "model": _NAME},
    ),
    "TeiRanks": array(record({"index": _COUNT, "score": {"type": "number"}}, {"text": {"type": ["string", "null"]}})),
    "RerankError": record({"message": _WORD, "detail": _WORD}),
    "RerankRequest": record(
        {"query": _TEXT, "documents": array({"anyOf": [_WORD, record({"text": _WORD})]}, minItems=1)},
        {"model": _NAME, "top_n": {"type": ["integer", "null"], "minimum": 1}, "return_documents": _SWITCH},
    ),
    "RerankAnswer": record(
        {
            "results": array(
                record({"index": _COUNT, "relevance_score": {"type": "number"}}, {"document": {"type": "object"}})
            ),
            "model": _WORD,
        }
    ),
}


def _tei(name: str, summary: str, schema: str, answer: str) -> dict[str, Any]:
    return {
        "post": operation(
            name,
            summary,
            tag="text-embeddings-inference",
            body=ref(schema),
            answer=ref(answer),
            error="TeiError",
            errors=_TEI_ERRORS,
        )
    }


def _rerank(name: str) -> dict[str, Any]:
    return {
        "post": operation(
            name,
            "Documents in the order of their relevance to a query.",
            tag="Reranking",
            body=ref("RerankRequest"),
            answer=ref("RerankAnswer"),
            error="RerankError",
            errors=_RERANK_ERRORS,
        )
    }


TEXT_PATHS: dict[str, dict[str, Any]] = {
    "/v1/embeddings": {
        "post": operation(
            "embeddings",
            "The vectors of texts.",
            tag="OpenAI",
            body=ref("EmbeddingsRequest"),
            answer=ref("EmbeddingsAnswer"),
            error="OpenAIError",
            errors=_OPENAI_ERRORS,
        )
    },
    "/embeddings": {
        "post": operation(
            "embeddingsAlias",
            "The same as /v1/embeddings.",
            tag="OpenAI",
            body=ref("EmbeddingsRequest"),
            answer=ref("EmbeddingsAnswer"),
            error="OpenAIError",
            errors=_OPENAI_ERRORS,
        )
    },
    "/v1/models": {
        "get": operation(
            "models", "The models that are served.", tag="OpenAI", answer=ref("ModelList"), error="OpenAIError"
        )
    },
    "/embed": _tei("embed", "The vectors of texts.", "TeiEmbedRequest", "TeiEmbedAnswer"),
    "/": _tei("embedRoot", "The same as /embed; for a model that classifies, as /predict.", "TeiRequest", "TeiAnswer"),
    "/predict": _tei("predictTei", "The labels of texts, best first.", "TeiPredictRequest", "TeiPredictAnswer"),
    "/decode": _tei("decode", "The texts of token ids.", "TeiDecodeRequest", "TeiDecodeAnswer"),
    "/embed_all": _tei("embedAll", "Refused: versions have no vectors of tokens.", "TeiEmbedRequest", "TeiEmbedAnswer"),
    "/embed_sparse": _tei("embedSparse", "Refused: vectors are dense.", "TeiEmbedRequest", "TeiEmbedAnswer"),
    "/similarity": _tei(
        "similarity", "The cosines of a text with others.", "TeiSimilarityRequest", "TeiSimilarityAnswer"
    ),
    "/tokenize": _tei("tokenize", "The tokens of texts.", "TeiTokenizeRequest", "TeiTokenizeAnswer"),
    "/rerank": _tei("rerankTei", "Texts in the order of their relevance to a query.", "TeiRerankRequest", "TeiRanks"),
    "/v1/rerank": _rerank("rerankV1"),
    "/v2/rerank": _rerank("rerankV2"),
    "/info": {
        "get": operation(
            "info",
            "What the model is, and the limits of requests.",
            tag="text-embeddings-inference",
            answer=ref("TeiInfo"),
            error="TeiError",
            errors={404: "No such model is served.", 424: "The model embeds no texts."},
            parameters=({"name": "model", "in": "query", "schema": _WORD},),
        )
    },
    "/health": {
        "get": operation(
            "health",
            "Whether every model answers.",
            tag="text-embeddings-inference",
            error="TeiError",
            errors={503: "A model does not answer."},
            is_public=True,
        )
    },
}
