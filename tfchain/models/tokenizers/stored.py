"""Reads a folder's tokenizer with the package `tokenizers` only: transformers takes seconds to import.

transformers reads part of tokenizer.json, and builds the rest of a tokenizer from its own settings. So tokenizer.json
is used directly in two cases: tfchain has saved the tokenizer, and recorded that the file describes all of it; or it is
a BERT tokenizer, of which the few parts are compared here with the parts that transformers would build.
"""

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TOKENIZER = "tokenizer.json"
SETTINGS = "tokenizer_config.json"
# The files that transformers may read for a tokenizer, without the sentencepiece models of slow tokenizers.
FILES = (
    *(TOKENIZER, SETTINGS, "special_tokens_map.json", "added_tokens.json", "config.json"),
    *("vocab.txt", "vocab.json", "merges.txt"),
)
BERT_CLASSES = ("BertTokenizer", "BertTokenizerFast", "DistilBertTokenizer", "DistilBertTokenizerFast")
BERT_FAMILIES = ("bert", "distilbert")
BERT_TOKENS = {
    "pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]",
}  # fmt: skip
# Settings that change no id. A folder with a setting that is neither here nor checked below goes to transformers.
HARMLESS = {
    *("backend", "clean_up_tokenization_spaces", "do_basic_tokenize", "is_local", "local_files_only", "max_length"),
    *("model_input_names", "model_max_length", "name_or_path", "pad_to_multiple_of", "pad_token_type_id"),
    *("padding_side", "processor_class", "special_tokens_map_file", "stride", "tokenizer_class", "tokenizer_file"),
    *("truncation_strategy", "do_lower_case", "strip_accents", "tokenize_chinese_chars"),
}
EMPTY = ("never_split", "extra_special_tokens", "additional_special_tokens")  # harmless if they are empty
SPECIAL = (True, False, False, False, False)  # the `_flags` of a special token
NO_MAXIMUM = 10**30  # transformers' value for a folder without a maximum


@dataclass(frozen=True)
class TokenizerNotes:
    """The settings of a tokenizer that tokenizer.json does not contain.

    Args:
        pad_token_id: The id that pads shorter texts; None if there is no such token.
        sep_token_id: The id of the token that ends a text; None if there is no such token.
        eos_token_id: The id of the token that ends a text in other families; None if there is no such token.
        truncation_side: The side at which longer texts are truncated. Default: `right`.
        model_max_length: The maximum number of tokens in a text. Default: `NO_MAXIMUM`.
    """

    pad_token_id: int | None = None
    sep_token_id: int | None = None
    eos_token_id: int | None = None
    truncation_side: str = "right"
    model_max_length: int = NO_MAXIMUM


class StoredTokenizer:
    """A tokenizer in a folder, with the attributes of a transformers tokenizer that `HostTokenizer` uses.

    Args:
        path: The folder. Its files are kept in memory, so that `load` works after the folder has been replaced.
        notes: The settings that tokenizer.json does not contain.
    """

    def __init__(self, path: Path, notes: TokenizerNotes) -> None:
        self.path = path
        self.pad_token_id = notes.pad_token_id
        self.sep_token_id = notes.sep_token_id
        self.eos_token_id = notes.eos_token_id
        self.truncation_side = notes.truncation_side
        self.model_max_length = notes.model_max_length
        self._files = {name: (path / name).read_bytes() for name in FILES if (path / name).is_file()}
        self._whole: Any = None
        self._loaded: Any = None
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return int(self.whole.get_vocab_size())

    @property
    def whole(self) -> Any:
        """A `tokenizers.Tokenizer` that neither truncates nor pads."""
        if self._whole is None:
            self._whole = self.make_backend()
        return self._whole

    def make_backend(self, max_length: int | None = None, direction: str = "right") -> Any:
        """Makes a `tokenizers.Tokenizer` that does not pad.

        Args:
            max_length: The maximum number of tokens in a text. Default: no truncation.
            direction: The side at which longer texts are truncated. Default: `right`.
        """
        from tokenizers import Tokenizer

        made = Tokenizer.from_buffer(self._files[TOKENIZER])
        made.no_padding()
        if max_length is None:
            made.no_truncation()
        else:
            made.enable_truncation(max_length, direction=direction)
        return made

    def get_vocab(self) -> dict[str, int]:
        """Returns a dict from token to id, added tokens included."""
        vocabulary: dict[str, int] = self.whole.get_vocab()
        return vocabulary

    def num_special_tokens_to_add(self, pair: bool = False) -> int:
        """Returns how many special tokens are added to a text, or to a pair of texts."""
        return int(self.whole.num_special_tokens_to_add(pair))

    def load(self) -> Any:
        """Returns the transformers tokenizer, loaded on first use."""
        import tempfile

        from tfchain.models.tokenizers.hugging_face import load_tokenizer

        with self._lock:
            if self._loaded is None:
                if self._is_unchanged():
                    self._loaded = load_tokenizer(self.path)
                else:
                    with tempfile.TemporaryDirectory(prefix="tfchain-tokenizer-") as folder:
                        for name, content in self._files.items():
                            (Path(folder) / name).write_bytes(content)
                        self._loaded = load_tokenizer(Path(folder))
            return self._loaded

    def _is_unchanged(self) -> bool:
        """Returns whether the folder's files are the same as when they were read."""
        for name in FILES:
            try:
                content = (self.path / name).read_bytes()
            except OSError:
                content = None
            if content != self._files.get(name):
                return False
        return True


