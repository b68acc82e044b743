"""Which batching a version gets: TensorFlow Serving's where its flag is given, tfchain's own for its texts, or none."""

from dataclasses import dataclass
from pathlib import Path

from tfchain.core.errors import InputError
from tfchain.deployment.repository import read_description
from tfchain.deployment.server.batching.batching_servable import BatchingServable
from tfchain.deployment.server.batching.metrics import VersionBatches
from tfchain.deployment.server.batching.parameters import PARAMETERS_FILE, BatchingParameters, read_parameters
from tfchain.deployment.server.batching.shared_scheduler import SharedBatchScheduler
from tfchain.deployment.server.batching.text_servable import TextBatchingServable, find_batched
from tfchain.deployment.server.batching.token_estimate import DEFAULT_MAX_LENGTH
from tfchain.deployment.server.batching.token_scheduler import MAX_TOKENS
from tfchain.deployment.server.servables.servable import Servable
from tfchain.deployment.server.status import invalid_argument


@dataclass(frozen=True, slots=True)
class BatchingOptions:
    """How requests of different clients are batched.

    Args:
        parameters: TensorFlow Serving's batching for all versions; None for none. Default: None.
        is_per_model: Whether each version brings its own parameters in `batching_params.pbtxt`, and is not batched
            without. The threads are still those of `parameters`. Default: False.
        text: `auto` for tfchain's own batching of the versions that it exported, `off` for none. Default: `auto`.
        max_tokens: The most tokens in a batch of texts, padding included. Default: 2048.
    """

    parameters: BatchingParameters | None = None
    is_per_model: bool = False
    text: str = "auto"
    max_tokens: int = MAX_TOKENS

    def __post_init__(self) -> None:
        if self.text not in ("auto", "off"):
            raise InputError(f"The flag --text_batching must be auto or off. Received: --text_batching={self.text}.")
        if self.max_tokens < 1:
            raise InputError(
                "The flag --text_batching_tokens must be at least 1. "
                f"Received: --text_batching_tokens={self.max_tokens}."
            )
        if self.parameters is not None:
            self.parameters.check_threads()


class Batching:
    """Wraps versions for batching, and owns the batch threads that they share.

    Args:
        options: How to batch.
    """

    def __init__(self, options: BatchingOptions) -> None:
        self._options = options
        self._scheduler: SharedBatchScheduler | None = None
        if options.parameters is not None:
            values = options.parameters
            self._scheduler = SharedBatchScheduler(values.num_threads, values.thread_pool_name)

    def wrap(self, servable: Servable, path: Path, metrics: VersionBatches | None = None) -> Servable:
        """Returns a version with batching, or the version itself if it is not batched.

        A servable with an attribute `is_worth_batching` that is False gets TensorFlow Serving's batching alone.

        Args:
            servable: The loaded version.
            path: Its folder.
            metrics: Take what its scheduler does. Default: None, nothing does.

        Raises:
            StatusError: if the parameters are wrong for a version.
        """
        parameters = self._find_parameters(path)
        if parameters is not None and self._scheduler is not None:
            parameters.check_queue()
            wrapped = BatchingServable(servable, self._scheduler, parameters, listener=metrics)
            if metrics is not None:
                metrics.watch(wrapped.statistics, self._scheduler.name)
            return wrapped
        if self._options.text == "off" or not getattr(servable, "is_worth_batching", True):
            return servable
        description = read_description(path)
        is_exported = "tfchain" in description and bool(description.get("signatures"))
        batched = find_batched(servable) if is_exported else []
        if not any("token_ids" not in servable.signatures[name].inputs for name in batched):
            return servable
        max_length = description.get("max_length")
        wrapped_texts = TextBatchingServable(
            servable,
            batched,
            max_tokens=self._options.max_tokens,
            max_length=max_length if isinstance(max_length, int) and max_length > 0 else DEFAULT_MAX_LENGTH,
            listener=metrics,
        )
        if metrics is not None:
            metrics.watch(wrapped_texts.statistics)
        return wrapped_texts

    def close(self) -> None:
        """Ends the batch threads after what they have accepted."""
        if self._scheduler is not None:
            self._scheduler.close()

    def _find_parameters(self, path: Path) -> BatchingParameters | None:
        if self._scheduler is None or not self._options.is_per_model:
            return self._options.parameters
        file = path / PARAMETERS_FILE
        if not file.exists():
            return None
        try:
            return read_parameters(file)
        except InputError as error:
            raise invalid_argument(str(error)) from error
