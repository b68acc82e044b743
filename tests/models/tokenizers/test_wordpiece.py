"""The WordPiece graph on small vocabularies: ids worked out by hand, options, bad input, saving."""

import unicodedata
from pathlib import Path

import pytest
import tensorflow as tf
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from tfchain.core.errors import InputError
from tfchain.models.tokenizers.host import HostTokenizer
from tfchain.models.tokenizers.wordpiece import WordPieceTokenizer
from tfchain.models.tokenizers.wordpiece_settings import SpecialToken

VOCABULARY = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "hello",
    "world",
    "##s",
    "!",
    "a",
    "##a",
    "e",
    "你",
    "好",
    "İ",
    "#",
]
PAD, UNK, CLS, SEP, MASK, HELLO, WORLD, S, BANG, A, AA, E, NI, HAO, DOTTED_I, HASH = range(16)


@pytest.fixture(scope="module")
def tokenizer() -> WordPieceTokenizer:
    return WordPieceTokenizer(VOCABULARY)


def make_backend(vocabulary: list[str] = VOCABULARY, unknown: str = "[UNK]") -> Tokenizer:
    backend = Tokenizer(models.WordPiece({piece: i for i, piece in enumerate(vocabulary)}, unk_token=unknown))
    backend.normalizer = normalizers.BertNormalizer()
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return backend


def wrap(backend: Tokenizer, **options: str | bool) -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast(tokenizer_object=backend, **{"pad_token": "[PAD]", "unk_token": "[UNK]", **options})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello worlds!", [HELLO, WORLD, S, BANG]),
        ("  hello\t\n\u3000hello\u00a0", [HELLO, HELLO]),
        ("é É e\u0301", [E, E, E]),
        ("你好", [NI, HAO]),
        ("a你a", [A, NI, A]),
        ("hello!!a", [HELLO, BANG, BANG, A]),
        ("hello，a", [HELLO, UNK, A]),
        ("hello+a", [HELLO, UNK, A]),
        ("##a", [HASH, HASH, A]),
        ("hel\u200blo hel\x07lo hel\x00lo hel\ufffdlo", [HELLO] * 4),
        ("a\x0ba", [A, AA]),
        ("", []),
        (" \x00\u0301", []),
        ("a" * 100, [A] + [AA] * 99),
        ("a" * 101, [UNK]),
        ("á" * 100, [A] + [AA] * 99),
        ("hellos hellox", [HELLO, S, UNK]),
        ("a[SEP]a [sep]", [A, SEP, A, UNK, UNK, UNK]),
        ("[MASK][MASK] [CLS", [MASK, MASK, UNK, UNK]),
        ("[[PAD]]", [UNK, PAD, UNK]),
        ("[SE\u0301P]", [UNK, UNK, UNK]),
        ("\U00100000a\U00100001[SEP]\U00100002", [A, SEP]),
    ],
)
def test_a_text_becomes_the_ids_worked_out_by_hand(
    tokenizer: WordPieceTokenizer, text: str, expected: list[int]
) -> None:
    assert tokenizer.tokenize(tf.constant([text])).to_list() == [expected]


def test_texts_of_a_batch_do_not_touch_each_other(tokenizer: WordPieceTokenizer) -> None:
    texts = ["hello", "", "s", "a", "a", "", "[SEP]", "worlds"]
    assert tokenizer.tokenize(tf.constant(texts)).to_list() == [[HELLO], [], [UNK], [A], [A], [], [SEP], [WORLD, S]]


def test_a_cased_tokenizer_keeps_case_and_accents() -> None:
    tokenizer = WordPieceTokenizer(VOCABULARY, lowercase=False)
    assert tokenizer.tokenize(tf.constant(["Hello hello é İ"])).to_list() == [[UNK, HELLO, UNK, DOTTED_I]]


def test_accents_can_be_stripped_without_lower_casing_and_the_reverse() -> None:
    strips = WordPieceTokenizer(VOCABULARY, lowercase=False, strip_accents=True)
    lowers = WordPieceTokenizer(VOCABULARY, lowercase=True, strip_accents=False)
    assert strips.tokenize(tf.constant(["é É"])).to_list() == [[E, UNK]]
    assert lowers.tokenize(tf.constant(["E é"])).to_list() == [[E, UNK]]


