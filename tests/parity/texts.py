"""The 500 texts whose vectors are compared with sentence-transformers': real ones of many kinds, and awkward ones."""

import csv
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

PYTHON_DOCS = Path(__file__).parent / "python_docs.json"
NUM_TEXTS = 500

# What no data set holds, but a user will send one day.
AWKWARD_TEXTS = (
    "",
    " ",
    "\t \n \r\n  ",
    "\u3000\u00a0\u2003",  # white space that is not ASCII
    "\u200b\u200d\ufeff",  # characters of no width
    "\x00\x01\x02\x7f",  # control characters alone
    "con\x00trol\x07 char\x1bacters in\x85side a\x0bte\x0cxt",
    "soft\u00adhyphen, zero\u200bwidth, word\u2060joiner, left\u200eto\u200fright",
    "unknown \ufffd and private \ue000 \U000f0000 characters",
    "[SEP]",
    "[CLS] the answer [SEP] is [MASK] and [PAD] or [UNK]",
    "[cls] [ SEP ] [[MASK]] [SEP",
    "<s> other models' </s> special <pad> tokens <mask> <unk>",
    "before[SEP]after",
    "a",
    ".",
    "?!…—«»„“”‘’",
    "x" * 99 + " " + "y" * 100 + " " + "z" * 101,  # BERT's words end at 100 characters
    "w" * 1_000,
    "supercalifragilisticexpialidocious pneumonoultramicroscopicsilicovolcanoconiosis",
    "ALL CAPITALS, Title Case, and iNvErTeD cAsE",
    "Ünïcödé àccénts: naïve café, Ångström, Željko, Đorđe, ıstanbul İstanbul, STRAßE, ẞ",
    "cafe\u0301 na\u0131\u0308ve A\u030angstro\u0308m",  # marks as characters of their own
    "ﬁne ﬂuid ﬀ ﬃ ﬄ ﬆ, ①②③ ½ ⅓ ², ＦＵＬＬ　ｗｉｄｔｈ",
    "东京大学的研究人员 published 一篇论文 about BERT模型，效果很好。",
    "日本語のテキスト、ひらがなとカタカナ。ﾊﾝｶｸ",
    "한국어 문장입니다. 안녕하세요!",
    "\u1112\u1161\u11ab\u1100\u1173\u11af \u1112\u1161\u11ab",  # Hangul in parts
    "Привет, мир! Съешь же ещё этих мягких французских булок, да выпей чаю.",
    "مرحبا بالعالم، كيف حالك اليوم؟",
    "שלום עולם, מה שלומך היום?",
    "नमस्ते दुनिया, आप कैसे हैं?",
    "สวัสดีชาวโลก ภาษาไทยไม่มีช่องว่าง",
    "Γειά σου Κόσμε, ὁ ἄνθρωπος φύσει πολιτικὸν ζῷον",
    "𝒎𝒂𝒕𝒉 𝔣𝔯𝔞𝔨𝔱𝔲𝔯 𝟙𝟚𝟛 𠀀𠀁 𪚥",  # beyond the 16-bit plane
    "👩‍👩‍👧‍👦 👍🏽 🏳️‍🌈 🇨🇳 #️⃣ ☎︎ ☎️",
    "😀" * 300,
    "∫₀^∞ e^{-x²} dx = √π/2 ≠ ≤ ≥ ∑ ∏ ∂ ∇",
    "E = mc^2; F_{n+1} = F_n + F_{n-1}; 3.14159e-10; 1,000,000.00; -42; 0x7F",
    'def f(x: int) -> str:\n    return f"{x!r}"  # comment\n',
    "https://user@example.org:8080/a/b?c=d&e=%20#frag and someone.else+tag@mail.example.com",
    '<html><body onload="x()">&lt;b&gt; &amp; &nbsp;</body></html>',
    "SELECT * FROM t WHERE a = 'it''s' AND b <> \"c\"; -- drop",
    "C++ C# F# .NET node.js TCP/IP AT&T rock'n'roll don't o'clock l'été",
    "tabs\tand\nnew\nlines\r\nand   many    spaces   ",
    "  leading and trailing  ",
    "word " * 2_000,
    "the quick brown fox jumps over the lazy dog " * 30,
    "我爱自然语言处理。" * 100,
    "a b c d e f g h i j k l m n o p q r s t u v w x y z " * 20,
    "1234567890" * 50,
)

