"""Passages cover the text, fit, and overlap."""

import random
import re
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tfchain.core.errors import InputError
from tfchain.core.types import Document, Passage
from tfchain.data.documents import text_units
from tfchain.data.documents.passages import SplitMethod, split, split_all
from tfchain.data.documents.reading import read_documents
from tfchain.data.documents.structure import find_blocks
from tfchain.data.documents.text_units import make_units


def count_words(texts: Sequence[str]) -> list[int]:
    return [len(text.split()) for text in texts]


def count_characters(texts: Sequence[str]) -> list[int]:
    return [len(text) for text in texts]


def count_pairs(texts: Sequence[str]) -> list[int]:
    """As a byte-pair encoder might: a text can count less, or more, than the sum over its words."""
    return [len(re.findall(r"\w\w|\s?\S|\s\s+", text)) + text.count("ab ab") for text in texts]


def texts_of(document: Document, max_tokens: int, overlap_tokens: int) -> list[str]:
    passages = split(document, count_tokens=count_words, max_tokens=max_tokens, overlap_tokens=overlap_tokens)
    return [passage.text for passage in passages]


def test_a_document_that_fits_is_one_passage_as_it_is() -> None:
    document = Document("7", " one two\n", title="Title")
    assert split(document, count_tokens=count_words, max_tokens=3, overlap_tokens=1) == [
        Passage("7", "Title  one two", 0, 9)
    ]


def test_passages_end_at_sentences_and_repeat_the_title() -> None:
    document = Document("7", "One two. Three four! Five six? Seven.", title="T")
    assert split(document, count_tokens=count_words, max_tokens=5, overlap_tokens=0) == [
        Passage("7", "T One two. Three four!", 0, 20),
        Passage("7", "T Five six? Seven.", 21, 37),
    ]


def test_passages_share_whole_sentences_where_they_fit_into_the_overlap() -> None:
    document = Document("7", "A b c. D e. F g h. I j.")
    assert texts_of(document, 6, 3) == ["A b c. D e.", "D e. F g h.", "F g h. I j."]


def test_passages_share_words_where_sentences_are_longer_than_the_overlap() -> None:
    document = Document("7", "a b c d e. f g h i j. k l m n o.")
    assert texts_of(document, 8, 2) == ["a b c d e.", "d e. f g h i j.", "i j. k l m n o."]


def test_a_sentence_that_is_too_long_is_cut_at_words() -> None:
    assert texts_of(Document("7", "a b c d e f g"), 3, 1) == ["a b c", "c d e", "e f g"]


def test_short_chinese_sentences_are_one_passage_where_the_tokenizer_puts_a_token_before_each_string() -> None:
    document = Document("7", "好。" * 20)
    passages = split(
        document, count_tokens=lambda texts: [len(text) + 1 for text in texts], max_tokens=41, overlap_tokens=0
    )
    assert passages == [Passage("7", "好。" * 20, 0, 40)]


def test_lines_are_sentences_too() -> None:
    assert texts_of(Document("7", "a b\nc d e\n\nf g"), 4, 0) == ["a b", "c d e", "f g"]


def test_a_word_that_is_too_long_is_cut_at_characters() -> None:
    passages = split(Document("7", "x" * 10), count_tokens=count_characters, max_tokens=4, overlap_tokens=0)
    assert "".join(passage.text for passage in passages) == "x" * 10
    assert max(len(passage.text) for passage in passages) <= 4


def test_white_space_at_the_end_makes_no_passage_of_its_own() -> None:
    passages = split(Document("7", "11111111/1 "), count_tokens=count_characters, max_tokens=6, overlap_tokens=3)
    assert [passage.text for passage in passages] == ["1111", "1111/1"]


def test_chinese_is_cut_behind_its_full_stops() -> None:
    document = Document("7", "我们去公园。“你好！”他说。天气很好；我们走吧。")
    passages = split(document, count_tokens=count_characters, max_tokens=12, overlap_tokens=0)
    assert [passage.text for passage in passages] == ["我们去公园。“你好！”", "他说。天气很好；", "我们走吧。"]


def test_a_title_of_more_than_half_is_shortened_to_its_first_words() -> None:
    assert texts_of(Document("7", "a b c d", title="t u v w x"), 4, 0) == ["t u a b", "t u c d"]


def test_a_title_alone_that_is_too_long_is_cut_itself() -> None:
    passages = split(Document("7", " ", title="a b c d e"), count_tokens=count_words, max_tokens=2, overlap_tokens=0)
    assert passages == [Passage("7", text, 0, 0) for text in ("a b", "c d", "e")]


