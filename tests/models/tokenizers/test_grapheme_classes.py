"""How characters join into graphemes, by hand from Unicode's annex 29, and a charsmap that looks them up."""

import pytest
import tensorflow as tf

from tfchain.core.errors import InputError
from tfchain.models.tokenizers.code_points import CodePoints
from tfchain.models.tokenizers.graph_precompiled import GraphPrecompiled
from tfchain.models.tokenizers.grapheme_classes import Joins, probe_graphemes


@pytest.mark.parametrize(
    ("character", "joins"),
    [
        ("a", 0),
        ("\r", Joins.NEVER),
        ("\u200b", Joins.NEVER),
        ("\U000e0001", Joins.NEVER),
        ("\u0600", Joins.BEFORE),
        ("\u2122", Joins.PICTOGRAPH),
        ("\u0915", Joins.CONSONANT),
        ("\u0903", Joins.AFTER),  # a spacing mark
        ("\u0301", Joins.AFTER | Joins.EXTEND | Joins.CONJUNCT),
        ("\u094d", Joins.AFTER | Joins.EXTEND | Joins.CONJUNCT | Joins.LINKER),
        ("\u1100", Joins.LEADING),
        ("\u1161", Joins.VOWEL),
        ("\u11a8", Joins.TRAILING),
        ("가", Joins.OPEN_SYLLABLE),
        ("각", Joins.CLOSED_SYLLABLE),
        ("\u4e00", 0),
    ],
)
def test_characters_join_as_unicode_says(character: str, joins: int) -> None:
    assert probe_graphemes().get(ord(character), 0) == joins


def test_short_graphemes_are_replaced_as_a_whole_and_long_ones_by_characters() -> None:
    graph = GraphPrecompiled({"①": "1", "b\u0301": "B", "é": ""}, probe_graphemes())
    assert graph.affected == {ord("①"), ord("é"), 0x301}
    texts = {
        "①\u0301": "1",  # five bytes
        "①\u0301\u0302": "1\u0301\u0302",
        "b\u0301b": "Bb",
        "b\u0302\u0301": "b\u0302\u0301",
        "\u0301b": "\u0301b",
        "é\u0301x": "x",
        "\u0600é": "\u0600",  # not a beginning of the grapheme; four bytes
        "a①": "a1",
        "": "",
    }
    replaced = graph(CodePoints.decode(tf.constant(list(texts)))).encode()
    assert [text.decode() for text in replaced.numpy()] == list(texts.values())


def test_a_text_of_three_characters_without_a_beginning_is_refused() -> None:
    with pytest.raises(InputError, match="must replace one of the beginnings of each text of three characters"):
        GraphPrecompiled({"e\u0302\u0301": "x"}, probe_graphemes())
