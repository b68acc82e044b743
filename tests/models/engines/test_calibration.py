"""Calibration: samples of texts, the ranges that are measured on them, and encoders in int8 made so."""

from pathlib import Path

import keras
import numpy as np
import pytest

from tfchain.core.errors import InputError, ModelFolderError
from tfchain.models.encoders.config import EncoderConfig, TransformerConfig
from tfchain.models.encoders.encoder import Encoder
from tfchain.models.engines.calibration import Calibration, make_calibration, measure_input_ranges
from tfchain.models.engines.compute_copy import make_compute_copy
from tfchain.models.text_encoder import TextEncoder

TEXTS = ["the cat sleeps", "stocks fell on monday " * 3, "who", "what does a dog do", "你好", "a cat", "dogs run", "do",
         "on monday the stock fell", "who does what"]  # fmt: skip


@pytest.fixture(scope="module")
def float_encoder(wide_model_path: Path) -> TextEncoder:
    return TextEncoder.from_pretrained(wide_model_path, engine="tensorflow")


@pytest.mark.parametrize(("texts", "received"), [(TEXTS[:7], 7), ([], 0), (["", " \n"] * 20 + ["cat"], 1)])
def test_too_few_texts_to_calibrate_is_one_clear_error(
    texts: list[str], received: int, float_encoder: TextEncoder
) -> None:
    with pytest.raises(InputError, match=f"at least 8 texts with words .* unknown .NaN.*Received: {received}. Give"):
        float_encoder.calibrate(texts)


def test_texts_are_taken_evenly() -> None:
    made = make_calibration(lambda texts: [[int(text)] for text in texts], [str(number) for number in range(640)])
    assert made.token_ids == tuple((number,) for number in range(0, 640, 10))


def test_texts_get_the_prompt_that_documents_get(wide_model_path: Path) -> None:
    prompts = {"query": "who ", "passage": "a dog "}
    made = TextEncoder.from_pretrained(wide_model_path, engine="tensorflow", prompts=prompts)
    words = made.tokenizer.tokenizer.convert_ids_to_tokens(made.calibrate(["the cat"] * 8).token_ids[0])
    assert words == ["[CLS]", "a", "dog", "the", "cat", "[SEP]"]
    with pytest.raises(InputError, match="at least 8 texts with words .*Received: 0"):
        made.calibrate([" "] * 8)


def test_ranges_are_those_of_the_tokens_without_padding(float_encoder: TextEncoder) -> None:
    calibration = float_encoder.calibrate(TEXTS)
    ranges = measure_input_ranges(float_encoder.encoder, calibration)
    encoder = float_encoder.encoder
    assert set(ranges) == {
        f"layer_{number}/{name}"
        for number in range(2)
        for name in ("attention/query_key_value", "attention/output", "intermediate", "output")
    }
    hidden = [  # one text at a time: nothing is padded
        encoder.get_layer("embeddings")(np.array([ids])).numpy()[0] for ids in calibration.token_ids
    ]
    layer = encoder.get_layer("layer_0")
    no_bias = np.zeros((1, 1, 1, 1), "float32")
    units = []
    for rows in hidden:
        attended = layer.attention_norm(rows + layer.attention(rows[None], no_bias)[0])
        units.append(layer.intermediate(attended).numpy())
    units = np.concatenate(units)
    for name, values in (("attention/query_key_value", np.concatenate(hidden)), ("output", units)):
        found = ranges[f"layer_0/{name}"]
        np.testing.assert_allclose(found.low, values.min(axis=0), atol=1e-5)
        np.testing.assert_allclose(found.high, values.max(axis=0), atol=1e-5)
        np.testing.assert_allclose(found.mean_square, np.square(values).mean(axis=0), atol=1e-5)


@pytest.mark.usefixtures("int8_products")
def test_a_damaged_model_has_no_ranges(wide_model_path: Path) -> None:
    broken = TextEncoder.from_pretrained(wide_model_path, engine="tensorflow")
    kernel = broken.encoder.get_layer("layer_1").intermediate.kernel
    kernel.assign(np.full(kernel.shape, np.nan))
    made = broken.with_precision("int8", calibration=broken.calibrate(TEXTS))
    with pytest.raises(InputError, match="input ranges of layer_1/output are not finite .NaN or infinite"):
        made.encode(TEXTS)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    assert Calibration.load(tmp_path) is None
    made = Calibration(tuple((number, 7) for number in range(8)))
    made.save(tmp_path)
    assert Calibration.load(tmp_path) == made
    (tmp_path / "calibration.json").write_text('{"token_ids": [[1, "x"]]}')
    with pytest.raises(ModelFolderError, match="calibration.json is damaged: ValueError"):
        Calibration.load(tmp_path)


