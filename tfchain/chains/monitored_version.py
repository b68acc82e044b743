"""What monitoring asks: a version loaded in this process, or a server's model.

Monitoring knows neither servers nor versions, so they are handed in here.
"""

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfchain.core.errors import InputError, ServerError
from tfchain.core.signatures import QUERY_VOCABULARY_FILE, TOKENIZE, TOKENIZE_QUERY, VOCABULARY_FILE
from tfchain.monitoring.served_model import ServedModel, SignatureNames

UNKNOWN = ("[UNK]", "<unk>")  # the token that stands for what a vocabulary lacks


@contextlib.contextmanager
def open_version(path: Path | str, *, engine: str = "auto") -> Iterator[ServedModel]:
    """Loads a version in this process, as the embedded server would, while the block runs.

    Args:
        path: The version's folder.
        engine: What computes: `auto`, `native`, `litert` or `tensorflow`. Default: `auto`, as the server's.

    Yields:
        The model.

    Raises:
        InputError: if the folder is not a version, or cannot be loaded here.
    """
    path = Path(path)
    if not (path / "saved_model.pb").is_file():
        raise InputError(
            f"Expected a version, a folder that `tfchain export` printed. Received: {path}, "
            "which has no saved_model.pb."
        )
    from tfchain.chains.model_server import find_obstacle, load
    from tfchain.core.native import NativeEngine
    from tfchain.deployment.server.servables.engines import load_for_engine
    from tfchain.deployment.server.servables.saved_model import LoadOptions
    from tfchain.deployment.server.status import StatusError
    from tfchain.runtime.tf_text import load_tf_text

    load_tf_text()
    try:
        servable = load_for_engine(path, LoadOptions(engine=engine), native=NativeEngine(find_obstacle, load))
    except StatusError as error:
        raise InputError(f"The version {path} cannot be loaded here: {error}.") from error
    try:

        def predict(inputs: Mapping[str, Any], signature: str) -> dict[str, np.ndarray]:
            arrays = {name: _to_bytes(value) for name, value in inputs.items()}
            names = list(servable.signatures[signature].outputs)
            try:
                answers = servable.run(servable.signatures[signature], arrays, names)
            except StatusError as error:
                raise ServerError(f"The version {path} does not answer: {error}.") from error
            return dict(zip(names, answers, strict=True))

        names = {
            name: SignatureNames(frozenset(signature.inputs), frozenset(signature.outputs))
            for name, signature in servable.signatures.items()
        }
        yield ServedModel(predict, names)
    finally:
        servable.close()


@contextlib.contextmanager
def connect(
    url: str,
    model: str,
    *,
    version: int | str | None = None,
    timeout_seconds: float = 30.0,
    api_key: str | None = None,
    ca_file: str | None = None,
) -> Iterator[ServedModel]:
    """Connects to a model of any TensorFlow Serving, stock or embedded, while the block runs.

    Args:
        url: The server's address: `http://…` and `https://…` for REST, `grpc://…` for gRPC.
        model: The model's name.
        version: The version, or its label. Default: the latest, also when it changes.
        timeout_seconds: The time limit of a request. Default: 30.
        api_key: For servers that ask for one. Default: none.
        ca_file: A PEM file of the certificates to trust. Default: those that Python and gRPC trust.

    Yields:
        The model. Its signatures are read when the block begins.

    Raises:
        InputError: if the address has another form.
        ServerError: if the server cannot be reached, or has no such model.
    """
    from tfchain.deployment.client.client import Client

    scheme, _, rest = url.partition("://")
    if scheme not in ("http", "https", "grpc") or not rest:
        raise InputError(
            f"A server's address must be like http://127.0.0.1:8501 or grpc://127.0.0.1:8500. Received: {url!r}."
        )
    grpc_target, rest_url = (rest, None) if scheme == "grpc" else (None, url)
    with Client(grpc_target, rest_url, timeout_seconds=timeout_seconds, api_key=api_key, ca_file=ca_file) as client:
        found = client.metadata(model, version=version)["metadata"]["signature_def"]["signature_def"]

        def predict(inputs: Mapping[str, Any], signature: str) -> dict[str, np.ndarray]:
            return client.predict(inputs, model=model, signature=signature, version=version)

        names = {
            name: SignatureNames(frozenset(signature.get("inputs", ())), frozenset(signature.get("outputs", ())))
            for name, signature in found.items()
        }
        yield ServedModel(predict, names)


def make_unknown_counter(path: Path, model: ServedModel) -> Callable[[Sequence[str]], np.ndarray] | None:
    """Returns a function from texts to the share of unknown tokens in each; None if the version cannot say it.

    Args:
        path: The version's folder, which has the vocabulary.
        model: The version, with a signature that tokenizes.
    """
    signature = next((name for name in (TOKENIZE_QUERY, TOKENIZE) if name in model.signatures), None)
    own = path / QUERY_VOCABULARY_FILE
    try:
        tokens = json.loads((own if own.is_file() else path / VOCABULARY_FILE).read_text(encoding="utf-8"))
        unknown = next((tokens.index(token) for token in UNKNOWN if token in tokens), None)
    except (OSError, ValueError, AttributeError):
        return None
    if signature is None or unknown is None:
        return None

    def count(texts: Sequence[str]) -> np.ndarray:
        outputs = model.predict({"text": list(texts)}, signature)
        mask = np.asarray(outputs["padding_mask"]) > 0
        return ((outputs["token_ids"] == unknown) & mask).sum(axis=1) / np.maximum(mask.sum(axis=1), 1)

    return count


def _to_bytes(texts: Sequence[str]) -> np.ndarray:
    array = np.empty(len(texts), object)
    array[:] = [text.encode("utf-8", "replace") for text in texts]
    return array