def read_stored_tokenizer(path: Path, notes: Mapping[str, Any] | None = None) -> StoredTokenizer | None:
    """Reads a folder's tokenizer; returns None if transformers must read it.

    Args:
        path: The folder.
        notes: The values of `TokenizerNotes` that tfchain recorded when it saved the tokenizer. Default: none.
    """
    try:
        if notes is not None:
            return StoredTokenizer(path, TokenizerNotes(**notes))
        return _read_bert(path)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None  # transformers explains what is wrong
    except Exception as error:
        if type(error) is not Exception:  # the Rust library raises plain Exceptions for a damaged file
            raise
        return None


def note_tokenizer(tokenizer: Any, path: Path) -> dict[str, Any] | None:
    """Returns what to record of a saved tokenizer; None if tokenizer.json does not describe all of it.

    Args:
        tokenizer: A transformers tokenizer, or a `StoredTokenizer`.
        path: The folder in which it was saved.
    """
    names = ("pad_token_id", "sep_token_id", "eos_token_id", "truncation_side")
    notes: dict[str, Any] = {name: getattr(tokenizer, name, None) for name in names}
    if isinstance(tokenizer, StoredTokenizer):
        backend = tokenizer.whole
    else:
        backend = getattr(tokenizer, "backend_tokenizer", None)
        if backend is None or not hasattr(backend, "encode_batch_fast"):
            return None
        backend = type(backend).from_str(backend.to_str())
        backend.no_padding()
        backend.no_truncation()
    if not (path / TOKENIZER).is_file():
        return None
    settings = _read_json(path / SETTINGS, needed=False)
    notes["model_max_length"] = int(settings.get("model_max_length", NO_MAXIMUM))
    saved = StoredTokenizer(path, TokenizerNotes(**notes))
    return notes if saved.whole.to_str() == backend.to_str() else None


def _read_bert(path: Path) -> StoredTokenizer | None:
    if not (path / TOKENIZER).is_file():
        return None
    settings = _read_json(path / SETTINGS)
    if settings.pop("truncation_side", "right") != "right":
        return None
    family = _read_json(path / "config.json").get("model_type")
    if settings.get("tokenizer_class") not in BERT_CLASSES or family not in BERT_FAMILIES:
        return None
    tokens = {name: settings.get(name, token) for name, token in BERT_TOKENS.items()}
    mapped = _read_json(path / "special_tokens_map.json", needed=False)
    unknown = {name for name, value in settings.items() if value or name not in EMPTY} - HARMLESS - tokens.keys()
    if unknown - {"added_tokens_decoder"} or mapped.items() - tokens.items():
        return None
    maximum = settings.get("model_max_length", NO_MAXIMUM)
    if isinstance(maximum, bool) or not isinstance(maximum, int | float):
        return None
    made = StoredTokenizer(path, TokenizerNotes(model_max_length=int(maximum)))
    if not _is_plain_bert(made.whole, settings, tokens) or (path / "added_tokens.json").is_file():
        return None
    made.pad_token_id = made.whole.token_to_id(tokens["pad_token"])
    made.sep_token_id = made.whole.token_to_id(tokens["sep_token"])
    return made


def _is_plain_bert(backend: Any, settings: Mapping[str, Any], tokens: Mapping[str, str]) -> bool:
    """Returns whether a tokenizer has the parts that transformers' BertTokenizer builds from a folder's settings."""
    model, normalizer = backend.model, backend.normalizer
    kinds = [type(part).__name__ for part in (model, normalizer, backend.pre_tokenizer)]
    if kinds != ["WordPiece", "BertNormalizer", "BertPreTokenizer"]:
        return False
    opening, mask, closing = (model.token_to_id(tokens[name]) for name in ("cls_token", "mask_token", "sep_token"))
    added = backend.get_added_tokens_decoder()
    expected = {
        "unknown": (model.unk_token, tokens["unk_token"]),
        "prefix": (model.continuing_subword_prefix, "##"),
        "longest": (model.max_input_chars_per_word, 100),
        "clean": (normalizer.clean_text, True),
        "chinese": (normalizer.handle_chinese_chars, settings.get("tokenize_chinese_chars", True)),
        "accents": (normalizer.strip_accents, settings.get("strip_accents")),
        "lowercase": (normalizer.lowercase, settings.get("do_lower_case", True)),
        "around": (backend.encode(tokens["mask_token"]).ids, [opening, mask, closing]),
        "added": (
            {number: token.content for number, token in added.items()},
            {model.token_to_id(token): token for token in tokens.values()},
        ),
        "special": ({_flags(token.__getstate__()) for token in added.values()}, {SPECIAL}),
    }
    for number, values in settings.get("added_tokens_decoder", {}).items():
        expected[f"token {number}"] = (values["content"], _flags(values)), (added[int(number)].content, SPECIAL)
    return all(found == wanted for found, wanted in expected.values())


def _flags(token: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(token[name] for name in ("special", "normalized", "single_word", "lstrip", "rstrip"))


def _read_json(path: Path, *, needed: bool = True) -> dict[str, Any]:
    if not needed and not path.is_file():
        return {}
    values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return values
