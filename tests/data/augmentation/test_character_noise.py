"""Typing errors, errors of scanners, and Chinese characters taken for others."""

from random import Random

import pytest

from tfchain.core.errors import InputError
from tfchain.data.augmentation.character_noise import NEIGHBOURS, AddTypos, MistypeKeys
from tfchain.data.augmentation.chinese_noise import SIMILAR, MisreadChinese, MistypeChinese, load_homophones
from tfchain.data.augmentation.ocr_noise import CONFUSIONS, ScanErrors


def test_each_kind_of_typo() -> None:
    random = Random(0)
    assert AddTypos(rate=1.0, errors=("delete",)).disturb("ab 1, c", random) == " 1, "
    assert AddTypos(rate=1.0, errors=("double",)).disturb("Ab 1", random) == "AAbb 1"
    assert AddTypos(rate=1.0, errors=("swap",)).disturb("abcd e1", random) == "badc e1"
    replaced = AddTypos(rate=1.0, errors=("replace",)).disturb("Ab 1", random)
    assert len(replaced) == 4
    assert replaced[0].isupper()
    assert replaced[1].islower()
    assert replaced[2:] == " 1"


def test_a_tenth_of_the_letters_is_left_out_at_a_rate_of_a_tenth() -> None:
    left = AddTypos(rate=0.1, errors=("delete",)).disturb("x" * 20_000, Random(0))
    assert abs(len(left) / 20_000 - 0.9) < 0.01


def test_keys_are_replaced_by_keys_that_touch_them() -> None:
    assert sorted(NEIGHBOURS["g"]) == sorted("fhtyvb")
    assert sorted(NEIGHBOURS["q"]) == sorted("wa12")
    assert sorted(NEIGHBOURS["p"]) == sorted("o0l")
    text = "The quick brown fox, 42!"
    typed = MistypeKeys(rate=1.0).disturb(text, Random(3))
    for was, now in zip(text, typed, strict=True):
        assert now == was if not was.isalnum() else now.lower() in NEIGHBOURS[was.lower()]
        assert now.isupper() == (was.isupper() and now.isalpha())


def test_neighbours_are_mutual() -> None:
    assert all(key in NEIGHBOURS[other] for key, others in NEIGHBOURS.items() for other in others)


def test_scanners_take_shapes_for_each_other() -> None:
    assert "m" in CONFUSIONS["rn"]
    assert "rn" in CONFUSIONS["m"]
    assert ScanErrors(rate=1.0).disturb("m", Random(0)) in ("rn", "in")
    assert ScanErrors(rate=0.0).disturb("modern Oslo", Random(0)) == "modern Oslo"
    text = "a b " * 5000
    spaces = ScanErrors(rate=0.2).disturb(text, Random(0)).count(" ")
    assert abs(spaces / 10_000 - 0.95) < 0.01  # a quarter of the rate is lost


def test_homophones_share_their_pinyin() -> None:
    pytest.importorskip("pypinyin")
    from pypinyin import lazy_pinyin

    assert {"时", "事", "是", "市"} <= {*load_homophones()["十"]}  # all shi
    text = "今天天气很好"
    typed = MistypeChinese(rate=1.0).disturb(text, Random(0))
    assert typed != text
    assert [lazy_pinyin(now) for now in typed] == [lazy_pinyin(was) for was in text]
    assert MistypeChinese(rate=1.0).disturb("abc, 12", Random(0)) == "abc, 12"


def test_look_alikes_are_mutual_and_of_the_table() -> None:
    assert SIMILAR["未"] == "末"
    assert {*SIMILAR["历"]} == {"厉", "厂"}  # of two groups
    assert all(character in SIMILAR[other] for character, others in SIMILAR.items() for other in others)
    assert MisreadChinese(rate=1.0).disturb("未来", Random(0)) == "末来"


def test_unknown_errors_are_refused() -> None:
    with pytest.raises(InputError, match="`errors` must be some of delete, double, swap, replace. Received: .*'drop'"):
        AddTypos(errors=("drop",))  # type: ignore[arg-type]
