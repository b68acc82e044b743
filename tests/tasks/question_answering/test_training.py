"""The rows that a reader is trained on, with the places of the answer's tokens counted by hand."""

from pathlib import Path

import numpy as np
import pytest

from tfchain.core.errors import InputError
from tfchain.models.span_encoder import make_span_encoder
from tfchain.models.text_encoder import TextEncoder
from tfchain.models.tokenizers.pairs import split_pair
from tfchain.tasks.question_answering.options import ReadingOptions
from tfchain.tasks.question_answering.questions import Question, read_questions
from tfchain.tasks.question_answering.task import QuestionAnsweringTask
from tfchain.tasks.question_answering.training import choose_distractors, find_labels, make_training_rows
from tfchain.tasks.question_answering.windows import check_tokenizer
from tfchain.training.fit.options import FitOptions
from tfchain.training.mining.options import Mining


@pytest.fixture(scope="module")
def reader(thin_model_path: Path) -> TextEncoder:
    return make_span_encoder(TextEncoder.from_pretrained(thin_model_path, engine="tensorflow"))


def test_the_answers_tokens_are_counted_in_the_pair(reader: TextEncoder) -> None:
    questions = read_questions(
        [
            ("what fell", "stocks fell on monday", "stocks"),
            ("what fell", "the cat sleeps", ""),
            ("what fell", "a stock.", "stock", 2),
        ]
    )
    pairs, _ = make_training_rows(reader, questions, ReadingOptions(), FitOptions())
    assert pairs.columns[0][0] == "what fell\x1fstocks fell on monday"
    # [CLS] what fell [SEP] stock ##s fell on monday [SEP]; … the cat sleep ##s [SEP]; … a stock . [SEP]
    assert pairs.labels.tolist() == [[4, 5, 10], [0, 0, 9], [5, 5, 8]]


def test_a_window_without_the_whole_answer_teaches_that_there_is_none(reader: TextEncoder) -> None:
    context = "the cat on monday and a dog " * 5 + "stocks fell"
    questions = [Question("what fell", context, ("stocks fell",), (len(context) - 11,))]
    pairs, _ = make_training_rows(reader, questions, ReadingOptions(stride=4), FitOptions())
    windows = [split_pair(text)[1] for text in pairs.columns[0]]
    assert len(windows) > 2
    has_answer = [window.endswith("stocks fell") for window in windows]
    assert (pairs.labels[:, 0] > 0).tolist() == has_answer
    tokens = check_tokenizer(reader.tokenizer).encode_pairs(pairs.columns[0][-1:])[0].tokens
    start, end = pairs.labels[-1, :2].astype(int)
    assert tokens[start : end + 1] == ["stock", "##s", "fell"]


def test_an_answer_that_is_cut_off_is_none_and_white_space_behind_it_is_not_missed(reader: TextEncoder) -> None:
    tokenizer = check_tokenizer(reader.tokenizer)
    long = "cat " * 40
    labels = find_labels(tokenizer, [f"a\x1f{long}", "a\x1fcat  "], [(76, 83), (0, 5)])
    # 24 tokens: [CLS] a [SEP] and 20 cats, of which the last ends at character 79, and [SEP].
    np.testing.assert_array_equal(labels, [[0, 0, 24], [3, 3, 5]])


def test_misaligned_rows_are_left_out_and_kept_by_name_in_the_state(reader: TextEncoder) -> None:
    rows = [
        {"id": "right", "question": "who", "context": "the cat", "answers": {"text": ["cat"], "answer_start": [4]}},
        {"id": "wrong", "question": "who", "context": "the cat", "answers": {"text": ["cat"], "answer_start": [3]}},
    ]
    training = QuestionAnsweringTask().prepare(reader, None, rows, FitOptions())
    assert len(training.dataset) == 1
    assert training.state.misaligned == ("wrong",)
    assert (training.state.threshold, training.state.sample) == (None, ("who\x1fthe cat",))
    both = QuestionAnsweringTask().prepare(reader, None, [*rows, ("who", "a dog", "")], FitOptions())
    assert both.state.threshold == 0  # no answer has been taught


def test_distractors_are_near_contexts_without_an_answer(reader: TextEncoder) -> None:
    contexts = ["a dog", "the cat sleeps", "the dog does", "stocks fell", "what a cat"]
    questions = [Question("who", context, (context.split()[1],), (context.index(" ") + 1,)) for context in contexts]
    found = choose_distractors(questions, 2)
    assert found[3] == ["the dog does", "what a cat"]  # its neighbours
    assert found[1] == ["a dog", "the dog does"]  # not the last, which has its answer
    assert found[0] == ["the cat sleeps", "stocks fell"]  # not the third
    assert choose_distractors(questions, 0) == [[]] * 5
    pairs, _ = make_training_rows(reader, questions, ReadingOptions(distractors=2), FitOptions())
    assert len(pairs) == 15
    assert (pairs.labels[:, 0] > 0).sum() == 5
    assert pairs.columns[0][9:12] == ["who\x1fstocks fell", "who\x1fthe dog does", "who\x1fwhat a cat"]


def test_options_that_do_not_suit_a_reader_are_refused(reader: TextEncoder) -> None:
    questions = [Question("who", "the cat", ("cat",), (4,))]
    for options, message in (
        (FitOptions(mining=Mining()), "`mining` finds documents for queries"),
        (FitOptions(loss="cosent"), "A reader has its own loss"),
    ):
        with pytest.raises(InputError, match=message):
            make_training_rows(reader, questions, ReadingOptions(), options)
