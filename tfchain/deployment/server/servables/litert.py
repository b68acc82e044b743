"""A version with LiteRT as its encoder: token ids go to it directly, texts pass through two halves in TensorFlow."""

import logging
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from tfchain.core.errors import InputError
from tfchain.core.signatures import EMBED_IDS, EMBED_QUERY_IDS, TFLITE_FILE, Halves
from tfchain.core.stages import ENCODE, SEARCH, TOKENIZE, stage
from tfchain.deployment.repository import read_description
from tfchain.deployment.server.servables.deadline import Deadline, deadline_exceeded
from tfchain.deployment.server.servables.saved_model import LoadOptions, load_saved_model
from tfchain.deployment.server.servables.servable import Servable, Signature, WrappedServable
from tfchain.deployment.server.status import Code, StatusError, invalid_argument
from tfchain.runtime.litert import TOKENS_A_THREAD, LiteRTPool, count_cores
from tfchain.runtime.token_batches import TOKENS_IN_BATCH, encode_in_batches

logger = logging.getLogger(__name__)

# Interpreters have one thread each: on two cores, two of them answered more queries per second than one with two
# threads, and a single query at least as fast. Each copies the weights, so this is the most unless a flag says more.
MOST_INTERPRETERS = 4
FEWEST_TEXTS, MOST_TEXTS = 4, 32  # in a batch of short texts: a request is split among the interpreters


