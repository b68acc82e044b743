"""Rows made of documents: without a model, by a generator, by cutting; and their filters and labels."""

import pickle
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from tfchain.core.errors import InputError
from tfchain.core.types import Document
from tfchain.data.augmentation.crops import CropSpans, InverseCloze
from tfchain.data.augmentation.generated_queries import GenerateQueries, read_queries, to_generate
from tfchain.data.augmentation.pair_scores import ScorePairs
from tfchain.data.augmentation.query_filters import DropRepeatedQueries, FilterRoundTrip, SeenQueries
from tfchain.data.augmentation.synthetic_queries import SynthesizeQueries
from tfchain.data.augmentation.word_negatives import AddWordNegatives
from tfchain.data.lexical.terms import count_words, find_terms
from tfchain.data.steps.run import StepsRun

TEXT = (
    "Axolotls live in lakes near Mexico City. How do axolotls regrow limbs? "
    "We found that cells turn back to stem cells."
)
DOCUMENT = Document("d", TEXT, "Axolotls")


def rows_of(*kinds, document=DOCUMENT, **settings):
    return [(row["query"], row["positive"]) for row in SynthesizeQueries(kinds=kinds, **settings)([document])]


def test_titles_ask_for_the_text() -> None:
    assert rows_of("title") == [("Axolotls", TEXT)]
    assert rows_of("title", document=Document("d", TEXT)) == []


def test_headings_ask_for_their_sections() -> None:
    text = "# Guide\n\nHello.\n\n## Install\n\nRun it.\n\n## Empty\n"
    assert rows_of("heading", document=Document("d", text, "Guide")) == [
        ("Guide", "\n\nHello.\n\n## Install\n\nRun it.\n\n## Empty".strip()),
        ("Guide Install", "Run it."),
    ]


def test_sentences_and_questions_are_taken_out_of_their_text() -> None:
    ((query, positive),) = rows_of("sentence", sentences=1, keep=0.0)
    assert query not in positive
    assert positive.startswith("Axolotls ")
    assert len(positive) < len(f"Axolotls {TEXT}")
    assert rows_of("question", keep=0.0) == [
        (
            "How do axolotls regrow limbs?",
            "Axolotls Axolotls live in lakes near Mexico City. We found that cells turn back to stem cells.",
        )
    ]
    assert rows_of("question", keep=1.0) == [("How do axolotls regrow limbs?", f"Axolotls {TEXT}")]


def test_a_document_that_suggests_no_query_is_dropped_and_counted() -> None:
    run = StepsRun([SynthesizeQueries(kinds=("title", "question"))])
    assert run.process([Document("a", "Nothing here"), DOCUMENT])[0]["id"] == "d/title0"
    assert run.logs[0].dropped == {"no query found": 1}
    assert run.logs[0].added == {"title": 1, "question": 1}


def test_statistics_are_read_from_a_file(tmp_path: Path) -> None:
    corpus = [TEXT, "Lakes near Mexico City are deep.", "Lakes near Mexico City freeze."]
    path = count_words(corpus).save(tmp_path / "words.json")
    by_file = SynthesizeQueries(kinds=("sentence",), sentences=1, keep=0.0, statistics=str(path))
    in_memory = SynthesizeQueries(kinds=("sentence",), sentences=1, keep=0.0, words=count_words(corpus))
    (row,) = by_file([DOCUMENT])
    assert row == next(iter(in_memory([DOCUMENT])))
    assert row["query"] == "Cells turn back to stem cells."


def test_settings_of_synthetic_queries() -> None:
    with pytest.raises(InputError, match=r"`kinds` must be some of title, heading, .* Received: kinds=\('titles',\)"):
        SynthesizeQueries(kinds=("titles",))
    with pytest.raises(InputError, match=r"`keep` must be in \[0, 1\]. Received: keep=2"):
        SynthesizeQueries(keep=2)
    with pytest.raises(InputError, match="synthesize_queries needs documents. Received: a row with the columns query"):
        list(SynthesizeQueries()([{"query": "a", "positive": "b"}]))
    assert "words" not in SynthesizeQueries(words=count_words(["a"])).settings()


def test_inverse_cloze_takes_a_sentence_out_and_chooses_by_the_seed() -> None:
    sentences = [f"The sentence of number {number} stands here." for number in range(20)]
    document = Document("d", " ".join(sentences), "T")
    rows = list(InverseCloze(sentences=3, keep=0.0)([document]))
    assert len({row["query"] for row in rows}) == 3
    for row in rows:
        rest = [sentence for sentence in sentences if sentence != row["query"]]
        assert row["positive"] == "T " + " ".join(rest)
    assert rows == list(InverseCloze(sentences=3, keep=0.0)([document]))
    assert rows != list(InverseCloze(sentences=3, keep=0.0, seed=1)([document]))
    run = StepsRun([InverseCloze()])
    assert run.process([Document("e", "Only one sentence stands here.")]) == []
    assert run.logs[0].dropped == {"too few sentences": 1}


