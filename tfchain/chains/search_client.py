"""The client of a served search: queries in, documents out."""

import datetime
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfchain.core.errors import InputError, ServerError
from tfchain.core.filters.filter import parse_filter
from tfchain.core.texts import check_queries
from tfchain.core.types import Hit, SearchResult
from tfchain.deployment.client import client as serving
from tfchain.deployment.client.transport import RequestError
from tfchain.deployment.client.transport_rest import RestTransport


class Client(serving.Client):
    """A client for searches and predictions of a TensorFlow Serving, stock or embedded. Threads may share it.

    Importing and making a client is quick. The first call over gRPC imports TensorFlow, which the stubs of
    tensorflow-serving-api need; calls over REST never import it.

    Args:
        grpc_target: The gRPC address, such as `"127.0.0.1:8500"`, or None.
        rest_url: The REST address, such as `"http://127.0.0.1:8501"`, or None.
        timeout_seconds: The time limit of a call. Default: 30.
        tls: Whether gRPC uses TLS. Default: if `ca_file` or `cert_file` is given. REST uses it if its address is https.
        ca_file: A PEM file of the certificates to trust. Default: those that gRPC and Python trust.
        cert_file: A PEM file of the client's certificate, for servers that verify clients. Default: None.
        key_file: A PEM file of the certificate's private key. Default: None.
        api_key: A key that each request carries, for servers that ask for one. Default: None.

    Raises:
        InputError: if neither address is given, or certificate and key are not both given.

    Example:
        with Client(rest_url="http://127.0.0.1:8501") as client:
            client.search(["how do I merge two sorted lists"], model="docs")[0].hits
    """

    def search(
        self,
        texts: str | Sequence[str],
        *,
        model: str,
        filter: Mapping[str, Any] | None = None,
        version: int | str | None = None,
        protocol: str | None = None,
    ) -> list[SearchResult]:
        """Searches with an exported model.

        A search with a filter goes to `/v1/search` of tfchain's server, over REST: a stock TensorFlow Serving has no
        such path, and gRPC no such method. It asks for the number of hits first, which makes it two requests. Its
        hits have titles and metadata; those of a search without a filter, which any server answers, have neither.

        Args:
            texts: A query, or several.
            model: The model's name.
            filter: The condition that the hits' metadata must meet, such as `{"language": "en", "year": {"$gte":
                2020}}` (docs/filters.md); for at most 256 queries. Default: None, for no condition.
            version: The version, or its label, such as `"stable"`; None for the latest, the only one that a filter can
                be used with.
            protocol: `"grpc"` or `"rest"`; None to choose.

        Returns:
            One result per query, with as many hits as the model was exported for, or as the filter lets through.

        Raises:
            InputError: if a query is empty, or not a string, as in `NeuralSearchChain.search`; if the filter is not a
                filter, or comes with a version, with gRPC, or without `rest_url`.
            RequestError: if the server answers with an error.
            ServerError: if the server cannot be reached, or the model's answer is not a search result.
        """
        texts = check_queries(texts)
        if filter is not None:
            return self._search_filtered(texts, model, filter, version, protocol)
        if not texts:
            return []
        outputs = self.predict({"text": texts}, model=model, version=version, protocol=protocol)
        missing = {"ids", "scores", "texts"} - outputs.keys()
        if missing:
            raise ServerError(
                f"A search model must answer with ids, scores and texts. Received from {model}: {sorted(outputs)}. "
                "Export a chain that has documents, or use `embed`."
            )
        return [
            _to_result(text, *row)
            for text, *row in zip(
                texts, outputs["ids"].tolist(), outputs["scores"].tolist(), outputs["texts"].tolist(), strict=True
            )
        ]

    def _search_filtered(
        self, texts: list[str], model: str, filter: Mapping[str, Any], version: int | str | None, protocol: str | None
    ) -> list[SearchResult]:
        """Searches at `/v1/search`."""
        parse_filter(filter)
        if version is not None:
            raise InputError(
                f"`filter` searches a model's latest version. Received: version={version!r}. Leave one of them out."
            )
        if protocol not in (None, "rest") or "rest" not in self._transports:
            received = "a client without `rest_url`" if "rest" not in self._transports else f"protocol={protocol!r}"
            raise InputError(
                f"`filter` goes over REST, to /v1/search. Received: {received}. Pass the server's `rest_url` to the "
                "client, and leave `protocol` out."
            )
        if not texts:
            return []
        transport = self._transports["rest"]
        assert isinstance(transport, RestTransport)
        asked = {"query": texts, "model": model, "filter": _to_plain(filter), "highlights": False}
        answer = transport.ask("/v1/search", asked | {"top_k": _find_top_k(transport, model)})
        return [
            _make_result(text, [_read_hit(hit) for hit in result["hits"]])
            for text, result in zip(texts, answer["results"], strict=True)
        ]


def _find_top_k(transport: RestTransport, model: str) -> int | None:
    """Returns the number of hits that a model was exported for; None if it does not tell, or is not there.

    Raises:
        ServerError: if the server is not tfchain's, or cannot be reached.
    """
    try:
        models = transport.ask("/v1/search/models")["models"]
    except RequestError as error:
        if error.code not in ("NOT_FOUND", "INVALID_ARGUMENT"):
            raise
        raise ServerError(
            f"`filter` needs tfchain's server, which has the path /v1/search. {error} Serve the model with `tfchain "
            "serve`, or search without a filter."
        ) from error
    return next((one["top_k"] for one in models if one["name"] == model), None)


def _read_hit(hit: dict[str, Any]) -> Hit:
    return Hit(hit["id"], hit["score"], hit["text"], hit.get("title", ""), hit.get("metadata", {}))


def _to_plain(value: Any) -> Any:
    """Returns a filter, or a part of it, of what JSON has."""
    if isinstance(value, Mapping):
        return {key: _to_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_to_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return value.isoformat() if isinstance(value, datetime.date | datetime.time) else value


def _to_result(text: str, ids: list[Any], scores: list[float], found: list[Any]) -> SearchResult:
    hits = [Hit(id=str(id_), score=score, text=str(body)) for id_, score, body in zip(ids, scores, found, strict=True)]
    return _make_result(text, hits)


def _make_result(text: str, hits: list[Hit]) -> SearchResult:
    return SearchResult(text, hits[0].text if hits else text, hits)
