"""A text encoder as any task's model: copies, the precision that a compression starts from, files, the shape."""

from pathlib import Path

import numpy as np
import pytest

from tfchain.models.indexes.storage import VectorStorage
from tfchain.models.text_encoder import TextEncoder
from tfchain.models.text_encoder_model import identify_model

ROUTER = Path(__file__).parents[1] / "parity" / "fixtures" / "router"


@pytest.fixture(scope="module")
def text_encoder(thin_model_path: Path) -> TextEncoder:
    return TextEncoder.from_pretrained(thin_model_path, engine="tensorflow", max_length=12)


def test_a_copy_has_weights_of_its_own(text_encoder: TextEncoder) -> None:
    copy = text_encoder.copy()
    assert (copy.fingerprint, copy.tokenizer.max_length) == (text_encoder.fingerprint, 12)
    before = text_encoder.encode("a dog")
    copy.set_weights([weight * 2 for weight in copy.keras_model.get_weights()])
    assert np.abs(copy.encode("a dog") - before).max() > 1e-3
    np.testing.assert_array_equal(text_encoder.encode("a dog"), before)


def test_the_models_fingerprint_is_of_the_encoder_for_queries_too(text_encoder: TextEncoder) -> None:
    assert text_encoder.model_fingerprint == text_encoder.fingerprint == identify_model(text_encoder)
    routed = TextEncoder.from_pretrained(ROUTER, engine="tensorflow")
    route = routed.query_route
    assert route is not None
    documents, both = routed.fingerprint, routed.model_fingerprint
    assert both not in (documents, route.fingerprint)
    assert TextEncoder.from_pretrained(ROUTER).model_fingerprint == both
    route.set_weights([weight * 2 for weight in route.own_encoder.get_weights()])
    assert routed.fingerprint == documents
    assert identify_model(routed) == routed.model_fingerprint != both


def test_the_plain_one_is_in_float32_with_the_same_weights(text_encoder: TextEncoder) -> None:
    small = text_encoder.with_vector_storage(VectorStorage("int8")).with_precision("bfloat16")
    assert (small.plain().precision, small.plain().vector_storage) == ("float32", VectorStorage())
    assert small.plain().keras_model is text_encoder.keras_model
    assert small.plain().fingerprint == text_encoder.fingerprint


def test_the_shape_does_not_depend_on_the_weights(text_encoder: TextEncoder) -> None:
    copy = text_encoder.copy()
    copy.set_weights([weight * 2 for weight in copy.keras_model.get_weights()])
    assert copy.describe_shape() == text_encoder.describe_shape()
    for other in (
        text_encoder.with_precision("bfloat16"),
        text_encoder.with_precision("float32", engine="litert"),
        TextEncoder(text_encoder.tokenizer.source, text_encoder.keras_model, max_length=11, engine="tensorflow"),
    ):
        assert other.describe_shape() != text_encoder.describe_shape()


def test_a_server_of_float32_needs_a_saved_model_and_the_tokenizer(text_encoder: TextEncoder, tmp_path: Path) -> None:
    text_encoder.write_served_files(tmp_path)
    assert {"saved_model.pb", "tokenizer.json"} <= {file.name for file in tmp_path.iterdir()}
