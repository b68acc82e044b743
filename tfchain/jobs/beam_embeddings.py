"""`TfchainTextEmbeddings`: tfchain's encoder in Beam pipelines of your own."""

from collections.abc import Sequence
from pathlib import Path

from tfchain.core.errors import InputError
from tfchain.data.beam.package import check_beam

check_beam()

from tfchain.data.beam.embeddings import CallableTextEmbeddings  # noqa: E402 - an error of its own comes before
from tfchain.jobs.beam_worker import LoadEncode, WorkerModel  # noqa: E402
from tfchain.models.bundled import find_bundled_model  # noqa: E402
from tfchain.models.precision import EngineName  # noqa: E402


class TfchainTextEmbeddings(CallableTextEmbeddings):
    """Replaces texts by their vectors in an `MLTransform`, with a tfchain encoder that each worker loads once.

    Args:
        model: A model folder, a saved chain, or a name on the Hugging Face hub; where all workers see it. Default: the
            small English model that comes with tfchain.
        columns: The columns that hold the texts; their values become lists of floats.
        prompt_name: The prompt to put before each text, such as `query` or `document`. Default: the folder's default
            prompt, if it names one.
        batch_size: The most texts in one step of the encoder. Default: 32.
        engine: What runs the encoder; see `EncoderRunner`. Default: `auto`.
        min_batch_size: The least texts that Beam hands over at a time. Default: 1.
        max_batch_size: The most texts that Beam hands over at a time. Default: 1024.

    Raises:
        MissingPackageError: at import, if apache-beam is not installed.
        InputError: if `columns` is not a list of names.

    Example:
        >>> from apache_beam.ml.transforms.base import MLTransform  # doctest: +SKIP
        >>> rows | MLTransform(write_artifact_location=folder).with_transform(  # doctest: +SKIP
        ...     TfchainTextEmbeddings(columns=["text"])
        ... )
    """

    def __init__(
        self,
        model: Path | str | None = None,
        *,
        columns: Sequence[str],
        prompt_name: str | None = None,
        batch_size: int = 32,
        engine: EngineName = "auto",
        min_batch_size: int = 1,
        max_batch_size: int = 1024,
    ) -> None:
        if isinstance(columns, str) or not columns or not all(isinstance(name, str) for name in columns):
            raise InputError(f"`columns` must be a list of names, such as ['text']. Received: columns={columns!r}.")
        path = find_bundled_model() if model is None else model
        load = LoadEncode(WorkerModel(str(path), engine), prompt_name, batch_size)
        super().__init__(load, columns, min_batch_size=min_batch_size, max_batch_size=max_batch_size)
