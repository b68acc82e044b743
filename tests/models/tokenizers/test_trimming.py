"""Smaller tokenizers give kept texts the same tokens, by the package `tokenizers`, whatever their model."""

import json
from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from tfchain.core.errors import InputError
from tfchain.models.tokenizers.trimming import BYTE_FALLBACK, BYTE_OF, Vocabulary

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
KEPT = ["low lower", "newest low", "new"]
OTHER = ["wide slow", "est widest"]


def finish(tokenizer: Tokenizer, closing: Any) -> Tokenizer:
    tokenizer.add_special_tokens(SPECIAL)
    tokenizer.post_processor = closing
    return tokenizer


def make_wordpiece() -> Tokenizer:
    pieces = [*"delnorstwi", *(f"##{letter}" for letter in "delnorstwi"), "slow", "low", "wide", "##er", "##est", "new"]
    tokenizer = Tokenizer(
        models.WordPiece({piece: number for number, piece in enumerate([*SPECIAL, *pieces])}, unk_token="[UNK]")
    )
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return finish(tokenizer, processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2)))


def make_unigram() -> Tokenizer:
    pieces = [*"delnorstwi", "▁", "▁wide", "▁slow", "▁low", "er", "est", "▁new", "▁w", "ide"]
    scores = [(piece, -5.0 - 0.1 * number - (3 if len(piece) < 2 else 0)) for number, piece in enumerate(pieces)]
    tokenizer = Tokenizer(models.Unigram([*((token, 0.0) for token in SPECIAL), *scores], unk_id=1))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    return finish(
        tokenizer,
        processors.TemplateProcessing("[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]),
    )


MERGES = [("l", "o"), ("lo", "w"), ("e", "r"), ("s", "t"), ("e", "st"), ("n", "e"), ("ne", "w"), ("i", "d")]


def make_byte_level_bpe() -> Tokenizer:
    tokens = [*SPECIAL, *BYTE_OF, *("".join(merge) for merge in MERGES), "Ġlow", "Ġnew", "id" + "e", "slow"]
    merges = [*MERGES, ("Ġ", "low"), ("Ġ", "new"), ("id", "e"), ("s", "low")]
    tokenizer = Tokenizer(models.BPE({token: number for number, token in enumerate(tokens)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    closing = processors.Sequence(
        [processors.ByteLevel(), processors.RobertaProcessing(("[SEP]", 3), ("[CLS]", 2), trim_offsets=False)]
    )
    return finish(tokenizer, closing)


def make_bpe_with_bytes() -> Tokenizer:
    tokens = [*SPECIAL, *BYTE_FALLBACK, "▁", *"delnorstwi", *("".join(merge) for merge in MERGES), "▁low", "ide"]
    merges = [*MERGES, ("▁", "low"), ("id", "e")]
    tokenizer = Tokenizer(
        models.BPE({token: number for number, token in enumerate(tokens)}, merges, byte_fallback=True, fuse_unk=True)
    )
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    return finish(tokenizer, processors.TemplateProcessing("[CLS] $A", special_tokens=[("[CLS]", 2)]))


MAKERS = [make_wordpiece, make_unigram, make_byte_level_bpe, make_bpe_with_bytes]


def trim(tokenizer: Tokenizer, texts: list[str]) -> tuple[Tokenizer, list[int]]:
    used = {number for text in texts for number in tokenizer.encode(text).ids}
    parts, old_ids = Vocabulary(json.loads(tokenizer.to_str())).trim(used)
    return Tokenizer.from_str(json.dumps(parts)), old_ids


@pytest.mark.parametrize("make", MAKERS)
def test_kept_texts_have_the_same_tokens_and_ids_keep_their_order(make: Any) -> None:
    whole = make()
    texts = [*KEPT, "é中 [SEP] new"] if make in (make_byte_level_bpe, make_bpe_with_bytes) else KEPT
    small, old_ids = trim(whole, texts)
    assert small.get_vocab_size() == len(old_ids) < whole.get_vocab_size()
    assert old_ids == sorted(old_ids)
    for text in texts:
        before, after = whole.encode(text), small.encode(text)
        assert after.tokens == before.tokens
        assert [old_ids[number] for number in after.ids] == before.ids
    assert any(small.encode(text).tokens != whole.encode(text).tokens for text in OTHER)
    for token in SPECIAL:
        assert old_ids[small.token_to_id(token)] == whole.token_to_id(token)


def test_merges_stay_closed_and_no_others_stay() -> None:
    vocabulary = Vocabulary(json.loads(make_byte_level_bpe().to_str()))
    parts, _ = vocabulary.trim({vocabulary.ids["est"], vocabulary.ids["Ġlow"]})
    merges = [tuple(merge) for merge in parts["model"]["merges"]]
    assert merges == [("l", "o"), ("lo", "w"), ("s", "t"), ("e", "st"), ("Ġ", "low")]
    assert {"st", "lo", "low"} < set(parts["model"]["vocab"])
    assert "ne" not in parts["model"]["vocab"]


def test_merges_of_older_files_are_one_string() -> None:
    parts = json.loads(make_byte_level_bpe().to_str())
    expected, _ = Vocabulary(parts).trim({parts["model"]["vocab"]["Ġnew"]})
    parts["model"]["merges"] = [" ".join(merge) for merge in parts["model"]["merges"]]
    assert Vocabulary(parts).trim({parts["model"]["vocab"]["Ġnew"]})[0] == expected


def test_of_unigram_the_piece_of_the_least_score_stays_because_unknown_costs_by_it() -> None:
    small, _ = trim(make_unigram(), ["▁new"])
    assert set(small.get_vocab()) == {*SPECIAL, "▁new", "▁"}  # the last of the single characters, with -9


@pytest.mark.parametrize(("make", "piece", "text"), [
    (make_wordpiece, "##est", "est"), (make_unigram, "▁new", "new"), (make_unigram, "▁", "▁"),
    (make_byte_level_bpe, "Ġlow", " low"), (make_byte_level_bpe, "Ã", None), (make_bpe_with_bytes, "▁low", "low"),
])  # fmt: skip
def test_a_piece_stands_for_a_text(make: Any, piece: str, text: str | None) -> None:
    assert Vocabulary(json.loads(make().to_str())).to_text(piece) == text


def test_another_model_is_an_error() -> None:
    with pytest.raises(InputError, match="one of WordPiece, Unigram, BPE, WordLevel. Received: Trie. Leave the recipe"):
        Vocabulary({"model": {"type": "Trie", "vocab": {}}, "added_tokens": []})
