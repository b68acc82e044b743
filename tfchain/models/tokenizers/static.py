"""The tokenizer of a static encoder: a folder's tokenizer.json, without the special tokens around a text."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tfchain.core.errors import ModelFolderError
from tfchain.models.tokenizers.stored import NO_MAXIMUM, TOKENIZER, StoredTokenizer, TokenizerNotes


class StaticTokenizer(StoredTokenizer):
    """A tokenizer.json as sentence-transformers' StaticEmbedding and model2vec use it: `add_special_tokens=False`.

    Args:
        path: The folder. Only its tokenizer.json is read.
        max_length: The maximum number of tokens in a text. Default: that of tokenizer.json, which few set.

    Raises:
        ModelFolderError: if the file is missing or damaged.
    """

    def __init__(self, path: Path, *, max_length: int | None = None) -> None:
        super().__init__(path, TokenizerNotes())
        try:
            values: dict[str, Any] = json.loads(self._files[TOKENIZER])
            truncation = values.get("truncation") or {}
            self._files = {TOKENIZER: json.dumps({**values, "post_processor": None}).encode()}
            self._unknown, self._pad = _find_unknown(values["model"]), _find_pad(values)
            whole = self.whole
        except KeyError as error:
            raise ModelFolderError(
                f"{path / TOKENIZER} must hold a tokenizer of a static encoder. Received: none, or one without {error}."
            ) from error
        except Exception as error:  # the Rust library raises plain Exceptions for a damaged file
            raise ModelFolderError(f"{path / TOKENIZER} cannot be read: {error}. Get the folder again.") from error
        self.pad_token_id = 0 if self._pad is None else whole.token_to_id(self._pad)
        self.truncation_side = str(truncation.get("direction", "right")).lower()
        self.model_max_length = max_length or int(truncation.get("max_length", NO_MAXIMUM))

    def load(self) -> Any:
        """Returns a transformers tokenizer with the same parts, made on first use."""
        from tfchain.models.tokenizers.hugging_face import load_transformers

        with self._lock:
            if self._loaded is None:
                self._loaded = load_transformers().PreTrainedTokenizerFast(
                    tokenizer_object=self.make_backend(),
                    unk_token=self._unknown,
                    pad_token=self._pad or self.whole.id_to_token(0),
                    truncation_side=self.truncation_side,
                    model_max_length=self.model_max_length,
                )
            return self._loaded


def _find_unknown(model: Mapping[str, Any]) -> str | None:
    if model.get("unk_id") is not None:  # Unigram
        return str(model["vocab"][model["unk_id"]][0])
    token = model.get("unk_token")
    return None if token is None else str(token)


def _find_pad(values: Mapping[str, Any]) -> str | None:
    """Returns the token that pads, which no vector depends on."""
    if values.get("padding"):
        return str(values["padding"]["pad_token"])
    names = [token["content"] for token in values.get("added_tokens", ()) if token["special"]]
    return next((name for name in names if name.strip("[]<>|").lower() == "pad"), None)
