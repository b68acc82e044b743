"""Texts that are too long are cut off at the side that the tokenizer names, on the host and in the graph."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from transformers import AutoTokenizer

from tfchain import NeuralSearchChain
from tfchain.core.errors import InputError
from tfchain.models.text_encoder import TextEncoder
from tfchain.models.tokenizers.host import HostTokenizer
from tfchain.models.tokenizers.wordpiece import WordPieceTokenizer

TEXTS = ["the cat sleeps on monday", "a", "", "stocks fell", "what does the dog do on monday 你好 !", "x " * 400]
PARITY = Path(__file__).parent.parent / "parity" / "fixtures"


@pytest.fixture(scope="module")
def left_path(thin_model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("left") / "model"
    shutil.copytree(thin_model_path, folder)
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), "truncation_side": "left"}))
    return folder


@pytest.mark.parametrize("max_length", [3, 5, 8, 24])
@pytest.mark.parametrize("side", ["left", "right"])
def test_the_end_is_kept_where_the_tokenizer_cuts_off_at_the_left(
    thin_model_path: Path, left_path: Path, side: str, max_length: int
) -> None:
    tokenizer = AutoTokenizer.from_pretrained(left_path if side == "left" else thin_model_path)
    expected = tokenizer(TEXTS, truncation=True, max_length=max_length)["input_ids"]
    host = HostTokenizer(tokenizer, max_length=max_length)
    assert host(TEXTS) == expected
    assert host._memory is not None
    assert [host([text])[0] for text in TEXTS] == expected  # through the memory of words
    token_ids, padding_mask = WordPieceTokenizer.from_hugging_face(tokenizer)(tf.constant(TEXTS), max_length)
    rows = zip(token_ids.numpy(), padding_mask.numpy(), strict=True)
    assert [ids[mask == 1].tolist() for ids, mask in rows] == expected


def test_no_room_for_a_text_leaves_the_special_tokens(left_path: Path) -> None:
    graph = WordPieceTokenizer.from_hugging_face(AutoTokenizer.from_pretrained(left_path))
    token_ids, padding_mask = graph(tf.constant(TEXTS[:2]), 2)
    assert token_ids.numpy().tolist() == [[2, 3], [2, 3]]
    assert padding_mask.numpy().tolist() == [[1, 1], [1, 1]]


def test_the_side_is_part_of_the_fingerprint_and_survives_a_save(
    thin_model_path: Path, left_path: Path, tmp_path: Path
) -> None:
    left = TextEncoder.from_pretrained(left_path, engine="tensorflow")
    assert left.fingerprint != TextEncoder.from_pretrained(thin_model_path, engine="tensorflow").fingerprint
    left.save(tmp_path)
    again = TextEncoder.from_pretrained(tmp_path, engine="tensorflow")
    assert again.fingerprint == left.fingerprint
    np.testing.assert_array_equal(again.encode(TEXTS), left.encode(TEXTS))


def test_another_side_is_named() -> None:
    with pytest.raises(InputError, match="`truncation_side` must be 'left' or 'right'. Received: 'top'"):
        WordPieceTokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]"], truncation_side="top")


def test_a_version_cuts_off_at_the_same_side_as_python(left_path: Path, tmp_path: Path) -> None:
    chain = NeuralSearchChain.from_pretrained(left_path, engine="tensorflow")
    version = tf.saved_model.load(str(chain.export(tmp_path / "versions")))  # which it proves itself, too
    found = version.signatures["embed"](tf.constant(TEXTS))["embedding"].numpy()
    np.testing.assert_allclose(found, chain.encode(TEXTS), atol=1e-5)


def test_a_version_reads_written_padding_as_sentence_transformers_does(tmp_path: Path) -> None:
    chain = NeuralSearchChain.from_pretrained(PARITY / "mpnet", engine="tensorflow")
    version = tf.saved_model.load(str(chain.export(tmp_path / "versions")))
    expected = np.load(PARITY / "mpnet.npz")
    texts = [str(text) for text in expected["special_texts"]]
    found = version.signatures["embed"](tf.constant(texts))["embedding"].numpy()
    np.testing.assert_allclose(found, expected["special_embeddings"], atol=1e-5)
