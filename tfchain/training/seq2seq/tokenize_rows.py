"""Turns parallel texts into the token ids that a training reads."""

import logging
from collections.abc import Sequence

import numpy as np

from tfchain.core.errors import InputError
from tfchain.models.seq2seq.seq2seq_model import Seq2SeqModel
from tfchain.training.seq2seq.token_batches import TokenRows

logger = logging.getLogger(__name__)

BLOCK_ROWS = 4096


def tokenize_rows(
    model: Seq2SeqModel,
    sources: Sequence[str],
    targets: Sequence[str],
    *,
    source_language: str | None = None,
    target_language: str | None = None,
) -> TokenRows:
    """Tokenizes sources and targets with what the model puts around them.

    Texts that are too long for the model are truncated, and their number is logged: what is missing of a target is not
    learnt, and a truncated target teaches to end early.

    Args:
        model: The model.
        sources: Texts of the source language.
        targets: Their translations.
        source_language: The language of the sources, for a model of several. Default: the model's.
        target_language: The language of the targets, for a model of several. Default: the model's.

    Raises:
        InputError: if the numbers of texts differ, a language is missing, or the model does not have it.
    """
    if len(sources) != len(targets):
        raise InputError(f"There must be a target for each source. Received: {len(sources)} and {len(targets)}.")
    language = target_language or model.languages[1]
    if model.tokenizer.languages and not model.tokenizer.frame.names_target:
        source = source_language or model.languages[0]
        if language is None or source is None:
            raise InputError(
                "`source_language` and `target_language` must be given to train a model of several languages. "
                f"Received: {source!r} and {language!r}.",
                argument="target_language",
            )
    longest = model.max_source_length
    encoded_sources: list[np.ndarray] = []
    encoded_targets: list[np.ndarray] = []
    for start in range(0, len(sources), BLOCK_ROWS):
        part = slice(start, start + BLOCK_ROWS)
        found = model.encode_sources(sources[part], source_language=source_language, target_language=target_language)
        encoded_sources += [np.array(token_ids, np.int32) for token_ids in found]
        found = model.tokenizer.encode_targets(targets[part], language=language, max_length=longest)
        encoded_targets += [np.array(token_ids, np.int32) for token_ids in found]
    rows = TokenRows(encoded_sources, encoded_targets)
    cut = int((rows.lengths() >= longest).any(axis=1).sum())
    if cut:
        logger.warning("%d of %d rows have a text of %d tokens or more, and are truncated.", cut, len(rows), longest)
    return rows
