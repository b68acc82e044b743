"""The best spans of windows, each worked out by hand, and windows of texts."""

import itertools
import math
from pathlib import Path

import numpy as np
import pytest

from tfchain.core.errors import InputError
from tfchain.models.span_encoder import make_span_encoder
from tfchain.models.text_encoder import TextEncoder
from tfchain.tasks.question_answering.options import ReadingOptions
from tfchain.tasks.question_answering.questions import Question
from tfchain.tasks.question_answering.spans import ReadWindow, find_spans
from tfchain.tasks.question_answering.squad_metrics import f1
from tfchain.tasks.question_answering.threshold import find_threshold
from tfchain.tasks.question_answering.windows import (
    WindowMemory,
    check_tokenizer,
    cut_windows,
    find_question_ids,
    find_rooms,
)


def make_window(
    start: list[float], end: list[float], null: tuple[float, float], first: int = 0, **places
) -> ReadWindow:
    """A window of words of two letters with a space behind each."""
    starts = first + 3 * np.arange(len(start), dtype="int32")
    return ReadWindow(np.array(start, "float32"), np.array(end, "float32"), null, starts, starts + 2, **places)


def test_the_best_span_starts_before_it_ends_and_is_not_too_long() -> None:
    window = make_window([0, 5, 0, 0], [7, 0, 1, 4], (1, 1))
    found = find_spans([window], top_k=1, max_tokens=4)
    assert [(span.start, span.end, span.logit) for span in found.best] == [(3, 11, 9.0)]  # 5 + 4: tokens 1 to 3
    assert found.margin == 2 - 9
    found = find_spans([window], top_k=1, max_tokens=2)
    assert [(span.start, span.end, span.logit) for span in found.best] == [(0, 2, 7.0)]  # 0 + 7; 5 + 1 is next
    assert found.best[0].lead == pytest.approx(1.0)


def test_a_score_is_a_probability_among_all_tokens_and_windows() -> None:
    windows = [make_window([1.0], [2.0], (0.5, 0.25)), make_window([3.0], [1.0], (0.0, 0.0), text=1, document=1)]
    found = find_spans(windows, top_k=2, max_tokens=3)
    starts = sum(map(math.exp, (1.0, 0.5, 3.0, 0.0)))
    ends = sum(map(math.exp, (2.0, 0.25, 1.0, 0.0)))
    assert [span.text for span in found.best] == [1, 0]
    assert found.best[0].score == pytest.approx(math.exp(4) / (starts * ends))
    assert found.best[1].score == pytest.approx(math.exp(3) / (starts * ends))
    assert found.null.score == pytest.approx(1 / (starts * ends))  # of the second window, which is less sure of none


def test_spans_do_not_overlap_in_a_document_even_from_two_windows() -> None:
    first = make_window([9, 0, 0], [0, 9, 0], (0, 0), text=0)  # characters 0 to 5
    again = make_window([0, 8, 7], [8, 0, 7], (0, 0), first=3, text=1)  # 3 to 5 (overlaps), and 9 to 11
    other = make_window([3], [3], (0, 0), text=2, document=1)  # another document's 0 to 2
    found = find_spans([first, again, other], top_k=9, max_tokens=2)
    spans = [(span.text, span.start, span.end) for span in found.best]
    assert spans == [(0, 0, 5), (1, 6, 11), (2, 0, 2)]  # 9 + 9; 8 + 7; 3 + 3; nothing else is free
    assert [span.score for span in found.best] == sorted((span.score for span in found.best), reverse=True)


def test_no_answer_comes_first_if_its_margin_is_above_the_threshold() -> None:
    found = find_spans([make_window([1.0], [1.0], (2.0, 1.0))], top_k=1, max_tokens=1)
    assert found.margin == 1
    assert [span.text for span in found.choose(None, 2)] == [0]
    assert [span.text for span in found.choose(1.0, 2)] == [0]
    assert [span.text for span in found.choose(0.9, 2)] == [-1, 0]
    assert [span.text for span in found.choose(0.9, 1)] == [-1]
    nothing = find_spans([make_window([], [], (0.0, 0.0))], top_k=1, max_tokens=1)
    assert [span.text for span in nothing.choose(None, 1)] == [-1]


