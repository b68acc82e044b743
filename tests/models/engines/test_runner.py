from pathlib import Path

import keras
import numpy as np
import pytest

from tfchain.core.errors import InputError
from tfchain.models.encoders.config import EncoderConfig
from tfchain.models.encoders.encoder import Encoder, fingerprint_model
from tfchain.models.engines.litert_engine import LiteRTEngine
from tfchain.models.engines.padding import pad
from tfchain.models.engines.runner import EncoderRunner

TEXTS = [[2, 3], [2, 5, 6, 7, 8, 3], [2, 9, 3], [2, 3], [2, 4, 4, 3]]


@pytest.mark.parametrize("engine", ["tensorflow", "litert"])
def test_vectors_come_in_the_order_given_whatever_the_batches(small_config: EncoderConfig, engine: str) -> None:
    encoder = Encoder(small_config)
    runner = EncoderRunner(encoder, engine=engine)
    one_by_one = np.concatenate(
        [
            np.asarray(
                encoder({"token_ids": np.array([ids], "int32"), "padding_mask": np.ones((1, len(ids)), "int32")})
            )
            for ids in TEXTS
        ]
    )
    np.testing.assert_allclose(runner(TEXTS, batch_size=2), one_by_one, atol=1e-6)
    np.testing.assert_allclose(runner(TEXTS), one_by_one, atol=1e-6)
    assert runner([]).shape == (0, 8)


def test_skipped_tokens_are_marked_for_pooling(small_config: EncoderConfig) -> None:
    ids, mask = pad([[2, 5, 3], [2]], small_config.transformer.pad_token_id, skipped=2)
    assert ids.tolist() == [[2, 5, 3], [2, 0, 0]]
    assert mask.tolist() == [[2, 2, 1], [2, 0, 0]]


@pytest.mark.parametrize(
    ("one", "skipped", "ids", "mask"),
    [((2, 5, 3), 0, [2, 5, 3], [1, 1, 1]), ([2, 5], 1, [2, 5], [2, 1]), ([], 0, [7], [0])],
)
def test_one_text_is_a_rectangle_too(one: list[int], skipped: int, ids: list[int], mask: list[int]) -> None:
    found = pad([one], 7, skipped=skipped)
    assert [array.tolist() for array in found] == [[ids], [mask]]
    assert {array.dtype.name for array in found} == {"int32"}


def test_the_flatbuffer_is_kept_by_fingerprint_and_used_again(
    small_config: EncoderConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    encoder = Encoder(small_config)
    expected = EncoderRunner(encoder, cache_key=fingerprint_model(encoder))(TEXTS)
    (kept,) = (tmp_path / "tfchain" / "litert").iterdir()
    assert kept.name.startswith(fingerprint_model(encoder))
    monkeypatch.setattr("tfchain.models.engines.litert_engine.convert_encoder", None)  # a second conversion would fail
    np.testing.assert_array_equal(EncoderRunner(encoder, cache_key=fingerprint_model(encoder))(TEXTS), expected)


def test_a_damaged_or_closed_cache_does_no_harm(
    small_config: EncoderConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = Encoder(small_config)
    expected = EncoderRunner(encoder, engine="tensorflow")(TEXTS)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    EncoderRunner(encoder, cache_key=fingerprint_model(encoder))(TEXTS)
    (kept,) = (tmp_path / "tfchain" / "litert").iterdir()
    kept.write_bytes(b"damaged")
    np.testing.assert_allclose(EncoderRunner(encoder, cache_key=fingerprint_model(encoder))(TEXTS), expected, atol=1e-6)
    assert kept.stat().st_size > 1000  # made anew
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))  # no folder can be made there
    np.testing.assert_allclose(EncoderRunner(encoder, cache_key=fingerprint_model(encoder))(TEXTS), expected, atol=1e-6)


def test_changed_weights_count_after_a_refresh(small_config: EncoderConfig) -> None:
    encoder = Encoder(small_config)
    runner = EncoderRunner(encoder, engine="litert")
    before = runner(TEXTS)
    encoder.set_weights(
        [weight + 0.5 * np.sin(np.arange(weight.size)).reshape(weight.shape) for weight in encoder.get_weights()]
    )
    runner.refresh()
    after = runner(TEXTS)
    assert np.abs(after - before).max() > 1e-3
    np.testing.assert_allclose(after, EncoderRunner(encoder, engine="tensorflow")(TEXTS), atol=1e-6)


