"""Gives those who watch a server the versions that answer: their folders, and their vectors."""

from collections.abc import Callable, Sequence

import numpy as np

from tfchain.core.errors import ServerError
from tfchain.core.observation import AnsweringVersion
from tfchain.core.signatures import EMBED, EMBED_QUERY
from tfchain.deployment.server.manager import Manager, ModelSpec
from tfchain.deployment.server.predict import predict
from tfchain.deployment.server.servables.servable import Servable
from tfchain.deployment.server.status import StatusError

_TOGETHER = 8  # texts in a run: requests that come meanwhile wait for no more than these
_TIMEOUT_MS = 10_000


def find_version(manager: Manager, model: str, version: int) -> AnsweringVersion | None:
    """Returns a version that answers; None if it does not.

    Args:
        manager: The manager of the models. The version is lent for each call of `embed`, and free to go in between.
        model: The model.
        version: The version.
    """
    try:
        with manager.lend(ModelSpec(model, version)) as lease:
            signature = _find_signature(lease.servable)
            embed = None if signature is None else _make_embed(manager, ModelSpec(model, version), signature)
            return AnsweringVersion(lease.path, embed)
    except StatusError:
        return None


def _find_signature(servable: Servable) -> str | None:
    """Returns the signature that makes a vector of a query; None without one for single texts."""
    known = servable.signatures
    name = next((name for name in (EMBED_QUERY, EMBED) if name in known), None)
    return name if name is not None and set(known[name].inputs) == {"text"} else None


def _make_embed(manager: Manager, spec: ModelSpec, signature: str) -> Callable[[Sequence[str]], np.ndarray]:
    def embed(texts: Sequence[str]) -> np.ndarray:
        vectors = []
        try:
            for start in range(0, len(texts), _TOGETHER):
                encoded = [text.encode("utf-8", "replace") for text in texts[start : start + _TOGETHER]]
                with manager.lend(spec) as lease:
                    run = predict(
                        lease.servable,
                        signature,
                        {"text": np.array(encoded, object)},
                        to_array=lambda _, array: array,
                        output_filter=["embedding"],
                        timeout_ms=_TIMEOUT_MS,
                    )
                vectors.append(run.outputs["embedding"])
        except StatusError as error:
            raise ServerError(f"Version {spec.version} of {spec.name} makes no vectors: {error}.") from error
        return np.concatenate(vectors).astype(np.float32, copy=False)

    return embed
