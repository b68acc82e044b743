"""Translates with a model as a chain does: its languages and choices, long texts by sentences, a glossary kept."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfchain.core.errors import InputError, TfchainError
from tfchain.models.seq2seq.generation_options import GenerationOptions
from tfchain.models.seq2seq.seq2seq_model import Seq2SeqModel
from tfchain.tasks.translation.constrained import Spelling, search_with_phrases
from tfchain.tasks.translation.glossary import Glossary, spell
from tfchain.tasks.translation.options import TranslationOptions
from tfchain.tasks.translation.sentences import SplitText, split_text

SPARE_TOKENS = 4  # that a translation with phrases may have beside: a language, an end, and two to join them
ANY_LENGTH = 1 << 30  # tokens: nothing is cut off
SPECIAL_TOKENS = 3  # the most that a tokenizer puts around a source: a language, an end, and one to spare


def translate_texts(
    model: Seq2SeqModel,
    texts: Sequence[str],
    options: TranslationOptions,
    *,
    batch_size: int = 32,
    seed: int = 0,
    progress: bool | None = False,
    **generation: Any,
) -> list[str]:
    """Translates texts as they are; a text that is too long for the model is cut off.

    Equal texts are translated once; texts of similar length share a batch. A text of white space alone stays what it
    is.

    Args:
        model: The model.
        texts: The texts.
        options: The languages, and the choices of generation.
        batch_size: The most texts in one step. Default: 32.
        seed: For draws. Default: 0.
        progress: Whether to show a progress bar. Default: False.
        **generation: Other choices of generation; None takes that of the options.

    Raises:
        InputError: if a language or a choice is unknown or out of range.
    """
    distinct = [text for text in dict.fromkeys(texts) if text.strip()]
    made = {}
    if distinct:
        translations = model.translate(
            distinct,
            **find_languages(model, options),
            batch_size=batch_size,
            seed=seed,
            progress=progress,
            **merge_generation(options, generation),
        )
        made = dict(zip(distinct, translations, strict=True))
    return [made.get(text, text) for text in texts]


def translate_long_texts(
    model: Seq2SeqModel,
    texts: Sequence[str],
    options: TranslationOptions,
    *,
    glossary: Glossary | None = None,
    is_split: bool = True,
    batch_size: int = 32,
    seed: int = 0,
    progress: bool | None = False,
    **generation: Any,
) -> list[str]:
    """Translates texts sentence by sentence, with the white space between sentences as it is.

    A sentence whose translation lacks a term of the glossary is translated again by `search_with_phrases`, so that the
    translation of each sentence holds the translation of each of its terms.

    Args:
        model: The model.
        texts: The texts, of any length.
        options: The languages, and the choices of generation.
        glossary: Terms with their translations. Default: none.
        is_split: Whether texts are cut into sentences; else each is one, without the white space around it.
            Default: True.
        batch_size: As in `translate_texts`.
        seed: As in `translate_texts`.
        progress: As in `translate_texts`.
        **generation: As in `translate_texts`.

    Raises:
        InputError: if a language or a choice is unknown or out of range, or the vocabulary cannot write the translation
            of a term that a text has.
    """
    split = [_split(model, text, glossary) if is_split else SplitText(("", ""), (text,)) for text in texts]
    sentences = list(dict.fromkeys(sentence for parts in split for sentence in parts.sentences))
    needed = {
        sentence: list(dict.fromkeys(glossary.find(sentence).values())) if glossary is not None else []
        for sentence in sentences
    }
    _spell(model, list(dict.fromkeys(phrase for phrases in needed.values() for phrase in phrases)))  # raises
    translations = translate_texts(
        model, sentences, options, batch_size=batch_size, seed=seed, progress=progress, **generation
    )
    made = dict(zip(sentences, translations, strict=True))
    chosen = model.choose(**merge_generation(options, generation))
    for sentence, phrases in needed.items():
        if any(phrase.strip() not in made[sentence] for phrase in phrases):
            made[sentence] = translate_with_phrases(model, sentence, phrases, options, chosen, without=made[sentence])
    return [parts.join([made[sentence] for sentence in parts.sentences]) for parts in split]


def translate_with_phrases(
    model: Seq2SeqModel,
    text: str,
    phrases: Sequence[str],
    options: TranslationOptions,
    generation: GenerationOptions,
    *,
    without: str | None = None,
) -> str:
    """Translates a text so that its translation holds phrases, letter by letter.

    Args:
        model: The model.
        text: The text.
        phrases: The phrases, in the target language.
        options: The languages.
        generation: `num_beams`, `max_length` and `length_penalty`; other choices are not made here.
        without: The translation without the phrases; one with them is at most half as long again, and the phrases.
            Default: `max_length` alone limits it.

    Raises:
        InputError: if the vocabulary cannot write a phrase, or the phrases are longer than a translation.
    """
    tokenizer, config = model.tokenizer, model.transformer.config
    named = find_languages(model, options)

    spellings = _spell(model, phrases)
    longest = generation.max_length - 1  # that of the options counts the decoder's start
    if without is not None:
        added = sum(max(len(spelling.token_ids) for spelling in found) for found in spellings)
        longest = min(longest, len(_encode(model, without)) * 3 // 2 + added + SPARE_TOKENS)
    with model.unchanged():
        step, prefix = _make_step(model, text, named, generation)
        token_ids = search_with_phrases(
            step,
            spellings,
            end_id=config.eos_token_id,
            max_length=longest,
            num_beams=generation.num_beams,
            length_penalty=generation.length_penalty,
            prefix=prefix,
        )
    written = tokenizer.decode([token_ids])[0]
    missing = [phrase for phrase in phrases if phrase.strip() not in written]
    if missing:  # the tokens are there, but the text joins them in another way
        raise TfchainError(
            f"The translation of {text!r:.60} must hold {missing[0]!r} of the glossary. Received: {written!r:.60}. "
            "Leave the term out, and report this."
        )
    return written


def _encode(model: Seq2SeqModel, text: str) -> list[int]:
    """Returns the tokens of a text of the target language, without its end, however many."""
    (token_ids,) = model.tokenizer.encode_targets([text], max_length=ANY_LENGTH)
    return [token for token in token_ids if token != model.transformer.config.eos_token_id]


def _spell(model: Seq2SeqModel, phrases: Sequence[str]) -> list[list[Spelling]]:
    """Returns how phrases are written in tokens.

    Raises:
        InputError: if the vocabulary cannot write one.
    """

    def encode(phrase: str) -> list[int]:
        return _encode(model, phrase)

    return [spell(phrase, encode=encode, decode=lambda ids: model.tokenizer.decode([ids])[0]) for phrase in phrases]


def _make_step(
    model: Seq2SeqModel, text: str, named: Mapping[str, Any], generation: GenerationOptions
) -> tuple[Any, tuple[int, ...]]:
    """Returns a function from targets so far to the log probabilities of the next token, and how a target begins."""
    transformer = model.transformer
    config = transformer.config
    (source,) = model.encode_sources([text], **named)
    states = np.asarray(
        transformer.encoder({"token_ids": np.array([source]), "padding_mask": np.ones((1, len(source)))})
    )
    banned = [words[0] for words in generation.bad_words_ids if len(words) == 1]

    def step(prefixes: Sequence[tuple[int, ...]]) -> np.ndarray:
        # Padding at the end changes nothing before it, and Keras warns of an attention to a single token.
        rows = [(config.decoder_start_token_id, *prefix, config.pad_token_id) for prefix in prefixes]
        inputs = {
            "target_ids": np.array(rows, "int32"),
            "states": np.repeat(states, len(prefixes), axis=0),
            "padding_mask": np.ones((len(prefixes), len(source)), "int32"),
        }
        logits = np.asarray(transformer.decoder(inputs))[:, -2].astype("float64")
        logits[:, banned] = -1e9
        logits -= logits.max(axis=1, keepdims=True)
        scores: np.ndarray = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        return scores

    forced = generation.forced_bos_token_id
    if model.tokenizer.languages and not model.tokenizer.frame.names_target:
        forced = model.tokenizer.find_language(named.get("target_language") or model.languages[1])
    return step, () if forced is None else (forced,)


def count_tokens(model: Seq2SeqModel, texts: Sequence[str]) -> list[int]:
    """Returns the numbers of tokens of texts, without special tokens and without truncation."""
    if not texts:
        return []
    encoded = model.tokenizer.encode(list(texts), max_length=ANY_LENGTH)
    return [max(0, len(token_ids) - 1) for token_ids in encoded]  # without the end


def find_languages(model: Seq2SeqModel, options: TranslationOptions) -> dict[str, str]:
    """Returns the languages to name to the model: none for a model of one pair, whose data may still name them."""
    if not model.tokenizer.languages:
        return {}
    named = {"source_language": options.source_language, "target_language": options.target_language}
    return {name: language for name, language in named.items() if language is not None}


def name_languages(
    model: Seq2SeqModel, options: TranslationOptions, source_language: str | None, target_language: str | None
) -> TranslationOptions:
    """Returns options with the languages that a call names, if it names any.

    Raises:
        InputError: if a name is no text, or a model of one pair is to translate another.
    """
    given = {"source_language": source_language, "target_language": target_language}
    changes: dict[str, Any] = {
        name: language for name, language in given.items() if language not in (None, getattr(options, name))
    }
    if changes and not model.tokenizer.languages:
        name, language = next(iter(changes.items()))
        raise InputError(
            "The model translates one pair of languages, so no other can be named. Received: "
            f"{name}={language!r}, where the chain has {getattr(options, name)!r}. Leave it out.",
            argument=name,
        )
    return dataclasses.replace(options, **changes)


def merge_generation(options: TranslationOptions, generation: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the choices of generation that differ from the model's own.

    Raises:
        InputError: for one that returns several translations of a text.
    """
    merged = {**options.generation, **{name: value for name, value in generation.items() if value is not None}}
    if merged.get("num_return_sequences", 1) != 1:
        raise InputError(
            "A chain gives one translation for each text. Received: num_return_sequences="
            f"{merged['num_return_sequences']!r}. Use `chain.model.translate` for several.",
            argument="num_return_sequences",
        )
    return merged


def _split(model: Seq2SeqModel, text: str, glossary: Glossary | None) -> SplitText:
    """Cuts a text into sentences that the model reads whole; terms of a glossary are not cut."""
    limit = max(1, model.max_source_length - SPECIAL_TOKENS - _count_prompt(model))
    kept = [] if glossary is None else glossary.find_spans(text)
    return split_text(text, limit=limit, count_tokens=lambda parts: count_tokens(model, parts), kept=kept)


def _count_prompt(model: Seq2SeqModel) -> int:
    return count_tokens(model, [model.prompt])[0] if model.prompt else 0
