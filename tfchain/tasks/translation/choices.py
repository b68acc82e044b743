"""The choices of generation that chains take as keyword arguments."""

from typing import TypedDict


class GenerationChoices(TypedDict, total=False):
    """Keyword arguments of `translate`; `models.seq2seq.generation_options.GenerationOptions` documents each."""

    num_beams: int
    max_length: int
    min_length: int
    length_penalty: float
    early_stopping: bool | str
    do_sample: bool
    temperature: float
    top_k: int
    top_p: float
    repetition_penalty: float
    no_repeat_ngram_size: int
