"""The classification chain as users write it."""

import dataclasses
import json
import logging
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import grpc
import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import classification_pb2, prediction_log_pb2, prediction_service_pb2_grpc

from tests.forked import ForkServer
from tfchain import NeuralSearchChain, Prune, Shrink, TextClassificationChain
from tfchain.chains.classification import ClassificationClient
from tfchain.core.errors import IndexFolderError, InputError
from tfchain.data.augmentation.character_noise import AddTypos
from tfchain.data.augmentation.word_noise import DeleteWords
from tfchain.deployment.deploy import Deployment
from tfchain.models.text_encoder import TextEncoder
from tfchain.monitoring.canaries.canary import read_canaries
from tfchain.monitoring.drift.reference import read_reference
from tfchain.tasks.classification.predictions import ScoredLabel
from tfchain.tasks.heads import strip_head
from tfchain.tasks.live_model import LiveModel

ANIMALS = ["the cat sleeps", "a dog runs", "a cat runs", "the dog sleeps", "the cat runs"]
STOCKS = ["stocks fell", "stock fell on monday", "the stock fell", "stocks fell on monday", "on monday the stock fell"]
QUESTIONS = ["who does what", "what does who do", "who runs", "what does the cat do", "who sleeps"]
ROWS = [(text, name) for name, texts in (("animal", ANIMALS), ("stock", STOCKS), ("ask", QUESTIONS)) for text in texts]
TEXTS = [text for text, _ in ROWS]
NEW = ["a dog sleeps", "the stocks fell on monday", "what does a dog do"]
TAGS = [
    ("the cat sleeps", ["cat"]),
    ("a dog runs", ["dog"]),
    ("the cat, a dog", ["cat", "dog"]),
    ("stocks fell", []),
] * 3
PAIRS = [
    ("the cat", "the cat", "same"),
    ("a dog", "a dog", "same"),
    ("a dog", "the stock", "other"),
    ("who", "on", "other"),
]
SETTINGS = {"batch_size": 8, "learning_rate": 0.005}


def make_chain(path: Path, **options: object) -> TextClassificationChain:
    return TextClassificationChain.from_pretrained(path, engine="tensorflow", **options)


@pytest.fixture(scope="module")
def fitted(thin_model_path: Path) -> TextClassificationChain:
    """A chain with a head; the encoder is as it was."""
    return make_chain(thin_model_path, batch_size=8).fit_head(ROWS, validation=ROWS)