def test_passages_that_count_more_than_their_words_are_cut_again() -> None:
    document = Document("7", "ab " * 40)
    passages = split(document, count_tokens=count_pairs, max_tokens=12, overlap_tokens=0)
    assert max(count_pairs([passage.text for passage in passages])) <= 12


@pytest.mark.parametrize(("max_tokens", "overlap_tokens"), [(0, 0), (4, 4), (4, -1)])
def test_numbers_out_of_range_are_refused(max_tokens: int, overlap_tokens: int) -> None:
    with pytest.raises(InputError, match=r"must be at least .* Received: .*tokens="):
        texts_of(Document("7", "text"), max_tokens, overlap_tokens)


GUIDE = """# Guide

Intro words here for all. Another sentence of it.

## Install

### Linux

Run the command below. It takes a while. Then reboot.

```sh
# not a heading
apt install tfchain
```

### Mac

Brew it.

## Use

- one
- two
  more
"""


def test_structure_keeps_sections_and_code_whole_and_puts_the_headings_before_them() -> None:
    passages = split(
        Document("g", GUIDE, "Guide"), count_tokens=count_words, max_tokens=16, overlap_tokens=3, method="structure"
    )
    assert [(passage.text, passage.headings) for passage in passages] == [
        ("Guide Intro words here for all. Another sentence of it.", ("Guide",)),
        (
            "Guide > Install > Linux Run the command below. It takes a while. Then reboot.",
            ("Guide", "Install", "Linux"),
        ),
        (
            "Guide > Install > Linux ```sh\n# not a heading\napt install tfchain\n```",
            ("Guide", "Install", "Linux"),
        ),
        ("Guide > Install > Mac Brew it.", ("Guide", "Install", "Mac")),
        ("Guide > Use - one\n- two\n  more", ("Guide", "Use")),
    ]
    firsts = [GUIDE[passage.start : passage.end].split()[0] for passage in passages]
    assert firsts == ["Intro", "Run", "```sh", "Brew", "-"]


def test_small_sections_share_a_passage_under_the_heading_around_them() -> None:
    text = "# Parts\n\n## A\n\na a.\n\n## B\n\nb b.\n\n## C\n\n" + "c " * 30
    passages = split(Document("7", text), count_tokens=count_words, max_tokens=24, overlap_tokens=0, method="structure")
    assert [passage.text for passage in passages] == [
        "Parts ## A\n\na a.\n\n## B\n\nb b.",
        "Parts > C " + " ".join("c" * 20),  # of 24: " > Parts > C" counts 4
        "Parts > C " + " ".join("c" * 10),
    ]


def test_a_heading_that_takes_more_than_half_stays_in_the_text() -> None:
    text = "# One two three four five six\n\na b c d e f."
    passages = split(Document("7", text), count_tokens=count_words, max_tokens=8, overlap_tokens=0, method="structure")
    assert [passage.text for passage in passages] == ["# One two three four five six", "a b c d e f."]


def test_tags_without_words_are_cut_as_any_text() -> None:
    document = Document("7", "<p>" * 10, "T")
    passages = split(document, count_tokens=count_characters, max_tokens=12, overlap_tokens=0, method="structure")
    assert passages[0].start == 0
    assert passages[-1].end == 30
    assert max(len(passage.text) for passage in passages) <= 12


def test_sentences_are_cut_only_if_they_are_too_long() -> None:
    document = Document("7", "A b. C d e f g h. I j k l m n o p q.")
    passages = split(document, count_tokens=count_words, max_tokens=7, overlap_tokens=2, method="sentences")
    assert [passage.text for passage in passages] == ["A b.", "C d e f g h.", "I j k l m n o", "n o p q."]


def test_an_abbreviation_ends_no_passage() -> None:
    document = Document("7", "We saw it with Dr. Smith. He left early today.")
    passages = split(document, count_tokens=count_words, max_tokens=6, overlap_tokens=0, method="sentences")
    assert [passage.text for passage in passages] == ["We saw it with Dr. Smith.", "He left early today."]


def test_thai_is_cut_at_spaces_and_japanese_behind_its_full_stops() -> None:
    thai = Document("7", "สวัสดีครับ ผมชื่อสมชาย ยินดีที่ได้รู้จัก เราไปกันเถอะ")
    passages = split(thai, count_tokens=count_characters, max_tokens=25, overlap_tokens=0, method="sentences")
    assert [passage.text for passage in passages] == ["สวัสดีครับ ผมชื่อสมชาย", "ยินดีที่ได้รู้จัก", "เราไปกันเถอะ"]
    japanese = Document("7", "今日は晴れです。公園に行きました！楽しかった？はい。")
    passages = split(japanese, count_tokens=count_characters, max_tokens=17, overlap_tokens=0, method="sentences")
    assert [passage.text for passage in passages] == ["今日は晴れです。公園に行きました！", "楽しかった？はい。"]


