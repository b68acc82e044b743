"""A version that translates: the model's graph from text to text, with the answers that it must give."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tfchain.core.errors import InputError
from tfchain.core.proof import Proof
from tfchain.core.signatures import SERVING_DEFAULT, Halves
from tfchain.core.texts import replace_surrogates
from tfchain.models.seq2seq.graph import TRANSLATE, TRANSLATE_BETWEEN, TranslationGraph
from tfchain.models.seq2seq.seq2seq_model import Seq2SeqModel
from tfchain.runtime.fork import check_tensorflow_runs
from tfchain.tasks.text_graph import to_array
from tfchain.tasks.translation.options import TranslationOptions
from tfchain.tasks.translation.translating import find_languages, merge_generation, translate_texts

# Every version is asked these, besides sources of its training.
SAMPLE_TEXTS = ("Where is the station?", "«It’s 20 °C», she said; isn't it?", "你好，我是一个智能助手。", " \u3000")
MOST_TEXTS = 4
MOST_CHARACTERS = 200


@dataclass
class ServedGraph:
    """The graph of a version; see `core.task.Graph`."""

    module: Any
    signatures: dict[str, Any]
    proofs: list[Proof]
    litert_proofs: Sequence[Any] = ()
    halves: Mapping[str, Halves] = field(default_factory=dict)
    methods: Mapping[str, str] = field(default_factory=dict)


def make_graph(
    model: Seq2SeqModel, options: TranslationOptions, texts: Sequence[str], generation: Mapping[str, Any]
) -> ServedGraph:
    """Makes the graph of a version: `models.seq2seq.graph` says what its signatures take and give.

    `translate` is also `serving_default`. A text is translated as a whole; one that is too long is cut off.

    Args:
        model: The model.
        options: The languages, and the choices of generation.
        texts: Sources of the training, for proofs.
        generation: Choices that differ from these, for this version.

    Raises:
        InputError: if a language or a choice is unknown or out of range, a language is missing, or the version would
            draw its translations.
    """
    check_tensorflow_runs()
    chosen = model.choose(**merge_generation(options, generation))
    if chosen.do_sample:
        raise InputError(
            "A version answers alike each time. Received: do_sample=True. Leave it out.", argument="do_sample"
        )
    graph = TranslationGraph(model, options=chosen, **find_languages(model, options))
    if TRANSLATE not in graph.signatures:
        raise InputError(
            "A version of a model of several languages must have a source and a target language. Received: "
            f"source_language={options.source_language!r}, target_language={options.target_language!r}. Name both.",
            argument="source_language",
        )
    signatures = {**graph.signatures, SERVING_DEFAULT: graph.signatures[TRANSLATE]}
    asked = [*SAMPLE_TEXTS, *(replace_surrogates(text[:MOST_CHARACTERS]) for text in texts[:MOST_TEXTS])]
    # The model computes these by a graph of its own, batch by batch.
    answers = {"translation": to_array(translate_texts(model, asked, options, **generation))}
    inputs = {"text": to_array(asked)}
    proofs = [Proof(TRANSLATE, inputs, answers)]
    named = (options.source_language or model.languages[0], options.target_language or model.languages[1])
    if TRANSLATE_BETWEEN in signatures and named[1]:  # texts of Marian may begin with their language instead
        names = ("source_language", "target_language")
        languages = {
            name: np.array([(language or "").encode()] * len(asked), dtype=object)
            for name, language in zip(names, named, strict=True)
        }
        proofs.append(Proof(TRANSLATE_BETWEEN, {**inputs, **languages}, answers))
    return ServedGraph(graph.module, signatures, proofs)
