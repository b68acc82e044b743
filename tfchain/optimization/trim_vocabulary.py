"""Trimming of the vocabulary: a tokenizer and a token embedding without what a corpus or some languages do not use."""

import dataclasses
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tfchain.core.errors import InputError, TfchainError
from tfchain.core.texts import check_texts
from tfchain.models.encoders.anatomy import list_shapes
from tfchain.models.encoders.config import EncoderConfig
from tfchain.models.encoders.encoder import Encoder
from tfchain.models.encoders.keras_weights import KerasWeights
from tfchain.models.shared_model import SharedModel
from tfchain.models.text_encoder import TextEncoder
from tfchain.models.tokenizers.host import HostTokenizer
from tfchain.models.tokenizers.hugging_face import load_tokenizer
from tfchain.models.tokenizers.scripts import find_scripts
from tfchain.models.tokenizers.stored import SETTINGS, TOKENIZER
from tfchain.models.tokenizers.trimming import Vocabulary
from tfchain.models.weights.computed_weights import ComputedWeights
from tfchain.models.weights.pretrained import make_encoder

if TYPE_CHECKING:
    from tfchain.optimization.recipes import TrimVocabulary

# Files beside tokenizer.json that hold the vocabulary once more; transformers reads tokenizer.json without them.
OTHER_FILES = ("vocab.txt", "vocab.json", "merges.txt", "added_tokens.json", "spiece.model", "sentencepiece.bpe.model")
TEXTS_AT_ONCE = 1_000
MOST_NAMED = 20  # scripts in an error


def trim_vocabulary(
    text_encoder: TextEncoder, recipe: "TrimVocabulary", texts: Sequence[str] | None = None
) -> TextEncoder:
    """Returns a text encoder with fewer tokens; the given one is unchanged, as is an encoder of its own for queries.

    Args:
        text_encoder: The text encoder.
        recipe: The scripts to keep.
        texts: The texts whose vectors must not change. Required without scripts. Default: none.

    Raises:
        InputError: if the encoder is not one of tfchain's own, the tokenizer is not one of the `tokenizers` package,
            there are neither scripts nor texts, or no token is of one of the scripts.
        TfchainError: if the smaller tokenizer gives a text other tokens, which a tokenizer of an unusual make might.
    """
    encoder = text_encoder.own_encoder
    if not isinstance(encoder, Encoder):
        raise InputError(
            f"TrimVocabulary needs one of tfchain's own encoders. Received: {type(encoder).__name__}. Leave it out."
        )
    if encoder.config.tokens is not None:
        raise InputError(
            "TrimVocabulary does not renumber the tokens by which late interaction expands queries and skips "
            "punctuation, nor those of pairs. Received: a model with a vector for each token. Leave it out."
        )
    distinct = list(dict.fromkeys(check_texts(texts or ())))
    if not recipe.scripts and not distinct:
        raise InputError(
            "TrimVocabulary keeps the tokens that texts use, or those of some scripts. Received: neither. Give "
            "`texts`: the corpus, and questions like those that will come; or scripts=('Latin',)."
        )
    prompts = dict.fromkeys(["", text_encoder.query_prompt, text_encoder.document_prompt])
    lines = [*text_encoder.prompts.values(), *(prompt + text for prompt in prompts for text in distinct)]
    with tempfile.TemporaryDirectory(prefix="tfchain-tokenizer-") as name:
        folder = Path(name)
        text_encoder.tokenizer.save(folder)
        if not (folder / TOKENIZER).is_file():
            raise InputError(
                "TrimVocabulary needs a tokenizer of the `tokenizers` package (a fast one). Received: "
                f"{type(text_encoder.tokenizer.source).__name__}. Leave the recipe out."
            )
        vocabulary = Vocabulary(json.loads((folder / TOKENIZER).read_text(encoding="utf-8")))
        kept = choose_tokens(vocabulary, _find_used(folder, lines, text_encoder.tokenizer), recipe.scripts)
        kept |= _fixed(encoder.config, vocabulary)
        parts, old_ids = vocabulary.trim(kept)
        _write_tokenizer(folder, parts, {old: new for new, old in enumerate(old_ids)})
        tokenizer = load_tokenizer(folder)
    made = SharedModel(_trim_encoder(encoder, np.array(old_ids)), is_private=True)
    trimmed = TextEncoder(tokenizer, made, engine=text_encoder.runner.engine, **text_encoder.settings())
    trimmed.query_route = text_encoder.query_route
    _check_same(text_encoder.tokenizer, trimmed.tokenizer, np.array(old_ids), lines)
    return trimmed


