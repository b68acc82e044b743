"""A new encoder's index beside the live one: in the background, resumable, throttled; exported as one version."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from tfchain.chains.search import NeuralSearchChain
from tfchain.core.errors import FingerprintError, InputError
from tfchain.core.types import Document
from tfchain.deployment.releases.throttle import Throttle
from tfchain.models.text_encoder import TextEncoder

logger = logging.getLogger(__name__)

BATCH_DOCUMENTS = 1000


def reindex_beside(
    live: Path | str,
    encoder: TextEncoder,
    out: Path | str,
    *,
    batch_documents: int = BATCH_DOCUMENTS,
    throttle: Throttle | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> NeuralSearchChain:
    """Encodes the documents of a saved chain with another encoder, into a saved chain of its own.

    The live chain's folder is only read, again and again: documents that are added, changed or removed there meanwhile
    are followed until nothing is left to do. Each batch is saved, so that a run that is stopped goes on where it was.
    `export` of the result writes encoder and vectors as one version: promoting that switches both together, and vectors
    of two models are never in one index.

    Args:
        live: The folder of the live chain.
        encoder: The new encoder.
        out: The folder of the new chain; that of an earlier run goes on.
        batch_documents: Documents between two saves. Default: 1,000.
        throttle: Keeps the work to a share of the time. Default: no rest.
        on_progress: Called with the documents done and in all. Default: nothing.

    Returns:
        The new chain, complete.

    Raises:
        InputError: if the two folders are one, or `batch_documents` is not a whole number above 0.
        FingerprintError: if the folder `out` has vectors of a third model.
    """
    live, out, throttle = Path(live), Path(out), throttle or Throttle(1.0)
    if live.resolve() == out.resolve():
        raise InputError(f"The new index must have a folder of its own. Received: {out} for both. Name another.")
    if isinstance(batch_documents, bool) or not isinstance(batch_documents, int) or batch_documents < 1:
        raise InputError(
            f"`batch_documents` must be a whole number above 0. Received: batch_documents={batch_documents!r}."
        )
    chain = _open(live, encoder, out)
    while True:
        source = {document.id: document for document in NeuralSearchChain.load(live).index}
        gone = [document.id for document in chain.index if document.id not in source]
        missing = [document for document in source.values() if _lacks(chain, document)]
        if not gone and not missing and (out / "chain.json").is_file():
            return chain
        logger.info("Reindexing beside %s: %d documents to encode, %d to remove.", live, len(missing), len(gone))
        if gone:
            chain.remove(gone)
            chain.save(out)
        for start in range(0, len(missing), batch_documents):
            with throttle.piece():
                chain.add(missing[start : start + batch_documents], progress=False)
                chain.save(out)
            on_progress(len(chain), len(source))
        if not missing:
            chain.save(out)


def _open(live: Path, encoder: TextEncoder, out: Path) -> NeuralSearchChain:
    """Opens the chain of an earlier run, or makes an empty one with the live one's handling of passages."""
    if (out / "chain.json").is_file():
        chain = NeuralSearchChain.load(out)
        if chain.text_encoder.model_fingerprint != encoder.model_fingerprint:
            raise FingerprintError(
                f"{out} has vectors of the model {chain.text_encoder.model_fingerprint[:12]}. Received: the encoder "
                f"{encoder.model_fingerprint[:12]}. Give another folder, or remove this one."
            )
        return chain
    passages = NeuralSearchChain.load(live).passages
    chain = NeuralSearchChain(passages=passages.mode, overlap_tokens=passages.overlap_tokens)
    chain.text_encoder = encoder
    return chain


def _lacks(chain: NeuralSearchChain, document: Document) -> bool:
    return bool(chain.index.get(document.id) != document)
