"""Passages: long documents cut into overlapping parts that each fit the model."""

import bisect
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from tfchain.core.errors import InputError
from tfchain.core.types import Document, Passage
from tfchain.data.documents.headings import SEPARATOR, Heads, heading_line, shorter_paths
from tfchain.data.documents.sections import Part, SectionCutter
from tfchain.data.documents.sentences import find_sentence_ends
from tfchain.data.documents.structure import find_sections
from tfchain.data.documents.text_units import CountTokens, FindEnds, Units, Words, count_words, make_units

SplitMethod = Literal["tokens", "sentences", "structure"]
PassageMode = Literal["split", "sentences", "structure", "truncate"]
"""What chains and settings call the methods; `split` is `tokens`, `truncate` cuts nothing and encodes the beginning."""
SPLIT_METHODS: dict[PassageMode, SplitMethod] = {
    "split": "tokens",
    "sentences": "sentences",
    "structure": "structure",
}

# Words of more tokens than this may be cut where two passages overlap; shorter words never are.
SHORT_UNIT = 16
# How full a passage must be for a sentence's end to be preferred over a word's.
LEAST_FULL: dict[SplitMethod, float] = {"tokens": 0.5, "sentences": 0.0, "structure": 0.0}
# White space for Python that BERT's tokenizers drop as control characters, joining the words around it.
DROPPED_SPACE = re.compile("[\x0b\x0c\x1c-\x1f\x85]")
FIND_ENDS: dict[SplitMethod, FindEnds | None] = {"tokens": None, "sentences": find_sentence_ends, "structure": None}


def split(
    document: Document,
    *,
    count_tokens: CountTokens,
    max_tokens: int,
    overlap_tokens: int,
    method: SplitMethod = "tokens",
) -> list[Passage]:
    """Cuts one document into passages; `split_all` is much faster for many documents."""
    return split_all(
        [document], count_tokens=count_tokens, max_tokens=max_tokens, overlap_tokens=overlap_tokens, method=method
    )[0]


