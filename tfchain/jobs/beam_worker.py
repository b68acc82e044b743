"""What a Beam worker does with a model: loads it once, counts tokens, encodes texts, makes segments of an index."""

import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from tfchain.core.errors import FingerprintError
from tfchain.core.types import Document
from tfchain.models.precision import EngineName
from tfchain.models.step_callables import make_step_callables
from tfchain.models.text_encoder import TextEncoder
from tfchain.tasks.manifest import MANIFEST, read_manifest
from tfchain.tasks.search.index_folder import write_segment
from tfchain.tasks.search.search import PassageConfig, encode_documents, new_index

LOADING = threading.Lock()


@dataclass(frozen=True)
class WorkerModel:
    """A model that workers load, as plain values that travel to them.

    Args:
        path: The model's folder, where all workers see it, or a URL of one; or a name on the Hugging Face hub. A saved
            chain's folder stands for the model in it.
        engine: What runs the encoder. Default: `auto`.
        similarity: As in `TextEncoder`. Default: the folder's.
        fingerprint: The fingerprint that the loaded model must have. Default: any.
    """

    path: str
    engine: EngineName = "auto"
    similarity: str | None = None
    fingerprint: str = ""

    def load(self) -> TextEncoder:
        """Loads the model, once in each process, whatever asks for it.

        Raises:
            FingerprintError: if it is another model than expected.
        """
        with LOADING:
            return load_once(self)


@cache
def load_once(model: WorkerModel) -> TextEncoder:
    """Loads a model; later calls return the same."""
    options = {} if model.similarity is None else {"similarity": model.similarity}
    if "://" in model.path:
        with tempfile.TemporaryDirectory() as folder:
            encoder = TextEncoder.from_pretrained(download(model.path, Path(folder)), engine=model.engine, **options)
            found = encoder.fingerprint
    else:
        encoder = TextEncoder.from_pretrained(find_model(model.path), engine=model.engine, **options)
        found = encoder.fingerprint
    if model.fingerprint not in ("", found):
        raise FingerprintError(
            f"A worker has loaded another model than the pipeline began with. Expected: {model.fingerprint[:12]}. "
            f"Received: {found[:12]}, of {model.path}. Leave the model alone while the pipeline runs, and install the "
            "same tfchain on all machines."
        )
    return encoder


def find_model(path: str) -> str:
    """Returns the model's folder of a saved chain; another path or name itself."""
    if (Path(path) / MANIFEST).is_file():
        return str(Path(path) / read_manifest(Path(path))["model"])
    return path


def download(url: str, folder: Path) -> Path:
    """Copies a folder of an object store to this machine; returns the copy."""
    from tfchain.data.beam.files import join, list_names, read_bytes

    for name in list_names(url):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(read_bytes(join(url, name)) or b"")
    return folder


@dataclass(frozen=True)
class LoadCallables:
    """Loads what steps need of a model: `count_tokens` and `encode`.

    Args:
        model: The model.
    """

    model: WorkerModel

    def __call__(self) -> Mapping[str, Callable[..., Any]]:
        return make_step_callables(self.model.load())


@dataclass(frozen=True)
class LoadEncode:
    """Loads a function from texts to their vectors.

    Args:
        model: The model.
        prompt_name: The prompt to put before each text. Default: the folder's default prompt, if it names one.
        batch_size: The most texts in one step. Default: 32.
    """

    model: WorkerModel
    prompt_name: str | None = None
    batch_size: int = 32

    def __call__(self) -> Callable[[Sequence[str]], np.ndarray]:
        encoder = self.model.load()
        return lambda texts: encoder.encode(
            list(texts), prompt_name=self.prompt_name, batch_size=self.batch_size, progress=False
        )


@dataclass(frozen=True)
class LoadSegmentMaker:
    """Loads the function that makes the files of a segment.

    Args:
        model: The model.
        passages: How documents longer than the model's maximum length are handled.
        batch_size: The most texts in one step.
    """

    model: WorkerModel
    passages: PassageConfig
    batch_size: int

    def __call__(self) -> Callable[[Sequence[Document]], Mapping[str, bytes]]:
        encoder = self.model.load()
        return lambda documents: make_segment(encoder, documents, self.passages, self.batch_size)


def make_segment(
    encoder: TextEncoder, documents: Sequence[Document], passages: PassageConfig, batch_size: int
) -> dict[str, bytes]:
    """Encodes documents, and returns the files of their segment by name, as `IndexFolder` writes them."""
    index = new_index(encoder)
    for part in encode_documents(encoder, documents, passages, batch_size=batch_size, progress=False):
        index.add(part.documents, part.counts, part.vectors, fingerprint=index.fingerprint)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_segment(folder, list(index), index.vectors.counts, index.vectors.stored)
        return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
