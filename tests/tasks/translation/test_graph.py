"""The graph of a version, before it is written."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tests.tiny_translation import make_tiny_chain
from tfchain.chains.translation import TranslationChain
from tfchain.core.errors import InputError
from tfchain.models.seq2seq.seq2seq_model import Seq2SeqModel
from tfchain.tasks.translation.graph import make_graph
from tfchain.tasks.translation.options import TranslationOptions

SMALL = Path(__file__).parents[2] / "parity" / "translation_fixtures"


@pytest.fixture(scope="module")
def chain() -> TranslationChain:
    return make_tiny_chain(generation={"max_length": 6})


def test_a_graph_gives_its_proofs(chain: TranslationChain) -> None:
    graph = make_graph(chain.model, chain.task.options, ["The cat sleeps.", "Half \ud83d"], {"num_beams": 2})
    assert set(graph.signatures) == {"translate", "serving_default", "generate"}
    (proof,) = graph.proofs
    assert proof.inputs["text"][-1] == "Half \ufffd".encode()  # what Python translates of half a pair
    found = graph.signatures["translate"](tf.constant(proof.inputs["text"]))
    np.testing.assert_array_equal(found["translation"], proof.outputs["translation"])
    assert found["score"].shape == proof.inputs["text"].shape


def test_a_model_of_several_languages_has_them_in_its_graph() -> None:
    """The small M2M-100 folder of the parity tests."""
    model = Seq2SeqModel.from_pretrained(SMALL / "m2m_100")
    options = TranslationOptions(source_language="en", target_language="fr", generation={"max_length": 6})
    graph = make_graph(model, options, [], {"num_beams": 1})
    assert set(graph.signatures) == {"translate", "serving_default", "generate", "translate_between"}
    for proof in graph.proofs:
        inputs = {name: tf.constant(value) for name, value in proof.inputs.items()}
        found = graph.signatures[proof.signature](**inputs)
        np.testing.assert_array_equal(found["translation"], proof.outputs["translation"])


@pytest.mark.parametrize(("target", "proved"), [(None, ["translate"]), ("fra", ["translate", "translate_between"])])
def test_texts_of_marian_name_their_language_or_the_version_does(target: str | None, proved: list[str]) -> None:
    model = Seq2SeqModel.from_pretrained(SMALL / "marian")
    options = TranslationOptions(target_language=target, generation={"max_length": 4})
    graph = make_graph(model, options, [], {"num_beams": 1})
    assert [proof.signature for proof in graph.proofs] == proved
    proof = graph.proofs[-1]  # which is an error of the server where it names no language
    found = graph.signatures[proof.signature](**{name: tf.constant(value) for name, value in proof.inputs.items()})
    np.testing.assert_array_equal(found["translation"], proof.outputs["translation"])


def test_what_a_version_cannot_do_is_said(chain: TranslationChain) -> None:
    with pytest.raises(InputError, match="A version answers alike each time"):
        make_graph(chain.model, TranslationOptions(generation={"do_sample": True}), [], {})
    with pytest.raises(InputError, match="`signatures` must be 'text'"):
        chain.task.check_serving(signatures="ids", options={})