def test_the_threshold_is_the_best_between_two_margins() -> None:
    questions = [Question("q", "c", ("cat",)), Question("q", "c", ("dog",)), Question("q", "c"), Question("q", "c")]
    answers = ["cat", "dog", "stocks", "fell"]
    # With margins -3, 1, 0, 2: above 1 there is one wrong answer, above -3 one right answer is lost.
    assert find_threshold([-3.0, 1.0, 0.0, 2.0], answers, questions, f1) == pytest.approx(1.5)
    assert find_threshold([-3.0, -2.0, 0.0, 2.0], answers, questions, f1) == pytest.approx(-1.0)
    assert find_threshold([1.0, 2.0], ["stocks", "fell"], questions[2:], f1) == 0.0  # below all of them
    assert find_threshold([1.0, 2.0], ["cat", "dog"], questions[:2], f1) == math.inf


@pytest.fixture(scope="module")
def reader(thin_model_path: Path) -> TextEncoder:
    return make_span_encoder(TextEncoder.from_pretrained(thin_model_path, engine="tensorflow"))


def test_windows_cover_a_text_between_words_and_share_their_ends(reader: TextEncoder) -> None:
    tokenizer, options = check_tokenizer(reader.tokenizer), ReadingOptions(stride=6)
    rooms = find_rooms(tokenizer, options)
    assert (tokenizer.max_length, rooms.question, rooms.window, rooms.shared) == (24, 5, 16, 6)
    text = "the cats sleep, café on 你好 mondays 👍🏽 and who does what " * 4
    (windows,) = cut_windows(tokenizer, [text], options)
    whole = tokenizer.whole.encode(text, add_special_tokens=False)
    words = {start for start, _ in (whole.word_to_chars(number) for number in range(max(whole.word_ids) + 1))}
    covered = {place for window in windows for place in window.starts.tolist()}
    assert covered == {start for start, _ in whole.offsets}
    assert len(windows) > 3
    for window, following in itertools.pairwise(windows):
        assert len(window.ids) <= rooms.window
        assert following.span[0] in words
        assert window.span[0] < following.span[0] < window.span[1] < following.span[1]
    ids, offsets = whole.ids, whole.offsets
    for window in windows:
        first = offsets.index((int(window.starts[0]), int(window.ends[0])))
        assert window.ids.tolist() == ids[first : first + len(window.ids)]
        assert (
            list(zip(window.starts.tolist(), window.ends.tolist(), strict=True))
            == offsets[first : first + len(window.ids)]
        )


def test_short_and_empty_texts_are_one_window_and_a_word_without_end_is_cut(reader: TextEncoder) -> None:
    tokenizer, options = check_tokenizer(reader.tokenizer), ReadingOptions()
    empty, short, long = cut_windows(tokenizer, ["", "the cat", "xyz" * 30], options)
    assert [len(window.ids) for window in empty] == [0]
    assert [window.span for window in short] == [(0, 7)]
    assert [len(window.ids) for window in long][:-1] == [16] * (len(long) - 1)
    assert long[-1].span[1] == 90
    assert len(find_question_ids(tokenizer, "who does what on monday who", options)) == 5


def test_windows_are_remembered_for_a_tokenizer_and_its_options(reader: TextEncoder) -> None:
    memory, tokenizer = WindowMemory(), check_tokenizer(reader.tokenizer)
    first = memory.find(tokenizer, ["the cat"], ReadingOptions())[0]
    assert memory.find(tokenizer, ["the cat", "a dog"], ReadingOptions())[0] is first
    assert memory.find(tokenizer, ["the cat"], ReadingOptions(stride=1))[0] is not first


def test_options_out_of_range_and_tokenizers_without_offsets_are_refused(thin_model_path: Path) -> None:
    with pytest.raises(InputError, match="`stride` must be a whole number of at least 0"):
        ReadingOptions(stride=-1)
    with pytest.raises(InputError, match="`max_answer_tokens` must be a whole number of at least 1"):
        ReadingOptions(max_answer_tokens=0)
    with pytest.raises(InputError, match="A reader needs a tokenizer of the `tokenizers` package"):
        check_tokenizer(TextEncoder.from_pretrained(thin_model_path, engine="tensorflow").tokenizer)