def split_all(
    documents: Sequence[Document],
    *,
    count_tokens: CountTokens,
    max_tokens: int,
    overlap_tokens: int,
    method: SplitMethod = "tokens",
    counted: dict[str, int] | None = None,
    adds_up: bool = False,
) -> list[list[Passage]]:
    """Cuts documents into passages of at most `max_tokens`.

    A document that fits is one passage, its `full_text`. Longer documents are cut by one of three methods:

    - `tokens` cuts at the ends of sentences and lines, at words if that would leave a passage less than half full, and
      inside words that are too long. Passages are full, so there are few. Each passage but the first begins with up to
      `overlap_tokens` from the end of the previous passage.
    - `sentences` cuts at the ends of sentences alone (see `find_sentence_ends`), within a sentence only if it is too
      long. Passages overlap by whole sentences.
    - `structure` follows Markdown's or HTML's headings, for documents that have them. A section that fits is a passage;
      of a longer one, paragraphs, lists, tables and code are kept whole where they fit. The path of headings stands
      before each passage (`Guide > Install > Linux`) in the headings' own place. Only parts of a block that was cut
      overlap. See `SectionCutter.cut`.

    Together the passages (and the headings before them) cover the whole text. A letter is not cut from its combining
    marks, nor an emoji in two, where that can be avoided.

    Each passage begins with the title. A title longer than half of `max_tokens` is shortened, in every passage, to the
    first words that fit into half. If a document has only a title, the title is cut, and the offsets are 0.

    Args:
        documents: The documents. Many at once are faster: each distinct word is counted once.
        count_tokens: Returns the number of tokens, without special tokens, of each string.
        max_tokens: The maximum number of tokens in a passage, with its title, without special tokens. No passage has
            more (each is counted as it will be encoded), unless a single character has.
        overlap_tokens: The maximum number of tokens that two neighbours share, from 0 to less than `max_tokens`.
        method: `tokens`, `sentences` or `structure`. Default: `tokens`.
        counted: Numbers of tokens of words that earlier calls with the same `count_tokens` counted; new ones are added.
            Default: none.
        adds_up: Whether a text always has as many tokens as its words together, as with BERT's WordPiece, so that
            counting the words is enough. Default: False, passages are counted as they will be encoded.

    Returns:
        The passages of each document, in text order.

    Raises:
        InputError: if `max_tokens` or `overlap_tokens` is out of range, or `method` is unknown.

    Example:
        >>> words = lambda texts: [len(text.split()) for text in texts]
        >>> document = Document("1", "One two three. Four five six.", title="Numbers")
        >>> [passage.text for passage in split(document, count_tokens=words, max_tokens=5, overlap_tokens=1)]
        ['Numbers One two three.', 'Numbers three. Four five six.']
    """
    if max_tokens < 1:
        raise InputError(f"`max_tokens` must be at least 1. Received: max_tokens={max_tokens}.")
    if not 0 <= overlap_tokens < max_tokens:
        raise InputError(
            f"`overlap_tokens` must be at least 0 and less than `max_tokens`. "
            f"Received: overlap_tokens={overlap_tokens} with max_tokens={max_tokens}. A quarter of it is usual."
        )
    if method not in get_args(SplitMethod):
        raise InputError(
            f"`method` must be one of {', '.join(map(repr, get_args(SplitMethod)))}. Received: method={method!r}."
        )
    counted = {} if counted is None else counted
    full_texts = [document.full_text for document in documents]
    titles = count_words([document.title for document in documents], count_tokens, counted)
    words = count_words([document.text for document in documents], count_tokens, counted)
    plain = [adds_up and not drops_space(text) for text in full_texts]
    whole = fit_whole(full_texts, titles, words, plain, max_tokens, count_tokens)
    passages = [
        [Passage(document.id, text, 0, len(document.text))]
        for document, text in zip(documents, full_texts, strict=True)
    ]
    long = [i for i, fits in enumerate(whole) if not fits]
    drafts = {
        i: make_draft(documents[i], titles[i], words[i], plain[i], max_tokens, count_tokens, counted) for i in long
    }
    while drafts:
        parts, units = cut(list(drafts.values()), overlap_tokens, count_tokens, counted, method)
        passages_of = dict(zip(drafts, parts, strict=True))
        for i, found in passages_of.items():
            passages[i] = found
        if adds_up and method != "structure":  # headings before a passage may be joined to it without white space
            # Halves of a word have other tokens than the word; a single character may have more than a small budget.
            drafts = {
                i: draft
                for (i, draft), unit in zip(drafts.items(), units, strict=True)
                if unit.has_cut_words or not draft.is_plain or draft.budget < SHORT_UNIT
            }
        drafts = shrink(drafts, passages_of, max_tokens, count_tokens)
    return passages


@dataclass(frozen=True, slots=True)
class Draft:
    """A document being cut.

    Args:
        document: The document.
        title: The title put before each passage.
        body: The string to cut: the text, or the title if there is no text.
        budget: The number of tokens for each part of the body.
        words: The body's words.
        is_plain: Whether its tokens are those of its words, if that is so for plain texts.
    """

    document: Document
    title: str
    body: str
    budget: int
    words: Words
    is_plain: bool


def fit_whole(
    full_texts: Sequence[str],
    titles: Sequence[Words],
    words: Sequence[Words],
    plain: Sequence[bool],
    max_tokens: int,
    count_tokens: CountTokens,
) -> list[bool]:
    """Returns, for each document, whether it fits without cutting.

    The sum over words decides most cases, at a fraction of the cost of counting each text. The sum may exceed the
    text's own count by a few per cent, so texts that seem up to a quarter too long are counted as well.

    Some tokenizers put a token before each string, as if it began with a space; the estimate subtracts one token for
    each unit that has no space before it.
    """
    sums = [title.totals[-1] + text.totals[-1] for title, text in zip(titles, words, strict=True)]
    near = []
    for i, text in enumerate(full_texts):
        if plain[i]:
            continue
        num_words = len(titles[i].bounds) - 1 + len(words[i].bounds) - 1
        joined = max(0, num_words - len(text.split()))
        if sums[i] - joined <= max_tokens * 5 / 4:
            near.append(i)
        else:
            sums[i] = max_tokens + 1
    if near:
        for i, number in zip(near, count_tokens([full_texts[i] for i in near]), strict=True):
            sums[i] = number
    return [number <= max_tokens for number in sums]


