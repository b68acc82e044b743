"""Normal forms as tables: those of Unicode, and a graph of tables made by hand."""

import unicodedata

import tensorflow as tf

from tfchain.models.tokenizers.code_points import CodePoints
from tfchain.models.tokenizers.graph_unicode_form import GraphUnicodeForm
from tfchain.models.tokenizers.unicode_forms import UnicodeForm, probe_form


def test_marks_are_ranked_by_unicodes_classes() -> None:
    ranks = probe_form("NFD").ranks
    assert len(ranks) > 700
    classes = {
        rank: {unicodedata.combining(chr(code)) for code in ranks if ranks[code] == rank} for rank in (*range(1, 55),)
    }
    assert all(len(found) == 1 for found in classes.values())
    ordered = [found.pop() for found in classes.values()]
    assert ordered == sorted(ordered)
    assert ordered[0] == 1
    assert ordered[-1] == 240


def test_what_decomposes_and_composes_is_unicodes() -> None:
    nfc, nfkd = probe_form("NFC"), probe_form("NFKD")
    assert nfc.decompositions[ord("ṩ")] == "s\u0323\u0307"
    assert nfc.compositions[ord("ṣ"), 0x307] == ord("ṩ")
    assert nfc.compositions[ord("가"), 0x11A8] == ord("각")
    assert (0x0915, 0x093C) not in nfc.compositions  # excluded from composition
    assert nfkd.decompositions[ord("ﬁ")] == "fi"
    assert not nfkd.compositions
    for (first, second), code in list(nfc.compositions.items())[::50]:
        assert unicodedata.normalize("NFC", chr(first) + chr(second)) == chr(code)


def test_texts_without_affected_characters_are_in_the_form() -> None:
    nfc, nfkc, nfkd = (probe_form(name).affected for name in ("NFC", "NFKC", "NFKD"))
    assert {ord("é"), ord("가"), ord("ﬁ")}.isdisjoint(nfc)
    assert {0x301, 0x1161, 0x11A8, 0x340, 0x958, 0x9BE} <= nfc
    assert ord("ﬁ") in nfkc
    assert 0x1FCD in nfkc
    assert {ord("é"), ord("가")} <= nfkd


def test_marks_are_sorted_and_composed_in_the_order_of_the_text() -> None:
    """`1` and `2` are of one rank, below that of `3`; `B` is no mark, and composes only right behind an `a`."""
    code = {c: ord(c) for c in "aABCx123"}
    form = UnicodeForm(
        decompositions={code["x"]: "a3"},
        ranks={code["1"]: 1, code["2"]: 1, code["3"]: 2},
        compositions={
            (code["a"], code["1"]): code["A"],
            (code["A"], code["3"]): code["B"],
            (code["A"], code["2"]): code["C"],
            (code["a"], code["B"]): code["C"],
        },
        changed=frozenset(),
    )
    graph = GraphUnicodeForm(form)
    texts = {
        "a1": "A",
        "a31": "B",
        "x1": "B",
        "a21": "a21",
        "a12": "C",
        "aB": "C",
        "aB1": "C1",
        "1a": "1a",
        "aaB": "aC",
    }
    texts |= {"3131": "1133", "aa1": "aA", "a3": "a3", "a32": "a23", "": ""}
    composed = graph(CodePoints.decode(tf.constant(list(texts)))).encode()
    assert [text.decode() for text in composed.numpy()] == list(texts.values())
