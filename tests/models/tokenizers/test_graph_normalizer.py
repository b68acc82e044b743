"""Normalizers as graphs beside Hugging Face's: every kind, assigned characters, random Unicode, what is refused."""

import functools
import random
import unicodedata
from collections.abc import Callable
from typing import Any

import pytest
import tensorflow as tf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Regex, normalizers

from tests.models.tokenizers.unigram_tokenizers import (
    SINGLE_SPACES,
    make_albert_normalizer,
    make_charsmap,
    make_precompiled,
    read_spec,
)
from tests.parity.texts import AWKWARD_TEXTS
from tfchain.core.errors import InputError
from tfchain.models.tokenizers import graph_normalizer
from tfchain.models.tokenizers.graph_normalizer import make_graph_normalizer
from tfchain.models.tokenizers.grapheme_classes import probe_graphemes
from tfchain.models.tokenizers.unicode_forms import probe_form

KINDS: dict[str, Callable[[], Any]] = {
    "nfc": normalizers.NFC,
    "nfd": normalizers.NFD,
    "nfkc": lambda: normalizers.Sequence([normalizers.NFKC(), SINGLE_SPACES]),
    "nfkd": normalizers.NFKD,
    "precompiled": make_precompiled,
    "case_folded": lambda: normalizers.Precompiled(make_charsmap("nfkc_cf")),
    "albert": make_albert_normalizer,
    "bert": lambda: normalizers.BertNormalizer(strip_accents=True, lowercase=False),
    "uncased": normalizers.BertNormalizer,
    "mistral": lambda: normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]),
    "nmt": lambda: normalizers.Sequence([normalizers.Nmt(), normalizers.Strip(left=False)]),
    "stripped": lambda: normalizers.Sequence([normalizers.Strip(), normalizers.Replace(Regex(r"\s+"), "\\1")]),
}
# What marks, graphemes and compositions meet in.
MEETING = [
    *"aAeiI1 \n\r\t①ﬁéㄱ가각か\u3099\u1100\u1161\u11a8\u0301\u0302\u0327\u0323\u0340\u0344\u0345\u0334\u0e33\u0903",
    *("\u200d", "\u00a9", "\u2122", "\u2764", "\u0958", "\u0915", "\u094d", "\u0600", "\u0d4e", "\u20e3", "\x00", "``"),
    *(
        "\U0001f1e8\U0001f1f3",
        "\U0001f468\u200d\U0001f469",
        "\u09c7\u09be",
        "\u0dd9\u0dcf\u0dca",
        "\U00011099\U000110ba",
    ),
]


@functools.cache
def make_pair(kind: str) -> tuple[Callable[[str], str], Any]:
    """Hugging Face's normalizer, and its graph."""
    normalizer = KINDS[kind]()
    graph = make_graph_normalizer(read_spec(normalizer))
    return normalizer.normalize_str, tf.function(graph, input_signature=[tf.TensorSpec([None], tf.string)])


def find_difference(kind: str, texts: list[str]) -> str | None:
    """The first text that becomes another one, with both."""
    normalize, graph = make_pair(kind)
    expected = [normalize(text).encode() for text in texts]
    received = graph(tf.constant(texts)).numpy().tolist()
    both = zip(texts, expected, received, strict=True)
    return next((f"{text!a}: {one.decode()!a}, {other.decode()!a}" for text, one, other in both if one != other), None)


@functools.cache
def meeting_characters() -> list[str]:
    """Characters that change with their neighbours."""
    form = probe_form("NFKC")
    found = {*form.ranks, *(code for pair in form.compositions for code in pair), *probe_graphemes()}
    return [*MEETING, *map(chr, sorted(found)), *map(chr, sorted(form.decompositions)[::3])]


@pytest.mark.parametrize("kind", KINDS)
def test_texts_become_what_hugging_face_makes_of_them(kind: str) -> None:
    choose = random.Random(3)
    pools = (MEETING, meeting_characters())
    texts = ["".join(choose.choices(pools[n % 2], k=n % 15)) for n in range(1500)]
    assert find_difference(kind, [*AWKWARD_TEXTS, *texts]) is None


