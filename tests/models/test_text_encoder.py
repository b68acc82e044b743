"""What decides a vector beside the weights: lengths, prompts, what the fingerprint names, shards, saved heads."""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from transformers import BertTokenizer

from tests.tiny_model import MAX_LENGTH
from tfchain.core.errors import InputError
from tfchain.models.encoders.dense_config import DenseConfig
from tfchain.models.encoders.encoder import Encoder
from tfchain.models.text_encoder import TextEncoder

TEXTS = ["The cat sleeps", "stocks fell on Monday"]


@pytest.fixture(scope="module")
def read(tiny_model_path: Path) -> TextEncoder:
    return TextEncoder.from_pretrained(tiny_model_path, engine="tensorflow")


def make(read: TextEncoder, **options: Any) -> TextEncoder:
    tokenizer = options.pop("tokenizer", read.tokenizer.tokenizer)
    return TextEncoder(tokenizer, read.own_encoder, engine="tensorflow", **options)


def make_tokenizer(read: TextEncoder, **options: Any) -> BertTokenizer:
    return BertTokenizer(vocab=read.tokenizer.tokenizer.get_vocab(), **options)


def test_the_maximum_is_the_least_that_tokenizer_and_positions_allow(read: TextEncoder) -> None:
    for own, expected in ((10, 10), (MAX_LENGTH + 8, MAX_LENGTH), (10**30, MAX_LENGTH)):
        tokenizer = make_tokenizer(read, model_max_length=own)
        assert make(read, tokenizer=tokenizer).tokenizer.max_length == expected


def test_all_positions_may_be_used_and_no_more(read: TextEncoder) -> None:
    made = make(read, max_length=MAX_LENGTH)
    assert len(made.tokenizer(["cat " * 100])[0]) == MAX_LENGTH
    assert np.isfinite(made.encode("cat " * 100)).all()
    with pytest.raises(InputError, match="at most the model's 24 positions. Received: max_length=25"):
        make(read, max_length=MAX_LENGTH + 1)
    with pytest.raises(InputError, match="Received: max_length=2"):
        make(read, max_length=2)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("passage", "document", "corpus"), "document"),
        (("corpus", "passage"), "passage"),
        (("query", "corpus"), "corpus"),
        (("query",), None),
    ],
)
def test_documents_get_the_prompt_of_the_newest_name(
    read: TextEncoder, names: tuple[str, ...], expected: str | None
) -> None:
    made = make(read, prompts={name: f"{name} " for name in names})
    assert made.document_prompt == (f"{expected} " if expected else "")


def test_the_default_prompt_is_for_encode_alone(read: TextEncoder) -> None:
    made = make(read, prompts={"a": "dog ", "document": "stock "}, default_prompt_name="a")
    expect = read.encode
    np.testing.assert_array_equal(made.encode("cat"), expect("dog cat"))
    np.testing.assert_array_equal(made.encode_query("cat"), expect("cat"))
    np.testing.assert_array_equal(made.encode_document("cat"), expect("stock cat"))
    np.testing.assert_array_equal(made.encode("cat", prompt_name="document"), expect("stock cat"))
    np.testing.assert_array_equal(made.encode("cat", prompt=""), expect("cat"))


def test_everything_that_changes_a_vector_changes_the_fingerprint(read: TextEncoder) -> None:
    prompts = {"query": "dog ", "document": "cat "}
    made = [
        make(read),
        make(read, max_length=MAX_LENGTH - 1),
        make(read, prompts=prompts),
        make(read, prompts=prompts, default_prompt_name="query"),
        make(read, prompts=prompts, default_prompt_name="document"),
        make(read, tokenizer=make_tokenizer(read, do_lower_case=False, model_max_length=MAX_LENGTH)),
        make(
            read, do_lower_case=True, tokenizer=make_tokenizer(read, do_lower_case=False, model_max_length=MAX_LENGTH)
        ),
        make(read, precision="bfloat16"),
    ]
    assert len({one.fingerprint for one in made}) == len(made)
    assert make(read).fingerprint == read.fingerprint


