"""text-embeddings-inference's endpoints for tokens: `/tokenize`, `/decode`, and those that no version can answer."""

from collections.abc import Sequence
from typing import Any, NoReturn

from tfchain.deployment.server.http.rest import Answer
from tfchain.deployment.server.http.routes import Request, Router
from tfchain.deployment.server.metrics.serving import Call
from tfchain.deployment.server.status import invalid_argument
from tfchain.deployment.server.text.body import TokenIds, read_body
from tfchain.deployment.server.text.embedding import PURPOSE_OF, TextService, find_special_tokens
from tfchain.deployment.server.text.errors import JSON, FieldError, write_json, write_tei_error
from tfchain.deployment.server.text.token_decoder import decode_tokens
from tfchain.deployment.server.text.version_description import VersionTokenizer

PROMPTS = ("query", "document", "passage")
_NO_TOKEN_VECTORS = "its versions return one vector a text, and none of its tokens. Ask /embed."
_NO_SPARSE_VECTORS = "its vectors are dense, and it has no SPLADE head. Ask /embed."


class TeiTokensApi:
    """Answers text-embeddings-inference's endpoints for tokens.

    Args:
        service: Lends the models.
    """

    def __init__(self, service: TextService) -> None:
        self._service = service

    def add_to(self, router: Router) -> None:
        """Adds the endpoints."""
        for name, handle in {
            "tokenize": self.tokenize,
            "decode": self.decode,
            "embed_all": self.embed_all,
            "embed_sparse": self.embed_sparse,
        }.items():
            router.add("POST", f"/{name}", self._service.counted(name, handle), errors=write_tei_error)

    def tokenize(self, request: Request, call: Call) -> Answer:
        """Answers `POST /tokenize`."""
        body = read_body(request.body)
        inputs = body.inputs("inputs", most=self._service.limits.max_batch_size)
        texts = [text for text in inputs if isinstance(text, str)]
        if len(texts) != len(inputs):
            raise body.error("inputs", "`inputs` must be a string or a list of strings.")
        has_special = body.switch("add_special_tokens") is not False
        purpose = PURPOSE_OF.get(body.choice("prompt_name", PROMPTS) or "", "")
        with self._service.lend(body.text("model"), call) as model:
            found = model.tokenize(texts, purpose)
            tokenizer = model.find_tokenizer(purpose)
            names, empty = tokenizer.tokens, tokenizer.empty_text
        rows = [_write_tokens(ids.tolist(), names, empty, has_special=has_special) for ids in found]
        return Answer(200, JSON, write_json(rows))

    def decode(self, request: Request, call: Call) -> Answer:
        """Answers `POST /decode`: the texts of token ids; those of queries may be of another tokenizer."""
        body = read_body(request.body)
        inputs = body.inputs("ids", most=self._service.limits.max_batch_size)
        rows = [ids for ids in inputs if not isinstance(ids, str)]
        if len(rows) != len(inputs):
            raise body.error("ids", "`ids` must be a list of token ids, or a list of these.")
        skips_special = body.switch("skip_special_tokens") is not False
        purpose = PURPOSE_OF.get(body.choice("prompt_name", PROMPTS) or "", "")
        with self._service.lend(body.text("model"), call) as model:
            texts = _decode(model.find_tokenizer(purpose), rows, skips_special=skips_special)
        return Answer(200, JSON, write_json(texts))

    def embed_all(self, request: Request, call: Call) -> Answer:
        """Refuses `POST /embed_all`."""
        self._refuse(request, call, _NO_TOKEN_VECTORS)

    def embed_sparse(self, request: Request, call: Call) -> Answer:
        """Refuses `POST /embed_sparse`."""
        self._refuse(request, call, _NO_SPARSE_VECTORS)

    def _refuse(self, request: Request, call: Call, reason: str) -> NoReturn:
        """Raises the reason why a model cannot answer, or what is wrong with the request."""
        body = read_body(request.body)
        body.inputs("inputs", most=self._service.limits.max_batch_size)
        with self._service.lend(body.text("model"), call) as model:
            raise invalid_argument(f"The model {model.lease.name} cannot do this: {reason}")


def _decode(tokenizer: VersionTokenizer, rows: Sequence[TokenIds], *, skips_special: bool) -> list[str]:
    names, special = tokenizer.tokens, tokenizer.special_ids
    if not names:
        raise FieldError("This version cannot decode token ids: it has no vocabulary. Export it again.", "ids")
    for row, ids in enumerate(rows):
        wrong = next((token for token in ids if not 0 <= token < len(names)), None)
        if wrong is not None:
            raise FieldError(
                f"`ids` must be from 0 to {len(names) - 1}, the model's tokens. Received: {wrong} at position {row}.",
                "ids",
            )
    shown = [[names[token] for token in ids if not (skips_special and token in special)] for ids in rows]
    return [decode_tokens(tokens, tokenizer.decoder) for tokens in shown]


def _write_tokens(
    ids: Sequence[int], names: Sequence[str], empty: Sequence[int], *, has_special: bool
) -> list[dict[str, Any]]:
    """Describes a text's tokens; where they are in the text is not known."""
    before, after = find_special_tokens(ids, empty) or (0, 0)
    tokens = [
        {
            "id": token,
            "text": names[token] if token < len(names) else "",
            "special": place < before or place >= len(ids) - after,
            "start": None,
            "stop": None,
        }
        for place, token in enumerate(ids)
    ]
    return [token for token in tokens if has_special or not token["special"]]
