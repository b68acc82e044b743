"""Distillation: the student comes near the teacher, and both inputs stay as they are."""

from pathlib import Path

import numpy as np
import pytest

from tests.tiny_model import save_tiny_model
from tfchain import Distill, NeuralSearchChain, Prune, Quantize, Shrink, compress
from tfchain.core.errors import InputError
from tfchain.models.text_encoder import TextEncoder
from tfchain.optimization.distill import distill
from tfchain.optimization.shrink import shrink

ROUTER = Path(__file__).parents[1] / "parity" / "fixtures" / "router"

WORDS = ("cat", "dog", "stock", "monday", "sleep", "run", "fell")
TEXTS = [f"the {one} {other}" for one in WORDS for other in WORDS if one != other]


@pytest.fixture(scope="module")
def model_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wide") / "bert"
    save_tiny_model(folder, seed=3, hidden_dim=32)
    return folder


@pytest.fixture
def teacher(model_path: Path) -> TextEncoder:
    return TextEncoder.from_pretrained(model_path, engine="tensorflow")


def distance(one: TextEncoder, other: TextEncoder) -> float:
    """One less the mean cosine on texts that were not trained on."""
    texts = ["a cat fell", "who does a dog", "stocks on monday"]
    return 1 - float(np.mean(np.sum(one.encode(texts, progress=False) * other.encode(texts, progress=False), axis=1)))


def test_the_student_comes_nearer_and_what_was_given_stays(teacher: TextEncoder) -> None:
    student = shrink(teacher, Shrink(layers=1, intermediate_dim=16), TEXTS)
    kept = [student.fingerprint, teacher.fingerprint]

    made = distill(student, teacher, Distill(epochs=20, batch_size=8, learning_rate=3e-3), TEXTS, progress=False)

    assert distance(made, teacher) < distance(student, teacher) / 2
    assert [student.fingerprint, teacher.fingerprint] == kept
    assert made.encoder.config == student.encoder.config


def test_recipes_in_a_row_shrink_distill_and_quantize(model_path: Path, tmp_path: Path) -> None:
    chain = NeuralSearchChain.from_pretrained(model_path, engine="tensorflow").add(TEXTS[:10])
    teacher = chain.text_encoder
    recipes = [Shrink(layers=1), Distill(epochs=20, batch_size=8, learning_rate=3e-3), Quantize("bfloat16")]

    report = chain.compress(recipes, texts=TEXTS, progress=False)

    (candidate,) = report.candidates
    assert candidate.name == report.kept == "shrink(layers=1) + distill + bfloat16"
    assert [one["recipe"] for one in candidate.recipes] == ["Shrink", "Distill", "Quantize"]
    assert (chain.text_encoder.precision, chain.model.config.transformer.num_layers) == ("bfloat16", 1)
    assert distance(chain.text_encoder, teacher) < distance(shrink(teacher, Shrink(layers=1)), teacher)
    assert len(chain.search("the cat").hits) == 10
    again = NeuralSearchChain.load(chain.save(tmp_path / "saved"))
    np.testing.assert_allclose(again.encode(TEXTS[:3]), chain.encode(TEXTS[:3]), atol=1e-2)
    history = again.fit([(one, one) for one in TEXTS[:8]], batch_size=4, epochs=1)  # the float weights are there
    assert np.isfinite(history.history["loss"]).all()


@pytest.mark.usefixtures("eager")
def test_a_chain_distils_from_its_own_documents(model_path: Path) -> None:
    chain = NeuralSearchChain.from_pretrained(model_path, engine="tensorflow").add(TEXTS[:8])
    report = chain.compress([Shrink(intermediate_dim=32), Distill(batch_size=4)], progress=False)
    assert report.kept == "shrink(intermediate_dim=32) + distill"


@pytest.mark.parametrize(("values", "message"), [
    ({"epochs": 0}, "`epochs` must be a whole number of at least 1"),
    ({"learning_rate": 0}, "`learning_rate` must be a number above 0"),
    ({"learning_rate": True}, "`learning_rate` must be a number above 0"),
    ({"dropout": 1.0}, "`dropout` must be a number at least 0 and below 1"),
    ({"dtype_policy": "float8"}, "`dtype_policy` must be one of float32"),
    ({"batches": "long"}, "`batches` must be one of random"),
    ({"objective": "attention"}, "`objective` must be one of embeddings, scores, layers. Received: objective='att"),
    ({"distance": "angle"}, "`distance` must be one of cosine, l2, mse. Received: distance='angle'"),
])  # fmt: skip
def test_values_out_of_range_are_refused(values: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Distill(**values)


@pytest.mark.parametrize("texts", [None, []])
def test_without_texts_nothing_is_learned(texts: object, teacher: TextEncoder) -> None:
    with pytest.raises(InputError, match="Distill needs texts to learn from. Received: none."):
        distill(teacher, teacher, Distill(), texts)


def test_a_teacher_of_another_width_is_refused(teacher: TextEncoder, tmp_path: Path) -> None:
    save_tiny_model(tmp_path / "other", seed=3, hidden_dim=16)
    other = TextEncoder.from_pretrained(tmp_path / "other", engine="tensorflow")
    with pytest.raises(InputError, match="as wide as the teacher's. Received: 32 and 16"):
        distill(teacher, other, Distill(), TEXTS)


def test_scores_are_learned_from_a_teacher_of_another_width(teacher: TextEncoder, tmp_path: Path) -> None:
    save_tiny_model(tmp_path / "other", seed=5, hidden_dim=16)
    student = TextEncoder.from_pretrained(tmp_path / "other", engine="tensorflow")

    def difference(one: TextEncoder) -> float:
        """Mean absolute difference of the cosines of texts that were not trained on."""
        left, right = (each.encode(["a cat fell", "who does a dog", "stocks on monday"]) for each in (one, teacher))
        return float(np.abs(left @ left.T - right @ right.T).mean())

    recipe = Distill(objective="scores", epochs=20, batch_size=16, learning_rate=3e-3, dropout=0.0)
    made = distill(student, teacher, recipe, TEXTS, progress=False)

    assert made.embedding_dim == 16
    assert difference(made) < difference(student) / 2


@pytest.mark.parametrize("recipes", [
    [Distill(), Shrink(layers=1)], [Quantize("int8"), Distill()], [Quantize("int8"), Shrink(layers=1)],
    [Distill(), Prune(0.5)], [Prune(0.5), Shrink(layers=1)],
])  # fmt: skip
def test_another_order_is_refused_with_the_reason(recipes: list, teacher: TextEncoder) -> None:
    with pytest.raises(
        InputError,
        match="in the order TrimVocabulary, Shrink, Prune, .*, Distill, .* Received: .*Shape comes first",
    ):
        compress(teacher, recipes, texts=TEXTS)


def test_a_router_is_refused_before_anything_is_trained(teacher: TextEncoder) -> None:
    router = TextEncoder.from_pretrained(ROUTER, engine="tensorflow")
    message = r"Distill trains one encoder .*\(a Router\). Leave the recipe out: `fit` trains both on rows of a query"
    with pytest.raises(InputError, match=message):
        distill(router, teacher, Distill(), ["a fox", "sorted lists"])
