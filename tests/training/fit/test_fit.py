"""Trainings from beginning to end, tiny ones: what comes out, what is refused, what outlives a stop."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.training.conftest import ROWS, MakeTextEncoder
from tfchain.core.errors import InputError
from tfchain.core.hyperparameters import Hyperparameters
from tfchain.data.augmentation.word_noise import DeleteWords
from tfchain.data.pairs.reading import Pairs
from tfchain.data.steps.step import RecordStep
from tfchain.training.distributed.workers import lost_workers
from tfchain.training.fit.fit import FitOptions, fit_text_encoder
from tfchain.training.fit.validation import Validation

PAIRS = [(query, document) for query, document, _ in ROWS]
QUICK = {"batch_size": 4, "learning_rate": 1e-3, "warmup": 0}


class Stop(keras.callbacks.Callback):
    """Kills the training behind a step."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.at = at

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self.model.steps_done == self.at and not self.model.skipping:
            raise KeyboardInterrupt


class Losses(keras.callbacks.Callback):
    """Keeps each step's mean loss so far."""

    def __init__(self) -> None:
        super().__init__()
        self.values: list[float] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.values.append(float(logs["loss"]))


def fit(text_encoder: Any, dataset: Any = ROWS, *, evaluate: Any = None, validation: Any = None, **values: Any) -> Any:
    """Trains on one device; names of `FitOptions` and hyperparameters go where they belong."""
    names = {"strategy": "one", "length_groups": 1, **values}
    options = {name: names.pop(name) for name in list(names) if name in FitOptions.__dataclass_fields__}
    hyperparameters = Hyperparameters(**{**QUICK, **names})
    return fit_text_encoder(
        text_encoder, dataset, hyperparameters, FitOptions(**options), evaluate=evaluate, validation=validation
    )


def weights_of(text_encoder: Any) -> list[np.ndarray]:
    return [np.array(weight) for weight in text_encoder.encoder.weights]


def assert_same_weights(first: Any, second: Any, atol: float = 0.0) -> None:
    for one, other in zip(weights_of(first), weights_of(second), strict=True):
        np.testing.assert_allclose(one, other, atol=atol, rtol=0)


def test_a_training_in_a_graph_lowers_the_loss_and_writes_its_logs(
    make_text_encoder: MakeTextEncoder, tmp_path: Path
) -> None:
    text_encoder = make_text_encoder(dropout=0.1)
    before, fingerprint = text_encoder.encode(["the cat"]), text_encoder.fingerprint
    encoder = text_encoder.encoder
    seen: list[int] = []

    def evaluate(in_training: Any) -> dict[str, float]:
        vectors = in_training.encode_query(["the cat", "a dog"])
        assert vectors.shape == (2, 8)
        assert np.isfinite(vectors).all()
        seen.append(len(seen))
        return {"ndcg@10": float(seen[-1])}

    history = fit(
        text_encoder,
        learning_rate=1e-2,
        epochs=6,
        length_groups=2,
        accumulation_steps=2,
        log_path=tmp_path,
        evaluate=evaluate,
        validation=Validation(dataset=None, metrics=["ndcg@10"]),
    )
    assert history.epoch == list(range(6))
    assert history.history["loss"][-1] < 0.8 * history.history["loss"][0]
    assert history.history["ndcg@10"] == [0, 1, 2, 3, 4, 5]
    assert (tmp_path / "training.csv").read_text().startswith("epoch,loss,ndcg@10\n0,")
    assert list(tmp_path.glob("events.out.tfevents.*"))
    assert text_encoder.encoder is encoder
    assert text_encoder.fingerprint != fingerprint
    assert np.abs(text_encoder.encode(["the cat"]) - before).max() > 1e-3


