"""Sources, targets and translations become the ids and the texts that transformers' tokenizers make of them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

from tests.models.seq2seq.conftest import FIXTURES
from tfchain.core.errors import InputError, ModelFolderError
from tfchain.models.seq2seq.m2m_100_languages import LANGUAGES
from tfchain.models.seq2seq.seq2seq_model import Seq2SeqModel
from tfchain.models.seq2seq.tokenizer_folder import read_tokenizer
from tfchain.models.seq2seq.vocabulary_tokenizer import CODE
from tfchain.models.tokenizers.sentencepiece_model import Piece, make_sentencepiece_model
from tfchain.models.tokenizers.stored_pieces import read_pieces

Load = Callable[[str], tuple[Seq2SeqModel, dict[str, Any]]]
SOURCE = {"m2m_100": "en", "nllb": "eng_Latn"}
TARGET = {"m2m_100": "zh", "nllb": "zho_Hans"}


@pytest.mark.parametrize("name", ["marian", "m2m_100", "nllb", "t5", "mt5"])
def test_ids_and_texts_are_transformers(name: str, load_small: Load) -> None:
    model, content = load_small(name)
    tokenizer = model.tokenizer
    assert tokenizer.encode(content["texts"], language=SOURCE.get(name), max_length=64) == content["sources"]
    targets = tokenizer.encode_targets(content["target_texts"], language=TARGET.get(name), max_length=64)
    assert targets == content["targets"]
    for choice, expected in content["written"].items():
        assert tokenizer.decode(expected["ids"]) == content["decoded"][choice]


def test_long_texts_keep_their_end_token_and_their_language(load_small: Load) -> None:
    model, content = load_small("m2m_100")
    (whole,) = model.tokenizer.encode([content["texts"][0]], language="en", max_length=64)
    (cut,) = model.tokenizer.encode([content["texts"][0]], language="en", max_length=5)
    assert cut == [*whole[:4], whole[-1]]


def test_a_marian_model_of_several_languages_takes_the_targets_token(load_small: Load) -> None:
    model, _ = load_small("marian")
    named, written = (
        model.tokenizer.encode(["The cat."], language="fra", max_length=64),
        model.tokenizer.encode([">>fra<< The cat."], max_length=64),
    )
    assert named == written
    assert model.tokenizer.encode_targets(["The cat."], language="fra", max_length=64)[0][0] != named[0][0]


def test_an_unknown_language_is_refused_with_those_there_are(load_small: Load) -> None:
    model, _ = load_small("marian")
    with pytest.raises(InputError, match="Received: 'xx'. It has deu, fra"):
        model.tokenizer.encode(["a"], language="xx", max_length=8)
    with pytest.raises(InputError, match="1 languages for 2 texts"):
        model.tokenizer.encode(["a", "b"], language=["fra"], max_length=8)
    with pytest.raises(InputError, match="one pair of languages"):
        load_small("t5")[0].tokenizer.find_language("fra")


def test_no_texts_are_no_ids(load_small: Load) -> None:
    tokenizer = load_small("marian")[0].tokenizer
    assert tokenizer.encode([], max_length=8) == []
    assert tokenizer.decode([]) == []


def test_the_languages_of_m2m_100_are_a_hundred() -> None:
    assert len(LANGUAGES["m2m100"]) == len(set(LANGUAGES["m2m100"])) == 100


def test_pieces_are_read_as_they_were_written(tmp_path: Path) -> None:
    pieces = [Piece("<unk>", 0.0, "unknown"), Piece("▁a", -1.5), Piece("<0x41>", 0.0, "byte"), Piece("界", -2.25)]
    (tmp_path / "m.spm").write_bytes(make_sentencepiece_model(pieces, algorithm="unigram"))
    proto, found = read_pieces(tmp_path / "m.spm")
    assert found == pieces
    for damaged in (b"", proto[:20], b"\xff" * 40):
        (tmp_path / "m.spm").write_bytes(damaged)
        with pytest.raises(ModelFolderError, match=r"m\.spm .*sentencepiece model"):
            read_pieces(tmp_path / "m.spm")


def test_a_vocabulary_without_the_unknown_token_is_refused(tmp_path: Path, load_small: Load) -> None:
    for name in ("source.spm", "target.spm"):
        (tmp_path / name).write_bytes((FIXTURES / "marian" / name).read_bytes())
    (tmp_path / "vocab.json").write_text('{"</s>": 0, "<pad>": 1}', encoding="utf-8")
    with pytest.raises(ModelFolderError, match="lacks '<unk>'"):
        read_tokenizer(tmp_path, load_small("marian")[0].transformer.config)


def test_a_language_code_ends_where_it_first_may() -> None:
    texts = tf.strings.regex_replace([">>a<<b<<", "a>>b<<", ">>a\n<<c", ">>a"], CODE, "")
    assert [text.decode() for text in texts.numpy()] == ["b<<", "a>>b<<", "c", ">>a"]
