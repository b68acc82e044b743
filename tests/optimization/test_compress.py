"""Compression of text encoders and of chains: what is applied, what is measured, and what is kept."""

from pathlib import Path

import keras
import numpy as np
import pytest

from tfchain import Distill, NeuralSearchChain, Quantize, compress
from tfchain.core.errors import InputError, TfchainError
from tfchain.models.native_library import find_obstacle
from tfchain.models.text_encoder import TextEncoder
from tfchain.optimization.compress import compress_best
from tfchain.optimization.measure import Workload, make_workload
from tfchain.optimization.rule import Rule

pytestmark = pytest.mark.usefixtures("empty_cache")

DOCUMENTS = [{"id": str(number), "text": text} for number, text in enumerate(
    ["the cat sleeps", "a dog runs", "stocks fell on monday", "who does what", "the dog sleeps on monday"]
)]  # fmt: skip
DATASET = {
    "queries": {"q0": "what does the cat do", "q1": "dog", "q2": "monday"},
    "qrels": {"q0": {"0": 1}, "q1": {"1": 1, "4": 2}, "q2": {"2": 2, "4": 1}},
    "documents": DOCUMENTS,
}


def ndcg_by_hand(text_encoder: TextEncoder) -> float:
    """nDCG@10 of the five documents, each scored by its product with the query, without tfchain's evaluation."""
    documents = text_encoder.encode_document([one["text"] for one in DOCUMENTS])
    values = []
    for name, text in DATASET["queries"].items():
        order = np.argsort(-(documents @ text_encoder.encode_query(text)), kind="stable")
        gains = [DATASET["qrels"][name].get(str(place), 0) for place in order]
        ideal = sorted(gains, reverse=True)
        values.append(discount(gains) / discount(ideal))
    return float(np.mean(values))


def discount(gains: list[int]) -> float:
    return sum(gain / np.log2(rank + 2) for rank, gain in enumerate(gains))


@pytest.fixture
def chain(wide_model_path: Path) -> NeuralSearchChain:
    return NeuralSearchChain.from_pretrained(wide_model_path).add(DOCUMENTS)


def test_compress_gives_a_new_text_encoder_and_the_size_of_its_files(wide_model_path: Path) -> None:
    whole = TextEncoder.from_pretrained(wide_model_path)
    sizes = {}
    for precision in ("int8", "float16", "bfloat16"):
        made = compress(whole, [Quantize(precision)])
        assert made.text_encoder.precision == made.report.precision == made.report.name == precision
        assert made.report.recipes == ({"recipe": "Quantize", "precision": precision, "calibrated": False},)
        assert made.report.metrics == {}
        assert made.report.query_median_ms is None
        assert "tokenizer.json" in made.report.files
        sizes[precision] = made.report.files
    assert whole.precision == "float32"
    flatbuffer = whole.with_precision("int8").runner.make_flatbuffer()
    assert sizes["int8"]["model.tflite"] == len(flatbuffer) < sizes["float16"]["model.tflite"]
    two_bytes = 2 * whole.encoder.count_params()
    weights = sizes["bfloat16"]["variables/variables.data-00000-of-00001"]
    assert two_bytes <= weights < 1.1 * two_bytes