def test_chinese_may_stay_together_and_control_characters_may_stay() -> None:
    together = WordPieceTokenizer([*VOCABULARY, "##好"], split_chinese=False)
    unclean = WordPieceTokenizer(VOCABULARY, clean_text=False)
    assert together.tokenize(tf.constant(["你好"])).to_list() == [[NI, len(VOCABULARY)]]
    assert unclean.tokenize(tf.constant(["hel\x07lo a\x0ba \U00100000 [SEP]"])).to_list() == [[UNK, A, A, UNK, SEP]]


def test_a_batch_is_cut_wrapped_and_padded_to_its_longest(tokenizer: WordPieceTokenizer) -> None:
    token_ids, mask = tokenizer(tf.constant(["hello worlds!", "", "a"]), max_length=5)
    assert token_ids.dtype == mask.dtype == tf.int32
    assert token_ids.numpy().tolist() == [[CLS, HELLO, WORLD, S, SEP], [CLS, SEP, 0, 0, 0], [CLS, A, SEP, 0, 0]]
    assert mask.numpy().tolist() == [[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [1, 1, 1, 0, 0]]
    assert tokenizer(tf.constant(["a", "a a"]), max_length=9)[0].numpy().tolist() == [
        [CLS, A, SEP, 0],
        [CLS, A, A, SEP],
    ]
    assert tokenizer(tf.constant(["a"]), max_length=2)[0].numpy().tolist() == [[CLS, SEP]]
    assert tokenizer(tf.constant([], tf.string), max_length=8)[0].shape == (0, 2)


def test_several_or_no_tokens_may_stand_around_a_text() -> None:
    many = WordPieceTokenizer(VOCABULARY, prefix=["[CLS]", "a"], suffix=["!", "[SEP]"], pad_token="[MASK]")
    none = WordPieceTokenizer(VOCABULARY, prefix=(), suffix=())
    token_ids, mask = many(tf.constant(["hello", "a a a"]), max_length=6)
    assert token_ids.numpy().tolist() == [[CLS, A, HELLO, BANG, SEP, MASK], [CLS, A, A, A, BANG, SEP]]
    assert mask.numpy().tolist() == [[1, 1, 1, 1, 1, 0], [1] * 6]
    assert none(tf.constant(["hello a", "a"]), max_length=6)[0].numpy().tolist() == [[HELLO, A], [A, PAD]]


def test_the_longest_special_token_counts_and_those_behind_the_vocabulary_too() -> None:
    specials = [
        SpecialToken("<a>", 40),
        SpecialToken("<a><", 41),
        SpecialToken("New\\.", 42),
        SpecialToken("Word", 43, normalized=True),
    ]
    tokenizer = WordPieceTokenizer(VOCABULARY, special_tokens=specials)
    texts = ["<a>hello<a><a>", "New\\.a new\\.", "a WÓRD!words [SEP]", "\U00100002\U00100003 <a>"]
    expected = [[40, HELLO, 41, A, UNK], [42, A, UNK, UNK, UNK], [A, 43, BANG, 43, UNK, UNK, UNK, UNK], [40]]
    assert tokenizer.tokenize(tf.constant(texts)).to_list() == expected


def test_bytes_that_are_not_utf8_are_dropped_and_hide_nothing(tokenizer: WordPieceTokenizer) -> None:
    texts = tf.constant([b"hel\xfflo [SEP]", b"a\xe4\xbd", b"\xed\xa0\x80", b"\xf4\x90\x80\x80!"])
    assert tokenizer.tokenize(texts).to_list() == [[HELLO, SEP], [A], [], [BANG]]


def test_a_vocabulary_may_have_gaps(tokenizer: WordPieceTokenizer) -> None:
    ids = {piece: 7 * index + 3 for index, piece in enumerate(VOCABULARY)}
    token_ids, _ = WordPieceTokenizer(ids)(tf.constant(["hello worlds [SEP]"]), max_length=8)
    assert token_ids.numpy().tolist() == [[7 * i + 3 for i in (CLS, HELLO, WORLD, S, SEP, SEP)]]


def test_an_mpnet_tokenizer_is_read_from_hugging_face() -> None:
    vocabulary = ["<s>", "<pad>", "</s>", "<unk>", "hello", "##s", "!", "[UNK]", "<mask>"]
    backend = make_backend(vocabulary)
    backend.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    backend.add_special_tokens([AddedToken(token) for token in ("<s>", "<pad>", "</s>", "<unk>")])
    backend.add_special_tokens([AddedToken("<mask>", lstrip=True)])
    hugging_face = wrap(backend, pad_token="<pad>")
    texts = ["Hellos! <mask> hello</s>x", "hello \t <mask>", "<unk> < mask>"]
    token_ids, mask = WordPieceTokenizer.from_hugging_face(hugging_face)(tf.constant(texts), max_length=7)
    expected = hugging_face(texts, padding=True, truncation=True, max_length=7)
    assert token_ids.numpy().tolist() == expected["input_ids"]
    assert mask.numpy().tolist() == expected["attention_mask"]
    assert token_ids.numpy().tolist()[0] == [0, 4, 5, 6, 8, 4, 2]


def test_bert_and_template_processing_and_none_are_read_from_hugging_face() -> None:
    backend = make_backend()
    assert WordPieceTokenizer.from_hugging_face(wrap(backend)).framing.prefix_ids == ()
    backend.post_processor = processors.Sequence([AROUND, processors.ByteLevel()])
    bert = WordPieceTokenizer.from_hugging_face(wrap(backend))
    template = processors.TemplateProcessing(
        single="[CLS] [MASK] $A [SEP]", special_tokens=[("[CLS]", CLS), ("[MASK]", MASK), ("[SEP]", SEP)]
    )
    backend.post_processor = template
    longer = WordPieceTokenizer.from_hugging_face(wrap(backend))
    assert (bert.framing.prefix_ids, bert.framing.suffix_ids, bert.framing.pad_id) == ((CLS,), (SEP,), PAD)
    assert (longer.framing.prefix_ids, longer.framing.suffix_ids) == ((CLS, MASK), (SEP,))


def test_added_words_are_found_as_hugging_face_finds_them() -> None:
    backend = make_backend()
    backend.add_special_tokens(["[SEP]", "[PAD]"])
    backend.add_tokens(["Foo", "foobar", "a-b", "x y", AddedToken("你好"), AddedToken("Bar", normalized=False), "[X]"])
    hugging_face = wrap(backend)
    tokenizer = WordPieceTokenizer.from_hugging_face(hugging_face)
    texts = [
        "FOO fóobarfoo foo",
        "A-B a - b a-ba-b",
        "x y xy x\u00a0Y x  y",
        "a你好a 你 好 你[SEP]好",
        "Bar bar xBarx",
        "[x]A[SEP][X]",
        "foo[SEP]bar -b",
    ]
    assert tokenizer.tokenize(tf.constant(texts)).to_list() == hugging_face(texts)["input_ids"]


def test_special_tokens_that_hugging_face_is_told_to_ignore_are_ignored() -> None:
    backend = make_backend()
    backend.add_special_tokens(["[SEP]", "[PAD]"])
    hugging_face = wrap(backend, split_special_tokens=True)
    tokenizer = WordPieceTokenizer.from_hugging_face(hugging_face)
    ids = tokenizer.tokenize(tf.constant(["a[SEP]"])).to_list()
    assert ids == hugging_face(["a[SEP]"])["input_ids"] == [[A, UNK, UNK, UNK]]


def change(part: str, value: object) -> Tokenizer:
    backend = make_backend()
    setattr(backend, part, value)
    return backend


TEMPLATE = processors.TemplateProcessing(single="$A $A", pair="$A $B", special_tokens=[])
AROUND = processors.BertProcessing(("[SEP]", SEP), ("[CLS]", CLS))
REFUSED = [
    (Tokenizer(models.BPE({"a": 0, "[PAD]": 1, "[UNK]": 2}, [])), "model cannot .* Expected: WordPiece. Received: BPE"),
    (change("normalizer", normalizers.NFKC()), "normalizer cannot .* Expected: BertNormalizer. Received: NFKC"),
    (change("pre_tokenizer", pre_tokenizers.Whitespace()), "pre-tokenizer cannot .* Received: Whitespace"),
    (
        change("post_processor", processors.Sequence([AROUND, AROUND])),
        "post-processor cannot .* Expected: one template",
    ),
    (change("post_processor", TEMPLATE), "post-processor cannot .* Expected: the text once"),
    (
        change("post_processor", processors.BertProcessing(("a", 0), ("a", 9))),
        "post-processor cannot .* Expected: tokens of the vocabulary",
    ),
]


@pytest.mark.parametrize(("backend", "message"), REFUSED)
def test_what_the_graph_cannot_express_is_named(backend: Tokenizer, message: str) -> None:
    hugging_face = wrap(backend)
    assert not WordPieceTokenizer.can_express(hugging_face)
    with pytest.raises(InputError, match=message):
        WordPieceTokenizer.from_hugging_face(hugging_face)


def test_sides_single_words_and_foreign_objects_are_refused_too() -> None:
    backend = make_backend()
    backend.add_tokens([AddedToken("foo", single_word=True)])
    for hugging_face, message in [
        (wrap(backend), "added token cannot .* Received: 'foo'"),
        (wrap(make_backend(), padding_side="left"), "padding_side cannot"),
        (wrap(make_backend([*VOCABULARY, "\u302e", "\u1b44"])), "spacing marks of several combining classes"),
        ("bert", "type cannot .* Received: str"),
    ]:
        assert not WordPieceTokenizer.can_express(hugging_face)
        with pytest.raises(InputError, match=message):
            WordPieceTokenizer.from_hugging_face(hugging_face)
    assert WordPieceTokenizer.can_express(wrap(make_backend()))


@pytest.mark.parametrize(
    ("vocabulary", "options", "message"),
    [
        (["[PAD]", "a"], {}, r"`prefix` names. Received: '\[CLS\]', which is not among its 2 pieces"),
        ([*VOCABULARY, "a"], {}, "pieces must differ. Received: 'a' twice"),
        (VOCABULARY, {"continuing_prefix": "ab"}, "`continuing_prefix` must have .* Received: 'ab'"),
        (
            VOCABULARY,
            {"special_tokens": [SpecialToken("\u0301", 3, normalized=True)]},
            "must not be empty after normalising",
        ),
        ([*VOCABULARY, "\u302e", "\u1b44"], {}, r"combining classes. Received: \['U\+1B44', 'U\+302E'\]"),
        ([*VOCABULARY, "a" * 300], {}, "must fit into FastWordpieceTokenizer. Received: 24 pieces"),
    ],
)
def test_a_vocabulary_that_cannot_work_is_refused(
    vocabulary: list[str], options: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        WordPieceTokenizer(vocabulary, **options)


def test_bad_calls_are_refused(tokenizer: WordPieceTokenizer) -> None:
    with pytest.raises(InputError, match=r"`max_length` must be at least 2, .* Received: max_length=1"):
        tokenizer(tf.constant(["a"]), max_length=1)
    with pytest.raises(InputError, match=r"`texts` must have one dimension.* Received: shape=\(\)"):
        tokenizer.tokenize(tf.constant("a"))
    with pytest.raises(InputError, match=r"must have a text, .* Received: text=' a', normalized=True"):
        SpecialToken(" a", 3, normalized=True)


class Served(tf.Module):
    def __init__(self, tokenizer: WordPieceTokenizer) -> None:
        super().__init__()
        self.tokenizer = tokenizer

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "text")])
    def serve(self, text: tf.Tensor) -> dict[str, tf.Tensor]:
        token_ids, padding_mask = self.tokenizer(text, max_length=6)
        return {"token_ids": token_ids, "padding_mask": padding_mask}