@pytest.fixture(scope="module")
def version(fitted: TextClassificationChain, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fitted.export(tmp_path_factory.mktemp("versions") / "classification", top_k=2, reference=ROWS * 2)


def test_a_version_has_a_reference_of_what_the_rows_ask(version: Path, fitted: TextClassificationChain) -> None:
    reference, canaries = read_reference(version), read_canaries(version)
    assert reference.queries is not None
    assert (len(reference.queries), reference.queries.dim) == (30, 3)  # a class each
    texts = [canary.text for canary in canaries]
    assert [canary.ids for canary in canaries] == [(one["label"],) for one in fitted.predict(texts)]


@pytest.fixture(scope="module")
def served(
    fitted: TextClassificationChain, tmp_path_factory: pytest.TempPathFactory, fork_server: ForkServer
) -> Iterator[Deployment]:
    with fork_server.replaces_processes():
        deployment = fitted.deploy(tmp_path_factory.mktemp("served"), name="intents", top_k=2)
    with deployment:
        yield deployment


def test_a_head_answers_with_labels_and_scores_best_first(fitted: TextClassificationChain) -> None:
    assert fitted.labels == ("animal", "ask", "stock")
    prediction = fitted.predict("stocks fell")
    assert prediction == {"text": "stocks fell", "label": "stock"}
    assert [type(score) for score in prediction.scores] == [ScoredLabel] * 3
    assert sum(score for _, score in prediction.scores) == pytest.approx(1)
    assert sorted(prediction.scores, key=lambda scored: -scored.score) == list(prediction.scores)
    assert [len(one.scores) for one in fitted.predict(TEXTS, top_k=2)] == [2] * len(TEXTS)
    assert fitted.predict([]) == []


def test_a_head_is_scikit_learns_logistic_regression(fitted: TextClassificationChain, thin_model_path: Path) -> None:
    from sklearn.linear_model import LogisticRegression

    vectors = TextEncoder.from_pretrained(thin_model_path, engine="tensorflow").encode([*TEXTS, *NEW])
    names = [name for _, name in ROWS]
    reference = LogisticRegression(max_iter=1000).fit(vectors[: len(TEXTS)], names)
    assert [one["label"] for one in fitted.predict(NEW)] == reference.predict(vectors[len(TEXTS) :]).tolist()
    logits = fitted.text_encoder.encode(NEW)
    expected = reference.decision_function(vectors[len(TEXTS) :])
    np.testing.assert_allclose(logits, expected, atol=1e-4)
    np.testing.assert_allclose(strip_head(fitted.text_encoder).encode(TEXTS), vectors[: len(TEXTS)], atol=1e-6)


def test_evaluation_gives_the_tasks_metrics(fitted: TextClassificationChain) -> None:
    report = fitted.evaluate(ROWS)
    right = [one["label"] == name for one, (_, name) in zip(fitted.predict(TEXTS), ROWS, strict=True)]
    assert report["accuracy"] == pytest.approx(np.mean(right))
    scores = [dict(one.scores)[name] for one, (_, name) in zip(fitted.predict(TEXTS), ROWS, strict=True)]
    assert report["log_loss"] == pytest.approx(-np.log(scores).mean(), rel=1e-5)
    assert set(report) == {"accuracy", "macro_f1", "log_loss", "ece"}
    with pytest.raises(InputError, match="has the label 'cow', which the model does not have"):
        fitted.evaluate([("a cow", "cow")])
    with pytest.raises(InputError, match="`metrics` must be a list of accuracy, macro_f1, log_loss, ece"):
        fitted.evaluate(ROWS, metrics=["ndcg@10"])


@pytest.mark.usefixtures("eager")
def test_training_goes_on_from_the_head_and_is_calibrated_on_the_validation(thin_model_path: Path) -> None:
    chain = make_chain(thin_model_path, **SETTINGS).fit_head(ROWS)
    assert chain.state.temperature == 1
    before = chain.evaluate(ROWS)
    history = chain.fit(ROWS, epochs=4, validation=ROWS)
    after = chain.evaluate(ROWS)
    assert history.history["accuracy"][-1] >= before["accuracy"]
    assert history.history["loss"][0] == pytest.approx(before["log_loss"], abs=0.2)  # not that of a random head
    assert after["log_loss"] < before["log_loss"]
    assert chain.state.temperature != 1
    chain.fit(ROWS)
    assert chain.state.temperature == 1  # of other weights: the one before says nothing about them


def test_the_same_labels_keep_the_head_and_others_make_a_new_one(
    fitted: TextClassificationChain, caplog: pytest.LogCaptureFixture
) -> None:
    task, model, state = fitted.task, fitted.text_encoder, fitted.state
    rows = task.read(ROWS[:12], split="train")  # two of the three labels, and a part of the third
    assert task.adapt(model, state, rows)[0] is model
    others = task.read([*ROWS, ("你好", "hello")], split="train")
    with caplog.at_level(logging.WARNING):
        made, labels = task.adapt(model, state, others)
    assert "Other labels in the data (4) than the model has (3): new head." in caplog.text
    assert (made.embedding_dim, labels.names) == (4, ("animal", "ask", "hello", "stock"))
    np.testing.assert_allclose(strip_head(made).encode(TEXTS), strip_head(model).encode(TEXTS), atol=1e-6)


def test_a_new_head_is_the_same_each_time_so_that_a_training_can_be_resumed(thin_model_path: Path) -> None:
    task = make_chain(thin_model_path).task
    rows = task.read(ROWS, split="train")
    plain = [TextEncoder.from_pretrained(thin_model_path, engine="tensorflow") for _ in range(2)]
    assert len({task.adapt(model, None, rows)[0].fingerprint for model in plain}) == 1


def test_a_saved_chain_gives_the_same_answers(fitted: TextClassificationChain, tmp_path: Path) -> None:
    fitted.evaluate(ROWS)
    loaded = TextClassificationChain.load(fitted.save(tmp_path / "chain"), engine="tensorflow")
    assert (loaded.state, loaded.task, loaded.report) == (fitted.state, fitted.task, fitted.report)
    assert [one.scores for one in loaded.predict(NEW)] == [one.scores for one in fitted.predict(NEW)]
    loaded._live.adopt(loaded.text_encoder, dataclasses.replace(loaded.state, temperature=2.0))
    loaded.save(tmp_path / "chain")
    assert TextClassificationChain.load(tmp_path / "chain", engine="tensorflow").state.temperature == 2
    assert len(list((tmp_path / "chain").glob("model-*"))) == 1


def test_a_chain_of_another_task_is_refused_by_name(
    fitted: TextClassificationChain, thin_model_path: Path, tmp_path: Path
) -> None:
    search = NeuralSearchChain.from_pretrained(thin_model_path, engine="tensorflow").add(["a dog"])
    search.save(tmp_path / "search")
    with pytest.raises(IndexFolderError, match="holds a saved chain of the task 'search'. Expected: 'classification'"):
        TextClassificationChain.load(tmp_path / "search")
    with pytest.raises(IndexFolderError, match="holds a saved chain of the task 'search'"):
        fitted.save(tmp_path / "search")
    with pytest.raises(IndexFolderError, match="holds a saved chain of the task 'classification'"):
        NeuralSearchChain.load(fitted.save(tmp_path / "classification"))


def test_python_rest_and_grpc_give_the_same_labels(fitted: TextClassificationChain, served: Deployment) -> None:
    expected = fitted.predict([*TEXTS, *NEW], top_k=2)
    with ClassificationClient(served.grpc_target, served.rest_url) as client:
        for protocol in ("grpc", "rest"):
            found = client.classify([*TEXTS, *NEW], model="intents", protocol=protocol)
            assert found == expected
            assert [[label for label, _ in one.scores] for one in found] == [
                [label for label, _ in one.scores] for one in expected
            ]
            scores = [[score for _, score in one.scores] for one in found]
            np.testing.assert_allclose(scores, [[score for _, score in one.scores] for one in expected], atol=1e-5)
        assert client.classify([], model="intents") == []


def test_classify_requests_get_the_chains_labels_over_both_protocols(
    fitted: TextClassificationChain, served: Deployment
) -> None:
    texts = [*NEW, TEXTS[0]]
    expected = [one.scores for one in fitted.predict(texts, top_k=2)]
    body = json.dumps({"signature_name": "classify", "examples": [{"text": text} for text in texts]}).encode()
    with urllib.request.urlopen(f"{served.rest_url}/v1/models/intents:classify", body, timeout=30) as reply:
        over_rest = json.load(reply)["results"]
    request = classification_pb2.ClassificationRequest()
    request.model_spec.name, request.model_spec.signature_name = "intents", "classify"
    for text in texts:
        example = request.input.example_list.examples.add()
        example.features.feature["text"].bytes_list.value.append(text.encode())
    with grpc.insecure_channel(served.grpc_target) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        rows = stub.Classify(request, timeout=30).result.classifications
    over_grpc = [[(one.label, one.score) for one in row.classes] for row in rows]
    for found in (over_rest, over_grpc):
        assert [[label for label, _ in row] for row in found] == [[label for label, _ in row] for row in expected]
        for row, wanted in zip(found, expected, strict=True):
            np.testing.assert_allclose([score for _, score in row], [score for _, score in wanted], atol=1e-5)


def test_a_version_warms_up_by_predict_and_by_classify(version: Path) -> None:
    records = tf.data.TFRecordDataset(str(version / "assets.extra" / "tf_serving_warmup_requests"))
    logs = [prediction_log_pb2.PredictionLog.FromString(record.numpy()) for record in records]
    (classified,) = [log.classify_log.request for log in logs if log.HasField("classify_log")]
    assert classified.model_spec.signature_name == "classify"
    assert list(classified.input.example_list.examples[0].features.feature) == ["text"]
    assert {log.predict_log.request.model_spec.signature_name for log in logs if log.HasField("predict_log")} == {
        "serving_default", "embed", "embed_ids",
    }  # fmt: skip


def test_plain_tensorflow_answers_classify_requests(fitted: TextClassificationChain, version: Path) -> None:
    saved = saved_model_pb2.SavedModel.FromString((version / "saved_model.pb").read_bytes())
    (meta,) = saved.meta_graphs
    methods = {name: signature.method_name for name, signature in meta.signature_def.items()}
    assert methods["classify"] == "tensorflow/serving/classify"
    assert methods["classify_text"] == methods["serving_default"] == "tensorflow/serving/predict"
    feature = {"text": tf.train.Feature(bytes_list=tf.train.BytesList(value=[NEW[1].encode()]))}
    example = tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:  # as TensorFlow Serving loads it
        meta = tf.compat.v1.saved_model.loader.load(session, ["serve"], str(version))
        signature = meta.signature_def["classify"]
        assert set(signature.inputs) == {"inputs"}
        feed = {signature.inputs["inputs"].name: [example]}
        classes, scores = session.run([signature.outputs[name].name for name in ("classes", "scores")], feed)
    expected = fitted.predict(NEW[1], top_k=2).scores
    assert classes.tolist() == [[label.encode() for label, _ in expected]]
    np.testing.assert_allclose(scores, [[score for _, score in expected]], atol=1e-5)


def test_pairs_of_texts_are_told_apart_in_python_and_in_the_graph(thin_model_path: Path, tmp_path: Path) -> None:
    chain = make_chain(thin_model_path).fit_head(PAIRS)
    assert chain.predict(("a dog", "a dog")) == {"text": ("a dog", "a dog"), "label": "same"}
    joined = strip_head(chain.text_encoder).tokenizer(["the cat [SEP] a dog"])[0]
    assert chain.tokenizer.convert_ids_to_tokens(joined) == ["[CLS]", "the", "cat", "[SEP]", "a", "dog", "[SEP]"]
    loaded = tf.saved_model.load(str(chain.export(tmp_path / "pairs")))
    text, pair = tf.constant(["a dog", "who"]), tf.constant(["the stock", "on"])
    answers = loaded.signatures["serving_default"](text=text, text_pair=pair)
    expected = chain.predict([("a dog", "the stock"), ("who", "on")])
    assert answers["labels"].numpy()[:, 0].tolist() == [one["label"].encode() for one in expected]
    np.testing.assert_allclose(answers["scores"][:, 0], [one.scores[0].score for one in expected], atol=1e-5)
    with pytest.raises(InputError, match="trained on pairs of texts. Received: single texts"):
        chain.evaluate(ROWS)
    with pytest.raises(InputError, match="A pair must be a tuple of two texts. Received: 'a dog'"):
        chain.predict(["a dog"])


def test_several_labels_are_those_above_their_thresholds(thin_model_path: Path, tmp_path: Path) -> None:
    chain = make_chain(thin_model_path, multi_label=True, class_weights="balanced", label_smoothing=0.05, **SETTINGS)
    history = chain.fit(TAGS, epochs=30, validation=TAGS)
    assert chain.task.objective == "macro_f1"
    assert history.history["macro_f1"][-1] == max(history.history["macro_f1"])
    assert [sorted(one["labels"]) for one in chain.predict([text for text, _ in TAGS[:4]])] == [
        ["cat"], ["dog"], ["cat", "dog"], [],
    ]  # fmt: skip
    assert len(chain.state.thresholds) == 2
    answers = tf.saved_model.load(str(chain.export(tmp_path / "tags"))).signatures["classify_text"](
        tf.constant(["the cat sleeps", "the cat, a dog"])
    )
    names, chosen = answers["labels"].numpy(), answers["chosen"].numpy()
    assert [sorted(row[has].tolist()) for row, has in zip(names, chosen, strict=True)] == [[b"cat"], [b"cat", b"dog"]]


@pytest.mark.usefixtures("eager", "forks")  # trials are measured in processes of their own
def test_tuning_finds_smoothing_pooling_and_shape(tiny_model_path: Path) -> None:
    chain = make_chain(tiny_model_path, **SETTINGS)
    space = {"loss.label_smoothing": [0.0, 0.1], "pooling": ["cls"], "shrink.layers": [1]}
    report = chain.tune(ROWS, space, tuner="grid", validation=ROWS, refit=True)
    assert report.objective == "accuracy"
    assert [trial.values["loss.label_smoothing"] for trial in report.trials] == [0.0, 0.1]
    config = chain.model.config
    assert (config.transformer.num_layers, config.pooling.modes, config.head.out_dim) == (1, ("cls",), 3)
    assert chain.labels == ("animal", "ask", "stock")
    assert chain.fit_options.loss.label_smoothing in (0.0, 0.1)
    with pytest.raises(InputError, match="`loss.margin` of the space must be an argument of a loss that is used"):
        chain.tune(ROWS, {"loss.margin": [1.0]}, validation=ROWS)


@pytest.mark.usefixtures("eager")
def test_pruning_low_rank_training_and_weights_by_label_go_with_it(thin_model_path: Path) -> None:
    chain = make_chain(thin_model_path, class_weights={"ask": 2.0}, **SETTINGS)
    chain.fit(ROWS, epochs=2, recipes=[Prune(0.5, layers=["layer_*"])])
    kernel = chain.model.get_layer("layer_0").intermediate.kernel
    assert np.mean(np.asarray(kernel) == 0) == 0.5
    head, table = (np.array(chain.model.get_layer(name).get_weights()[0]) for name in ("head", "embeddings"))
    chain.fit(ROWS, lora_rank=2, augment=[DeleteWords(rate=0.2), AddTypos()])
    np.testing.assert_array_equal(chain.model.get_layer("embeddings").get_weights()[0], table)
    assert np.abs(chain.model.get_layer("head").get_weights()[0] - head).max() > 0
    with pytest.raises(InputError, match="`class_weights` must name labels of the data. Received: 'ask'"):
        chain.fit(PAIRS)
    with pytest.raises(InputError, match="`augment` disturbs single texts, not pairs that are encoded together"):
        chain.fit(PAIRS, augment=[DeleteWords()])


def test_a_smaller_model_keeps_its_head(fitted: TextClassificationChain) -> None:
    chain = TextClassificationChain.__new__(TextClassificationChain)
    chain.__dict__.update(fitted.__dict__)
    chain._live = LiveModel(fitted.text_encoder, fitted.state)
    chain.compress([Shrink(intermediate_dim=8)])
    assert chain.model.config.transformer.intermediate_dim == 8
    assert chain.model.config.head.out_dim == 3
    np.testing.assert_array_equal(
        chain.model.get_layer("head").get_weights()[0], fitted.model.get_layer("head").get_weights()[0]
    )
    chain.calibrate(ROWS)
    assert chain.state.temperature != fitted.state.temperature


def test_a_keras_model_of_ones_own_gets_a_head_and_is_saved(thin_model_path: Path, tmp_path: Path) -> None:
    tokenizer = make_chain(thin_model_path).tokenizer
    keras.utils.set_random_seed(1)
    inputs = {name: keras.Input((None,), dtype="int32", name=name) for name in ("token_ids", "padding_mask")}
    vectors = keras.layers.Embedding(len(tokenizer), 12)(inputs["token_ids"])
    mask = keras.ops.cast(inputs["padding_mask"], "float32")[..., None]
    encoder = keras.Model(inputs, keras.ops.sum(vectors * mask, axis=1))
    chain = TextClassificationChain(tokenizer, encoder, engine="tensorflow", max_length=24, **SETTINGS)
    chain.fit(ROWS, epochs=5, validation=ROWS)
    assert chain.evaluate(ROWS)["accuracy"] > 0.6  # a third would be chance
    loaded = TextClassificationChain.load(chain.save(tmp_path / "own"), engine="tensorflow")
    assert loaded.predict(NEW) == chain.predict(NEW)
    loaded.fit(ROWS)  # with the head that it has
    assert loaded.labels == chain.labels


def test_a_chain_without_labels_says_how_to_get_some(thin_model_path: Path, tmp_path: Path) -> None:
    chain = make_chain(thin_model_path)
    for ask in (
        lambda: chain.predict("a dog"),
        lambda: chain.evaluate(ROWS),
        lambda: chain.export(tmp_path / "none"),
        lambda: chain.calibrate(ROWS),
    ):
        with pytest.raises(InputError, match="The chain has no labels yet. Call `fit`, or `fit_head`"):
            ask()
    with pytest.raises(InputError, match="two different labels or more. Received: \\['animal'\\]"):
        chain.fit_head(ROWS[:3])
    with pytest.raises(InputError, match="A classification has its own loss, softmax_cross_entropy"):
        chain.fit(ROWS, loss="triplet")
    assert chain.labels == ()
    empty = TextClassificationChain.load(chain.save(tmp_path / "empty"), engine="tensorflow")
    assert empty.state is None


def test_arguments_out_of_range_are_named(thin_model_path: Path, fitted: TextClassificationChain) -> None:
    with pytest.raises(InputError, match="`label_smoothing` must be in"):
        make_chain(thin_model_path, label_smoothing=1.5)
    with pytest.raises(InputError, match="`class_weights` must be 'balanced' or a dict of weights by label"):
        make_chain(thin_model_path, class_weights="heavy")
    with pytest.raises(InputError, match="`top_k` must be a whole number of at least 1"):
        fitted.predict("a dog", top_k=0)
    with pytest.raises(InputError, match="A text must be a string. Received: 7"):
        fitted.predict([7])
