"""Code points and their tables in a graph, by hand."""

import tensorflow as tf

from tfchain.models.tokenizers.code_points import (
    DROP,
    KEEP,
    CharacterMap,
    CodePoints,
    CodePointTable,
    PairTable,
    Replacements,
    previous,
)


def test_texts_are_decoded_and_encoded() -> None:
    points = CodePoints.decode(tf.constant([b"a\xc3\xa9", b"", b"\xff\x00", "\U0001f600".encode()]))
    assert points.values.numpy().tolist() == [0x61, 0xE9, 0xFFFD, 0, 0x1F600]
    assert points.row_splits.numpy().tolist() == [0, 2, 2, 4, 5]
    assert points.begins.numpy().tolist() == [True, False, True, False, True]
    assert points.encode().numpy().tolist() == [b"a\xc3\xa9", b"", b"\xef\xbf\xbd\0", b"\xf0\x9f\x98\x80"]


def test_tables_give_zero_for_what_they_do_not_have() -> None:
    table = CodePointTable({0x61: 3, 0x10FFFF: 5})
    assert table.look_up(tf.constant([0x61, 0x62, 0x10FFFF, 0])).numpy().tolist() == [3, 0, 5, 0]
    pairs = PairTable({(0x61, 0x301): 7, (0x10FFFF, 0x10FFFF): 9})
    first, second = tf.constant([0x61, 0x301, 0x10FFFF, 0x61]), tf.constant([0x301, 0x61, 0x10FFFF, 0x302])
    assert pairs.look_up(first, second).numpy().tolist() == [7, 0, 9, 0]


def test_characters_are_replaced_dropped_and_left() -> None:
    replacements = Replacements(["xyz", "", "q"])
    rows = tf.constant([replacements.row_of("xyz"), KEEP, DROP, DROP, replacements.row_of("q")])
    replaced = replacements.replace(CodePoints.decode(tf.constant(["abc", "", "de"])), rows)
    assert replaced.encode().numpy().tolist() == [b"xyzb", b"", b"q"]
    mapped = CharacterMap({ord("a"): "é", ord("b"): ""})(CodePoints.decode(tf.constant(["abca", "b"])))
    assert mapped.encode().numpy().tolist() == ["écé".encode(), b""]


def test_each_place_has_the_value_before_it() -> None:
    assert previous(tf.constant([4, 5, 6]), -1).numpy().tolist() == [-1, 4, 5]
    assert previous(tf.constant([True, False]), False).numpy().tolist() == [False, True]
    assert previous(tf.constant([], tf.int32), 0).shape == (0,)
