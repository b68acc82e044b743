"""Steps by their names, as files of settings write them."""

import dataclasses
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from importlib import import_module
from typing import Any

from tfchain.core.errors import InputError
from tfchain.data.steps.step import Step

STEP_TYPES: dict[str, str] = {
    "filter_c4": "tfchain.data.cleaning.filter_c4:FilterC4",
    "filter_gopher": "tfchain.data.cleaning.filter_gopher:FilterGopher",
    "filter_language": "tfchain.data.cleaning.filter_language:FilterLanguage",
    "filter_length": "tfchain.data.cleaning.filter_length:FilterLength",
    "filter_repetition": "tfchain.data.cleaning.filter_repetition:FilterRepetition",
    "filter_symbols": "tfchain.data.cleaning.filter_symbols:FilterSymbols",
    "mask_personal_data": "tfchain.data.cleaning.mask_personal_data:MaskPersonalData",
    "mask_secrets": "tfchain.data.cleaning.mask_secrets:MaskSecrets",
    "remove_markup": "tfchain.data.cleaning.remove_markup:RemoveMarkup",
    "remove_repeated_lines": "tfchain.data.cleaning.remove_repeated_lines:RemoveRepeatedLines",
    "repair_text": "tfchain.data.cleaning.repair_text:RepairText",
    "enforce_schema": "tfchain.data.checks.enforce_schema:EnforceSchema",
    "remove_exact_duplicates": "tfchain.data.deduplication.remove_exact_duplicates:RemoveExactDuplicates",
    "remove_near_duplicates": "tfchain.data.deduplication.remove_near_duplicates:RemoveNearDuplicates",
    "remove_semantic_duplicates": "tfchain.data.deduplication.remove_semantic_duplicates:RemoveSemanticDuplicates",
    "add_typos": "tfchain.data.augmentation.character_noise:AddTypos",
    "add_word_negatives": "tfchain.data.augmentation.word_negatives:AddWordNegatives",
    "crop_spans": "tfchain.data.augmentation.crops:CropSpans",
    "delete_words": "tfchain.data.augmentation.word_noise:DeleteWords",
    "drop_repeated_queries": "tfchain.data.augmentation.query_filters:DropRepeatedQueries",
    "filter_round_trip": "tfchain.data.augmentation.query_filters:FilterRoundTrip",
    "generate_queries": "tfchain.data.augmentation.generated_queries:GenerateQueries",
    "inverse_cloze": "tfchain.data.augmentation.crops:InverseCloze",
    "misread_chinese": "tfchain.data.augmentation.chinese_noise:MisreadChinese",
    "mistype_chinese": "tfchain.data.augmentation.chinese_noise:MistypeChinese",
    "mistype_keys": "tfchain.data.augmentation.character_noise:MistypeKeys",
    "replace_synonyms": "tfchain.data.augmentation.synonyms:ReplaceSynonyms",
    "scan_errors": "tfchain.data.augmentation.ocr_noise:ScanErrors",
    "score_pairs": "tfchain.data.augmentation.pair_scores:ScorePairs",
    "swap_words": "tfchain.data.augmentation.word_noise:SwapWords",
    "synthesize_queries": "tfchain.data.augmentation.synthetic_queries:SynthesizeQueries",
    "translate_back": "tfchain.data.augmentation.back_translation:TranslateBack",
    "translate_column": "tfchain.data.augmentation.translated_column:TranslateColumn",
    "split_passages": "tfchain.data.documents.split_passages:SplitPassages",
}
"""Module and class of each step; imported on first use, since some need packages of an extra."""


def make_steps(entries: Sequence[Any]) -> list[Step]:
    """Makes steps of their names and settings.

    Args:
        entries: Each a name (`"repair_text"`), a dict of one name and its settings
            (`{"filter_length": {"least": 200}}`), or a `Step`, which stays as it is.

    Returns:
        The steps, in order.

    Raises:
        InputError: if a name or a setting does not exist, or a step refuses its settings.
    """
    return [entry if isinstance(entry, Step) else make_step(entry, number) for number, entry in enumerate(entries)]


def make_step(entry: Any, number: int) -> Step:
    """Makes one step; `number` is its position, for errors."""
    where = f"steps[{number}]"
    settings: Any
    if isinstance(entry, str):
        name, settings = entry, None
    elif isinstance(entry, Mapping) and len(entry) == 1 and isinstance(next(iter(entry)), str):
        name, settings = next(iter(entry.items()))
    else:
        raise InputError(
            f"`{where}` must be a step's name, or a dict of one name and its settings. Received: {entry!r:.80}."
        )
    step_type = find_step_type(name, where)
    settings = {} if settings is None else settings
    if not isinstance(settings, Mapping):
        raise InputError(f"The settings of `{where}` ({name}) must be a dict. Received: {settings!r:.80}.")
    known = [field.name for field in dataclasses.fields(step_type) if field.init and field.name not in step_type.needs]
    for key in settings:
        if key not in known:
            raise InputError(
                f"`{where}`: {name} has no setting {key!r}. Expected: {', '.join(known) or 'none'}."
                f"{suggest(key, known)}"
            )
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in settings.items()}
    return step_type(**values)


def find_step_type(name: str, where: str) -> type[Step]:
    """Returns the class of a step's name."""
    if name not in STEP_TYPES:
        raise InputError(
            f"`{where}`: no step is named {name!r}.{suggest(name, STEP_TYPES)} Expected one of: "
            f"{', '.join(sorted(STEP_TYPES))}."
        )
    module, _, attribute = STEP_TYPES[name].partition(":")
    found: type[Step] = getattr(import_module(module), attribute)
    return found


def suggest(name: Any, known: Any) -> str:
    """Returns a sentence with the known name that is closest; nothing if none is close."""
    close = get_close_matches(str(name), list(known), n=1)
    return f" Did you mean {close[0]!r}?" if close else ""
