"""Two encoders that train together: which texts each encodes, its gradients, and what a training changes."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfchain import Mining, NeuralSearchChain
from tfchain.core.errors import InputError
from tfchain.core.hyperparameters import Hyperparameters
from tfchain.data.pairs.reading import read_pairs
from tfchain.models.engines.padding import pad
from tfchain.models.text_encoder import TextEncoder
from tfchain.training.batches.training_data import NO_TOKEN, QUERY, NamedPairs, make_training_set
from tfchain.training.fit.fit import fit_text_encoder
from tfchain.training.fit.options import FitOptions
from tfchain.training.fit.routed import RoutedEncoder
from tfchain.training.fit.training_copy import find_products, freeze_layers, make_training_copy, trained_weights
from tfchain.training.fit.training_hook import TrainingHook
from tfchain.training.losses import get_loss
from tfchain.training.mining.mine import mine_negatives

FIXTURES = Path(__file__).parents[2] / "parity" / "fixtures"
QUERIES = ["a fox", "sorted lists", "monday", "who runs"]
DOCUMENTS = ["the quick brown fox", "how do I merge two sorted lists", "stocks fell on monday", "the dog runs"]
ROWS = list(zip(QUERIES, DOCUMENTS, strict=True))


def make_encoder(route: str = "static") -> TextEncoder:
    """A BERT for documents; for queries a table, or a RoBERTa, whose padding has another id."""
    encoder = TextEncoder.from_pretrained(FIXTURES / "router", engine="tensorflow")
    if route == "roberta":
        encoder.query_route = TextEncoder.from_pretrained(FIXTURES / "roberta", engine="tensorflow")
    return encoder


def find_route(encoder: TextEncoder) -> TextEncoder:
    assert encoder.query_route is not None
    return encoder.query_route


def make_copy(encoder: TextEncoder, **hyperparameters: Any) -> keras.Model:
    route = find_route(encoder)
    settings = {"dropout": 0.0, **hyperparameters}
    pad_id = route.tokenizer.pad_token_id
    return make_training_copy(
        encoder.own_encoder, Hyperparameters(**settings), query_encoder=route.own_encoder, query_pad_id=pad_id
    )


def make_inputs(encoder: TextEncoder) -> dict[str, Any]:
    """All documents and queries in turn, as a step has them, and a query without tokens."""
    named = NamedPairs("rows", read_pairs(ROWS), get_loss("in_batch_softmax"))
    store = make_training_set(named, encoder, progress=False).store
    ids, mask = store.pad(store.rows.ravel(), pad_id=encoder.tokenizer.pad_token_id)
    return {"token_ids": ids, "padding_mask": mask}


@pytest.mark.parametrize("route", ["static", "roberta"])
def test_each_text_has_the_vector_of_its_own_encoder(route: str) -> None:
    encoder = make_encoder(route)
    inputs = make_inputs(encoder)
    vectors = make_copy(encoder)(inputs, training=True)
    np.testing.assert_allclose(vectors[0::2], encoder.encode_query(QUERIES), atol=1e-5)
    np.testing.assert_allclose(vectors[1::2], encoder.encode_document(DOCUMENTS), atol=1e-5)


def test_gradients_are_those_of_the_two_encoders_alone() -> None:
    encoder = make_encoder()
    copy = make_copy(encoder)
    target = tf.constant(np.random.default_rng(0).normal(size=(8, 24)).astype("float32"))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(copy(make_inputs(encoder), training=True) * target)
    found = tape.gradient(loss, [weight.value for weight in copy.trainable_weights])
    expected = []
    for side, texts, rows in ((encoder, DOCUMENTS, target[1::2]), (find_route(encoder), QUERIES, target[0::2])):
        prompt = side.query_prompt if side is not encoder else ""
        model = make_training_copy(side.own_encoder, Hyperparameters(dropout=0.0))
        ids, mask = pad(side.tokenizer([prompt + text for text in texts]), side.tokenizer.pad_token_id)
        with tf.GradientTape() as tape:
            alone = tf.reduce_sum(model({"token_ids": ids, "padding_mask": mask}, training=True) * rows)
        expected += tape.gradient(alone, [weight.value for weight in model.trainable_weights])
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(tf.convert_to_tensor(one), tf.convert_to_tensor(other), atol=1e-5)


def test_a_batch_of_one_side_and_a_query_without_tokens() -> None:
    encoder = make_encoder()
    copy = make_copy(encoder)
    alone = copy({"token_ids": np.array([[2, 9, 3]]), "padding_mask": np.ones((1, 3), "int32")}, training=False)
    np.testing.assert_allclose(alone, encoder.runner([[2, 9, 3]]), atol=1e-5)
    ids = np.array([[NO_TOKEN, 0], [QUERY + 9, QUERY + 8]])
    found = copy({"token_ids": ids, "padding_mask": np.array([[1, 0], [1, 1]])}, training=False)
    np.testing.assert_allclose(found, find_route(encoder).runner([[], [9, 8]]), atol=1e-5)


def test_it_survives_its_configuration() -> None:
    copy = make_copy(make_encoder())
    again = RoutedEncoder.from_config(copy.get_config())
    assert [weight.shape for weight in again.weights] == [weight.shape for weight in copy.weights]
    assert again.output_shape == (None, 24)


def test_both_learn_together_as_with_cached_gradients() -> None:
    hyperparameters = {"epochs": 3, "batch_size": 4, "learning_rate": 0.01, "warmup": 0, "dropout": 0.0}
    trained = []
    for size in (None, 2):
        encoder = make_encoder("roberta")
        before = [encoder.encode_document(DOCUMENTS), encoder.encode_query(QUERIES)]
        history = fit_text_encoder(encoder, ROWS, Hyperparameters(**hyperparameters, mini_batch_size=size))
        losses = history.history["loss"]
        assert losses[-1] < losses[0] - 0.01
        after = [encoder.encode_document(DOCUMENTS), encoder.encode_query(QUERIES)]
        assert all(np.abs(new - old).max() > 1e-3 for new, old in zip(after, before, strict=True))
        trained.append(after)
    np.testing.assert_allclose(trained[0], trained[1], atol=1e-4)


def test_a_frozen_side_keeps_its_vectors_and_so_its_index(eager: None) -> None:
    chain = NeuralSearchChain.from_pretrained(FIXTURES / "router", engine="tensorflow")
    chain.add(DOCUMENTS)
    fingerprint, query = chain.text_encoder.fingerprint, chain.encode_query("a fox")
    chain.fit(ROWS, epochs=2, batch_size=4, learning_rate=0.05, freeze=["documents"])
    assert chain.text_encoder.fingerprint == fingerprint
    assert np.abs(chain.encode_query("a fox") - query).max() > 1e-3
    assert chain.search("a fox").hits[0].text == DOCUMENTS[0]


def test_a_trained_encoder_for_queries_is_saved_over_the_untrained(eager: None, tmp_path: Path) -> None:
    chain = NeuralSearchChain.from_pretrained(FIXTURES / "router", engine="tensorflow")
    chain.add(DOCUMENTS)
    chain.save(tmp_path / "index")
    segments = sorted(path.name for path in (tmp_path / "index").glob("segment-*"))
    chain.fit(ROWS, epochs=2, batch_size=4, learning_rate=0.05, freeze=["documents"])
    chain.save(tmp_path / "index")
    loaded = NeuralSearchChain.load(tmp_path / "index", engine="tensorflow")
    np.testing.assert_allclose(loaded.encode_query("a fox"), chain.encode_query("a fox"), atol=1e-6)
    assert sorted(path.name for path in (tmp_path / "index").glob("segment-*")) == segments  # the vectors are kept
    assert len(list((tmp_path / "index").glob("model-*"))) == 1


def test_it_is_evaluated_with_both_and_its_negatives_are_mined(eager: None, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = make_encoder()
    seen: list[Any] = []
    mined: list[Any] = []
    scores = encoder.encode_query(QUERIES) @ encoder.encode_document(DOCUMENTS).T
    np.fill_diagonal(scores, -np.inf)
    hardest = [DOCUMENTS[row] for row in scores.argmax(axis=1)]  # by each text's own encoder, as they were at first

    def mine(*arguments: Any, **options: Any) -> Any:
        mined.append(mine_negatives(*arguments, **options))
        return mined[-1]

    monkeypatch.setattr("tfchain.training.mining.rounds.mine_negatives", mine)

    def evaluate(found: TextEncoder) -> dict[str, float]:
        seen.append((found.encode_query(QUERIES), found.encode_document(DOCUMENTS)))
        return {"score": float(len(seen))}

    options = FitOptions(mining=Mining(num_negatives=1, corpus=DOCUMENTS), progress=False)
    hyperparameters = Hyperparameters(epochs=2, batch_size=4, learning_rate=0.01)
    fit_text_encoder(encoder, ROWS, hyperparameters, options, evaluate=evaluate)
    np.testing.assert_allclose(seen[-1][0], encoder.encode_query(QUERIES), atol=1e-5)
    np.testing.assert_allclose(seen[-1][1], encoder.encode_document(DOCUMENTS), atol=1e-5)
    assert np.abs(seen[0][0] - seen[-1][0]).max() > 1e-4
    assert [list(column) for column in mined[0].columns] == [QUERIES, DOCUMENTS, hardest]


def test_a_stopped_training_of_both_goes_on_from_its_checkpoint(eager: None, tmp_path: Path) -> None:
    def stop(batch: int, logs: Any) -> None:
        seen.append(batch)
        if len(seen) == 3:
            raise KeyboardInterrupt

    seen: list[int] = []
    values = Hyperparameters(epochs=2, batch_size=2, learning_rate=0.01, warmup=0, dropout=0.0)
    whole, stopped = make_encoder(), make_encoder()
    fit_text_encoder(whole, ROWS, values, FitOptions(progress=False))
    kept: dict[str, Any] = {"checkpoint": tmp_path / "checkpoint", "checkpoint_every": 1, "progress": False}
    stopping = keras.callbacks.LambdaCallback(on_train_batch_end=stop)
    with pytest.raises(KeyboardInterrupt):
        fit_text_encoder(stopped, ROWS, values, FitOptions(callbacks=[stopping], **kept))
    steps: list[int] = []
    count = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: steps.append(batch))
    fit_text_encoder(stopped, ROWS, values, FitOptions(callbacks=[count], **kept))
    assert len(steps) < 4  # of two epochs of two
    np.testing.assert_allclose(stopped.encode_query(QUERIES), whole.encode_query(QUERIES), atol=1e-5)
    np.testing.assert_allclose(stopped.encode_document(DOCUMENTS), whole.encode_document(DOCUMENTS), atol=1e-5)


@pytest.mark.parametrize(
    ("patterns", "documents", "queries"),
    [
        (["queries/embeddings"], set(), {"embeddings"}),
        (["documents/layer_0"], {"layer_0"}, set()),
        (["layer_0", "queries/layer_*"], {"layer_0"}, {"layer_0", "layer_1"}),
        (["documents/*"], {"embeddings", "layer_0"}, set()),
        (["queries"], set(), {"embeddings", "layer_0", "layer_1"}),
        (["embeddings"], {"embeddings"}, {"embeddings"}),
    ],
)
def test_layers_of_one_side_or_of_both_are_frozen(patterns: list[str], documents: set[str], queries: set[str]) -> None:
    copy = make_copy(make_encoder("roberta"))
    freeze_layers(copy, tuple(patterns))
    for side, expected in ((copy.documents, documents), (copy.queries, queries)):
        assert {layer.name for layer in side.layers if layer.weights and not layer.trainable_weights} == expected


def test_a_pattern_that_matches_nothing_is_answered_with_the_layers_of_both_sides() -> None:
    with pytest.raises(
        InputError, match="which matches none. Layers: documents/.*documents/layer_0.*queries/embeddings"
    ):
        make_copy(make_encoder("roberta"), freeze=["documents/layer_7"])


@pytest.mark.parametrize(
    ("rows", "hyperparameters", "message"),
    [
        (
            QUERIES,
            {},
            "of a query and its documents. Received: dataset, whose rows are texts without .* or train a text",
        ),
        (ROWS, {"jit_compile": True}, "which TPUs and XLA do not have. Received: jit_compile=True. Train on"),
        (ROWS, {"freeze": ["documents", "queries"]}, "`freeze` leaves nothing to train"),
    ],
)
def test_what_cannot_be_trained_is_refused(rows: Any, hyperparameters: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        fit_text_encoder(make_encoder(), rows, Hyperparameters(**hyperparameters))


def test_hooks_are_refused() -> None:
    with pytest.raises(InputError, match="of one encoder. Received: TrainingHook, and a text encoder whose queries"):
        fit_text_encoder(make_encoder(), ROWS, Hyperparameters(), FitOptions(hooks=(TrainingHook(),)))


def test_low_rank_additions_are_of_both_sides_and_are_merged_into_their_weights() -> None:
    encoder = make_encoder("roberta")
    route = find_route(encoder)
    copy = make_copy(encoder, lora_rank=2, dtype_policy="mixed_bfloat16", remat=True)
    assert all(any(layer.lora_enabled for layer in find_products(side)) for side in (copy.documents, copy.queries))
    assert copy(make_inputs(encoder), training=True).dtype == tf.float32
    expected = [*encoder.own_encoder.weights, *route.own_encoder.weights]
    for found, weight in zip(trained_weights(copy), expected, strict=True):
        np.testing.assert_array_equal(found, weight)  # the additions begin at 0


# Two logical devices must be asked for before TensorFlow runs anything, so this is a process of its own.
TWO_REPLICAS = """
import json
import tensorflow as tf
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
import numpy as np
from tests.training.fit.test_routed import DOCUMENTS, QUERIES, ROWS, make_encoder
from tfchain.core.hyperparameters import Hyperparameters
from tfchain.training.fit.fit import fit_text_encoder
from tfchain.training.fit.options import FitOptions

found = []
for strategy in ("one", "mirrored"):
    encoder = make_encoder("roberta")
    values = Hyperparameters(epochs=1, batch_size=4, learning_rate=0.01, warmup=0, dropout=0.0)
    history = fit_text_encoder(encoder, ROWS, values, FitOptions(strategy=strategy, progress=False))
    vectors = np.concatenate([encoder.encode_query(QUERIES), encoder.encode_document(DOCUMENTS)])
    found.append((history.history["loss"], vectors.tolist()))
print(json.dumps(found))
"""


@pytest.mark.usefixtures("forks")
def test_two_replicas_train_both_as_one_device() -> None:
    folder = Path(__file__).parents[3]
    command = [sys.executable, "-c", TWO_REPLICAS]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=folder)
    assert done.returncode == 0, done.stderr[-3000:]
    one, two = json.loads(done.stdout.splitlines()[-1])
    assert two[0] == pytest.approx(one[0], abs=1e-5)
    np.testing.assert_allclose(two[1], one[1], atol=1e-4)