def drops_space(text: str) -> bool:
    """Returns whether a text has white space that a tokenizer may drop, joining the words around it."""
    return not text.replace("\n", "").isprintable() and DROPPED_SPACE.search(text) is not None


def make_draft(
    document: Document,
    title_words: Words,
    words: Words,
    is_plain: bool,
    max_tokens: int,
    count_tokens: CountTokens,
    counted: dict[str, int],
) -> Draft:
    """Shortens a long title and sets the budget."""
    if not document.text.strip():
        return Draft(document, "", document.title, max_tokens, title_words, is_plain)
    title, num_tokens, half = document.title, title_words.totals[-1], max_tokens // 2
    if num_tokens > half:
        (units,) = make_units([title], [max(1, half)], count_tokens, counted, words=[title_words])
        last = bisect.bisect_right(units.totals, half) - 1
        title, num_tokens = title[: units.bounds[last]], units.totals[last]
        is_plain = is_plain and not units.has_cut_words
    return Draft(document, title, document.text, max_tokens - num_tokens, words, is_plain)


def cut(
    drafts: Sequence[Draft],
    overlap_tokens: int,
    count_tokens: CountTokens,
    counted: dict[str, int],
    method: SplitMethod,
) -> tuple[list[list[Passage]], list[Units]]:
    """Cuts each draft's body into parts within its budget, by the sum over units, which are returned as well."""
    # Headings take up to half of the budget: what stands below them must fit into the rest.
    budgets = [max(1, draft.budget // 2) if method == "structure" else draft.budget for draft in drafts]
    limits = [min(budget, max(overlap_tokens, SHORT_UNIT)) for budget in budgets]
    words = [draft.words for draft in drafts]
    units = make_units([draft.body for draft in drafts], limits, count_tokens, counted, FIND_ENDS[method], words)
    if method == "structure":
        return cut_sections(drafts, units, overlap_tokens, count_tokens, counted), units
    fill = LEAST_FULL[method]
    return [cut_draft(draft, unit, overlap_tokens, fill) for draft, unit in zip(drafts, units, strict=True)], units


def cut_draft(draft: Draft, units: Units, overlap_tokens: int, fill: float) -> list[Passage]:
    """Cuts one draft's body without looking at its structure."""
    spans = trim_spans(draft.body, pack(units, draft.budget, overlap_tokens, fill))
    return [make_passage(draft, start, end) for start, end in spans]


def cut_sections(
    drafts: Sequence[Draft],
    units: Sequence[Units],
    overlap_tokens: int,
    count_tokens: CountTokens,
    counted: dict[str, int],
) -> list[list[Passage]]:
    """Cuts each draft's body along its headings and blocks."""
    roots = [find_sections(draft.body) for draft in drafts]
    paths = dict.fromkeys(heading_line(path) for root in roots for path in shorter_paths(root))
    new = [line for line in paths if line not in counted]
    if new:
        counted.update(zip(new, count_tokens(new), strict=True))
    passages = []
    for draft, unit, root in zip(drafts, units, roots, strict=True):
        heads = Heads(draft.document.title, draft.budget // 2, counted)

        def pack_block(units: Units, room: int) -> Iterator[tuple[int, int]]:
            return pack(units, room, overlap_tokens, LEAST_FULL["structure"])

        parts = SectionCutter(draft.body, unit, draft.budget, heads.count, heads.is_shown, pack_block).cut(root)
        # A text of HTML's tags alone has no blocks.
        made = list(make_section_passages(draft, parts, heads)) or cut_draft(draft, unit, overlap_tokens, 0.0)
        passages.append(made)
    return passages


def make_section_passages(draft: Draft, parts: Iterable[Part], heads: Heads) -> Iterator[Passage]:
    """Yields the passages of parts, white space trimmed off both ends."""
    for part in parts:
        body = draft.body[part.start : part.end]
        if not body.strip():
            continue
        start = part.start + len(body) - len(body.lstrip())
        passage = make_passage(draft, start, part.start + len(body.rstrip()))
        kept = heads.shorten(part.path)
        if kept:
            head = SEPARATOR.join([draft.title, *kept] if draft.title else kept)
            passage = replace(passage, text=f"{head} {body.strip()}")
        yield replace(passage, headings=part.path)


def pack(units: Units, budget: int, overlap_tokens: int, fill: float) -> Iterator[tuple[int, int]]:
    """Fills one passage after the other, and yields the offsets of each.

    A passage ends with the last sentence that fits if that fills a share of `fill` of its budget, else with the last
    unit that fits. The next passage begins at the first sentence within the overlap if that keeps a share of `fill` of
    the overlap, else at the first unit within it. With 0, sentences are cut only if they are too long.
    """
    totals, bounds = units.totals, units.bounds
    last = len(bounds) - 1
    start = end = 0  # places in `bounds`
    while end < last:
        full = max(bisect.bisect_right(totals, totals[start] + budget) - 1, end + 1)
        if full < last:
            full_enough = bisect.bisect_left(totals, totals[start] + budget * fill)
            full = units.last_sentence_end(max(full_enough, end + 1), full) or full
        end = full
        yield bounds[start], bounds[end]
        if end < last:
            # Not so early that the unit after `end` would have no room, or that two passages would be the same.
            room = bisect.bisect_left(totals, totals[end + 1] - budget)
            start = min(end, max(start + 1, room, bisect.bisect_left(totals, totals[end] - overlap_tokens)))
            kept_share = bisect.bisect_right(totals, totals[end] - overlap_tokens * fill) - 1
            start = units.first_sentence_end(start, min(kept_share, end)) or start


def trim_spans(body: str, spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Trims white space off both ends, and drops spans that are then empty or lie within their neighbour."""
    kept: list[tuple[int, int]] = []
    for start, end in spans:
        part = body[start:end]
        kept_part = part.strip()
        if not kept_part:
            continue
        start += len(part) - len(part.lstrip())
        end = start + len(kept_part)
        if kept and end <= kept[-1][1]:
            continue
        if kept and start <= kept[-1][0]:
            kept.pop()
        kept.append((start, end))
    return kept


def make_passage(draft: Draft, start: int, end: int) -> Passage:
    """Puts the title before a part of the body."""
    text = f"{draft.title} {draft.body[start:end]}".strip()
    if not draft.document.text.strip():  # the title was cut: offsets have no text to point into
        return Passage(draft.document.id, text, 0, 0)
    return Passage(draft.document.id, text, start, end)


def shrink(
    drafts: Mapping[int, Draft], passages: Mapping[int, Sequence[Passage]], max_tokens: int, count_tokens: CountTokens
) -> dict[int, Draft]:
    """Counts the passages as they will be encoded; returns the drafts that need another round, with a smaller budget.

    With tokenizers such as byte-pair encoders, a text's count may differ a little from the sum over its words.
    """
    texts = [passage.text for i in drafts for passage in passages[i]]
    counts = iter(count_tokens(texts))
    again = {}
    for i, draft in drafts.items():
        excess = max(next(counts) for _ in passages[i]) - max_tokens
        if excess > 0 and draft.budget > 1:
            # In proportion: subtracting the excess itself would leave nothing where a text counts twice the sum.
            share = -(-draft.budget * excess // (max_tokens + excess))
            again[i] = replace(draft, budget=max(1, draft.budget - max(share, draft.budget // 16, 1)))
        elif excess > 0 and draft.title and draft.document.text.strip():
            again[i] = replace(draft, title="", budget=max_tokens)  # the title alone takes too much
    return again
