"""The Hugging Face tokenizer on the host: texts in, lists of token ids out, truncated but not padded."""

import copy
import errno
import functools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from tfchain.core.errors import InputError
from tfchain.core.texts import replace_surrogates
from tfchain.models.tokenizers.hugging_face import load_tokenizer
from tfchain.models.tokenizers.stored import StoredTokenizer
from tfchain.models.tokenizers.word_memory import WordMemory

# Texts that tokenizers treat differently: case, accents, punctuation, Chinese, spaces, special and unknown tokens.
PROBE = (
    "",
    "Hello, World! don't  e-mail\tme",
    "Älter naïve CAFÉ Straße",
    "你好，我是一个智能助手。ＡＢＣ①",
    "[SEP] </s> <mask> [UNK]",
    "x" * 120,
    "3.14 + 2^10 = $5 \u200b\u0301 \U0001f600",
    " leading and trailing ",
    "tokenization unbelievable 2026",
)


class HostTokenizer:
    """Turns texts into token ids with a Hugging Face tokenizer.

    Use it for single texts and wherever Python runs; `WordPieceTokenizer` gives the same ids inside a TensorFlow graph,
    so that a server needs no Python, and is faster on many short texts.

    Args:
        tokenizer: A `transformers` tokenizer, or a `StoredTokenizer`. It is not changed.
        max_length: The maximum number of tokens in a text, special tokens included. Longer texts are truncated at the
            end, or at the beginning if the tokenizer's `truncation_side` is `left`.
        do_lower_case: Whether texts are lower-cased first, an old sentence-transformers setting. Special tokens written
            in a text are recognised before that. Default: False.
        pad_token_id: The id that pads shorter texts. Default: the tokenizer's own, else 0.
    """

    def __init__(
        self,
        tokenizer: Any,
        *,
        max_length: int,
        do_lower_case: bool = False,
        pad_token_id: int | None = None,
    ) -> None:
        is_stored = isinstance(tokenizer, StoredTokenizer)
        if not is_stored and not (callable(tokenizer) and hasattr(tokenizer, "save_pretrained")):
            raise InputError(
                "`tokenizer` must be a transformers tokenizer. "
                f"Received: {type(tokenizer).__name__}. Load one with transformers.AutoTokenizer.from_pretrained."
            )
        self.source = tokenizer
        self.max_length = max_length
        self.do_lower_case = do_lower_case
        own = getattr(tokenizer, "pad_token_id", None)
        self.pad_token_id = pad_token_id if pad_token_id is not None else own or 0
        self._is_fast = is_stored or hasattr(getattr(tokenizer, "backend_tokenizer", None), "encode_batch_fast")
        self._memory = self._make_memory()
        self.num_special_tokens = int(tokenizer.num_special_tokens_to_add(pair=False))

    def with_length(self, max_length: int | None) -> Self:
        """Returns a tokenizer with another maximum, which shares the vocabulary; this one for the same or None."""
        if max_length in (None, self.max_length):
            return self
        made = copy.copy(self)
        made.max_length = max_length
        made.__dict__.pop("_fast", None)
        made._memory = made._make_memory()
        return made

    def for_queries(self, max_length: int | None) -> Self:
        """Returns the tokenizer of queries, if their maximum or their tokens differ; as `with_length` here."""
        return self.with_length(max_length)

    def _make_memory(self) -> WordMemory | None:
        if self._whole is None:
            return None
        return WordMemory.make(self._whole, self.max_length, truncation_side=_side(self.source))

    @property
    def tokenizer(self) -> Any:
        """The transformers tokenizer; that of a `StoredTokenizer` is loaded on first use."""
        return self.source.load() if isinstance(self.source, StoredTokenizer) else self.source

    @functools.cached_property
    def _fast(self) -> Any:
        """A copy of the fast tokenizer that truncates, made on first use; None for a tokenizer in Python."""
        return _copy_backend(self.source, self.max_length, self.do_lower_case) if self._is_fast else None

    @functools.cached_property
    def _whole(self) -> Any:
        """A copy of the fast tokenizer that does not truncate; None for a tokenizer in Python."""
        return _copy_backend(self.source, None, self.do_lower_case) if self._is_fast else None

    @property
    def whole(self) -> Any:
        """A copy of the fast tokenizer that does not truncate; None for a tokenizer in Python."""
        return self._whole

    @property
    def content_length(self) -> int:
        """The maximum number of tokens in a text, without special tokens."""
        return self.max_length - self.num_special_tokens

    def __call__(self, texts: Sequence[str]) -> list[list[int]]:
        """Returns the token ids of each text, special tokens included, at most `max_length`."""
        texts = self._prepare(texts)
        if self._memory is not None and len(texts) == 1:  # a query
            ids = self._memory(texts[0])
            if ids is not None:
                return [ids]
        if self._fast is not None:
            return [encoding.ids for encoding in self._fast.encode_batch_fast(texts)]
        return list(self.source(texts, truncation=True, max_length=self.max_length)["input_ids"])

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Returns the number of tokens in each text, without special tokens and without truncation."""
        texts = self._prepare(texts)
        if self._whole is not None:
            return [len(encoding.ids) for encoding in self._whole.encode_batch_fast(texts, add_special_tokens=False)]
        return [len(ids) for ids in self.source(texts, add_special_tokens=False)["input_ids"]]

    def prompt_length(self, prompt: str) -> int:
        """Returns how many of a text's first tokens belong to the prompt, counted as in sentence-transformers."""
        ids = self([prompt])[0]
        closing = {getattr(self.source, "sep_token_id", None), getattr(self.source, "eos_token_id", None)}
        return len(ids) - (1 if ids and ids[-1] in closing else 0)

    def save(self, path: Path) -> None:
        """Writes the tokenizer's files into a folder, with `max_length` as the model's maximum."""
        tokenizer = self.tokenizer
        before = tokenizer.model_max_length
        tokenizer.model_max_length = self.max_length
        try:
            tokenizer.save_pretrained(str(path))
        except Exception as error:  # the Rust library raises plain Exceptions
            if "No space left" in str(error):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
            raise
        finally:
            tokenizer.model_max_length = before

    def describe(self) -> dict[str, Any]:
        """Returns plain values that identify the tokenizer by its ids, for fingerprints.

        They are the vocabulary and the ids of a few texts. The tokenizer's file would not do: its layout changes with
        the library's version even if the ids do not.
        """
        vocabulary = sorted(self.source.get_vocab().items())
        values = {"vocabulary": vocabulary, "probe": self(PROBE), "max_length": self.max_length}
        side = _side(self.source)
        return values if side == "right" else {**values, "truncation_side": side}

    def _prepare(self, texts: Sequence[str]) -> list[str]:
        texts = [replace_surrogates(text) for text in texts]
        # The copy of a fast tokenizer lower-cases texts itself, after it has recognised the special tokens.
        return [text.lower() for text in texts] if self.do_lower_case and self._fast is None else texts


