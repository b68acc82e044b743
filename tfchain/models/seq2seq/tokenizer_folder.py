"""Reads the tokenizers of a folder that translates: sentencepiece models with vocab.json, or tokenizer.json."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tfchain.core.errors import ModelFolderError
from tfchain.models.seq2seq.config import Seq2SeqConfig
from tfchain.models.seq2seq.m2m_100_languages import LANGUAGES
from tfchain.models.seq2seq.tokenizer import Frame, Seq2SeqTokenizer
from tfchain.models.seq2seq.vocabulary_tokenizer import VocabularyTokenizer
from tfchain.models.tokenizers.sentencepiece import SentencePieceTokenizer
from tfchain.models.tokenizers.sentencepiece_model import Piece
from tfchain.models.tokenizers.stored_pieces import read_pieces
from tfchain.models.weights.json_file import read_json

# The files of a tokenizer, as they are copied.
FILES = (
    *("source.spm", "target.spm", "vocab.json", "target_vocab.json", "sentencepiece.bpe.model", "spiece.model"),
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
)
SPACE = "\u2581"  # a space in a piece
UNKNOWN = " \u2047 "  # how sentencepiece writes the piece for unknown texts
NLLB_CODE = re.compile(r"[a-z]{3}_[A-Z][a-z]{3}")
M2M_100_MODEL = "sentencepiece.bpe.model"


def read_tokenizer(path: Path, config: Seq2SeqConfig) -> Seq2SeqTokenizer:
    """Reads a folder's tokenizers.

    Args:
        path: The folder.
        config: The model's shape.

    Raises:
        ModelFolderError: if files are missing or damaged.
        InputError: if a graph cannot express the tokenizer.
    """
    settings = read_json(path / "tokenizer_config.json", needed=False)
    settings = settings if isinstance(settings, Mapping) else {}
    if config.family == "marian":
        return _read_marian(path, config, settings)
    if config.family == "m2m_100" and (path / "vocab.json").is_file():
        return _read_m2m_100(path, config, settings)
    return _read_hugging_face(path, config, settings)


def _read_marian(path: Path, config: Seq2SeqConfig, settings: Mapping[str, Any]) -> Seq2SeqTokenizer:
    vocabulary = _read_vocabulary(path / "vocab.json")
    is_separate = bool(settings.get("separate_vocabs"))
    targets = _read_vocabulary(path / "target_vocab.json") if is_separate else vocabulary
    source_proto, source_pieces = read_pieces(path / "source.spm")
    target_proto, target_pieces = read_pieces(path / "target.spm")
    special = [str(settings.get(name, default)) for name, default in _SPECIAL.items()]
    made = [
        VocabularyTokenizer(
            proto,
            ids,
            unknown_id=_find(ids, special[0], path),
            special_tokens=[(text, ids[text]) for text in special if text in ids],
            reads_codes=True,
        )
        for proto, ids in ((source_proto, vocabulary), (target_proto, targets))
    ]
    codes = {text[2:-2]: token_id for text, token_id in vocabulary.items() if re.fullmatch(">>.*<<", text)}
    return Seq2SeqTokenizer(
        made[0],
        made[1],
        # transformers writes joint vocabularies with the source's model.
        surfaces=_find_surfaces(targets, target_pieces if is_separate else source_pieces, special, config),
        frame=Frame(
            eos_token_id=_find(vocabulary, special[1], path),
            pad_token_id=config.pad_token_id,
            code_place="prefix" if codes else "none",
            names_target=True,
        ),
        languages={} if is_separate else codes,
        strips=True,
        vocabulary=targets,
    )


_SPECIAL = {"unk_token": "<unk>", "eos_token": "</s>", "pad_token": "<pad>"}


def _read_m2m_100(path: Path, config: Seq2SeqConfig, settings: Mapping[str, Any]) -> Seq2SeqTokenizer:
    vocabulary = _read_vocabulary(path / "vocab.json")
    proto, pieces = read_pieces(path / M2M_100_MODEL)
    codes = LANGUAGES.get(str(settings.get("language_codes", "m2m100")))
    if codes is None:
        raise ModelFolderError(
            f"`language_codes` in {path / 'tokenizer_config.json'} must be one of {', '.join(LANGUAGES)}. "
            f"Received: {settings['language_codes']!r}."
        )
    languages = {code: len(vocabulary) + number for number, code in enumerate(codes)}
    tokens = {**vocabulary, **{f"__{code}__": token_id for code, token_id in languages.items()}}
    special = [*(str(settings.get(name, default)) for name, default in _SPECIAL.items()), "<s>"]
    special += [f"__{code}__" for code in codes]
    made = VocabularyTokenizer(
        proto,
        tokens,
        unknown_id=_find(vocabulary, special[0], path),
        special_tokens=[(text, tokens[text]) for text in special if text in tokens],
    )
    return Seq2SeqTokenizer(
        made,
        made,
        surfaces=[
            surface if number < len(tokens) else special[0]  # words that were made up to fill the table
            for number, surface in enumerate(_find_surfaces(tokens, pieces, special, config))
        ],
        frame=Frame(eos_token_id=config.eos_token_id, pad_token_id=config.pad_token_id, code_place="prefix"),
        languages=languages,
        strips=True,
        vocabulary=tokens,
    )


def _read_hugging_face(path: Path, config: Seq2SeqConfig, settings: Mapping[str, Any]) -> Seq2SeqTokenizer:
    """Reads what transformers makes of the folder: T5, mT5, NLLB."""
    from tfchain.models.tokenizers.hugging_face import load_tokenizer

    tokenizer = load_tokenizer(path)
    made = SentencePieceTokenizer.from_hugging_face(tokenizer)
    vocabulary: dict[str, int] = tokenizer.get_vocab()
    special = set(tokenizer.all_special_tokens)
    special |= {token["content"] for token in _read_added(tokenizer) if token["special"]}
    surfaces = [""] * config.decoder_vocabulary_size
    for text, token_id in vocabulary.items():
        if text not in special and token_id < len(surfaces):
            surfaces[token_id] = text.replace(SPACE, " ")
    languages = {text: token_id for text, token_id in vocabulary.items() if NLLB_CODE.fullmatch(text)}
    is_legacy = bool(settings.get("legacy_behaviour"))
    is_nllb = config.family == "m2m_100"
    return Seq2SeqTokenizer(
        made,
        made,
        surfaces=surfaces,
        frame=Frame(
            eos_token_id=config.eos_token_id,
            pad_token_id=config.pad_token_id,
            code_place="none" if not is_nllb else "suffix" if is_legacy else "prefix",
        ),
        languages=languages if is_nllb else {},
        strips=False,
        vocabulary=vocabulary,
    )


def _read_added(tokenizer: Any) -> list[dict[str, Any]]:
    added: list[dict[str, Any]] = json.loads(tokenizer.backend_tokenizer.to_str())["added_tokens"]
    return added


def _find_surfaces(
    vocabulary: Mapping[str, int], pieces: list[Piece], special: list[str], config: Seq2SeqConfig
) -> list[str | bytes]:
    """Returns what sentencepiece writes for each id; it writes texts that it does not know as they are."""
    kinds = {piece.text: piece.kind for piece in pieces}
    surfaces: list[str | bytes] = [""] * config.decoder_vocabulary_size
    for text, token_id in vocabulary.items():
        kind = kinds.get(text, "normal")
        if text in special or kind == "control" or token_id >= len(surfaces):
            continue
        if kind == "byte":
            surfaces[token_id] = bytes([int(text[3:5], 16)])
        else:
            surfaces[token_id] = UNKNOWN if kind == "unknown" else text.replace(SPACE, " ")
    return surfaces


def _read_vocabulary(path: Path) -> dict[str, int]:
    values = read_json(path)
    if not isinstance(values, dict) or any(not isinstance(value, int) for value in values.values()):
        raise ModelFolderError(f"{path} must have an object from token to id. Get the file again.")
    return values


def _find(vocabulary: Mapping[str, int], token: str, path: Path) -> int:
    if token not in vocabulary:
        raise ModelFolderError(f"The vocabulary in {path} lacks {token!r}. Get the folder again.")
    return vocabulary[token]
