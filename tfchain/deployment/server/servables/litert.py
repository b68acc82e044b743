"""A version whose encoder LiteRT runs: token ids go to it directly, texts between two halves that TensorFlow runs."""

import json
import logging
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from tfchain.core.errors import InputError
from tfchain.core.signatures import EMBED_IDS, TFLITE_FILE, Halves
from tfchain.deployment.repository import DESCRIPTION
from tfchain.deployment.server.servables.saved_model import LoadOptions, load_saved_model
from tfchain.deployment.server.servables.servable import Servable, Signature
from tfchain.deployment.server.status import Code, StatusError, invalid_argument
from tfchain.runtime.litert import TOKENS_A_THREAD, LiteRTPool, count_cores
from tfchain.runtime.token_batches import TOKENS_IN_BATCH, encode_in_batches

logger = logging.getLogger(__name__)

# Interpreters of one thread each: on two cores, two of them answered more queries a second than one of two threads, and
# one query at least as fast. At most so many, unless more are asked for: each keeps a copy of the weights.
MOST_INTERPRETERS = 4
FEWEST_TEXTS, MOST_TEXTS = 4, 32  # of a batch, if they are short: a request is shared out among the interpreters


class LiteRTServable:
    """A SavedModel with a flatbuffer in place of its encoder; see `Servable` for what its methods do.

    The signatures are the SavedModel's. `embed_ids` is answered by LiteRT; a signature of texts that has its halves
    among the others by the tokenizing half, LiteRT, and the half that searches; every other one by the SavedModel.
    What is searched are the documents' vectors by the SavedModel's encoder, with queries' by LiteRT: two roundings of
    one model, which may be compared.

    What LiteRT does not take (other data types, shapes that do not go together, ids that are no token's, no text at
    all) goes to the SavedModel as it is, so that errors have its codes and its texts.

    Args:
        saved_model: The version's SavedModel, loaded; `close` closes it.
        encoder: The interpreters of the version's flatbuffer.
        halves: Signature of texts → its halves, as the version's description names them.

    Attributes:
        num_failures: How many requests LiteRT failed at though they were valid, and the SavedModel answered.
    """

    def __init__(self, saved_model: Servable, encoder: LiteRTPool, halves: Mapping[str, Halves]) -> None:
        self._saved_model = saved_model
        self._encoder = encoder
        self._halves = {name: pair for name, pair in halves.items() if _has_halves(saved_model, name, pair)}
        self._lock = threading.Lock()
        self._threads = ThreadPoolExecutor(encoder.size, "litert")  # for requests of more than one batch
        self.num_failures = 0

    @property
    def halves(self) -> Mapping[str, Halves]:
        """The signatures of texts that LiteRT encodes for."""
        return self._halves

    @property
    def signatures(self) -> Mapping[str, Signature]:
        """The functions that the model offers."""
        return self._saved_model.signatures

    @property
    def signature_defs(self) -> Mapping[str, Any]:
        """The same as `SignatureDef` protos, for metadata."""
        return self._saved_model.signature_defs

    def run(
        self,
        signature: Signature,
        inputs: Mapping[str, np.ndarray],
        outputs: Sequence[str],
        timeout_ms: int | None = None,
    ) -> list[np.ndarray]:
        """Runs a signature, by LiteRT where it can."""
        deadline = _Deadline(timeout_ms)
        try:
            if signature.name == EMBED_IDS:
                token_ids, padding_mask = inputs["token_ids"], inputs["padding_mask"]
                return [self._encode(token_ids, padding_mask, deadline)] * len(outputs)
            if signature.name in self._halves:
                return self._run_halves(self._halves[signature.name], inputs, outputs, deadline)
        except _NotTakenError as error:
            answer = self._saved_model.run(signature, inputs, outputs, deadline.left_ms())
            if error.__cause__ is not None:  # a valid request all the same
                with self._lock:
                    self.num_failures += 1
                logger.warning("LiteRT failed, and the SavedModel answered %s: %s", signature.name, error.__cause__)
            return answer
        return self._saved_model.run(signature, inputs, outputs, timeout_ms)

    def close(self) -> None:
        """Closes the SavedModel, and ends the threads."""
        self._threads.shutdown()
        self._saved_model.close()

    def _run_halves(
        self, halves: Halves, inputs: Mapping[str, np.ndarray], outputs: Sequence[str], deadline: "_Deadline"
    ) -> list[np.ndarray]:
        tokenize = self.signatures[halves.tokenize]
        try:
            token_ids, padding_mask = self._saved_model.run(
                tokenize, inputs, ["token_ids", "padding_mask"], deadline.left_ms()
            )
        except StatusError as error:
            if error.code is Code.DEADLINE_EXCEEDED:
                raise
            raise _NotTakenError from None  # the whole signature says it in its own words
        vectors = self._encode(token_ids, padding_mask, deadline, np.count_nonzero(padding_mask, axis=1))
        if halves.answer is None:
            return [vectors] * len(outputs)
        return self._saved_model.run(
            self.signatures[halves.answer], {"embedding": vectors}, outputs, deadline.left_ms()
        )

    def _encode(
        self,
        token_ids: np.ndarray,
        padding_mask: np.ndarray,
        deadline: "_Deadline",
        lengths: np.ndarray | None = None,
    ) -> np.ndarray:
        """Vectors of token ids; of each text `lengths` tokens are looked at, if they are given, and else all."""
        both = (token_ids, padding_mask)
        if (
            any(one.dtype != np.int32 or one.ndim != 2 or not one.size for one in both)
            or len({*map(np.shape, both)}) > 1
        ):
            raise _NotTakenError
        lengths = np.full(len(token_ids), token_ids.shape[1]) if lengths is None else lengths

        def take(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            longest = max(1, int(lengths[rows].max()))
            return token_ids[rows, :longest], padding_mask[rows, :longest]

        def run(token_ids: np.ndarray, padding_mask: np.ndarray) -> np.ndarray:
            left_ms = deadline.left_ms()
            return self._encoder(token_ids, padding_mask, None if left_ms is None else left_ms / 1000)

        size = -(-len(token_ids) // self._encoder.size)
        tokens_in_batch = min(TOKENS_IN_BATCH, TOKENS_A_THREAD * self._encoder.num_threads)
        is_shared = len(token_ids) > FEWEST_TEXTS or (len(token_ids) > 1 and lengths.sum() > tokens_in_batch)
        try:
            vectors = encode_in_batches(
                run,
                take,
                lengths,
                batch_size=min(MOST_TEXTS, max(FEWEST_TEXTS, size)),
                tokens_in_batch=tokens_in_batch,
                run_all=self._threads.map if is_shared else map,
            )
        except TimeoutError as error:
            raise _too_late() from error
        except (RuntimeError, ValueError) as error:
            raise _NotTakenError from error
        assert vectors is not None  # there is a text, as neither array is empty
        return vectors


class _NotTakenError(Exception):
    """A request that LiteRT does not take; its cause is LiteRT's own error, if it has got as far as that."""


class _Deadline:
    """When a request must be answered.

    Args:
        timeout_ms: From now on; None for no limit.
    """

    def __init__(self, timeout_ms: int | None) -> None:
        self._end = None if timeout_ms is None else time.monotonic() + timeout_ms / 1000

    def left_ms(self) -> int | None:
        """What is left, at least 1; None for no limit.

        Raises:
            StatusError: if the time is up.
        """
        if self._end is None:
            return None
        left = self._end - time.monotonic()
        if left <= 0:
            raise _too_late()
        return max(1, int(left * 1000))


def load_version(path: Path | str, options: LoadOptions | None = None) -> Servable:
    """Loads one version: its SavedModel, with LiteRT for the encoder where that is preferred and the version has it.

    Args:
        path: The version's folder.
        options: How to load and run it.

    Raises:
        StatusError: if it cannot be loaded here.
    """
    options = options or LoadOptions()
    saved_model = load_saved_model(path, options)
    if not options.prefers_tflite or not (Path(path) / TFLITE_FILE).is_file():
        return saved_model
    try:
        return add_litert(saved_model, path, options)
    except BaseException:
        saved_model.close()
        raise


def add_litert(saved_model: Servable, path: Path | str, options: LoadOptions) -> LiteRTServable:
    """Puts a version's flatbuffer in place of its SavedModel's encoder.

    Args:
        saved_model: The SavedModel, loaded.
        path: The version's folder, with `model.tflite`.
        options: How many interpreters there are, and threads for them.

    Raises:
        StatusError: if the flatbuffer is damaged, or none that a chain exported.
    """
    file = Path(path) / TFLITE_FILE
    cores = count_cores()
    size = options.tflite_interpreters if options.tflite_interpreters > 0 else min(cores, MOST_INTERPRETERS)
    try:
        encoder = LiteRTPool(file, size=size, num_threads=options.intra_op_threads or max(1, cores // size))
    except InputError as error:
        raise StatusError(Code.UNIMPLEMENTED, f"{file} is not supported by the embedded server: {error}") from error
    except (ValueError, RuntimeError) as error:
        raise invalid_argument(f"Cannot build FlatBufferModel from {file}: {error}") from error
    servable = LiteRTServable(saved_model, encoder, read_halves(path))
    whole = [
        name
        for name, signature in saved_model.signatures.items()
        if signature.inputs.keys() == {"text"} and name not in servable.halves and not _is_half(name, servable.halves)
    ]
    if whole:
        logger.warning(
            "%s has no halves of %s: the SavedModel answers there. Export the version again.", path, ", ".join(whole)
        )
    return servable


def read_halves(path: Path | str) -> dict[str, Halves]:
    """The halves that a version's description names; empty where it has none, or none that can be read."""
    try:
        described = json.loads((Path(path) / DESCRIPTION).read_text(encoding="utf-8")).get("halves", {})
        return {name: Halves(**names) for name, names in described.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _is_half(name: str, halves: Mapping[str, Halves]) -> bool:
    return any(name in (pair.tokenize, pair.answer) for pair in halves.values())


def _has_halves(saved_model: Servable, name: str, halves: Halves) -> bool:
    signatures = saved_model.signatures
    names = [name, halves.tokenize, *([halves.answer] if halves.answer else [])]
    if any(one not in signatures for one in names):
        return False
    before, behind = signatures[halves.tokenize], signatures[halves.answer or name]
    return (
        signatures[name].inputs.keys() == before.inputs.keys()
        and before.outputs.keys() == {"token_ids", "padding_mask"}
        and behind.outputs.keys() == signatures[name].outputs.keys()
    )


def _too_late() -> StatusError:
    return StatusError(Code.DEADLINE_EXCEEDED, "Timed out waiting for notification")  # as the session says it