def test_a_saved_model_answers_the_same_in_both_loaders_with_ops_that_a_stock_server_has(tmp_path: Path) -> None:
    specials = ["[SEP]", SpecialToken("foo", 70, normalized=True)]
    module = Served(WordPieceTokenizer(VOCABULARY, special_tokens=specials))
    tf.saved_model.save(module, str(tmp_path), signatures={"serving_default": module.serve})
    texts = ["Hello worlds!", "a[SEP]FOO a a a a a", "", "你" * 9]
    expected = [
        [CLS, HELLO, WORLD, S, BANG, SEP],
        [CLS, A, SEP, 70, A, SEP],
        [CLS, SEP, 0, 0, 0, 0],
        [CLS, *[NI] * 4, SEP],
    ]

    loaded = tf.saved_model.load(str(tmp_path))
    assert loaded.signatures["serving_default"](tf.constant(texts))["token_ids"].numpy().tolist() == expected
    with tf.Graph().as_default() as graph, tf.compat.v1.Session(graph=graph) as session:
        meta = tf.compat.v1.saved_model.loader.load(session, ["serve"], str(tmp_path))
        signature = meta.signature_def["serving_default"]
        outputs = session.run(
            {name: info.name for name, info in signature.outputs.items()}, {signature.inputs["text"].name: texts}
        )
    assert outputs["token_ids"].tolist() == expected
    assert outputs["padding_mask"].tolist() == [[int(i != 0) for i in row] for row in expected]

    nodes = [
        *meta.graph_def.node,
        *(node for function in meta.graph_def.library.function for node in function.node_def),
    ]
    foreign = {node.op for node in nodes if not hasattr(tf.raw_ops, node.op)} - {"FastWordpieceTokenizeWithOffsets"}
    functions = {function.signature.name for function in meta.graph_def.library.function}
    assert foreign - functions == set()
    assert not {node.op for node in nodes} & {"PyFunc", "PyFuncStateless", "EagerPyFunc", "XlaCallModule"}
    assert not any(function.attr["_XlaMustCompile"].b for function in meta.graph_def.library.function)
    assert not list((tmp_path / "assets").glob("*"))