def test_letters_keep_their_marks_and_emoji_stay_whole() -> None:
    family, flag = "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f1e9\U0001f1ea"
    for whole in ("e\u0301", family, flag, "ก\u0e33", "เก"):
        (units,) = make_units([whole * 50], [7], count_characters, {})
        assert all(bound % len(whole) == 0 for bound in units.bounds), whole


def test_a_title_that_leaves_no_room_is_left_out() -> None:
    """With one token per character and three for a title of one, nothing else fits."""
    count = lambda texts: [len(text) + 2 * text.startswith("T ") for text in texts]  # noqa: E731
    passages = split(Document("7", "abcdefgh", "T"), count_tokens=count, max_tokens=4, overlap_tokens=0)
    assert [passage.text for passage in passages] == ["abcd", "efgh"]


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(InputError, match="must be one of 'tokens', 'sentences', 'structure'. Received: .*words"):
        split(Document("7", "a"), count_tokens=count_words, max_tokens=3, overlap_tokens=0, method="words")  # type: ignore


def check_passages(
    document: Document, passages: list[Passage], max_tokens: int, count: Callable[..., list[int]]
) -> None:
    """What must hold for every document."""
    covered = set()
    for passage in passages:
        part = document.text[passage.start : passage.end]
        assert passage.document_id == document.id
        assert passage.text.rstrip().endswith(part.strip())
        covered.update(range(passage.start, passage.end))
        # Only what cannot be cut any further may count more: a single character and the title's part.
        assert count([passage.text])[0] <= max_tokens or len(part) <= 1
    if document.text.strip():
        assert {place for place, character in enumerate(document.text) if not character.isspace()} <= covered
    assert all(a.start < b.start and a.end < b.end for a, b in pairwise(passages)) or not document.text.strip()
    if count([document.full_text])[0] <= max_tokens:
        assert passages == [Passage(document.id, document.full_text, 0, len(document.text))]


TEXTS = st.text(alphabet=st.sampled_from("ab .\n!?。，；你好“”\t\u3000é1/"), max_size=120)


@settings(max_examples=200, deadline=None)
@given(
    documents=st.lists(st.tuples(TEXTS, TEXTS.map(lambda text: text[:20])), min_size=1, max_size=3),
    max_tokens=st.integers(6, 30),
    overlap_share=st.floats(0, 0.9),
    count=st.sampled_from([count_words, count_characters, count_pairs]),
)
def test_passages_cover_fit_and_move_forward(
    documents: list[tuple[str, str]], max_tokens: int, overlap_share: float, count: Callable[..., list[int]]
) -> None:
    made = [Document(str(i), text, title) for i, (text, title) in enumerate(documents) if (text + title).strip()]
    overlap = int(max_tokens * overlap_share)
    passages = split_all(made, count_tokens=count, max_tokens=max_tokens, overlap_tokens=overlap)
    assert len(passages) == len(made)
    for document, found in zip(made, passages, strict=True):
        check_passages(document, found, max_tokens, count)


MARKDOWN = st.lists(
    st.one_of(
        st.sampled_from(
            [
                "# ",
                "## ",
                "### a\n",
                "\n\n",
                "\n",
                "```\n",
                "- ",
                "| a | b |\n| - | - |\n",
                "<h2>a</h2>\n",
                "<p>",
                "===\n",
                "---\n",
            ]
        ),
        st.sampled_from(
            ["\U0001f468\u200d\U0001f469\u200d\U0001f467", "e\u0301\u0323", "\U0001f1e9\U0001f1ea", "x" * 200]
        ),
        st.sampled_from(["ยินดีที่ได้รู้จัก ", "我们去公园。", "公園に行きました！", "one two. ", "Dr. No? "]),
        st.text(max_size=12),
    ),
    max_size=25,
).map("".join)


