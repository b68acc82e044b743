"""Pruning: which weights become zero, when, exactly how many, and what outlives a stop, a save and an export."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tests.training.conftest import ROWS
from tests.training.fit.test_fit import Stop, assert_same_weights, fit
from tfchain import Distill, FitOptions, NeuralSearchChain, Prune, Quantize, compress
from tfchain.core.errors import InputError
from tfchain.core.types import Document
from tfchain.models.text_encoder import TextEncoder
from tfchain.optimization.weight_matrices import find_matrices
from tfchain.training.fit.validation import Validation

PRODUCTS = 8  # of the tiny model: four in each of two layers
TEXTS = [text for row in ROWS for text in row]
PAIRS = [row[:2] for row in ROWS]


@pytest.fixture
def text_encoder(tiny_model_path: Path) -> TextEncoder:
    return TextEncoder.from_pretrained(tiny_model_path, engine="tensorflow")


def prune_kernel(kernel: Any, recipe: Prune) -> np.ndarray:
    """A kernel after one-shot pruning."""
    layer = keras.layers.Dense(np.shape(kernel)[1], use_bias=False)
    model = keras.Sequential([keras.Input((len(kernel),)), layer])
    layer.kernel.assign(kernel)
    hook = recipe.make_hook()
    hook.prepare(model)
    hook.strip(model)
    return np.array(layer.kernel)


def zeros_of(encoder: keras.Model) -> dict[str, tuple[int, int]]:
    """Zeros and size of each product's kernel."""
    matrices = find_matrices(encoder, recipe="a test")
    return {one.path: (int(np.sum(np.array(one.variable) == 0)), int(np.prod(one.variable.shape))) for one in matrices}


def test_exactly_so_many_of_the_smallest_weights_become_zero_where_some_are_equal() -> None:
    kernel = [[3, -1, 2, 2], [-2, 2, 5, 0.5]]
    np.testing.assert_array_equal(prune_kernel(kernel, Prune(0.5)), [[3, 0, 2, 2], [0, 0, 5, 0]])
    np.testing.assert_array_equal(prune_kernel(kernel, Prune(0.6)), [[3, 0, 2, 0], [0, 0, 5, 0]])  # round(4.8) zeros
    np.testing.assert_array_equal(prune_kernel(kernel, Prune(0.99)), [[0, 0, 0, 0], [0, 0, 5, 0]])  # one is kept
    assert not np.signbit(prune_kernel([[-1, -3]], Prune(0.5))[0, 0])


def test_blocks_go_by_their_pooled_magnitudes_and_2_4_by_groups_along_the_inputs() -> None:
    kernel = [[1, 2, 3, 4], [4, -3, 3, 1], [5, 0, 1, 1], [0, 0, 9, 1]]  # means 2.5, 2.75, 1.25, 3; largest 4, 4, 5, 9
    blocks = {"pattern": "block", "block_size": (2, 2)}
    by_mean, by_largest = Prune(0.5, **blocks), Prune(0.5, **blocks, block_pooling="max")
    np.testing.assert_array_equal(
        prune_kernel(kernel, by_mean), [[0, 0, 3, 4], [0, 0, 3, 1], [0, 0, 1, 1], [0, 0, 9, 1]]
    )
    np.testing.assert_array_equal(
        prune_kernel(kernel, by_largest), [[0, 0, 0, 0], [0, 0, 0, 0], [5, 0, 1, 1], [0, 0, 9, 1]]
    )
    two_of_four = prune_kernel(
        np.transpose([[1, -4, 3, 2, 9, 8, 7, 6], [0, 0, 0, 5, 1, 1, 2, 2]]), Prune(pattern="2:4")
    )
    np.testing.assert_array_equal(np.transpose(two_of_four)[0], [0, -4, 3, 0, 9, 8, 0, 0])
    np.testing.assert_array_equal(np.transpose(two_of_four)[1], [0, 0, 0, 5, 0, 0, 2, 2])