def test_a_chain_without_a_dataset_takes_the_only_candidate(chain: NeuralSearchChain, tmp_path: Path) -> None:
    before, weights = chain.index.vectors.vectors.copy(), chain.model.get_weights()
    chain.report = {"ndcg@10": 0.5}
    report = chain.compress([Quantize("int8")])
    assert (report.kept, [one.name for one in report.candidates]) == ("int8", ["int8"])
    assert chain.text_encoder.precision == "int8"
    assert chain.is_stale
    assert chain.report == {}
    assert chain.search("cat").hits
    assert np.abs(chain.index.vectors.vectors - before).max() > 1e-4
    for old, new in zip(weights, chain.model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    again = NeuralSearchChain.load(chain.save(tmp_path / "index"))
    assert again.text_encoder.precision == "int8"
    np.testing.assert_array_equal(again.encode("cat"), chain.encode("cat"))


def test_candidates_are_measured_in_one_run_and_the_rules_best_is_kept(
    chain: NeuralSearchChain, wide_model_path: Path
) -> None:
    report = chain.compress(
        [[Quantize("int8")], [Quantize("bfloat16")]], dataset=DATASET, keep="smallest", max_ndcg_loss=1.0
    )
    assert [one.name for one in report.candidates] == ["float32", "int8", "bfloat16"]
    assert report.rule == {"objective": "ndcg@10", "keep": "smallest", "max_loss": 1.0, "lower_is_better": False}
    for one in report.candidates:
        alone = NeuralSearchChain.from_pretrained(wide_model_path)
        alone.text_encoder = alone.text_encoder.with_precision(one.precision)
        assert one.metrics == pytest.approx({"ndcg@10": ndcg_by_hand(alone.text_encoder), "recall@100": 1.0}, abs=1e-6)
        assert one.metrics["ndcg@10"] < 1
        assert one.index_bytes == 5 * 64 * 4
        lean = one.precision == "int8" and find_obstacle() is None  # the kernels, without TensorFlow
        low, high = (20, 100) if lean else (100, 4000)
        assert low < one.peak_memory_mb < high
        assert 0 < one.query_median_ms <= one.query_p95_ms
        assert one.texts_per_second > 0
    smallest = min(report.candidates, key=lambda one: sum(one.files.values()))
    assert report.kept == smallest.name == chain.text_encoder.precision
    assert smallest.name != "float32"


def test_a_compressed_chain_is_compressed_anew_from_the_float_model(chain: NeuralSearchChain) -> None:
    chain.compress(Quantize("int8"))
    chain.compress(Quantize("bfloat16"))
    assert chain.text_encoder.precision == "bfloat16"
    whole = chain.text_encoder.with_precision("float32")
    np.testing.assert_allclose(chain.encode("the cat"), whole.encode("the cat"), atol=1e-2)


@pytest.mark.parametrize(("recipes", "options", "message"), [
    ([], {}, "at least one recipe"),
    (["int8"], {}, "Each recipe must be one of"),
    ([[Quantize("int8")], [Quantize("bfloat16")]], {}, "needs ndcg@10, which is not measured without a dataset"),
    ([Quantize("int8")], {"keep": "smallest"}, "needs ndcg@10, which is not measured without a dataset"),
    ([Quantize("int8")], {"max_ndcg_loss": 0.02}, "a loss of at most 0.02.* needs ndcg@10"),
    ([Quantize("int8")], {"keep": "quickest"}, "`keep` must be one of"),
    ([Quantize("int8")], {"dataset": 7}, "An evaluation needs a BEIR folder"),
])  # fmt: skip
def test_bad_calls_are_named_and_change_nothing(
    recipes: object, options: dict, message: str, chain: NeuralSearchChain
) -> None:
    before = chain.text_encoder
    with pytest.raises(InputError, match=message):
        chain.compress(recipes, **options)
    assert chain.text_encoder is before


def test_calibrated_int8_on_a_processor_without_it_is_refused_before_anything_is_made(
    wide_model_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tfchain.models.engines.int8_product.has_int8_products", lambda: False)
    monkeypatch.setattr("tfchain.optimization.distill.distill", lambda *_, **__: pytest.fail("trained"))
    whole = TextEncoder.from_pretrained(wide_model_path, engine="tensorflow")
    recipes = [Distill(), Quantize("int8", calibrated=True)]
    message = r"no int8 instructions .* Quantize\('int8'\) without calibrated=True"
    with pytest.raises(TfchainError, match=message):
        compress(whole, recipes, texts=[one["text"] for one in DOCUMENTS])
    with pytest.raises(TfchainError, match=message):
        compress_best(
            whole, [[Quantize("bfloat16")], recipes], Rule(objective="ndcg@10"), evaluate=lambda _: {"ndcg@10": 1.0}
        )


def test_a_metric_that_the_evaluation_lacks_is_told_after_the_first_candidate(wide_model_path: Path) -> None:
    measured = []

    def evaluate(text_encoder: TextEncoder) -> dict[str, float]:
        measured.append(text_encoder.precision)
        return {"recall@100": 1.0}

    with pytest.raises(InputError, match="needs ndcg@10, which was not measured for 'float32'"):
        compress_best(
            TextEncoder.from_pretrained(wide_model_path),
            [[Quantize("bfloat16")]],
            Rule(objective="ndcg@10"),
            evaluate=evaluate,
        )
    assert measured == ["float32"]


def test_a_rule_on_speed_without_texts_is_refused_before_anything_is_measured(wide_model_path: Path) -> None:
    with pytest.raises(InputError, match="keep='fastest_bulk' needs speed and memory"):
        compress_best(
            TextEncoder.from_pretrained(wide_model_path),
            [[Quantize("bfloat16")]],
            Rule(objective="ndcg@10", keep="fastest_bulk"),
            evaluate=lambda _: pytest.fail("measured"),
        )


def test_an_engine_that_was_chosen_and_has_not_the_precision_is_named(wide_model_path: Path) -> None:
    chain = NeuralSearchChain.from_pretrained(wide_model_path, engine="tensorflow")
    with pytest.raises(
        InputError, match="int8 is computed by 'litert' or 'native'. Received: engine='tensorflow'.*Use engine='auto'"
    ):
        chain.compress([Quantize("int8")])
    assert chain.compress([Quantize("bfloat16")]).kept == "bfloat16"


def test_a_model_whose_conversion_fails_stays_as_it_was(chain: NeuralSearchChain) -> None:
    ids, mask = (keras.Input((None,), dtype="int32", name=name) for name in ("token_ids", "padding_mask"))
    hidden = keras.layers.Embedding(len(chain.tokenizer), 4)(ids)
    square = keras.ops.matmul(keras.ops.swapaxes(hidden, 1, 2), hidden)
    pooled = keras.ops.mean(hidden, axis=1) + keras.ops.expand_dims(keras.ops.det(square), -1)  # LiteRT has no kernel
    model = keras.Model({"token_ids": ids, "padding_mask": mask}, pooled)
    own = NeuralSearchChain(chain.tokenizer, model, max_length=16).add(DOCUMENTS)
    before = own.text_encoder
    with pytest.raises(TfchainError, match="LiteRT cannot run this encoder: .*MatrixDeterminant.*precision='float32'"):
        own.compress([[Quantize("int8")]], dataset=DATASET)
    assert own.text_encoder is before
    assert own.search("cat").hits


def test_a_workload_is_a_sample_at_equal_distances() -> None:
    made = make_workload((f"q{number}" for number in range(250)), [f"t{number}" for number in range(5)])
    assert len(made.queries) == 100
    assert made.queries[:3] == ["q0", "q2", "q5"]
    assert made.texts == ["t0", "t1", "t2", "t3", "t4"]
    with pytest.raises(InputError, match="`texts` of a workload must hold at least one text"):
        Workload(queries=["a"], texts=[])
    with pytest.raises(InputError, match="Each text must be a string. Received: 7"):
        Workload(queries=[7], texts=["a"])