# Special tokens as a user writes them, of all families: padding above all, which shifts positions in RoBERTa and MPNet.
SPECIAL_TEXTS = (
    "the <pad> fox",
    "<pad>",
    "[PAD] quick [PAD][PAD] brown",
    "<pad><pad> two lists <pad> and a <pad>",
    "how <pad> do [PAD] I merge </s> two [SEP] sorted <s> lists [CLS] in <mask> or [MASK] or <unk> or [UNK]?",
    "[sep] [Sep] <PAD> </S> SEP",
    "ΣΟΦΟΣ ΌΔΟΣ İstanbul [SEP] ẞ",
    "jumps over the lazy dog <pad> " * 12,
)

# What the small random models read: short enough for few positions, but for the long one.
SMALL_MODEL_TEXTS = (
    "how do I merge two sorted lists?",
    "Return the n smallest elements of a dataset.",
    "Ünïcödé àccénts, ALL CAPITALS and punctuation: (a, b); c!",
    "机器学习是人工智能的一个分支。",
    "mixed 东京 and emoji 👍🏽 text",
    "a",
    "",
    "   ",
    "special [SEP] tokens </s> inside [MASK] <mask>",
    "Привет, мир! 1234567890",
    "con\x00trol\tcharacters\u200b and\u00a0spaces\n",
    "the quick brown fox jumps over the lazy dog " * 12,
)


def reference_texts(shared_data: Path) -> list[str]:
    """The texts, in an order that never changes.

    Args:
        shared_data: The folder of the real data sets, with `scifact`, `cmrc2018` and `noto_emoji`.

    Returns:
        500 texts: documents and queries of SciFact, passages and questions of CMRC 2018, documentation strings of
        Python's standard library, emoji with their captions, and the awkward ones.
    """
    texts = [
        *every_nth((document_text(row) for row in read_rows(shared_data / "scifact" / "corpus.jsonl")), 150),
        *every_nth((row["text"] for row in read_rows(shared_data / "scifact" / "queries.jsonl")), 60),
        *every_nth((document_text(row) for row in read_rows(shared_data / "cmrc2018" / "corpus.jsonl")), 80),
        *every_nth((row["text"] for row in read_rows(shared_data / "cmrc2018" / "queries.jsonl")), 50),
        *json.loads(PYTHON_DOCS.read_text(encoding="utf-8"))["texts"],
        *every_nth(emoji_captions(shared_data / "noto_emoji" / "captions.csv"), 50),
        *AWKWARD_TEXTS,
    ]
    assert len(texts) == NUM_TEXTS, len(texts)
    return texts


def hash_texts(texts: Iterable[str]) -> str:
    """SHA-256 of texts in their order; kept beside vectors, so that a change of the data is noticed."""
    digest = hashlib.sha256()
    for text in texts:
        data = text.encode()
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()


def document_text(row: dict[str, str]) -> str:
    """Title, a space, text: what is encoded of a document."""
    return f"{row['title']} {row['text']}" if row["title"] else row["text"]


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a .jsonl file."""
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def emoji_captions(path: Path) -> list[str]:
    """Each emoji with its name and keywords."""
    with path.open(encoding="utf-8", newline="") as file:
        return [f"{row['emoji']} {row['name']}: {row['keywords'].replace('|', ', ')}" for row in csv.DictReader(file)]


def every_nth(values: Iterable[str], count: int) -> list[str]:
    """`count` values at equal distances."""
    values = list(values)
    return [values[index * len(values) // count] for index in range(count)]