def test_a_training_compiled_by_xla_comes_to_the_same_weights(make_text_encoder: MakeTextEncoder, eager: None) -> None:
    plain, compiled = make_text_encoder(), make_text_encoder()
    of_plain = fit(plain, PAIRS, max_gradient_norm=None)
    tf.config.run_functions_eagerly(False)
    of_compiled = fit(compiled, PAIRS, max_gradient_norm=None, jit_compile=True)
    assert of_compiled.history["loss"] == pytest.approx(of_plain.history["loss"], abs=1e-4)
    assert_same_weights(plain, compiled, atol=3e-4)  # two steps of 1e-3; Adam makes much of a gradient of nearly 0


def test_gradcache_and_plain_come_to_the_same_weights(make_text_encoder: MakeTextEncoder, eager: None) -> None:
    plain, cached = make_text_encoder(), make_text_encoder()
    of_plain = fit(plain, learning_rate=2e-5, batches="random")
    of_cached = fit(cached, learning_rate=2e-5, batches="random", mini_batch_size=5)
    assert of_cached.history["loss"] == pytest.approx(of_plain.history["loss"], abs=1e-5)
    assert_same_weights(plain, cached, atol=5e-6)


OPTIONS = {"dropout": 0.3, "epochs": 2, "batch_size": 3, "ema_momentum": 0.9, "weight_decay": 0.1}  # three steps


def train_with_validation(make_text_encoder: MakeTextEncoder, checkpoint: Path, **more: Any) -> Any:
    def evaluate(in_training: Any) -> dict[str, float]:
        return {"ndcg@10": float(in_training.encode(["the cat"])[0, 0])}

    text_encoder = make_text_encoder()
    validation = Validation(dataset=None, metrics=["ndcg@10"], every=2)
    options = {**OPTIONS, "checkpoint": checkpoint, **more}
    return text_encoder, fit(text_encoder, evaluate=evaluate, validation=validation, **options)