def to_tokenizer(tokenizer: Any) -> Any:
    """Returns a tokenizer (or None) as it is; loads it if given a folder or a hub name."""
    if isinstance(tokenizer, str | Path):
        from tfchain.models.weights.download import find_tokenizer

        return load_tokenizer(find_tokenizer(tokenizer))
    return tokenizer


def _side(tokenizer: Any) -> str:
    """Returns the side at which a tokenizer truncates, `right` or `left`."""
    return str(getattr(tokenizer, "truncation_side", "right"))


def _copy_backend(tokenizer: Any, max_length: int | None, lowercase: bool) -> Any:
    """Returns a copy of the fast tokenizer that does not pad, and truncates at `max_length`."""
    if isinstance(tokenizer, StoredTokenizer) and not lowercase:
        return tokenizer.whole if max_length is None else tokenizer.make_backend(max_length, _side(tokenizer))
    backend = tokenizer.whole if isinstance(tokenizer, StoredTokenizer) else tokenizer.backend_tokenizer
    made = type(backend).from_str(backend.to_str())
    made.no_padding()
    if lowercase:
        lower_case(made)
    if max_length is None:
        made.no_truncation()
    else:
        made.enable_truncation(max_length, direction=_side(tokenizer))
    return made


def lower_case(backend: Any) -> None:
    """Puts lower-casing before a `tokenizers.Tokenizer`'s normalizer, where sentence-transformers does."""
    from tokenizers import normalizers

    own: Any = backend.normalizer
    is_list = type(own) is normalizers.Sequence
    parts: list[Any] = list(own) if is_list else [] if own is None else [own]
    if not any(isinstance(part, normalizers.Lowercase) for part in parts):
        backend.normalizer = normalizers.Sequence([normalizers.Lowercase(), *parts])