def test_many_texts_in_int8_are_shared_out_among_interpreters(
    small_config: EncoderConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("tfchain.models.engines.litert_engine.count_cores", lambda: 3)
    monkeypatch.setattr("tfchain.models.engines.litert_engine.TOKENS_A_THREAD", 8)
    encoder = Encoder(small_config)
    texts = [[2, *range(4, 4 + number % 7), 3] for number in range(60)]
    runner = EncoderRunner(encoder, engine="litert", precision="int8", cache_key=fingerprint_model(encoder))
    expected = runner(texts)
    assert runner.running.pool is None
    monkeypatch.setattr("tfchain.models.engines.litert_engine.POOL_TOKENS", 100)
    done: list[int] = []
    np.testing.assert_allclose(runner(texts, batch_size=4, progress=done.append), expected, atol=1e-6)
    assert sum(done) == len(texts)
    assert max(done) == 4
    assert runner.running.pool is not None
    assert (runner.running.pool.size, runner.running.pool.num_threads) == (3, 1)

    runner.refresh(fingerprint_model(encoder))
    (kept,) = (tmp_path / "tfchain" / "litert").iterdir()
    first = runner(texts[:2])  # the file is open now, and cleared away by other processes
    kept.unlink()
    np.testing.assert_allclose(runner(texts), expected, atol=1e-6)
    assert runner.running.pool is None
    np.testing.assert_array_equal(first, runner(texts[:2]))
    assert runner([]).shape == (0, 8)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float64"])
def test_vectors_are_float32_whatever_a_model_of_ones_own_computes_in(dtype: str) -> None:
    inputs = {name: keras.Input((None,), dtype="int32", name=name) for name in ("token_ids", "padding_mask")}
    hidden = keras.layers.Embedding(20, 4, dtype=dtype)(inputs["token_ids"])
    encoder = keras.Model(inputs, keras.layers.GlobalAveragePooling1D(dtype=dtype)(hidden))
    runner = EncoderRunner(encoder, engine="tensorflow")
    assert runner(TEXTS[:1]).dtype == runner(TEXTS[:2]).dtype == np.float32


def test_few_long_texts_have_all_threads(small_config: EncoderConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tfchain.models.engines.litert_engine.POOL_TOKENS", 1)
    runner = EncoderRunner(Encoder(small_config), engine="litert", precision="int8")
    for cores, num_texts, expected in ((4, 3, None), (4, 4, (4, 1)), (12, 6, (6, 2)), (15, 7, (7, 2)), (1, 9, None)):
        monkeypatch.setattr("tfchain.models.engines.litert_engine.count_cores", lambda cores=cores: cores)
        runner.refresh()
        runner([[2, 3]] * num_texts)
        pool = runner.running.pool
        assert (pool and (pool.size, pool.num_threads)) == expected


def test_a_pool_of_weights_that_have_changed_is_not_kept(
    small_config: EncoderConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tfchain.models.engines.litert_engine.count_cores", lambda: 2)
    runner = EncoderRunner(Encoder(small_config), engine="litert", precision="int8")
    monkeypatch.setattr("tfchain.models.engines.litert_engine.POOL_TOKENS", 1)
    runner(TEXTS)
    old = runner.running
    assert isinstance(old, LiteRTEngine)
    assert old.pool is not None
    runner.refresh()
    assert runner.running is None
    runner(TEXTS)
    assert isinstance(runner.running, LiteRTEngine)
    assert runner.running.pool is not old.pool


def test_one_text_tells_its_step_too(small_config: EncoderConfig) -> None:
    done: list[int] = []
    EncoderRunner(Encoder(small_config))(TEXTS[:1], progress=done.append)
    assert done == [1]


def test_an_unknown_engine_is_named(small_config: EncoderConfig) -> None:
    with pytest.raises(InputError, match="one of auto, tensorflow, litert, native, numpy[.] Received: engine='onnx'"):
        EncoderRunner(Encoder(small_config), engine="onnx")