@settings(max_examples=300, deadline=None)
@example("# # # ```\n## # # # # ", "", 8, 0.0, count_words, "structure")  # one passage, below a heading
@given(
    text=MARKDOWN,
    title=st.text(max_size=12),
    max_tokens=st.integers(4, 40),
    overlap_share=st.floats(0, 0.9),
    count=st.sampled_from([count_words, count_characters, count_pairs]),
    method=st.sampled_from(["tokens", "sentences", "structure"]),
)
def test_no_text_makes_a_passage_that_is_too_long_or_loses_a_word(
    text: str, title: str, max_tokens: int, overlap_share: float, count: Callable[..., list[int]], method: SplitMethod
) -> None:
    if not (text + title).strip():
        return
    document = Document("7", text, title)
    passages = split(
        document,
        count_tokens=count,
        max_tokens=max_tokens,
        overlap_tokens=int(max_tokens * overlap_share),
        method=method,
    )
    for passage in passages:
        assert count([passage.text])[0] <= max_tokens or len(text[passage.start : passage.end]) <= 1
        assert passage.text.strip().endswith(text[passage.start : passage.end].strip())
    covered = {place for passage in passages for place in range(passage.start, passage.end)}
    shown = " ".join(passage.text for passage in passages)
    is_whole = len(passages) == 1 and passages[0].start == 0
    if method == "structure" and not is_whole:
        for block in find_blocks(text):
            if block.kind == "heading" and (block.text in shown or block.text in title):
                covered.update(range(block.start, block.end))
        wanted = {place for block in find_blocks(text) for place in range(block.start, block.end)}
    else:
        wanted = set(range(len(text)))
    assert {place for place in wanted if not text[place].isspace()} <= covered or not text.strip()


@pytest.mark.parametrize("method", ["tokens", "sentences", "structure"])
def test_a_word_of_ten_thousand_characters_is_cut(method: SplitMethod) -> None:
    for text in ("x" * 10_000, "é" * 10_000, "e\u0301" * 5_000, "\u0301" * 10_000, "\U0001f1e9\U0001f1ea" * 5_000):
        passages = split(
            Document("7", text), count_tokens=count_characters, max_tokens=64, overlap_tokens=8, method=method
        )
        assert max(len(passage.text) for passage in passages) <= 64
        assert passages[0].start == 0
        assert passages[-1].end == len(text)


@settings(max_examples=100, deadline=None)
@given(
    sentences=st.lists(st.integers(1, 12), min_size=5, max_size=30),
    max_tokens=st.integers(8, 20),
    overlap=st.integers(1, 6),
)
def test_neighbours_share_at_least_one_and_at_most_the_overlaps_tokens(
    sentences: list[int], max_tokens: int, overlap: int
) -> None:
    words = iter(range(10_000))
    text = " ".join(" ".join(f"w{next(words)}" for _ in range(length)) + "." for length in sentences)
    passages = split(Document("7", text), count_tokens=count_words, max_tokens=max_tokens, overlap_tokens=overlap)
    for before, after in pairwise(passages):
        assert 1 <= len(text[after.start : before.end].split()) <= overlap


