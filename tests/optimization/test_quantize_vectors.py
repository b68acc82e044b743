"""Chains whose index keeps vectors in few bits: searched, saved, exported, trained again, and measured."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tfchain import Distill, NeuralSearchChain, Quantize, QuantizeVectors, ReduceDimensions, Shrink
from tfchain.core.errors import InputError
from tfchain.core.types import Document
from tfchain.models.indexes.storage import VectorStorage
from tfchain.models.text_encoder import TextEncoder
from tfchain.optimization.compress import compress_best
from tfchain.optimization.recipes import check_recipes, name_recipes
from tfchain.optimization.rule import Rule
from tfchain.tasks.search.evaluation import make_evaluation, read_evaluation
from tfchain.tasks.search.search import PassageConfig

WORDS = ("the cat", "a dog", "stocks", "monday", "who", "what", "sleeps")
DOCUMENTS = [" ".join(words) for words in itertools.product(WORDS, WORDS)] + [
    "the cat sleeps. " * 12 + "stocks fell on monday.",
    "who does what. " * 12,
]
QUERIES = ["the cat sleeps on monday", "who", "a dog", "stocks fell"]
RECIPES = [
    QuantizeVectors("int8"),
    QuantizeVectors("binary", rescore_multiplier=2),
    QuantizeVectors("binary", codes="signs"),
    QuantizeVectors("binary", rescore_multiplier=None),
]


def make_chain(path: Path) -> NeuralSearchChain:
    return NeuralSearchChain.from_pretrained(path, engine="tensorflow").add(DOCUMENTS)


def ids(chain: NeuralSearchChain, top_k: int = 5) -> list[list[str]]:
    return [[hit.id for hit in result.hits] for result in chain.search(QUERIES, top_k=top_k)]


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda one: one.label)
def test_the_small_vectors_are_searched_saved_and_exported(
    recipe: QuantizeVectors, thin_model_path: Path, tmp_path: Path
) -> None:
    chain = make_chain(thin_model_path)
    whole, vector = chain.index.vectors, chain.encode("a dog")
    report = chain.compress([ReduceDimensions(8), recipe])
    assert report.kept == f"truncate(8) + {recipe.label}"
    assert chain.is_stale
    found = ids(chain)
    stored = chain.index.vectors
    assert len(stored.vectors) == len(whole.vectors) > len(DOCUMENTS)  # two documents have several passages
    assert (stored.vectors.dtype, stored.vectors.shape[1]) == (
        ("int8", 8) if recipe.precision == "int8" else ("uint8", 1)
    )
    assert (stored.codebook is not None) == (recipe.precision == "binary" and recipe.codes == "learned")
    assert chain.encode("a dog").dtype == vector.dtype == np.float32  # the model's own vectors stay

    again = NeuralSearchChain.load(chain.save(tmp_path / "index"), engine="tensorflow")
    assert again.text_encoder.vector_storage == recipe.storage
    assert not again.is_stale
    assert ids(again) == found
    again.add([{"id": "new", "text": "the dog sleeps"}]).remove("0")
    more = NeuralSearchChain.load(again.save(tmp_path / "index"), engine="tensorflow")
    assert ids(more) == ids(again)
    np.testing.assert_array_equal(more.index.vectors.vectors, again.index.vectors.vectors)

    version = chain.export(tmp_path / "search", top_k=5)  # its answers were compared with the chain's
    described = json.loads((version / "assets.extra" / "tfchain.json").read_text())
    assert described["vectors"] == recipe.storage.to_dict()
    assert ("PopulationCount" in described["ops"]) == (recipe.precision == "binary")
    answers = tf.saved_model.load(str(version)).signatures["serving_default"](tf.constant(QUERIES))
    scores = [[hit.score for hit in result.hits] for result in chain.search(QUERIES, top_k=5)]
    np.testing.assert_allclose(answers["scores"], scores, atol=1e-5)


@pytest.mark.usefixtures("eager")
def test_a_second_fit_trains_the_float_model_and_the_index_is_made_anew(thin_model_path: Path) -> None:
    chain = make_chain(thin_model_path)
    chain.compress([ReduceDimensions(8, "pca"), QuantizeVectors("binary")])
    ids(chain)
    before, book = chain.model.get_weights(), chain.index.vectors.codebook
    chain.fit([("cat", "the cat"), ("dog", "a dog"), ("who", "what")], epochs=1, batch_size=3, learning_rate=0.01)
    assert chain.is_stale
    assert chain.text_encoder.vector_storage == VectorStorage("binary")
    changed = [np.abs(old - new).max() > 0 for old, new in zip(before, chain.model.get_weights(), strict=True)]
    assert changed[-1]  # the head that reduces
    assert sum(changed) > len(changed) / 2
    ids(chain)
    assert chain.index.vectors.codebook is not book


@pytest.mark.usefixtures("eager")
def test_a_validation_while_training_ranks_by_the_vectors_as_they_are_kept(thin_model_path: Path) -> None:
    chain = make_chain(thin_model_path)
    relevant = {str(number): 1 for number in range(0, 49, 3)}
    dataset = {"queries": {text: text for text in QUERIES}, "qrels": dict.fromkeys(QUERIES, relevant)}
    chain.compress([QuantizeVectors("binary", rescore_multiplier=None, codes="signs")])
    pairs = [("cat", "the cat"), ("dog", "a dog"), ("who", "what")]
    history = chain.fit(pairs, epochs=1, batch_size=3, learning_rate=1e-3, validation=dataset)
    measured = chain.evaluate(dataset)
    assert {name: history.history[name] for name in measured} == {
        name: [pytest.approx(value, abs=1e-9)] for name, value in measured.items()
    }
    chain.text_encoder = chain.text_encoder.with_vector_storage(VectorStorage())
    assert abs(chain.evaluate(dataset)["map@100"] - measured["map@100"]) > 1e-3


def test_an_index_made_with_other_settings_is_not_taken_for_this_one(thin_model_path: Path, tmp_path: Path) -> None:
    whole = TextEncoder.from_pretrained(thin_model_path, engine="tensorflow")
    storages = [
        VectorStorage(),
        *(one.storage for one in RECIPES),
    ]
    made = [whole.with_vector_storage(one) for one in storages]
    assert len({one.fingerprint for one in made}) == len(storages)
    assert made[0].fingerprint == whole.fingerprint
    assert {one.encoder_fingerprint for one in made} == {whole.encoder_fingerprint}
    folder = tmp_path / "model"
    folder.mkdir()
    made[2].save(folder)
    assert TextEncoder.from_pretrained(folder).vector_storage == storages[2]
    assert made[2].with_precision("bfloat16").vector_storage == storages[2]


def test_a_codebook_that_was_learned_anew_never_meets_the_old_codes(thin_model_path: Path, tmp_path: Path) -> None:
    chain = make_chain(thin_model_path)
    chain.compress([ReduceDimensions(8), QuantizeVectors("binary")])
    chain.save(tmp_path / "index")
    old = {one.name for one in (tmp_path / "index").glob("codebook-*")}
    chain.remove([str(number) for number in range(15)])
    chain.reindex()  # learns of fewer documents
    again = NeuralSearchChain.load(chain.save(tmp_path / "index"), engine="tensorflow")
    assert len(old) == 1
    assert {one.name for one in (tmp_path / "index").glob("codebook-*")} & old == set()
    np.testing.assert_array_equal(again.index.vectors.vectors, chain.index.vectors.vectors)
    assert ids(again) == ids(chain)


def test_the_report_weighs_the_index_with_the_files(thin_model_path: Path) -> None:
    documents = [Document(str(number), text) for number, text in enumerate(DOCUMENTS[:20])]
    read = read_evaluation({"queries": {"q": "the cat"}, "qrels": {"q": {"0": 1}}})
    evaluate = make_evaluation(read, documents, PassageConfig(), metrics=["ndcg@10"], index_bytes=True)
    made, report = compress_best(
        TextEncoder.from_pretrained(thin_model_path, engine="tensorflow"),
        [[QuantizeVectors("binary", codes="signs")]],
        Rule(objective="ndcg@10", keep="smallest", max_loss=1.0),
        evaluate=evaluate,
    )
    assert [one.index_bytes for one in report.candidates] == [20 * 64, 20 * 2]
    assert [list(one.metrics) for one in report.candidates] == [["ndcg@10"]] * 2
    # The files differ by a byte or two, if at all: an identifier in them is a random number.
    assert abs(report.candidates[0].size_bytes - report.candidates[1].size_bytes) < 20 * 62
    assert report.kept == "binary vectors (rescored x4, signs)"
    assert made.vector_storage.precision == "binary"


@pytest.mark.parametrize(("values", "message"), [
    ({"precision": "float16"}, "`precision` of QuantizeVectors must be one of int8, binary. Received: precision='floa"),
    ({"precision": ["int8"]}, "Received: precision=\\['int8'\\]"),
    ({"precision": "binary", "rescore_multiplier": 0}, "at least 1. Received: rescore_multiplier=0. Give None"),
    ({"precision": "binary", "codes": "itq"}, "`codes` of vectors must be one of learned, signs"),
])  # fmt: skip
def test_a_recipe_out_of_range_is_one_clear_error(values: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        QuantizeVectors(**values)


def test_bits_are_refused_for_a_model_compared_by_scalar_products(thin_model_path: Path) -> None:
    chain = NeuralSearchChain.from_pretrained(thin_model_path, engine="tensorflow", similarity="dot")
    with pytest.raises(InputError, match="Binary vectors need the similarity 'cosine'"):
        chain.compress([QuantizeVectors("binary")])
    assert chain.text_encoder.vector_storage.is_plain


def test_vectors_come_after_everything_else_and_their_width_before_numbers() -> None:
    whole = [Shrink(layers=1), Distill(), ReduceDimensions(4), Quantize("int8"), QuantizeVectors("int8")]
    assert check_recipes(whole) == tuple(whole)
    assert name_recipes(whole) == "shrink(layers=1) + distill + truncate(4) + int8 + int8 vectors"
    for one, other in itertools.pairwise(whole):
        with pytest.raises(InputError, match="Distill, ReduceDimensions, Quantize, QuantizeVectors.*Received"):
            check_recipes([other, one])
