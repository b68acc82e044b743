"""Counts the tokens of texts by the version's own tokenizer, after the answer has left."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tfchain.core.signatures import TOKENIZE
from tfchain.deployment.server.manager import Lease, Manager, ModelSpec
from tfchain.deployment.server.observing.watch import Counts
from tfchain.deployment.server.predict import predict
from tfchain.deployment.server.status import StatusError
from tfchain.deployment.server.text.text_model import TOKENIZE_OF
from tfchain.deployment.server.text.version_description import find_tokenizer

_TIMEOUT_MS = 10_000


class TokenCounter:
    """Counts tokens with the signature `tokenize`, of a version that is still loaded.

    Args:
        manager: The manager of the models.
    """

    def __init__(self, manager: Manager) -> None:
        self._manager = manager
        self._unknown: dict[tuple[Path, str], int | None] = {}  # by a version's folder, and the purpose

    def count(self, model: str, version: int, purpose: str, texts: Sequence[str | bytes]) -> Counts:
        """Returns each text's tokens, special ones included, and the unknown ones among them.

        Args:
            model: The model.
            version: The version.
            purpose: `query`, `document` or empty, for the version's prompt.
            texts: The texts.

        Returns:
            None for each text if the version has gone, or has no tokenizer; None in place of the unknown ones if it
            does not tell which these are.
        """
        try:
            with self._manager.lend(ModelSpec(model, version)) as lease:
                return self._count(lease, purpose, texts)
        except StatusError:
            return [None] * len(texts)

    def _count(self, lease: Lease, purpose: str, texts: Sequence[str | bytes]) -> Counts:
        known = lease.servable.signatures
        name = TOKENIZE_OF.get(purpose, TOKENIZE) if TOKENIZE_OF.get(purpose) in known else TOKENIZE
        if name not in known:
            return [None] * len(texts)
        encoded = [text.encode("utf-8", "replace") if isinstance(text, str) else text for text in texts]
        outputs = ["token_ids", "padding_mask"]
        run = predict(
            lease.servable,
            name,
            {"text": np.array(encoded, object)},
            to_array=lambda _, array: array,
            output_filter=outputs,
            timeout_ms=_TIMEOUT_MS,
        )
        ids, mask = (run.outputs[output] for output in outputs)
        lengths = np.count_nonzero(mask, axis=1).tolist()
        unknown = self._find_unknown(lease.path, purpose)
        if unknown is None:
            return [(length, None) for length in lengths]
        return list(zip(lengths, np.count_nonzero((ids == unknown) & (mask != 0), axis=1).tolist(), strict=True))

    def _find_unknown(self, path: Path, purpose: str) -> int | None:
        """Returns the id of the unknown token; None if the version has none, or does not tell."""
        key = (path, purpose)
        if key not in self._unknown:
            self._unknown[key] = find_tokenizer(path, purpose).unknown_id
        return self._unknown[key]