def test_real_documents_fit_with_a_real_tokenizer(shared_data: Path, minilm_path: Path) -> None:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(minilm_path / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()

    def count(texts: Sequence[str]) -> list[int]:
        return [len(encoding.ids) for encoding in tokenizer.encode_batch_fast(texts, add_special_tokens=False)]

    for name in ("scifact", "cmrc2018", "dureader_demo"):
        documents = list(read_documents(shared_data / name))[:200]
        passages = split_all(documents, count_tokens=count, max_tokens=254, overlap_tokens=32)
        for document, found in zip(documents, passages, strict=True):
            check_passages(document, found, 254, count)
        # Greedy packing leaves little room: passages that are not a document's last are more than two thirds full.
        full = count([passage.text for found in passages for passage in found[:-1]])
        assert sum(full) / len(full) > 254 * 2 / 3


def test_sentences_give_way_where_they_would_leave_a_passage_less_than_half_full() -> None:
    assert texts_of(Document("7", "a b. c d e f g h"), 6, 0) == ["a b. c d e f", "g h"]
    assert texts_of(Document("7", "a b c. d e f g h"), 6, 0) == ["a b c.", "d e f g h"]


def test_a_unit_of_just_the_limit_is_not_cut() -> None:
    (units,) = make_units(["aaaa bbbb ccccc"], [5], count_characters, {})
    assert units.bounds == [0, 4, 9, 12, 15]  # "aaaa", " bbbb" of 5, and " ccccc" of 6 in two halves
    assert units.totals == [0, 4, 9, 12, 15]


def test_a_long_unit_is_cut_behind_the_mark_nearest_its_middle() -> None:
    (units,) = make_units(["aa,bb,cccccccc/dd"], [16], count_characters, {})
    assert units.bounds == [0, 6, 17]
    (units,) = make_units(["aaa,bbbb,"], [8], count_characters, {})  # the last character is no place to cut behind
    assert units.bounds == [0, 4, 9]


def test_a_text_that_counts_less_than_its_words_is_one_passage() -> None:
    """A tokenizer that puts a token before each string: three words count 6 one by one, and 4 together."""
    document = Document("7", "a b c")
    passages = split(
        document,
        count_tokens=lambda texts: [len(text.split()) + 1 for text in texts],
        max_tokens=5,
        overlap_tokens=0,
    )
    assert passages == [Passage("7", "a b c", 0, 5)]


def test_few_rounds_find_the_budget_where_texts_count_twice_their_words() -> None:
    rounds = 0

    def count(texts: Sequence[str]) -> list[int]:
        nonlocal rounds
        rounds += 1
        return [2 * len(text.split()) if len(text.split()) > 1 else len(text.split()) for text in texts]

    passages = split(Document("7", "a " * 500), count_tokens=count, max_tokens=200, overlap_tokens=0)
    assert [len(passage.text.split()) for passage in passages] == [100] * 5
    assert rounds < 10  # one token less in each round would take a hundred


@pytest.mark.parametrize(
    "make",
    [
        lambda n: "word " * 300 + " " * n + "b",
        lambda n: "word " * 300 + "\n" * n + "b",
        lambda n: "word " * 300 + " \n" * (n // 2) + "b",
        lambda n: "a" + "." * n + "b",
        lambda n: "好" + "。" * n + "b",
        lambda n: "x" * n,
        lambda n: "x," * (n // 2),
        lambda n: "a" + "\u0301" * n,
    ],
    ids=["spaces", "newlines", "both", "dots", "chinese", "giant", "commas", "combining"],
)
def test_the_tokenizer_reads_a_number_of_characters_that_grows_with_the_text(make: Callable[[int], str]) -> None:
    def characters_read(text: str) -> int:
        read = 0

        def count(texts: Sequence[str]) -> list[int]:
            nonlocal read
            read += sum(map(len, texts))
            return count_characters(texts)

        split(Document("7", text), count_tokens=count, max_tokens=64, overlap_tokens=8)
        return read

    small, large = characters_read(make(5_000)), characters_read(make(20_000))
    # Halving a giant word again and again reads it once a round, and four times the length takes two rounds more.
    assert large < 4 * 1.5 * small


def test_white_space_takes_no_quadratic_time_to_look_for_line_ends() -> None:
    """A pattern that tries each of 200,000 spaces and runs to the end takes minutes; this is a few milliseconds."""
    text = "a" + " " * 200_000 + "b"
    start = time.perf_counter()
    (units,) = make_units([text], [1_000_000], count_characters, {})
    assert time.perf_counter() - start < 5
    assert units.bounds == [0, 1, 200_002]
    assert units.sentence_ends == []


def test_lines_end_before_white_space_that_holds_a_line_feed() -> None:
    (units,) = make_units(["a \n b c \t\n\n d  e"], [100], count_words, {})
    # Units are "a", " \n b", " c", " \t\n\n d", "  e": lines end behind the first and the third.
    assert units.bounds == [0, 1, 5, 7, 13, 16]
    assert units.sentence_ends == [1, 3]


def test_words_and_the_white_space_before_them_are_the_pattern_s() -> None:
    draw = random.Random(5)
    for _ in range(2000):
        text = "".join(draw.choice("ab.  \n\t\x00é。」\u3000") if draw.random() < 0.3 else "ab c" for _ in range(8))
        plain = "".join(draw.choice("a  b") for _ in range(6))
        for drawn in (text, plain, f"{plain} "):
            expected = [part for part in text_units.UNIT.findall(drawn) if part]
            assert text_units.cut_at_spaces(drawn) == expected
    assert text_units.cut_at_spaces("") == []
    assert text_units.cut_at_spaces("The cat  sat. ") == ["The", " cat", "  sat.", " "]


def test_words_are_counted_once_and_summed() -> None:
    asked: list[str] = []

    def count(texts: Sequence[str]) -> list[int]:
        asked.extend(texts)
        return [len(text.strip()) for text in texts]

    found = text_units.count_words(["a bb a bb", "bb a", ""], count, {" a": 1})
    assert sorted(asked) == [" bb", "a", "bb"]
    assert [words.bounds for words in found] == [[0, 1, 4, 6, 9], [0, 2, 4], [0]]
    assert [words.totals for words in found] == [[0, 1, 3, 4, 6], [0, 2, 3], [0]]
    assert [words.longest for words in found] == [2, 2, 0]