@pytest.mark.parametrize("kind", ["nfc", "precompiled", "albert"])
def test_assigned_characters_become_what_hugging_face_makes_of_them_wherever_they_stand(kind: str) -> None:
    """A third of the characters each, without most of the many ideographs and syllables."""
    characters = [chr(code) for code in range(0x110000) if unicodedata.category(chr(code)) not in ("Cs", "Co", "Cn")]
    many = ("CJK UNIFIED", "HANGUL SYL", "TANGUT", "EGYPT")
    common = [c for c in characters if not unicodedata.name(c, "").startswith(many)]
    kept = common[list(KINDS).index(kind) % 3 :: 3]
    assert len(kept) > 10_000
    contexts = (
        "{0} a{0}b e{0}\u0301 \u0301{0} {0}{0}\u0600{0} A\u0327{0}\u0323 ㄱ{0}\u1161{0}①{0} \u00a9\u200d{0}\u0301"
    )
    assert find_difference(kind, kept) is None
    assert find_difference(kind, [contexts.format(character) for character in kept]) is None


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(texts=st.lists(st.text(max_size=20), min_size=1, max_size=8))
def test_random_unicode_becomes_what_hugging_face_makes_of_it(texts: list[str]) -> None:
    for kind in ("nfc", "nfkc", "precompiled", "albert", "uncased"):
        assert find_difference(kind, texts) is None


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        ("precompiled", "\u2460\u0301", "1"),  # a grapheme of 5 bytes: its shortest beginning, without the rest
        ("precompiled", "\u2460\u0301\u0301", "1\u0301\u0301"),  # 7 bytes: each character by itself
        ("precompiled", "\u1112\u1161\u11ab", "\u1112\u1161\u11ab"),  # sentencepiece would compose them
        ("precompiled", "e\u0302\u0301", "ê"),
        ("nfc", "\u1112\u1161\u11ab", "한"),
        ("nfc", "a\u0307\u0323", "ạ\u0307"),  # marks are sorted before they are composed
        ("nfc", "\u0dd9\u0dcf\u0dca", "\u0ddd"),  # two compositions, of which the first is of no mark
        ("nfkd", "ﬁ①", "fi1"),
        ("albert", "``Ça''", '"ca"'),
        ("mistral", "", ""),
        ("stripped", " a \u3000b\n", "a\\1b"),
    ],
)
def test_a_text_becomes_what_is_worked_out_by_hand(kind: str, text: str, expected: str) -> None:
    assert make_pair(kind)[1](tf.constant([text])).numpy()[0].decode() == expected


def test_no_normalizer_and_an_empty_batch_change_nothing() -> None:
    assert make_graph_normalizer(None)(tf.constant(["a\u0301"])).numpy().tolist() == ["a\u0301".encode()]
    assert make_pair("albert")[1](tf.constant([], tf.string)).shape == (0,)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"type": "ByteLevel"}, "normalizer cannot be put into a graph. Expected: BertNormalizer, Lowercase"),
        ({"type": "Replace", "pattern": {"Regex": "a(?!b)"}, "content": ""}, "pattern cannot be put into a graph"),
        ({"type": "Replace", "pattern": {"String": ""}, "content": "x"}, "a Replace of a text that is not empty"),
        ({"type": "Precompiled", "precompiled_charsmap": "!"}, "`precompiled_charsmap` must be a charsmap"),
    ],
)
def test_what_a_graph_cannot_express_is_named(spec: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_graph_normalizer({"type": "Sequence", "normalizers": [spec]})


def test_another_release_of_tokenizers_that_does_something_else_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph_normalizer, "_make_reference", lambda spec: str.lower)
    with pytest.raises(InputError, match="The installed `tokenizers` must normalise texts as the graph does"):
        make_graph_normalizer({"type": "NFC"})
