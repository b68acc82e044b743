"""The client of a served search: queries in, documents out."""

from collections.abc import Sequence
from typing import Any

from tfchain.core.errors import ServerError
from tfchain.core.texts import check_queries
from tfchain.core.types import Hit, SearchResult
from tfchain.deployment.client import client as serving


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
        self, texts: str | Sequence[str], *, model: str, version: int | str | None = None, protocol: str | None = None
    ) -> list[SearchResult]:
        """Searches with an exported model.

        Args:
            texts: A query, or several.
            model: The model's name.
            version: The version, or its label, such as `"stable"`; None for the latest.
            protocol: `"grpc"` or `"rest"`; None to choose.

        Returns:
            One result per query.

        Raises:
            InputError: if a query is empty, or not a string, as in `NeuralSearchChain.search`.
            RequestError: if the server answers with an error.
            ServerError: if the server cannot be reached, or the model's answer is not a search result.
        """
        texts = check_queries(texts)
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


def _to_result(text: str, ids: list[Any], scores: list[float], found: list[Any]) -> SearchResult:
    hits = [Hit(id=str(id_), score=score, text=str(body)) for id_, score, body in zip(ids, scores, found, strict=True)]
    return SearchResult(text, hits[0].text if hits else text, hits)