def choose_tokens(vocabulary: Vocabulary, used: set[int], scripts: Sequence[str]) -> set[int]:
    """Chooses what to keep.

    Args:
        vocabulary: The tokenizer's vocabulary.
        used: The ids that the texts use.
        scripts: The scripts to keep, none for those of the used tokens, of which single characters are then kept.

    Returns:
        The ids: the used ones, and the tokens of the scripts, which are all of them or the single characters.

    Raises:
        InputError: if no token is of one of the scripts.
    """
    texts = {number: vocabulary.to_text(piece) for piece, number in vocabulary.ids.items()}
    found = {number: find_scripts(text) for number, text in texts.items() if text is not None}
    known = frozenset().union(*found.values())
    missing = sorted(set(scripts) - known)
    if missing:
        counts = {script: sum(script in of for of in found.values()) for script in known}
        ranked = sorted(known, key=lambda script: (-counts[script], script))[:MOST_NAMED]
        raise InputError(
            f"The vocabulary has no token in the script {', '.join(missing)}. Its scripts, with their numbers of "
            f"tokens: {', '.join(f'{script} {counts[script]}' for script in ranked) or 'none'}."
        )
    wanted = set(scripts) or frozenset().union(*(found[number] for number in used if number in found))
    kept = set(used)
    for number, text in texts.items():
        if text is None:  # bytes that are a part of a character: of which script, only its other bytes say
            kept |= {number} if scripts else set()
        elif found[number] <= wanted and (scripts or len(text) == 1):
            kept.add(number)
    return kept


def _find_used(folder: Path, texts: Sequence[str], tokenizer: HostTokenizer) -> set[int]:
    """The ids that texts use, before they are truncated."""
    from tokenizers import Tokenizer

    whole = Tokenizer.from_file(str(folder / TOKENIZER))
    whole.no_padding()
    whole.no_truncation()
    used: set[int] = set()
    for start in range(0, len(texts), TEXTS_AT_ONCE):
        part = texts[start : start + TEXTS_AT_ONCE]
        for encoding in whole.encode_batch_fast([text.lower() for text in part] if tokenizer.do_lower_case else part):
            used.update(encoding.ids)
    return used


def _fixed(config: EncoderConfig, vocabulary: Vocabulary) -> set[int]:
    """The ids that the encoder itself knows: of the padding, which in RoBERTa must also stay where it is."""
    transformer = config.transformer
    known = set(vocabulary.ids.values())
    padding = max(transformer.position_offset - 1, 0)
    return ({transformer.pad_token_id} | set(range(padding + 1 if transformer.position_offset else 0))) & known


def _write_tokenizer(folder: Path, parts: Mapping[str, Any], new_ids: Mapping[int, int]) -> None:
    (folder / TOKENIZER).write_text(json.dumps(parts, ensure_ascii=False), encoding="utf-8")
    for name in OTHER_FILES:
        (folder / name).unlink(missing_ok=True)
    settings = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
    if "added_tokens_decoder" in settings:
        tokens = settings["added_tokens_decoder"].items()
        settings["added_tokens_decoder"] = {str(new_ids[int(number)]): token for number, token in tokens}
    (folder / SETTINGS).write_text(json.dumps(settings, ensure_ascii=False), encoding="utf-8")


def _trim_encoder(encoder: Encoder, old_ids: np.ndarray) -> Encoder:
    """The encoder with the rows of the kept ids: of each weight that has a row for each token."""
    transformer = encoder.config.transformer
    places = {int(old): new for new, old in enumerate(old_ids)}
    shape = dataclasses.replace(
        transformer,
        vocabulary_size=len(old_ids),
        pad_token_id=places.get(transformer.pad_token_id, 0),
    )
    config = dataclasses.replace(encoder.config, transformer=shape)
    weights, before = KerasWeights(encoder), list_shapes(encoder.config)
    rows = {path for path, size in list_shapes(config).items() if size != before[path]}

    def read(path: str) -> np.ndarray:
        return weights[path][old_ids] if path in rows else weights[path]

    return make_encoder(config, ComputedWeights(before, read))


def _check_same(before: HostTokenizer, after: HostTokenizer, old_ids: np.ndarray, texts: Sequence[str]) -> None:
    for start in range(0, len(texts), TEXTS_AT_ONCE):
        part = texts[start : start + TEXTS_AT_ONCE]
        for text, expected, found in zip(part, before(part), after(part), strict=True):
            if len(expected) != len(found) or old_ids[found].tolist() != expected:
                raise TfchainError(
                    f"The smaller tokenizer must give each text the tokens of the larger. Received others for "
                    f"{text!r:.100}. Report this tokenizer, and leave TrimVocabulary out."
                )
