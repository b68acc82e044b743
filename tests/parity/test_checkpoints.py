"""The folders of the most used checkpoints: each is read, and gives sentence-transformers' vectors, or is refused."""

import importlib
import importlib.util
import logging
import re
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import tensorflow as tf

from tests.parity.checkpoints import CHECKPOINTS, RERANKER, Checkpoint, make_table
from tfchain import Reranker
from tfchain.core.errors import InputError, ModelFolderError
from tfchain.models.text_encoder import TextEncoder
from tfchain.tasks.encoder_graph import make_graph_tokenizer

DOCS = Path(__file__).parents[2] / "docs" / "checkpoints.md"


def test_the_table_in_the_docs_is_this_one() -> None:
    assert make_table() in DOCS.read_text(encoding="utf-8"), "Run `python -m tests.parity.test_checkpoints`."


@pytest.fixture(scope="module")
def folders() -> ModuleType:
    """What makes the folders, which only the environment with PyTorch can import."""
    if importlib.util.find_spec("torch") is None:
        pytest.skip("needs PyTorch (`make test-torch`)")
    return importlib.import_module("tests.parity.checkpoint_folders")


@pytest.mark.torch
@pytest.mark.parametrize("item", CHECKPOINTS, ids=lambda item: item.id)
def test_a_checkpoint_is_read_or_refused_with_the_right_words(
    folders: ModuleType, tmp_path: Path, caplog: pytest.LogCaptureFixture, item: Checkpoint
) -> None:
    expected = folders.make_folder(item, tmp_path / "model")
    if item.says:
        with pytest.raises(ModelFolderError, match=re.escape(item.says)):
            TextEncoder.from_pretrained(tmp_path / "model", engine="tensorflow")
        if item.says == RERANKER and "architectures" not in item.changes.get("config.json", {}):
            found = Reranker.from_pretrained(tmp_path / "model", engine="tensorflow").predict(folders.PAIRS)
            np.testing.assert_allclose(found, folders.score(tmp_path / "model"), atol=1e-5, rtol=0)
        return
    with caplog.at_level(logging.WARNING, logger="tfchain"):
        encoder = TextEncoder.from_pretrained(tmp_path / "model", engine=item.engine)
    assert ("is assumed" in caplog.text) == (item.pooling is None)
    for method, vectors in expected.items():
        encode = getattr(encoder, method)
        np.testing.assert_allclose(encode(folders.TEXTS), vectors, atol=1e-5, rtol=0, err_msg=method)
    alone = np.stack([encoder.encode(text) for text in folders.TEXTS])
    np.testing.assert_allclose(alone, expected["encode"], atol=1e-5, rtol=0)
    if item.answers_text:
        ids, mask = make_graph_tokenizer(encoder.tokenizer)(tf.constant(folders.TEXTS), encoder.tokenizer.max_length)
        rows = zip(ids.numpy(), mask.numpy(), strict=True)
        assert [row[kept == 1].tolist() for row, kept in rows] == encoder.tokenizer(folders.TEXTS)
    else:
        with pytest.raises(InputError):
            make_graph_tokenizer(encoder.tokenizer)


def write_table() -> None:
    """Writes the table into the docs."""
    text = DOCS.read_text(encoding="utf-8")
    start = text.index("| checkpoint |")
    end = text.find("\n\n", start) + 1 or len(text)
    DOCS.write_text(text[:start] + make_table() + text[end:], encoding="utf-8")


if __name__ == "__main__":
    write_table()
