"""The tokenizer of a static encoder adds nothing to a text, and truncates only where tokenizer.json says so."""

import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from tfchain.core.errors import ModelFolderError
from tfchain.models.tokenizers.host import HostTokenizer
from tfchain.models.tokenizers.static import StaticTokenizer
from tfchain.models.tokenizers.wordpiece import WordPieceTokenizer
from tfchain.models.weights.static_folder import find_unknown_id, write_max_length

FOLDER = Path(__file__).parents[2] / "parity" / "fixtures" / "static"
TEXTS = ["the quick brown fox", "", "[SEP] two [MASK] lists", "über 你好", "x" * 150]


def test_its_ids_are_those_of_the_tokenizers_library_without_special_tokens() -> None:
    reference = Tokenizer.from_file(str(FOLDER / "tokenizer.json"))
    expected = [encoding.ids for encoding in reference.encode_batch(TEXTS, add_special_tokens=False)]
    tokenizer = HostTokenizer(StaticTokenizer(FOLDER), max_length=1_000_000)
    assert tokenizer(TEXTS) == expected
    assert [tokenizer([text])[0] for text in TEXTS] == expected
    assert tokenizer.num_special_tokens == 0
    graph = WordPieceTokenizer.from_hugging_face(tokenizer.tokenizer)
    ids, mask = graph(TEXTS, 1000)
    assert [row[kept == 1].tolist() for row, kept in zip(ids.numpy(), mask.numpy(), strict=True)] == expected


def test_the_maximum_in_tokenizer_json_is_read(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_bytes((FOLDER / "tokenizer.json").read_bytes())
    assert StaticTokenizer(tmp_path).model_max_length > 1_000_000
    write_max_length(tmp_path, 3)
    assert StaticTokenizer(tmp_path).model_max_length == 3
    reference = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    tokenizer = HostTokenizer(StaticTokenizer(tmp_path), max_length=3)
    assert tokenizer(TEXTS[:1]) == [reference.encode(TEXTS[0], add_special_tokens=False).ids]


def test_it_finds_the_tokens_that_pad_and_that_are_unknown(tmp_path: Path) -> None:
    assert StaticTokenizer(FOLDER).pad_token_id == 0
    assert find_unknown_id(FOLDER) == 1
    unigram = {"type": "Unigram", "unk_id": 1, "vocab": [["<pad>", 0.0], ["<unk>", 0.0], ["▁a", -1.0]]}
    values = {"version": "1.0", "model": unigram, "added_tokens": [], "normalizer": None, "pre_tokenizer": None}
    (tmp_path / "tokenizer.json").write_text(json.dumps(values))
    assert find_unknown_id(tmp_path) == 1
    assert StaticTokenizer(tmp_path).load().pad_token == "<pad>"


@pytest.mark.parametrize("content", [None, "{}", "not JSON", '{"model": {"type": "WordPiece"}}'])
def test_a_damaged_file_is_named(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(ModelFolderError, match="tokenizer.json (must hold|cannot be read)"):
        StaticTokenizer(tmp_path)