def test_spans_are_parts_of_the_text_of_the_length_asked_for() -> None:
    words = " ".join(map(str, range(100)))
    for row in CropSpans(spans=20, least=0.1, most=0.5)([Document("d", words)]):
        for name in ("query", "positive"):
            assert row[name] in words
            assert 10 <= len(row[name].split()) <= 50
    assert list(CropSpans()([Document("d", "too short")])) == []
    with pytest.raises(InputError, match=r"`least` and `most` must be in \(0, 1\], `least` first"):
        CropSpans(least=0.6, most=0.5)


def test_a_generators_lines_become_queries() -> None:
    prompts: list[str] = []

    def generate(asked: Sequence[str]) -> list[str]:
        prompts.extend(asked)
        return ["1. What is {it}?\n2. what is {it}?\n- Who?\nWhy?", ""]

    run = StepsRun([GenerateQueries(count=2, prompt="Ask {count}: {text}", generate=generate)])
    made = run.process([Document("a", "It is {count}.", "T"), Document("b", "x")])
    assert prompts == ["Ask 2: T It is {count}.", "Ask 2: x"]
    assert [(row["id"], row["query"], row["positive"]) for row in made] == [
        ("a/generated0", "What is {it}?", "T It is {count}."),
        ("a/generated1", "Who?", "T It is {count}."),
    ]
    assert run.logs[0].dropped == {"no query found": 1}
    assert read_queries("Q1: «a»\n\n(2) b") == ["«a»", "b"]


def test_errors_of_generators() -> None:
    with pytest.raises(InputError, match="generate_queries needs a generator. Received: none"):
        list(GenerateQueries()([DOCUMENT]))
    with pytest.raises(InputError, match="`generate` must return a text for each prompt. Received: 0 answers for 1"):
        list(GenerateQueries(generate=lambda prompts: [])([DOCUMENT]))
    with pytest.raises(InputError, match="`prompt` must have the place {text}"):
        GenerateQueries(prompt="Write!")


def test_a_keras_hub_model_becomes_a_generator() -> None:
    class Causal:
        def generate(self, prompts: list[str], max_length: int) -> list[str]:
            assert max_length == 64
            return [f"{prompt} answer {len(prompts)}" for prompt in prompts]

    generate = to_generate(Causal(), max_length=64, batch_size=2)
    assert generate(["a", "b", "c"]) == [" answer 2", " answer 2", " answer 1"]


ROWS = [
    {"id": "1", "query": "cat purrs", "positive": "The cat purrs."},
    {"id": "2", "query": "dog barks", "positive": "A dog barks."},
    {"id": "3", "query": "cat purrs", "positive": "A fish swims."},
]


def test_round_trip_by_words_drops_a_query_that_finds_another_passage() -> None:
    run = StepsRun([FilterRoundTrip(top_k=1)])
    assert run.process(ROWS) == []
    assert [row["id"] for row in run.finish()] == ["1", "2"]
    assert run.logs[0].dropped == {"passage not among the first 1": 1}


def test_round_trip_by_a_model_and_among_further_passages() -> None:
    def encode(texts: Sequence[str]) -> np.ndarray:
        return np.array([[text.count("cat"), text.count("dog"), 0.1] for text in texts])

    assert [row["id"] for row in FilterRoundTrip(top_k=1, encode=encode)(ROWS)] == ["1", "2"]
    # The query is (1, 0, 0), its passage (1, 0, 0.1): (2, 0, 0.1) is nearer.
    ask = lambda texts: encode(texts) * [1, 1, 0]  # noqa: E731
    more = FilterRoundTrip(top_k=1, encode=encode, encode_query=ask, passages=("cat cat",))
    assert [row["id"] for row in more(ROWS)] == ["2"]
    with pytest.raises(InputError, match=r"`encode` must return a vector for each text. Received: \(1,\)"):
        list(FilterRoundTrip(encode=lambda texts: np.zeros(1))(ROWS))
    with pytest.raises(InputError, match="filter_round_trip needs rows with .* Received: a document"):
        list(FilterRoundTrip()([DOCUMENT]))


def test_held_rows_outlive_a_stop(tmp_path: Path) -> None:
    first = StepsRun([FilterRoundTrip(top_k=1), DropRepeatedQueries()])
    first.process(ROWS[:2])
    first.save_states(tmp_path)
    second = StepsRun([FilterRoundTrip(top_k=1), DropRepeatedQueries()])
    second.load_states(tmp_path)
    second.process(ROWS[2:])
    assert [row["id"] for row in second.finish()] == ["1", "2"]


