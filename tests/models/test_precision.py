"""Precisions: vectors near the float ones, another fingerprint, and float weights that stay as they are."""

from pathlib import Path

import keras
import ml_dtypes
import numpy as np
import pytest
from flatbuffers import flexbuffers
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow.lite.python import schema_py_generated as schema

from tfchain.core.errors import InputError, TfchainError
from tfchain.models import native_library as native
from tfchain.models.engines.compute_copy import make_compute_copy
from tfchain.models.text_encoder import TextEncoder

pytestmark = pytest.mark.usefixtures("empty_cache")

TEXTS = ["the cat sleeps", "stocks fell on monday " * 8, "who", "what does a dog do"]


@pytest.fixture(scope="module")
def float_encoder(wide_model_path: Path) -> TextEncoder:
    return TextEncoder.from_pretrained(wide_model_path, engine="auto")


@pytest.mark.parametrize(("precision", "nearest", "farthest"), [
    ("bfloat16", 1e-4, 1e-2), ("float16", 1e-6, 1e-3), ("int8", 1e-4, 1e-2),
])  # fmt: skip
def test_vectors_of_a_precision_are_near_the_float_ones_and_survive_save_and_load(
    precision: str, nearest: float, farthest: float, float_encoder: TextEncoder, tmp_path: Path
) -> None:
    weights = float_encoder.encoder.get_weights()
    expected = float_encoder.encode(TEXTS)
    made = float_encoder.with_precision(precision)
    vectors = made.encode(TEXTS)
    assert vectors.dtype == np.float32
    assert nearest < np.abs(vectors - expected).max() < farthest
    assert made.fingerprint != float_encoder.fingerprint
    assert float_encoder.precision == "float32"
    for before, after in zip(weights, made.encoder.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)

    made.save(tmp_path)
    again = TextEncoder.from_pretrained(tmp_path)
    assert (again.precision, again.fingerprint) == (precision, made.fingerprint)
    np.testing.assert_array_equal(again.encode(TEXTS), vectors)
    assert TextEncoder.from_pretrained(tmp_path, precision="float32").fingerprint == float_encoder.fingerprint


def test_a_folder_for_sentence_transformers_says_nothing_of_the_precision(
    float_encoder: TextEncoder, tmp_path: Path
) -> None:
    float_encoder.with_precision("int8").save(tmp_path, portable=True)
    assert TextEncoder.from_pretrained(tmp_path).fingerprint == float_encoder.fingerprint


def test_the_copy_in_bfloat16_holds_the_rounded_weights(float_encoder: TextEncoder) -> None:
    copy = make_compute_copy(float_encoder.encoder, "bfloat16")
    for rounded, weight in zip(copy.weights, float_encoder.encoder.weights, strict=True):
        expected = np.asarray(weight).astype(ml_dtypes.bfloat16)
        np.testing.assert_array_equal(np.asarray(rounded).astype("float32"), expected.astype("float32"))
    assert keras.config.dtype_policy().name == "float32"


def test_changed_weights_are_converted_anew(wide_model_path: Path) -> None:
    float_encoder = TextEncoder.from_pretrained(wide_model_path, engine="tensorflow")
    for precision in ("bfloat16", "int8"):
        made = TextEncoder.from_pretrained(wide_model_path, precision=precision)
        before = made.encode(TEXTS)
        for encoder in (made.encoder, float_encoder.encoder):
            values = [value + 0.3 * np.sin(np.arange(value.size)).reshape(value.shape)
                      for value in TextEncoder.from_pretrained(wide_model_path).encoder.get_weights()]  # fmt: skip
            encoder.set_weights(values)
        after = made.encode(TEXTS)
        float_encoder.refresh()
        assert np.abs(after - before).max() > 0.05
        np.testing.assert_allclose(after, float_encoder.encode(TEXTS), atol=0.02)


def test_the_int8_flatbuffer_is_small_aligned_and_names_its_signature_for_the_server(
    float_encoder: TextEncoder,
) -> None:
    whole = float_encoder.with_precision("float32").runner.make_flatbuffer()
    flatbuffer = float_encoder.with_precision("int8").runner.make_flatbuffer()
    assert len(flatbuffer) < 0.45 * len(whole)  # a quarter of the weights, and the graph, the same in both
    model = schema.Model.GetRootAs(flatbuffer)
    for number in range(model.BuffersLength()):
        if model.Buffers(number).DataLength():
            data = model.Buffers(number).DataAsNumpy()
            assert (data.ctypes.data - np.frombuffer(flatbuffer, "uint8").ctypes.data) % 16 == 0
    (entry,) = [
        model.Buffers(model.Metadata(number).Buffer()).DataAsNumpy().tobytes()
        for number in range(model.MetadataLength())
        if model.Metadata(number).Name() == b"signature_defs_metadata"
    ]
    ((name, described),) = flexbuffers.Loads(entry).items()
    signature = meta_graph_pb2.SignatureDef.FromString(described.encode("ascii"))
    assert name == "embed_ids"
    assert {key: (info.name, info.dtype) for key, info in signature.inputs.items()} == {
        "token_ids": ("token_ids", 3), "padding_mask": ("padding_mask", 3),
    }  # fmt: skip
    assert {key: (info.name, info.dtype) for key, info in signature.outputs.items()} == {"embedding": ("embedding", 1)}
    assert signature.method_name == "tensorflow/serving/predict"
    graph = model.Subgraphs(0)
    names = {graph.Tensors(number).Name() for number in [*graph.InputsAsNumpy(), *graph.OutputsAsNumpy()]}
    assert names == {b"token_ids", b"padding_mask", b"embedding"}  # the server finds the tensors by these names