@pytest.mark.parametrize("recipe", [
    Prune(0.7, schedule="polynomial", end=0.8, frequency=2),
    Prune(0.25, pattern="block", block_size=(4, 8), begin=0.3, end=0.7),
    Prune(pattern="2:4"),
])  # fmt: skip
def test_a_training_ends_with_exact_zeros_in_every_product_and_in_nothing_else(
    recipe: Prune, text_encoder: TextEncoder
) -> None:
    before = {weight.path: np.array(weight) for weight in text_encoder.encoder.weights}

    fit(text_encoder, ROWS, epochs=3, hooks=[recipe.make_hook()], ema_momentum=0.9)

    zeros = zeros_of(text_encoder.encoder)
    assert len(zeros) == PRODUCTS
    assert all(found == round(recipe.sparsity * size) for found, size in zeros.values())
    for weight in text_encoder.encoder.weights:
        now = np.array(weight)
        assert np.abs(now - before[weight.path]).max() > 0
        if not weight.path.endswith("kernel"):
            assert np.sum((now == 0) & (before[weight.path] != 0)) == 0
        elif recipe.pattern == "2:4":
            np.testing.assert_array_equal(np.sum(now.reshape(-1, 4, now.shape[1]) == 0, axis=1), 2)
        elif recipe.pattern == "block":
            blocks = now.reshape(now.shape[0] // 4, 4, now.shape[1] // 8, 8) == 0
            np.testing.assert_array_equal(blocks.all(axis=(1, 3)), blocks.any(axis=(1, 3)))


class Zeros(keras.callbacks.Callback):
    """Notes the share of zeros in one kernel behind each step."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[float] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        kernel = np.array(self.model.encoder.get_layer("layer_0").intermediate.kernel)
        self.seen.append(float(np.mean(kernel == 0)))


@pytest.mark.parametrize(("recipe", "expected"), [
    # 0.75 * (1 - (1 - t)**3) for t = 0, 1/3, 2/3, 1 behind the steps 2, 4, 6, 8
    (Prune(0.75, schedule="polynomial", begin=0.2, end=0.8, frequency=2),
     [0, 0, 0, 19 / 36, 19 / 36, 26 / 36, 26 / 36, 0.75, 0.75, 0.75]),
    (Prune(0.75, schedule="polynomial", begin=0, end=0.5, frequency=3),  # the end, step 5, is no third one
     [0, 0, 0.75 * (1 - 0.4**3), 0.75 * (1 - 0.4**3), *[0.75] * 6]),
    (Prune(0.75, begin=0.4, end=1, frequency=3), [0, 0, 0, *[0.75] * 7]),
])  # fmt: skip
@pytest.mark.usefixtures("eager")
def test_zeros_come_when_the_schedule_says(recipe: Prune, expected: list[float], text_encoder: TextEncoder) -> None:
    zeros = Zeros()
    fit(text_encoder, ROWS, epochs=5, hooks=[recipe.make_hook()], callbacks=[zeros])
    np.testing.assert_allclose(zeros.seen, expected, atol=1 / 512)  # of 512 weights


@pytest.mark.usefixtures("eager")
def test_a_stopped_training_goes_on_with_the_same_zeros(tiny_model_path: Path, tmp_path: Path) -> None:
    recipe = Prune(0.6, schedule="polynomial", end=0.6, frequency=2)
    made = [TextEncoder.from_pretrained(tiny_model_path, engine="tensorflow") for _ in range(3)]
    fit(made[0], epochs=5, hooks=[recipe.make_hook()])
    options = {"epochs": 5, "checkpoint": tmp_path / "run", "checkpoint_every": 1}
    with pytest.raises(KeyboardInterrupt):
        fit(made[1], hooks=[recipe.make_hook()], callbacks=[Stop(7)], **options)
    with pytest.raises(InputError, match="to another training: hooks was"):
        fit(made[2], hooks=[Prune(0.7).make_hook()], **options)
    fit(made[2], hooks=[recipe.make_hook()], **options)
    assert_same_weights(made[0], made[2])


@pytest.mark.usefixtures("eager")
def test_what_is_evaluated_and_kept_as_the_best_is_pruned_averages_of_weights_too(text_encoder: TextEncoder) -> None:
    values = iter([0.9, 0.3, 0.2, 0.1])
    seen: list[list[float]] = []

    def evaluate(in_training: Any) -> dict[str, float]:
        seen.append([found / size for found, size in zeros_of(in_training.encoder).values()])
        return {"ndcg@10": next(values)}

    validation = Validation(dataset=None, metrics=["ndcg@10"])
    hook = Prune(0.5, schedule="polynomial", end=0.5, frequency=1).make_hook()
    fit(text_encoder, epochs=4, hooks=[hook], evaluate=evaluate, validation=validation, ema_momentum=0.5)
    assert seen[0] == pytest.approx([0.4375] * PRODUCTS, abs=1 / 512)  # 0.5 * (1 - (1 - 1/2)**3)
    assert seen[1:] == [[0.5] * PRODUCTS] * 3
    assert all(2 * found == size for found, size in zeros_of(text_encoder.encoder).values())


def test_layers_are_chosen_by_patterns_and_tables_only_when_asked(text_encoder: TextEncoder) -> None:
    made = compress(text_encoder, Prune(0.5, layers=("layer_1/attention", "token"))).text_encoder
    found = {path for path, (zeros, _) in zeros_of(made.encoder).items() if zeros}
    assert found == {"layer_1/attention/output", "layer_1/attention/query_key_value"}
    table = np.array(made.encoder.get_layer("embeddings").token.embeddings)
    assert 2 * np.sum(table == 0) == table.size


def test_without_a_training_the_weights_as_they_are_lose_the_smallest(text_encoder: TextEncoder) -> None:
    fingerprint = text_encoder.fingerprint
    made = compress(text_encoder, [Prune(0.5)])
    assert text_encoder.fingerprint == fingerprint != made.text_encoder.fingerprint
    assert made.report.name == "prune(0.5 unstructured)"
    assert all(2 * found == size for found, size in zeros_of(made.text_encoder.encoder).values())
    old, new = (
        np.array(one.encoder.get_layer("layer_0").intermediate.kernel) for one in (text_encoder, made.text_encoder)
    )
    np.testing.assert_array_equal(new, np.where(np.abs(old) > np.median(np.abs(old)), old, 0))


@pytest.mark.usefixtures("eager")
def test_a_pruned_chain_is_distilled_saved_exported_and_trained_again(thin_model_path: Path, tmp_path: Path) -> None:
    chain = NeuralSearchChain.from_pretrained(thin_model_path, engine="tensorflow")
    chain.add([Document(id=str(number), text=text) for number, text in enumerate(TEXTS[:8])])
    recipes = [Prune(pattern="2:4"), Distill(batch_size=8), Quantize("bfloat16")]
    report = chain.compress(recipes, texts=TEXTS, progress=False)
    assert report.kept == "prune(0.5 2:4) + distill + bfloat16"
    again = NeuralSearchChain.load(chain.save(tmp_path / "saved"))
    assert all(2 * found == size for found, size in zeros_of(again.model).values())
    assert again.export(tmp_path / "versions", top_k=3).is_dir()  # compared with the chain before it appears
    one = FitOptions(strategy="one", length_groups=1)
    again.fit(PAIRS, batch_size=4, recipes=Prune(pattern="2:4"), options=one)
    assert all(2 * found == size for found, size in zeros_of(again.model).values())
    again.fit(PAIRS, batch_size=4, options=one)
    assert all(found == 0 for found, _ in zeros_of(again.model).values())


@pytest.mark.parametrize(("values", "message"), [
    ({"sparsity": 1.2}, "`sparsity` must be above 0 and below 1. Received: sparsity=1.2. Use 0.9"),
    ({"sparsity": 0}, "`sparsity` must be above 0"),
    ({"sparsity": True}, "`sparsity` must be above 0"),
    ({"sparsity": float("nan")}, "`sparsity` must be above 0"),
    ({"pattern": "1:4"}, "`pattern` of Prune must be one of unstructured, block, 2:4. Received: pattern='1:4'"),
    ({"sparsity": 0.75, "pattern": "2:4"}, "the pattern 2:4 is 0.5: two zeros in each four. Received: sparsity=0.75"),
    ({"pattern": "2:4", "schedule": "polynomial"}, "`schedule` of the pattern 2:4 is 'constant'"),
    ({"pattern": "block"}, "needs `block_size`, inputs and outputs. Received: block_size=None. Try"),
    ({"pattern": "block", "block_size": (4, 0)}, "`block_size` must be a whole number of at least 1"),
    ({"block_size": (4, 4)}, "`block_size` is for pattern='block'"),
    ({"begin": 0.6}, "`begin` must not be above `end`. Received: begin=0.6, end=0.5"),
    ({"end": 100}, "`end` must be in .0, 1., a part of the training. Received: end=100"),
    ({"frequency": 0}, "`frequency` must be a whole number of at least 1"),
    ({"layers": [3]}, "`layers` must be a list of patterns"),
])  # fmt: skip
def test_values_out_of_range_are_refused(values: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Prune(**values)


@pytest.mark.parametrize(("recipe", "message"), [
    (Prune(pattern="block", block_size=(4, 5)), r"that blocks of 4 x 5 divide. Received: layer_0/attention/output of "),
    (
        Prune(layers="layer_7"),
        "`layers` of Prune must match layers. Received: 'layer_7', which matches none. There are: ",
    ),
    (Prune(pattern="2:4", layers="token"), "that groups of 4 along the inputs divide. Received: embeddings/token of "),
])  # fmt: skip
def test_what_does_not_suit_the_model_is_named(recipe: Prune, message: str, text_encoder: TextEncoder) -> None:
    with pytest.raises(InputError, match=message):
        compress(text_encoder, recipe)


def test_lora_and_models_without_products_are_refused(text_encoder: TextEncoder) -> None:
    with pytest.raises(InputError, match="Prune needs the weights themselves to be trained: .*Leave `lora_rank` out"):
        fit(text_encoder, hooks=[Prune(0.5).make_hook()], lora_rank=2)
    ids = keras.Input((None,), dtype="int32", name="token_ids")
    mask = keras.Input((None,), dtype="int32", name="padding_mask")
    vectors = keras.ops.mean(keras.layers.Embedding(200, 4)(ids), axis=1)
    model = keras.Model({"token_ids": ids, "padding_mask": mask}, vectors)
    own = TextEncoder(text_encoder.tokenizer.tokenizer, model, max_length=8)
    with pytest.raises(InputError, match="Prune needs a model with products .Dense layers.. Received: none."):
        compress(own, Prune(0.5))