def test_queries_that_repeat_each_other_are_dropped_across_blocks(tmp_path: Path) -> None:
    run = StepsRun([DropRepeatedQueries(least=0.75)])
    assert len(run.process([{"id": "1", "query": "how do cats purr", "positive": "a"}])) == 1
    run.save_states(tmp_path)
    again = StepsRun([DropRepeatedQueries(least=0.75)])
    again.load_states(tmp_path)
    rows = [
        {"id": "2", "query": "How do CATS purr?", "positive": "b"},
        {"id": "3", "query": "how do cats purr loudly", "positive": "b"},  # 4 of 5 terms
        {"id": "4", "query": "how do dogs bark", "positive": "b"},
    ]
    assert [row["id"] for row in again.process(rows)] == ["4"]
    assert again.logs[0].dropped == {"repeats a query": 2}


def test_repetitions_are_those_that_comparing_all_finds() -> None:
    rng = np.random.default_rng(0)
    queries = [" ".join(rng.choice(list("abcdefgh"), size=rng.integers(1, 8))) for _ in range(300)]
    for least in (0.5, 0.7, 0.8, 1.0):
        seen = SeenQueries(least)
        for number, query in enumerate(queries):
            mine = set(find_terms(query))
            by_hand = None
            for other in range(number):
                others = set(find_terms(queries[other]))
                if len(mine & others) / len(mine | others) >= least - 1e-12:
                    by_hand = str(other)
                    break
            assert seen.find(query) == by_hand
            seen.add(query, str(number))


def test_a_teachers_scores_become_labels() -> None:
    def score(pairs: Sequence[tuple[str, str]]) -> list[float]:
        return [float(len(text)) for _, text in pairs]

    row = {"query": "q", "positive": "aaaa", "negative_2": "a", "negative_1": "aa"}
    assert list(ScorePairs("margin", score)([row])) == [{**row, "margin": [2.0, 3.0]}]
    assert list(ScorePairs("scores", score)([row])) == [{**row, "scores": [4.0, 2.0, 1.0]}]
    assert list(ScorePairs("score", score)([row])) == [{**row, "score": 4.0}]
    listed = {"query": "q", "positive": "aaa", "negatives": ["a", "aa"]}
    assert list(ScorePairs("margin", score)([listed])) == [{**listed, "margin": [2.0, 1.0]}]


def test_errors_of_teachers() -> None:
    row = {"query": "q", "positive": "a"}
    with pytest.raises(InputError, match="score_pairs needs a teacher. Received: none"):
        list(ScorePairs()([row]))
    with pytest.raises(InputError, match="with form='margin' needs rows with negatives. Received: the columns query"):
        list(ScorePairs("margin", lambda pairs: [])([row]))
    with pytest.raises(InputError, match="a finite number for each pair. Received: 1 for 1 pairs, some not"):
        list(ScorePairs("score", lambda pairs: [float("nan")])([row]))
    with pytest.raises(InputError, match="`form` must be one of score, scores, margin. Received: form='rank'"):
        ScorePairs("rank")  # type: ignore[arg-type]


def test_steps_can_be_sent_to_workers() -> None:
    for step in (SynthesizeQueries(), InverseCloze(), CropSpans(), GenerateQueries(), FilterRoundTrip(), ScorePairs()):
        assert pickle.loads(pickle.dumps(step)) == step


def test_negatives_share_the_querys_words_and_are_other_documents() -> None:
    passages = (
        ("own", "cat cat cat cat"),
        ("best", "cat cat cat"),
        ("next", "cat cat bird"),
        ("third", "cat bird bird fish"),
        ("other", "fish"),
    )
    row = {"id": "1", "query": "cat", "positive": "the cat", "source": "own"}
    step = AddWordNegatives(num_negatives=2, skip=1, depth=2, passages=passages)
    (made,) = step([row])
    assert {made["negative_1"], made["negative_2"]} == {"cat cat bird", "cat bird bird fish"}
    assert step.settings() == {"num_negatives": 2, "skip": 1, "depth": 2, "seed": 0}
    drawn = {
        next(iter(AddWordNegatives(skip=1, depth=2, seed=seed, passages=passages)([row])))["negative_1"]
        for seed in range(9)
    }
    assert drawn == {"cat cat bird", "cat bird bird fish"}
    with pytest.raises(InputError, match="add_word_negatives needs 4 passages or more. Received: 0. Hand them in"):
        list(AddWordNegatives()([row]))