@pytest.mark.parametrize(("engine", "precision", "message"), [
    ("tensorflow", "int8",
     "must support the `precision`: int8 is computed by 'litert' or 'native'. Received: engine='tensorflow'"),
    ("tensorflow", "float16", "float16 is computed by 'litert'"),
    ("native", "float32", "engine='native', precision='float32'. Use engine='auto', which is 'native' after Q"),
    ("litert", "bfloat16", "bfloat16 is computed by 'tensorflow'. Received: engine='litert', precision='bfloat16'"),
    ("auto", "int4", "`precision` must be one of float32, bfloat16, float16, int8. Received: precision='int4'"),
    ("auto", None, "Received: precision=None"),
])  # fmt: skip
def test_what_does_not_go_together_is_one_clear_error(
    engine: str, precision: str, message: str, wide_model_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        TextEncoder.from_pretrained(wide_model_path, engine=engine, precision=precision)


def test_a_flatbuffer_in_bfloat16_is_refused(float_encoder: TextEncoder) -> None:
    with pytest.raises(InputError, match="bfloat16 is computed by 'tensorflow'"):
        float_encoder.with_precision("bfloat16").runner.make_flatbuffer()


def keras_encoder(vocabulary_size: int, *, convertible: bool = True) -> keras.Model:
    """A Keras encoder that is not tfchain's; LiteRT has no kernel for a matrix determinant."""
    ids, mask = (keras.Input((None,), dtype="int32", name=name) for name in ("token_ids", "padding_mask"))
    hidden = keras.layers.Embedding(vocabulary_size, 8)(ids)
    pooled = keras.ops.mean(hidden * keras.ops.expand_dims(keras.ops.cast(mask, "float32"), -1), axis=1)
    if not convertible:
        square = keras.ops.matmul(keras.ops.swapaxes(hidden, 1, 2), hidden)
        pooled = pooled + keras.ops.expand_dims(keras.ops.det(square), -1)
    return keras.Model({"token_ids": ids, "padding_mask": mask}, pooled)


def test_a_keras_model_of_ones_own_has_int8_but_no_bfloat16(float_encoder: TextEncoder, tmp_path: Path) -> None:
    tokenizer = float_encoder.tokenizer.tokenizer
    own = TextEncoder(tokenizer, keras_encoder(len(tokenizer)), max_length=16)
    made = own.with_precision("int8")
    np.testing.assert_allclose(made.encode(TEXTS), own.encode(TEXTS), atol=1e-3)
    made.save(tmp_path)
    assert TextEncoder.from_pretrained(tmp_path).fingerprint == made.fingerprint
    with pytest.raises(InputError, match="'bfloat16' needs one of tfchain's own encoders. Received: Functional. Use"):
        own.with_precision("bfloat16")


def test_a_conversion_that_fails_is_an_error_and_not_another_precision(float_encoder: TextEncoder) -> None:
    tokenizer = float_encoder.tokenizer.tokenizer
    own = TextEncoder(tokenizer, keras_encoder(len(tokenizer), convertible=False), max_length=16)
    with pytest.raises(TfchainError, match="cannot run this encoder: .*MatrixDeterminant.* Use precision='float32'"):
        own.with_precision("int8").encode(TEXTS)


def test_an_engine_for_int8_alone_gives_way_to_another_precision(float_encoder: TextEncoder, tmp_path: Path) -> None:
    if native.find_obstacle() is not None:
        pytest.skip(str(native.find_obstacle()))
    float_encoder.with_precision("int8").save(tmp_path)
    encoder = TextEncoder.from_pretrained(tmp_path, engine="native")
    assert (encoder.precision, encoder.runner.engine) == ("int8", "native")
    assert encoder.with_precision("int8").runner.engine == "native"
    assert encoder.with_precision("float32").runner.engine == "auto"
    with pytest.raises(InputError, match="computed by 'litert' or 'tensorflow'. Received: engine='native'"):
        encoder.with_precision("float32", engine="native")