def test_a_model_in_shards_is_the_whole_model(read: TextEncoder, tiny_model_path: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_model_path, folder)
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    homes = {name: f"model-0000{number % 3 + 1}-of-00003.safetensors" for number, name in enumerate(sorted(tensors))}
    for file in set(homes.values()):
        save_file({name: tensor for name, tensor in tensors.items() if homes[name] == file}, folder / file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": homes}))
    assert TextEncoder.from_pretrained(folder, engine="tensorflow").fingerprint == read.fingerprint


@pytest.mark.parametrize("use_bias", [False, True])
def test_dense_modules_are_read_as_they_were_saved(read: TextEncoder, tmp_path: Path, use_bias: bool) -> None:
    keras.utils.set_random_seed(4)
    dense = DenseConfig(in_dim=16, out_dim=5, use_bias=use_bias, activation="sigmoid")
    encoder = Encoder(dataclasses.replace(read.own_encoder.config, dense=(dense,)))
    encoder.set_weights([weight + 0.1 for weight in encoder.get_weights()])
    made = TextEncoder(read.tokenizer.tokenizer, encoder, engine="tensorflow")
    made.save(tmp_path, portable=True)
    again = TextEncoder.from_pretrained(tmp_path, engine="tensorflow")
    assert again.own_encoder.config == encoder.config
    np.testing.assert_array_equal(again.encode(TEXTS), made.encode(TEXTS))


def test_shorter_lengths_are_kept_where_the_vectors_stay_the_same(read: TextEncoder, tmp_path: Path) -> None:
    made = make(read, matryoshka_dims=[16, 8, 4, 8])
    assert made.matryoshka_dims == (4, 8)  # the whole length is no shorter one
    assert made.fingerprint == make(read).fingerprint
    assert made.with_precision("float32", engine="litert").matryoshka_dims == (4, 8)
    assert made.with_encoder(read.own_encoder).matryoshka_dims == (4, 8)
    config = read.config
    assert config is not None
    for dim in (12, 16):  # an output per label is no vector, whatever its length
        head = dataclasses.replace(config, head=DenseConfig(in_dim=16, out_dim=dim, activation="linear"))
        assert made.with_encoder(Encoder(head)).matryoshka_dims == ()
    made.save(tmp_path)
    saved = json.loads((tmp_path / "config.json").read_text())
    assert (saved["is_matryoshka"], saved["matryoshka_dimensions"]) == (True, [4, 8])
    assert TextEncoder.from_pretrained(tmp_path).matryoshka_dims == (4, 8)
    assert TextEncoder.from_pretrained(tmp_path, matryoshka_dims=[2]).matryoshka_dims == (2,)


def test_shorter_lengths_of_a_keras_model_are_saved_too(read: TextEncoder, tmp_path: Path) -> None:
    inputs = {name: keras.Input((None,), dtype="int32", name=name) for name in ("token_ids", "padding_mask")}
    outputs = keras.layers.Embedding(len(read.tokenizer.tokenizer), 6)(inputs["token_ids"])
    encoder = keras.Model(inputs, keras.ops.mean(outputs, axis=1))
    made = TextEncoder(read.tokenizer.tokenizer, encoder, matryoshka_dims=[3])
    made.save(tmp_path)
    assert TextEncoder.from_pretrained(tmp_path).matryoshka_dims == (3,)


@pytest.mark.parametrize(
    ("dims", "message"),
    [
        ([4, 17], r"`matryoshka_dims` must be at most the vectors' length of 16. Received: \[4, 17\]."),
        ([0], "`matryoshka_dims` must be a whole number of at least 1. Received: matryoshka_dims=0."),
        (8, "`matryoshka_dims` must be a list of lengths. Received: 8."),
    ],
)
def test_lengths_that_no_vector_has_are_refused(read: TextEncoder, dims: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make(read, matryoshka_dims=dims)
