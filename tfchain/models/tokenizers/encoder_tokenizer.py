"""The tokenizer of an encoder in Python: of single texts, of pairs, of pairs in a prompt, or of late interaction."""

from typing import Any

from tfchain.models.encoders.config import EncoderConfig
from tfchain.models.tokenizers.host import HostTokenizer
from tfchain.models.tokenizers.late import LateTokenizer
from tfchain.models.tokenizers.pairs import PairTokenizer
from tfchain.models.tokenizers.prompted_pairs import PromptedPairTokenizer


def make_host_tokenizer(
    tokenizer: Any, config: EncoderConfig | None, *, max_length: int, do_lower_case: bool = False
) -> HostTokenizer:
    """Makes the tokenizer of an encoder: of pairs for a cross-encoder, for late interaction, else of single texts.

    Args:
        tokenizer: As `HostTokenizer` takes it.
        config: The encoder's shape; None for a Keras model that is not one of tfchain's own.
        max_length: As in `HostTokenizer`.
        do_lower_case: As in `HostTokenizer`. Default: False.
    """
    options: dict[str, Any] = {"max_length": max_length, "do_lower_case": do_lower_case}
    if config is None:
        return HostTokenizer(tokenizer, **options)
    transformer = config.transformer
    options["pad_token_id"] = transformer.pad_token_id
    if transformer.has_token_flags:
        assert config.tokens is not None  # it says what the flags mean
        return LateTokenizer(tokenizer, tokens=config.tokens, vocabulary_size=transformer.vocabulary_size, **options)
    if transformer.pairs == "none":
        return HostTokenizer(tokenizer, **options)
    if transformer.pair_prompt is not None:
        return PromptedPairTokenizer(tokenizer, prompt=transformer.pair_prompt, **options)
    offset = transformer.vocabulary_size if transformer.given_token_types > 1 else 0
    return PairTokenizer(tokenizer, type_offset=offset, **options)
