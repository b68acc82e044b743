"""Models from text to text made from nothing: a vocabulary learnt from the data, and new weights."""

import random
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tfchain.core.errors import InputError
from tfchain.models.seq2seq.folder import write_seq2seq_folder
from tfchain.models.seq2seq.generation_options import GenerationOptions
from tfchain.models.seq2seq.seq2seq_model import Seq2SeqModel
from tfchain.models.seq2seq.transformer import Seq2SeqTransformer
from tfchain.runtime.random_state import kept_random_state
from tfchain.training.seq2seq.new_model_shape import NewModel
from tfchain.training.seq2seq.vocabulary import learn_vocabulary


def make_new_model(
    sources: Sequence[str],
    targets: Sequence[str],
    shape: NewModel | None = None,
    *,
    seed: int = 0,
) -> Seq2SeqModel:
    """Makes a model that knows the pieces of its training texts, and nothing else yet.

    Args:
        sources: Texts of the source language.
        targets: Texts of the target language.
        shape: The model's shape. Default: `NewModel()`.
        seed: The seed of the weights. Default: 0.

    Raises:
        InputError: if the shape is no `NewModel`, or the vocabulary cannot be learnt.
        TfchainError: if sentencepiece is not installed.
    """
    shape = NewModel() if shape is None else shape
    if not isinstance(shape, NewModel):
        raise InputError(f"`shape` must be a NewModel. Received: {shape!r:.60}.", argument="shape")
    vocabulary = learn_vocabulary(sources, targets, shape.vocabulary)
    config = shape.to_config(vocabulary)
    with kept_random_state():
        random.seed(seed)  # Keras draws the seeds of weights from it
        transformer = Seq2SeqTransformer(config)
    options = GenerationOptions(
        num_beams=4,
        max_length=shape.max_length,
        bad_words_ids=((config.decoder_start_token_id,),),  # padding is never written
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        write_seq2seq_folder(path, transformer, tokenizer_files=vocabulary.files(), options=options)
        return Seq2SeqModel.from_pretrained(path)