def test_the_graph_works_in_a_dataset(tokenizer: WordPieceTokenizer) -> None:
    data = (
        tf.data.Dataset.from_tensor_slices(["hello", "a a", "[SEP]"]).batch(2).map(lambda texts: tokenizer(texts, 8)[0])
    )
    assert [batch.numpy().tolist() for batch in data] == [[[CLS, HELLO, SEP, 0], [CLS, A, A, SEP]], [[CLS, SEP, SEP]]]


@pytest.mark.parametrize("strip_accents", [None, True, False])
@pytest.mark.parametrize("lowercase", [True, False])
def test_lower_casing_first_is_lower_casing_last_for_every_character(
    lowercase: bool, strip_accents: bool | None
) -> None:
    own = normalizers.BertNormalizer(lowercase=lowercase, strip_accents=strip_accents)
    first = normalizers.Sequence([normalizers.Lowercase(), own])  # as sentence-transformers does
    strips = lowercase if strip_accents is None else strip_accents
    last = normalizers.BertNormalizer(lowercase=True, strip_accents=strips)  # as the graph does
    for number in range(0x110000):
        character = chr(number)
        if unicodedata.category(character) not in ("Cn", "Cs", "Co", "Lo"):  # no letters without case
            text = f"{character}\u0301A{character}"
            assert first.normalize_str(text) == last.normalize_str(text), hex(number)


def test_do_lower_case_is_in_the_graph(thin_model_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(thin_model_path, do_lower_case=False)
    texts = ["The CAT Sleeps [SEP] on MONDAY", "[sep] Ünïcode"]
    expected = HostTokenizer(tokenizer, max_length=24, do_lower_case=True)(texts)
    ids, mask = WordPieceTokenizer.from_hugging_face(tokenizer, do_lower_case=True)(tf.constant(texts), 24)
    assert [row[kept == 1].tolist() for row, kept in zip(ids.numpy(), mask.numpy(), strict=True)] == expected
    assert expected != HostTokenizer(tokenizer, max_length=24)(texts)
