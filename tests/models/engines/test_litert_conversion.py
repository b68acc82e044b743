"""The conversion to LiteRT: its child process, which other tests share in the form of one that stays."""

import sys
from typing import Any

import numpy as np
import pytest

from tests.converter import Converter
from tfchain.core.errors import TfchainError
from tfchain.models.encoders.config import EncoderConfig
from tfchain.models.encoders.encoder import Encoder
from tfchain.models.engines import litert_conversion
from tfchain.models.engines.litert_conversion import convert_encoder
from tfchain.models.engines.tensorflow_engine import make_function
from tfchain.runtime.litert import LiteRTEncoder

INPUTS = (np.array([[2, 9, 3]], "int32"), np.ones((1, 3), "int32"))


@pytest.fixture
def own_process(monkeypatch: pytest.MonkeyPatch, _converter: Converter) -> None:
    """The child process that users have."""
    monkeypatch.setattr(litert_conversion, "run_converter", _converter.run_alone)


def test_the_flatbuffer_computes_what_the_encoder_computes(small_config: EncoderConfig, own_process: None) -> None:
    encoder = Encoder(small_config)
    flatbuffer = convert_encoder(encoder, make_function(encoder))
    expected = np.asarray(encoder({"token_ids": INPUTS[0], "padding_mask": INPUTS[1]}))
    np.testing.assert_allclose(LiteRTEncoder(flatbuffer)(*INPUTS), expected, atol=1e-5)


@pytest.mark.parametrize(("precision", "advice"), [("float32", "engine='tensorflow'"), ("int8", "precision='float32'")])
def test_a_child_that_ends_with_an_error_is_named_by_its_last_line(
    small_config: EncoderConfig, own_process: None, monkeypatch: pytest.MonkeyPatch, precision: Any, advice: str
) -> None:
    code = "import sys; print('a native log line', file=sys.stderr); sys.exit('no kernel for Foo')"
    monkeypatch.setattr(litert_conversion, "make_python_command", lambda *_: [sys.executable, "-c", code])
    encoder = Encoder(small_config)
    with pytest.raises(TfchainError, match=f"^LiteRT cannot run this encoder: no kernel for Foo. Use {advice}.$"):
        convert_encoder(encoder, make_function(encoder), precision)


def test_a_child_that_does_not_end_is_an_error(
    small_config: EncoderConfig, own_process: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(litert_conversion, "CONVERSION_SECONDS", 0.1)
    monkeypatch.setattr(
        litert_conversion, "make_python_command", lambda *_: [sys.executable, "-c", "import time; time.sleep(60)"]
    )
    encoder = Encoder(small_config)
    with pytest.raises(TfchainError, match="did not finish within 0.1 seconds. Use engine='tensorflow'"):
        convert_encoder(encoder, make_function(encoder))
