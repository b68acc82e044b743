"""OpenAI's API: `POST /v1/embeddings`, also at `/embeddings`, and `GET /v1/models`."""

import contextlib

from tfchain.deployment.server.http.rest import Answer
from tfchain.deployment.server.http.routes import Request, Router
from tfchain.deployment.server.manager import ModelSpec
from tfchain.deployment.server.metrics.serving import Call
from tfchain.deployment.server.observing.answered import EMBED
from tfchain.deployment.server.status import StatusError
from tfchain.deployment.server.text.body import TokenIds, read_body
from tfchain.deployment.server.text.embedding import (
    PURPOSE_OF,
    TextService,
    check_dimensions,
    choose_prompt,
    count_tokens,
    cut_vectors,
    embed,
)
from tfchain.deployment.server.text.errors import JSON, FieldError, write_json, write_openai_error
from tfchain.deployment.server.text.vector_text import write_base64, write_vectors

_WRITE = {"float": write_vectors, "base64": write_base64}


class OpenAIApi:
    """Answers as OpenAI's API does.

    Args:
        service: Lends the models.
    """

    def __init__(self, service: TextService) -> None:
        self._service = service

    def add_to(self, router: Router) -> None:
        """Adds the endpoints."""
        embeddings = self._service.counted("embeddings", self.embeddings)
        router.add("POST", "/v1/embeddings", embeddings, errors=write_openai_error)
        router.add("POST", "/embeddings", embeddings, errors=write_openai_error)  # text-embeddings-inference has both
        router.add("GET", "/v1/models", self.models, errors=write_openai_error)

    def embeddings(self, request: Request, call: Call) -> Answer:
        """Answers `POST /v1/embeddings`."""
        body = read_body(request.body)
        inputs = body.inputs("input", most=self._service.limits.max_batch_size)
        _check_not_empty(inputs)
        form = body.choice("encoding_format", tuple(_WRITE)) or "float"
        dimensions = body.count("dimensions")
        input_type = body.choice("input_type", tuple(PURPOSE_OF))
        name, purpose = choose_prompt(self._service.manager.names(), body.text("model"), input_type)
        with self._service.lend(name, call) as model:
            check_dimensions(model, dimensions)
            whole = embed(model, inputs, purpose, "input")
            vectors = cut_vectors(model, whole, dimensions)
            tokens = count_tokens(model, inputs, purpose)
            named = model.lease.name
            self._service.observe(call, request, model, EMBED, inputs, purpose=purpose, vectors=whole)
        rows = [
            f'{{"object":"embedding","index":{number},"embedding":{text}}}'
            for number, text in enumerate(_WRITE[form](vectors))
        ]
        end = write_json({"model": named, "usage": {"prompt_tokens": tokens, "total_tokens": tokens}})
        data = f'{{"object":"list","data":[{",".join(rows)}],'.encode()
        return Answer(200, JSON, data + end[1:])

    def models(self, _: Request) -> Answer:
        """Answers `GET /v1/models`."""
        manager = self._service.manager
        found = []
        for name in manager.names():
            with contextlib.suppress(StatusError, OSError), manager.lend(ModelSpec(name)) as lease:  # unloaded by now
                created = int(lease.path.stat().st_mtime)
                found.append({"id": name, "object": "model", "created": created, "owned_by": "tfchain"})
        return Answer(200, JSON, write_json({"object": "list", "data": found}))


def _check_not_empty(inputs: list[str] | list[TokenIds]) -> None:
    for row, text in enumerate(inputs):
        if not text:
            raise FieldError(f"`input` must have no empty strings. Received: one at position {row}.", "input")