@pytest.mark.usefixtures("int8_products")
def test_calibrated_int8_is_near_float32_whatever_the_batch_and_leaves_the_encoder_alone(
    float_encoder: TextEncoder, tmp_path: Path
) -> None:
    weights, expected = float_encoder.encoder.get_weights(), float_encoder.encode(TEXTS)
    made = float_encoder.with_precision("int8", calibration=float_encoder.calibrate(TEXTS))
    vectors = made.encode(TEXTS)
    assert 1e-4 < np.abs(vectors - expected).max() < 2e-2
    np.testing.assert_allclose(made.encode(TEXTS[1]), vectors[1], atol=1e-2)
    copy = made.runner.compute_encoder
    matrices = {str(weight.dtype) for weight in copy.weights if len(weight.shape) == 2 and "position" not in weight.path
                and "token_type" not in weight.path}  # fmt: skip
    assert matrices == {"int8"}
    for before, after in zip(weights, float_encoder.encoder.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)

    made.save(tmp_path)
    again = TextEncoder.from_pretrained(tmp_path)
    assert (again.fingerprint, again.calibration) == (made.fingerprint, made.calibration)
    assert made.fingerprint != float_encoder.with_precision("int8", engine="auto").fingerprint
    np.testing.assert_allclose(again.encode(TEXTS), vectors, atol=1e-6)
    whole = TextEncoder.from_pretrained(tmp_path, precision="float32")
    assert whole.calibration is None
    assert whole.fingerprint == float_encoder.fingerprint


@pytest.mark.usefixtures("int8_products")
@pytest.mark.parametrize("changes", [
    {"architecture": "mpnet", "num_token_types": 0, "position_offset": 2, "relative_attention_buckets": 8},
    {"activation": "relu"},
    {"activation": "gelu_new", "token_embedding_dim": 8},
    {"num_heads": (2, 4), "head_dim": 16},
], ids=str)  # fmt: skip
def test_every_shape_of_encoder_has_a_copy_in_int8(changes: dict) -> None:
    keras.utils.set_random_seed(0)
    values = {
        "architecture": "bert",
        "vocabulary_size": 50,
        "hidden_dim": 64,
        "num_layers": 2,
        "num_heads": 4,
        "intermediate_dim": 128,
        "max_positions": 32,
        "num_token_types": 2,
        **changes,
    }
    encoder = Encoder(EncoderConfig(transformer=TransformerConfig(**values), normalize=True))
    rng = np.random.default_rng(0)
    ids = rng.integers(1, 50, (12, 9)).astype("int32")
    mask = np.ones_like(ids)
    mask[3:6, 5:] = 0
    inputs = {"token_ids": ids, "padding_mask": mask}
    copy = make_compute_copy(encoder, "int8", Calibration(tuple(map(tuple, ids.tolist()))))
    similarity = (copy(inputs).numpy() * encoder(inputs).numpy()).sum(axis=-1)
    assert 0.99 < similarity.min() < 0.999999


@pytest.mark.parametrize(("precision", "engine", "message"), [
    ("int8", "litert", "calibrated int8 is computed by 'tensorflow'. Received: engine='litert'"),
    ("bfloat16", None, "`calibration` is only for 'int8'. Received: precision='bfloat16'"),
])  # fmt: skip
def test_what_does_not_go_with_a_calibration_is_one_clear_error(
    precision: str, engine: str | None, message: str, float_encoder: TextEncoder
) -> None:
    with pytest.raises(InputError, match=message):
        float_encoder.with_precision(precision, engine=engine, calibration=float_encoder.calibrate(TEXTS))


def test_a_calibration_for_a_folder_in_float32_is_refused(float_encoder: TextEncoder, wide_model_path: Path) -> None:
    calibration = float_encoder.calibrate(TEXTS)
    with pytest.raises(InputError, match="`calibration` is only for 'int8'. Received: precision='float32'"):
        TextEncoder.from_pretrained(wide_model_path, calibration=calibration)
    made = TextEncoder.from_pretrained(wide_model_path, precision="int8", calibration=calibration)
    assert made.calibration == calibration


def test_no_other_encoder_than_tfchains_own_is_calibrated(float_encoder: TextEncoder) -> None:
    other = keras.Model(float_encoder.encoder.inputs, float_encoder.encoder.outputs)
    made = TextEncoder(float_encoder.tokenizer.tokenizer, other)
    calibration = made.calibrate(TEXTS)
    with pytest.raises(InputError, match="calibrated 'int8' needs one of tfchain's own encoders. Received: Functional"):
        made.with_precision("int8", calibration=calibration)