@pytest.fixture(scope="module")
def whole(make_text_encoder: MakeTextEncoder, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A training that was not stopped."""
    tf.config.run_functions_eagerly(True)
    trained = train_with_validation(make_text_encoder, tmp_path_factory.mktemp("whole") / "checkpoint")
    tf.config.run_functions_eagerly(False)
    return trained


@pytest.mark.parametrize(("stop", "changes"), [(5, {"checkpoint_every": 2}), (4, {})])
def test_a_stopped_training_comes_to_the_same_history_and_weights(
    make_text_encoder: MakeTextEncoder, whole: Any, tmp_path: Path, eager: None, stop: int, changes: dict[str, Any]
) -> None:
    of_whole = whole[1]
    with pytest.raises(KeyboardInterrupt):
        train_with_validation(make_text_encoder, tmp_path / "stopped", callbacks=[Stop(stop)], **changes)
    steps = Losses()
    stopped, of_stopped = train_with_validation(make_text_encoder, tmp_path / "stopped", callbacks=[steps], **changes)
    assert len(steps.values) == 3  # the second epoch alone, of which a step may have been skipped
    assert of_stopped.history == of_whole.history
    assert of_stopped.epoch == of_whole.epoch == [0, 1]
    assert_same_weights(stopped, whole[0])
    if stop == 4:
        return
    # And once more: nothing is left to do.
    steps = Losses()
    again, of_again = train_with_validation(make_text_encoder, tmp_path / "stopped", callbacks=[steps], **changes)
    assert steps.values == []
    assert (of_again.history, of_again.epoch) == (of_whole.history, of_whole.epoch)
    assert_same_weights(again, whole[0])


def test_a_checkpoint_of_another_model_dataset_or_hyperparameter_is_refused(
    make_text_encoder: MakeTextEncoder, tmp_path: Path, eager: None
) -> None:
    fit(make_text_encoder(), checkpoint=tmp_path)
    other = make_text_encoder(seed=2)
    before = weights_of(other)
    for text_encoder, dataset, values, message in (
        (other, ROWS, {}, r"to another training: model was"),
        (make_text_encoder(), ROWS[:7], {}, r"to another training: data was"),
        (make_text_encoder(), ROWS, {"loss": {"name": "in_batch_softmax", "scale": 5}}, r"another training: data was"),
        (make_text_encoder(), ROWS, {"learning_rate": 1e-4}, r"learning_rate was 0\.001, is 0\.0001\. Name another"),
        (make_text_encoder(), ROWS, {"epochs": 2}, r"epochs was 1, is 2\."),
        (make_text_encoder(), ROWS, {"mixing": "proportional"}, r"mixing was round_robin, is proportional\."),
    ):
        with pytest.raises(InputError, match=message):
            fit(text_encoder, dataset, checkpoint=tmp_path, **values)
    for weight, old in zip(weights_of(other), before, strict=True):
        np.testing.assert_array_equal(weight, old)


def test_a_training_that_fails_leaves_the_model_as_it_was(make_text_encoder: MakeTextEncoder, eager: None) -> None:
    text_encoder = make_text_encoder()
    before, fingerprint = weights_of(text_encoder), text_encoder.fingerprint
    with pytest.raises(KeyboardInterrupt):
        fit(text_encoder, callbacks=[Stop(1)])
    for weight, old in zip(weights_of(text_encoder), before, strict=True):
        np.testing.assert_array_equal(weight, old)
    assert text_encoder.fingerprint == fingerprint


def test_several_datasets_of_different_columns_labels_and_losses_are_trained_together(
    make_text_encoder: MakeTextEncoder, eager: None
) -> None:
    scored = [
        {"sentence1": query, "sentence2": document, "score": number / 8}
        for number, (query, document) in enumerate(PAIRS)
    ]
    datasets = {"search": ROWS, "similar": scored, "texts": [document for _, document in PAIRS]}
    text_encoder = make_text_encoder(dropout=0.1)
    losses = Losses()
    history = fit(text_encoder, datasets, loss={"similar": "cosine_mse"}, callbacks=[losses], learning_rate=1e-9)
    assert len(losses.values) == 6  # two batches of each, in turn
    steps = np.diff(np.array([0.0, *losses.values]) * np.arange(7))  # each batch's own, from the mean so far
    # Chance in batches of four: log(8 documents) and log(4 documents) for the softmaxes, and a squared distance.
    assert 0.5 < steps[0] < 6
    assert 0.5 < steps[3] < 6
    assert 0 < steps[1] < 1.1
    assert 0 < steps[4] < 1.1
    assert 0 < steps[2] < 3
    assert 0 < steps[5] < 3
    assert history.history["loss"] == pytest.approx([steps.mean()], abs=1e-5)


@pytest.mark.parametrize(
    ("dataset", "values"),
    [
        ([document for _, document in PAIRS], {"dropout": 0.2}),  # SimCSE
        ([{"query": a, "positive": b, "label": n % 2} for n, (a, b) in enumerate(PAIRS)], {}),  # online contrastive
        ([{"query": a, "positive": b, "negative": c, "margin": 0.5} for a, b, c in ROWS], {"remat": True}),
        ([{"query": a, "positive": b, "negative": c, "scores": [2, 1]} for a, b, c in ROWS], {"lora_rank": 2}),
        (ROWS, {"loss": {"name": "matryoshka", "loss": "in_batch_softmax", "dims": [8, 4]}, "freeze": "embeddings"}),
        (PAIRS, {"dtype_policy": "mixed_bfloat16", "mini_batch_size": 5}),
        # The loss scale begins too high, and halves in each step that is left out for it.
        (PAIRS, {"dtype_policy": "mixed_float16", "schedule": "cosine", "epochs": 6}),
    ],
    ids=["simcse", "labels", "margin", "scores", "matryoshka", "bfloat16", "float16"],
)
def test_each_kind_of_training_changes_the_model_and_keeps_float32(
    make_text_encoder: MakeTextEncoder, eager: None, dataset: Any, values: dict[str, Any]
) -> None:
    text_encoder = make_text_encoder()
    before = weights_of(text_encoder)
    policy = keras.config.dtype_policy()
    history = fit(text_encoder, dataset, **values)
    assert np.isfinite(history.history["loss"]).all()
    changed = [np.abs(new - old).max() > 1e-6 for new, old in zip(weights_of(text_encoder), before, strict=True)]
    names = [weight.path for weight in text_encoder.encoder.weights]
    assert {weight.dtype for weight in text_encoder.encoder.weights} == {"float32"}
    assert keras.config.dtype_policy() is policy
    for name, is_changed in zip(names, changed, strict=True):
        if "lora_rank" in values:
            assert is_changed == (name.endswith("/kernel")), name
        elif "freeze" in values:
            assert is_changed != name.startswith("embeddings/"), name
        elif not name.endswith("bias"):
            assert is_changed, name


def test_a_guide_model_decides_on_negatives(make_text_encoder: MakeTextEncoder, eager: None) -> None:
    guide = make_text_encoder(seed=8)
    before = weights_of(guide)
    text_encoder = make_text_encoder()
    with pytest.raises(InputError, match="needs a guide model"):
        fit(text_encoder, loss="guided_in_batch_softmax")
    guided = fit(text_encoder, loss="guided_in_batch_softmax", guide=guide)
    assert np.isfinite(guided.history["loss"]).all()
    for weight, old in zip(weights_of(guide), before, strict=True):
        np.testing.assert_array_equal(weight, old)


def test_judgements_keep_a_querys_other_documents_out_of_the_softmax(
    make_text_encoder: MakeTextEncoder, eager: None
) -> None:
    from tfchain.data.pairs.reading import text_key

    # Both documents are relevant for both queries: nothing is left to tell apart, and the loss is 0.
    columns = (["who runs", "what fell"], ["a dog", "the stock"])
    relevant = (tuple(map(text_key, columns[1])),) * 2
    judged = fit(make_text_encoder(), Pairs(columns, relevant=relevant), batch_size=2)
    assert judged.history["loss"] == pytest.approx([0], abs=1e-6)
    values = {"batch_size": 2, "mask_false_negatives": False}
    assert fit(make_text_encoder(), Pairs(columns, relevant=relevant), **values).history["loss"][0] > 0.01


@pytest.mark.parametrize(
    ("dataset", "values", "message"),
    [
        ([], {}, r"`dataset` must have at least one row"),
        (Pairs(([], [])), {}, r"columns of equal length, with a row or more\. Received: dataset, \[0, 0\] rows"),
        ([{"query": "alone"}], {}, r"query"),
        ([{"sentence1": "a", "sentence2": "b", "score": float("nan")}], {}, r"finite|NaN|nan"),
        (Pairs((["a"], ["b", "c"])), {}, r"`Pairs` must have columns of equal length.*\[1, 2\] rows"),
        (Pairs((["a"], ["b"]), np.zeros(1, "float32")), {}, r"must be an array of shape \(1, k\)\. Received: .*\(1,\)"),
        (Pairs((["a"], ["b"]), np.full((1, 1), np.nan)), {}, r"labels of `Pairs` must be finite"),
        (PAIRS, {"accumulation_steps": 3}, r"at most the steps of the whole training, 2, .* accumulation_steps=3"),
        ([{"query": "a", "positive": "b", "label": 0.5}], {"loss": "contrastive"}, r"must be 0 or 1\. Received: 0\.5"),
        (PAIRS, {"loss": "triplet"}, r"The loss `triplet` takes"),
        (PAIRS, {"strategy": "three"}, r"`strategy` must be one of auto, one, mirrored, multi_worker, tpu"),
        (PAIRS, {"freeze": ["nothing"]}, r"`freeze` must match layers"),
        (PAIRS, {"batch_size": 64, "drop_remainder": True}, r"No batch is full"),
        (PAIRS, {"mixing": "random"}, r"`mixing` must be 'round_robin' or 'proportional'"),
        (PAIRS, {"checkpoint_every": 5}, r"`checkpoint_every` needs a folder"),
        (PAIRS, {"checkpoint_every": 0, "checkpoint": "x"}, r"`checkpoint_every` must be a whole number"),
        (PAIRS, {"length_groups": -1}, r"`length_groups` must be a whole number of at least 0"),
    ],
)
def test_bad_input_is_refused_before_the_first_step(
    make_text_encoder: MakeTextEncoder, dataset: Any, values: dict[str, Any], message: str
) -> None:
    losses = Losses()
    with pytest.raises(InputError, match=message):
        fit(make_text_encoder(), dataset, **{"callbacks": [losses], **values})
    assert losses.values == []


def test_float16_that_never_takes_a_step_keeps_the_weights_and_says_so(
    make_text_encoder: MakeTextEncoder, eager: None, caplog: pytest.LogCaptureFixture
) -> None:
    text_encoder = make_text_encoder()
    before = weights_of(text_encoder)
    fit(text_encoder, PAIRS, dtype_policy="mixed_float16", ema_momentum=0.9)  # the first scales are too large
    for one, other in zip(before, weights_of(text_encoder), strict=True):
        np.testing.assert_array_equal(one, other)
    assert "No step changed the weights: no gradient was finite." in caplog.text


def test_gradcache_compiled_by_xla_comes_to_the_same_losses(make_text_encoder: MakeTextEncoder, eager: None) -> None:
    plain, compiled = make_text_encoder(), make_text_encoder()
    of_plain = fit(plain, PAIRS, max_gradient_norm=None)
    tf.config.run_functions_eagerly(False)
    of_compiled = fit(compiled, PAIRS, max_gradient_norm=None, jit_compile=True, mini_batch_size=5)
    assert of_compiled.history["loss"] == pytest.approx(of_plain.history["loss"], abs=1e-4)


def test_a_checkpoint_that_cannot_be_written_is_refused_before_the_first_step(
    make_text_encoder: MakeTextEncoder, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"`checkpoint` must be a folder to write to\. Received: .*file/inside"):
        fit(make_text_encoder(), PAIRS, checkpoint=tmp_path / "file" / "inside")


def test_a_training_that_stops_early_within_an_epoch_keeps_its_history(
    make_text_encoder: MakeTextEncoder, tmp_path: Path, eager: None
) -> None:
    values = iter([0.5, 0.6, 0.3])
    options: dict[str, Any] = {
        "epochs": 4,
        "checkpoint": tmp_path / "checkpoint",
        "checkpoint_every": 1,
        "batch_size": 2,
        "evaluate": lambda _: {"ndcg@10": next(values)},
        "validation": Validation(dataset=None, metrics=["ndcg@10"], every=3, patience=1),
    }
    first = fit(make_text_encoder(), PAIRS, **options)
    again = fit(make_text_encoder(), PAIRS, **options)
    assert len(first.epoch) == 2
    assert (again.epoch, again.history) == (first.epoch, first.history)


def test_an_error_of_tensorflow_on_one_machine_stays_what_it_is() -> None:
    with pytest.raises(tf.errors.UnavailableError), lost_workers(1, None):
        raise tf.errors.UnavailableError(None, None, "gone")


# Two logical devices must be asked for before TensorFlow runs anything, so this is a process of its own.
TWO_REPLICAS = """
import json, sys
import tensorflow as tf
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
import numpy as np
from tests.training.fit.test_fit import Losses, fit
from tfchain.core.errors import InputError
from tfchain.models.encoders.encoder import Encoder
from tfchain.models.text_encoder import TextEncoder
from tfchain.models.tokenizers.hugging_face import load_tokenizer

tokenizer = load_tokenizer(sys.argv[1])
config = json.loads(sys.argv[2])
weights = dict(np.load(sys.argv[3]))


def make():
    encoder = Encoder(config)
    encoder.set_weights([weights[str(number)] for number in range(len(weights))])
    return TextEncoder(tokenizer, encoder, engine="tensorflow")


def train(**values):
    text_encoder, losses = make(), Losses()
    options = {"learning_rate": 2e-5, "batch_size": 5, "epochs": 1, "max_gradient_norm": 0.1, "batches": "random"}
    history = fit(text_encoder, callbacks=[losses], **{**options, **values})
    return losses.values, history.history["loss"], [np.array(one) for one in text_encoder.encoder.weights]


tf.config.run_functions_eagerly(True)
one = train(strategy="one")
tf.config.run_functions_eagerly(False)
found = {
    "plain": train(strategy="mirrored"),
    "cached": train(strategy="mirrored", mini_batch_size=4),
}
errors = []
for values in ({"batch_size": 1}, {"accumulation_steps": 2}):
    try:
        train(strategy="mirrored", **values)
    except InputError as error:
        errors.append(str(error))
print(json.dumps({
    "one": one[:2],
    "moved": float(max(np.abs(new - weights[str(number)]).max() for number, new in enumerate(one[2]))),
    "errors": errors,
    **{name: [*values[:2], float(max(np.abs(a - b).max() for a, b in zip(values[2], one[2])))]
       for name, values in found.items()},
}))
"""


@pytest.mark.usefixtures("forks")
def test_two_replicas_train_as_one_device(
    make_text_encoder: MakeTextEncoder, tiny_model_path: Path, tmp_path: Path
) -> None:
    text_encoder = make_text_encoder()
    np.savez(tmp_path / "weights.npz", **{str(number): one for number, one in enumerate(weights_of(text_encoder))})
    config = json.dumps(text_encoder.encoder.config.to_dict())
    arguments = [str(tiny_model_path), config, str(tmp_path / "weights.npz")]
    done = subprocess.run(
        [sys.executable, "-c", TWO_REPLICAS, *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=Path(__file__).parents[3],
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    steps, losses = found["one"]
    assert found["moved"] > 1e-5
    # Of a step's logs Keras takes the mean over the replicas, whatever their rows: only with as many are they equal.
    for name in ("plain", "cached"):
        assert len(found[name][0]) == len(steps) == 2
        assert found[name][0][0] == pytest.approx(steps[0], abs=1e-5)
        assert found[name][1] == pytest.approx(losses, abs=1e-5)
        assert found[name][2] < 5e-6
    assert "at least the number of replicas (2). Received: batch_size=1." in found["errors"][0]
    assert "`accumulation_steps` works on one device" in found["errors"][1]


def test_rows_are_augmented_anew_in_each_epoch(make_text_encoder: MakeTextEncoder, eager: None) -> None:
    @dataclass(frozen=True)
    class Seen(RecordStep):
        name = "seen"

        def expand(self, record: Any, log: Any) -> Any:
            ids.append(record["id"])
            yield record

    ids: list[str] = []
    plain, augmented = make_text_encoder(), make_text_encoder()
    fit(plain, PAIRS, epochs=2)
    fit(augmented, PAIRS, epochs=2, augment=[Seen(), DeleteWords(rate=0.5)])
    assert set(ids) >= {f"{epoch}/{row}" for epoch in (0, 1) for row in range(len(PAIRS))}
    assert any(
        not np.array_equal(one, other) for one, other in zip(weights_of(plain), weights_of(augmented), strict=True)
    )


def test_what_is_no_step_is_refused() -> None:
    with pytest.raises(InputError, match=r"Each of `augment` must be a step, such as DeleteWords\(\). Received: 'x'"):
        FitOptions(augment=["x"])  # type: ignore[list-item]
    with pytest.raises(InputError, match="`augment` must be a list of steps. Received: DeleteWords"):
        FitOptions(augment=DeleteWords())  # type: ignore[arg-type]