class LiteRTServable(WrappedServable):
    """A SavedModel with a flatbuffer in place of its encoder; see `Servable` for its methods.

    The signatures are the SavedModel's. LiteRT answers `embed_ids`. A signature of texts with halves is answered by the
    tokenizing half, LiteRT, and the searching half. The SavedModel answers all others. A search compares documents'
    vectors of the SavedModel's encoder with queries' vectors of LiteRT: two roundings of the same model, which may be
    compared.

    Requests that LiteRT does not accept (other data types, mismatched shapes, ids outside the vocabulary, no text) go
    to the SavedModel unchanged, so that errors have its codes and texts.

    Args:
        saved_model: The version's loaded SavedModel; `close` closes it.
        encoder: The interpreters of the version's flatbuffer.
        halves: Signature of texts → its halves, from the version's description.

    Attributes:
        num_failures: The number of valid requests that failed in LiteRT, and that the SavedModel answered.
    """

    def __init__(self, saved_model: Servable, encoder: LiteRTPool, halves: Mapping[str, Halves]) -> None:
        super().__init__(saved_model)
        self._encoder = encoder
        self._halves = {name: pair for name, pair in halves.items() if _has_halves(saved_model, name, pair)}
        self._lock = threading.Lock()
        self._threads = ThreadPoolExecutor(encoder.size, "litert")  # for requests of more than one batch
        self.num_failures = 0

    @property
    def halves(self) -> Mapping[str, Halves]:
        """The signatures of texts that use LiteRT."""
        return self._halves

    @property
    def num_engines(self) -> int:
        """How many batches of several clients may run: two for each interpreter, so that one always has its next.

        With as many, four clients at two interpreters got fewer answers than without batches: what waited for one
        interpreter ran in one batch, while the other stood idle (benchmarks/litert_batching.py).
        """
        return 2 * self._encoder.size

    def run(
        self,
        signature: Signature,
        inputs: Mapping[str, np.ndarray],
        outputs: Sequence[str],
        timeout_ms: int | None = None,
    ) -> list[np.ndarray]:
        """Runs a signature, with LiteRT if possible."""
        deadline = Deadline(timeout_ms)
        try:
            if signature.name == EMBED_IDS:
                token_ids, padding_mask = inputs["token_ids"], inputs["padding_mask"]
                return [self._encode(token_ids, padding_mask, deadline)] * len(outputs)
            if signature.name in self._halves:
                return self._run_halves(self._halves[signature.name], inputs, outputs, deadline)
        except _NotTakenError as error:
            answer = self._servable.run(signature, inputs, outputs, deadline.left_ms())
            if error.__cause__ is not None:  # the request was valid
                with self._lock:
                    self.num_failures += 1
                logger.warning("LiteRT failed, and the SavedModel answered %s: %s", signature.name, error.__cause__)
            return answer
        return self._servable.run(signature, inputs, outputs, timeout_ms)

    def close(self) -> None:
        """Closes the SavedModel, and stops the threads."""
        self._threads.shutdown()
        self._servable.close()

    def _run_halves(
        self, halves: Halves, inputs: Mapping[str, np.ndarray], outputs: Sequence[str], deadline: Deadline
    ) -> list[np.ndarray]:
        tokenize = self.signatures[halves.tokenize]
        texts = {name: inputs[name] for name in tokenize.inputs}
        try:
            with stage(TOKENIZE):
                token_ids, padding_mask = self._servable.run(
                    tokenize, texts, ["token_ids", "padding_mask"], deadline.left_ms()
                )
        except StatusError as error:
            if error.code is Code.DEADLINE_EXCEEDED:
                raise
            raise _NotTakenError from None  # the whole signature then raises its own error
        vectors = self._encode(token_ids, padding_mask, deadline, np.count_nonzero(padding_mask, axis=1))
        if halves.answer is None:
            return [vectors] * len(outputs)
        with stage(SEARCH):
            answer = self.signatures[halves.answer]
            others = {name: inputs[name] for name in answer.inputs.keys() - {"embedding"}}
            return self._servable.run(answer, {"embedding": vectors, **others}, outputs, deadline.left_ms())

    def _encode(
        self,
        token_ids: np.ndarray,
        padding_mask: np.ndarray,
        deadline: Deadline,
        lengths: np.ndarray | None = None,
    ) -> np.ndarray:
        """Encodes token ids; reads the first `lengths` tokens of each text, or all without `lengths`."""
        arrays = (token_ids, padding_mask)
        if (
            any(array.dtype != np.int32 or array.ndim != 2 or not array.size for array in arrays)
            or len({*map(np.shape, arrays)}) > 1
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
            with stage(ENCODE):
                vectors = encode_in_batches(
                    run,
                    take,
                    lengths,
                    batch_size=min(MOST_TEXTS, max(FEWEST_TEXTS, size)),
                    tokens_in_batch=tokens_in_batch,
                    run_all=self._threads.map if is_shared else map,
                )
        except TimeoutError as error:
            raise deadline_exceeded() from error
        except (RuntimeError, ValueError) as error:
            raise _NotTakenError from error
        assert vectors is not None  # neither array is empty
        return vectors


class _NotTakenError(Exception):
    """A request that LiteRT does not accept; its cause is LiteRT's own error, if LiteRT was called."""


def load_version(path: Path | str, options: LoadOptions | None = None) -> Servable:
    """Loads a version: its SavedModel, with LiteRT as the encoder if that is preferred and available.

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
    """Replaces the encoder of a SavedModel by the version's flatbuffer.

    Args:
        saved_model: The loaded SavedModel.
        path: The version's folder, with `model.tflite`.
        options: The number of interpreters, and of their threads.

    Raises:
        StatusError: if the flatbuffer is damaged, or was not exported by a chain.
    """
    file = Path(path) / TFLITE_FILE
    cores = options.num_cores or count_cores()
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
    if EMBED_QUERY_IDS in saved_model.signatures:
        named = ", ".join([*whole, EMBED_QUERY_IDS])
        logger.info("%s has an encoder of its own for queries: the SavedModel answers %s.", path, named)
    elif whole:
        logger.warning(
            "%s has no halves of %s: the SavedModel answers them. Export the version again.", path, ", ".join(whole)
        )
    return servable


def read_halves(path: Path | str) -> dict[str, Halves]:
    """Returns the halves in a version's description; empty if there are none, or none that can be read."""
    try:
        return {name: Halves(**names) for name, names in read_description(Path(path)).get("halves", {}).items()}
    except (TypeError, AttributeError):
        return {}


def _is_half(name: str, halves: Mapping[str, Halves]) -> bool:
    return any(name in (pair.tokenize, pair.answer) for pair in halves.values())


def _has_halves(saved_model: Servable, name: str, halves: Halves) -> bool:
    signatures = saved_model.signatures
    names = [name, halves.tokenize, *([halves.answer] if halves.answer else [])]
    if any(part not in signatures for part in names):
        return False
    before, after = signatures[halves.tokenize], signatures[halves.answer or name]
    others = after.inputs.keys() - {"embedding"} if halves.answer else frozenset()
    return (
        signatures[name].inputs.keys() == before.inputs.keys() | others
        and before.outputs.keys() == {"token_ids", "padding_mask"}
        and after.outputs.keys() == signatures[name].outputs.keys()
    )
