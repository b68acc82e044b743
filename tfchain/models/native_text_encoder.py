"""Texts to vectors by the int8 kernels, from a folder of their own: without TensorFlow, Keras and transformers."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tfchain.core.errors import ModelFolderError
from tfchain.core.stages import ENCODE, TOKENIZE, stage
from tfchain.models.engines.kernel_folder import StoredKernels, save_kernels
from tfchain.models.engines.native_encoder import NativeEncoder, find_obstacle_of
from tfchain.models.engines.padding import pad
from tfchain.models.tokenizers.encoder_tokenizer import make_host_tokenizer
from tfchain.models.tokenizers.stored import StoredTokenizer, TokenizerNotes, note_tokenizer
from tfchain.runtime.litert import count_cores

if TYPE_CHECKING:
    from tfchain.models.text_encoder import TextEncoder
    from tfchain.models.text_roles import Role

TOKENIZER_SETTINGS = "tokenizer_settings.json"


class NativeTextEncoder:
    """Encodes texts in int8 on the project's own kernels; threads may share it.

    It gives the vectors of the `TextEncoder` it was saved from, in int8 by the engine `native`.

    Args:
        path: A folder that `save_native_text_encoder` wrote.
        num_threads: The most threads of a call, at most 16. Default: one per core.

    Raises:
        ModelFolderError: if a file is missing or damaged.
        TfchainError: if the kernels cannot run in this process.
    """

    def __init__(self, path: Path, *, num_threads: int | None = None) -> None:
        kernels = StoredKernels(path)
        shape = kernels.config.transformer
        try:
            values = json.loads((path / TOKENIZER_SETTINGS).read_text(encoding="utf-8"))
            self.tokenizer = make_host_tokenizer(
                StoredTokenizer(path, TokenizerNotes(**values["notes"])),
                kernels.config,
                max_length=int(values["max_length"]),
                do_lower_case=bool(values["do_lower_case"]),
            )
            lengths = {role: values.get(f"{role}_length") for role in ("query", "document")}
            self._tokenizers = {role: self.tokenizer.with_length(length) for role, length in lengths.items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise _make_error(path, error) from error
        except Exception as error:
            if type(error) is not Exception:  # the Rust library raises plain Exceptions for a damaged file
                raise
            raise _make_error(path, error) from error
        self._encoder = NativeEncoder(kernels, num_threads=num_threads or count_cores())
        self.num_threads = self._encoder.num_threads
        self._pad_in_text = shape.position_offset - 1  # see `NativeEngine`

    def encode(
        self,
        texts: Sequence[str],
        *,
        prompt: str = "",
        role: "Role | None" = None,
        skipped: int = 0,
        progress: Callable[[int], object] | None = None,
    ) -> np.ndarray | None:
        """Computes the vectors of texts.

        Args:
            texts: The texts, at least one.
            prompt: The text put before each of them. Default: none.
            role: As for `TextEncoder.encode`. Default: none.
            skipped: How many of each text's first tokens pooling leaves out. Default: 0.
            progress: Called after each step with its number of texts; what it raises ends the call. Default: none.

        Returns:
            float32 `(texts, dim)`; None if only TensorFlow can encode them (see `NativeEncoder`).
        """
        with stage(TOKENIZE):
            token_ids = self._tokenize(texts, prompt, role)
        if self._pad_in_text >= 0 and any(self._pad_in_text in ids for ids in token_ids):
            return None
        with stage(ENCODE):
            return self._encoder.encode(token_ids, skipped=skipped, progress=progress)

    def encode_ids(self, token_ids: Sequence[Sequence[int]]) -> np.ndarray | None:
        """Computes the vectors of texts that are given as token ids, special ones included; see `encode`."""
        if self._pad_in_text >= 0 and any(self._pad_in_text in ids for ids in token_ids):
            return None
        with stage(ENCODE):
            return self._encoder.encode(token_ids)

    def _tokenize(self, texts: Sequence[str], prompt: str, role: "Role | None") -> list[list[int]]:
        tokenizer = self.tokenizer if role is None else self._tokenizers[role]
        return tokenizer([prompt + text for text in texts] if prompt else texts)

    def tokenize(
        self, texts: Sequence[str], *, prompt: str = "", role: "Role | None" = None, skipped: int = 0
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns the token ids of texts and their mask, int32 `(texts, longest)`; the arguments are those of `encode`.

        The mask is 1 for a token, 2 for one that pooling leaves out, and 0 for padding.
        """
        with stage(TOKENIZE):
            token_ids = self._tokenize(texts, prompt, role)
        return pad(token_ids, self.tokenizer.pad_token_id, skipped=skipped)


def find_native_obstacle(text_encoder: "TextEncoder") -> str | None:
    """Returns why a text encoder cannot be saved for the kernels, or be run by them here; None if it can."""
    import tempfile

    if text_encoder.precision != "int8":
        return f"the model computes in {text_encoder.precision}, not in int8"
    if text_encoder.calibration is not None:
        return "the model is calibrated, and TensorFlow computes its products"
    if text_encoder.query_route is not None:
        return "its queries have an encoder of their own, a Router's"
    obstacle = find_obstacle_of(text_encoder.own_encoder)
    if obstacle is not None:
        return obstacle
    with tempfile.TemporaryDirectory(prefix="tfchain-tokenizer-") as folder:
        if _save_tokenizer(text_encoder, Path(folder)) is None:
            return "only transformers can read its tokenizer"
    return None


def save_native_text_encoder(text_encoder: "TextEncoder", path: Path) -> None:
    """Writes a folder that `NativeTextEncoder` reads.

    Args:
        text_encoder: One for which `find_native_obstacle` returns None.
        path: The folder.
    """
    from tfchain.models.encoders.keras_weights import KerasWeights

    notes, encoder, tokenizer = _save_tokenizer(text_encoder, path), text_encoder.own_encoder, text_encoder.tokenizer
    save_kernels(path, encoder.config, KerasWeights(encoder))
    values = {"notes": notes, "max_length": tokenizer.max_length, "do_lower_case": tokenizer.do_lower_case}
    values |= text_encoder.role_lengths
    (path / TOKENIZER_SETTINGS).write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def _save_tokenizer(text_encoder: "TextEncoder", path: Path) -> dict[str, Any] | None:
    """Writes the tokenizer's files, and returns what tokenizer.json does not contain; None if that cannot be told."""
    text_encoder.tokenizer.save(path)
    return note_tokenizer(text_encoder.tokenizer.source, path)


def _make_error(path: Path, error: Exception) -> ModelFolderError:
    return ModelFolderError(f"The tokenizer in {path} cannot be read: {error}. Write the folder again.")
