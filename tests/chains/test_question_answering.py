"""The life of question answering: asked, trained, evaluated, saved, tuned, compressed, exported, deployed."""

import copy
import json
import logging
import shutil
from pathlib import Path
from random import Random

import numpy as np
import pytest

from tfchain import Document, NeuralSearchChain, Quantize, QuestionAnsweringChain
from tfchain.chains.forget import forget
from tfchain.chains.question_client import QuestionClient
from tfchain.chains.reader_arguments import make_retriever
from tfchain.chains.releasing import make_judge
from tfchain.core.errors import IndexFolderError, InputError
from tfchain.deployment.releases.version_answers import open_version
from tfchain.models.native_library import find_obstacle
from tfchain.models.span_encoder import load_span_encoder
from tfchain.tasks.question_answering.options import ReadingOptions

FIXTURES = Path(__file__).parents[1] / "parity" / "reader_fixtures"
ROWS = [
    ("what fell", "stocks fell on monday", "stocks"),
    ("who sleeps", "the cat sleeps", "the cat"),
    ("who runs", "a dog runs", "a dog"),
    ("what fell", "the cat sleeps", ""),
]
SENTENCES = "who does what on monday, and a cat runs; the dog sleeps a lot. e\u0301a café 你好，我是一个 👍🏽 stocks"


def make_long(count: int) -> str:
    """Joins the words in so many orders: the same order again would have the same scores, up to rounding."""
    words = SENTENCES.split()
    return " ".join(" ".join(Random(order).sample(words, len(words))) for order in range(count))


LONG = make_long(2)
DOCUMENTS = [
    Document("cat", "the cat sleeps on the dog"),
    Document("stocks", "stocks fell on monday", title="the monday"),
    Document("long", LONG),
    Document("accents", "你好，我是一个智能助手。 a cafe\u0301's dog 👍🏽 sleeps"),
    Document("title", "", title="a dog runs"),
]
QUESTIONS = ["what fell", "who sleeps", "你好 who", "what does the dog do on monday, and the cat"]


@pytest.fixture(scope="module")
def chain(thin_model_path: Path) -> QuestionAnsweringChain:
    retriever = NeuralSearchChain.from_pretrained(thin_model_path, engine="tensorflow")
    made = QuestionAnsweringChain(
        retriever,
        thin_model_path,
        learning_rate=0.02,
        batch_size=4,
        reading=ReadingOptions(stride=4),
        engine="tensorflow",
    )
    return made.add(DOCUMENTS)


@pytest.fixture(scope="module")
def trained(chain: QuestionAnsweringChain) -> QuestionAnsweringChain:
    wrong = {"id": "bad", "question": "who", "context": "the cat", "answers": {"text": ["cat"], "answer_start": [3]}}
    history = chain.fit([*ROWS * 4, wrong], epochs=14, validation=ROWS, dropout=0.0, schedule="constant")
    assert history.history["loss"][-1] < 0.1 < history.history["loss"][0]
    return chain


def test_a_trained_reader_answers_and_says_when_there_is_no_answer(trained: QuestionAnsweringChain) -> None:
    assert trained.evaluate(ROWS) == {"exact_match": 1.0, "f1": 1.0}
    assert trained.report == {"exact_match": 1.0, "f1": 1.0}
    assert trained.evaluate(ROWS, metrics=["no_answer_accuracy", "cmrc_f1"]) == {"no_answer_accuracy": 1, "cmrc_f1": 1}
    assert isinstance(trained.threshold, float)  # tuned on the validation's question without an answer
    assert trained.state.misaligned == ("bad",)
    for question, context, answer in ROWS:
        found = trained.read(question, context, top_k=2)
        assert found.text == answer == context[max(found.start, 0) : max(found.end, 0)]
        assert bool(found) == bool(answer)
        assert len(found.others) == 1


def test_a_threshold_is_set_by_hand_for_a_reader_trained_elsewhere(trained: QuestionAnsweringChain) -> None:
    before = trained.threshold
    try:
        trained.threshold = -1000  # no answer is always better
        assert trained.threshold == -1000
        assert not trained.read("who sleeps", "the cat sleeps")
        trained.threshold = None
        assert trained.read("what fell", "the cat sleeps").text in "the cat sleeps"
        assert trained.state.misaligned == ("bad",)
        for wrong in (float("nan"), True, "0"):
            with pytest.raises(InputError, match="`threshold` must be a finite number, or None. Received: "):
                trained.threshold = wrong  # type: ignore[assignment]
    finally:
        trained.threshold = before


def test_answers_are_cut_out_of_documents_and_do_not_overlap(trained: QuestionAnsweringChain) -> None:
    texts = {document.id: document.text or document.title for document in DOCUMENTS}
    answers = trained.ask(QUESTIONS, top_k=6, passages=5)
    alone = [trained.ask(question, top_k=6, passages=5) for question in QUESTIONS]
    assert [(one.text, one.id, one.start) for one in alone] == [(one.text, one.id, one.start) for one in answers]
    for first in answers:
        found = [one for one in (first, *first.others) if one]
        assert len(found) >= 5
        taken: dict[str, set[int]] = {}
        for one in found:
            assert texts[one.id][one.start : one.end] == one.text
            assert one.passage in texts[one.id]
            assert one.text in one.passage
            places = set(range(one.start, one.end))
            assert not places & taken.setdefault(one.id, set())
            taken[one.id] |= places
        assert 0 < found[-1].score <= found[0].score < 1
    assert len({one.passage for first in answers for one in (first, *first.others) if one.id == "long"}) > 1
    assert trained.evaluate(ROWS, contexts="retrieved", metrics=["exact_match"])["exact_match"] <= 1


def test_a_long_text_is_read_in_windows(trained: QuestionAnsweringChain) -> None:
    context = "monday, the who; a what does. " * 4 + "stocks fell on monday"
    found = trained.read("what fell", context)
    assert context[found.start : found.end] == found.text
    assert (found.text, found.start) == ("stocks", 120)


def test_a_chain_is_saved_with_its_retriever_loaded_and_copied(trained: QuestionAnsweringChain, tmp_path: Path) -> None:
    expected = trained.ask(QUESTIONS, top_k=2)
    saved = trained.save(tmp_path / "chain")
    for again in (QuestionAnsweringChain.load(saved, engine="tensorflow"), copy.deepcopy(trained)):
        found = again.ask(QUESTIONS, top_k=2)
        assert [(one.text, one.id, one.start) for one in found] == [(one.text, one.id, one.start) for one in expected]
        np.testing.assert_allclose([one.score for one in found], [one.score for one in expected], rtol=1e-4)
        assert (again.state, again.report, again.reading) == (trained.state, trained.report, trained.reading)
        assert len(again) == 5
    trained.save(saved)  # again, over itself
    portable = load_span_encoder(trained.save_pretrained(tmp_path / "portable"), engine="tensorflow")
    assert portable.encoder_fingerprint == trained.text_encoder.encoder_fingerprint
    with pytest.raises(IndexFolderError, match="holds a saved chain of the task 'question_answering'"):
        NeuralSearchChain.load(saved)


def test_a_save_replaces_all_of_a_chain_and_forgetting_reaches_its_documents(
    chain: QuestionAnsweringChain, tmp_path: Path
) -> None:
    saved = chain.save(tmp_path / "chain")
    copied = copy.deepcopy(chain)
    chain.retriever.add(Document("anna", "the cat of anna winter sleeps on monday, and runs"))
    chain.save(saved)
    assert [place["path"] for place in chain.retriever.forget("anna").places] == [str(saved / "retriever")]
    chain.save(saved)  # the copy and the forgetting were no other writer's
    chain.retriever.add(Document("anna", "the cat of anna winter sleeps on monday, and runs")).save(saved / "retriever")
    sampled = json.loads((saved / "chain.json").read_text())
    sampled["state"]["sample"] = ["who\x1fthe cat of anna winter sleeps on monday, and runs"]
    (saved / "chain.json").write_text(json.dumps(sampled))
    receipt = forget("anna", tmp_path)  # among other files
    assert [(place["path"], place["removed"]) for place in receipt.places] == [(str(saved / "retriever"), 1)]
    assert [place["path"] for place in receipt.remaining] == [str(saved)]  # which was trained on the text
    assert forget("stocks", tmp_path).remaining == []
    assert len(QuestionAnsweringChain.load(saved, engine="tensorflow")) == 4
    chain.retriever.remove("anna")

    bare = QuestionAnsweringChain(None, copied.text_encoder)
    bare.save(saved)
    assert len(QuestionAnsweringChain.load(saved, engine="tensorflow")) == 0
    assert not (saved / "retriever").exists()
    bare._retriever = copied.retriever
    bare.save(saved)
    shutil.rmtree(saved / "retriever")
    with pytest.raises(IndexFolderError, match="holds no saved chain"):  # rather than a chain without documents
        QuestionAnsweringChain.load(saved)


def test_a_retriever_that_gets_a_reranker_is_refused(chain: QuestionAnsweringChain) -> None:
    chain.retriever.second = object()  # type: ignore[assignment]  # only whether there is one counts
    try:
        with pytest.raises(InputError, match="`retriever` must have no reranker"):
            chain.ask("who")
    finally:
        chain.retriever.second = None


@pytest.mark.usefixtures("eager")
def test_a_reader_is_tuned(thin_model_path: Path) -> None:
    chain = QuestionAnsweringChain(None, thin_model_path, epochs=10, batch_size=4, engine="tensorflow")
    space = {"learning_rate": [1e-6, 0.02]}
    report = chain.tune(ROWS, space, tuner="grid", validation=ROWS)
    assert chain.hyperparameters.learning_rate == 0.02
    assert [trial.status for trial in report.trials] == ["completed"] * 2


@pytest.mark.skipif(find_obstacle() is not None, reason="needs the int8 kernels")
def test_a_reader_is_compressed_to_int8_and_read_by_the_kernels(
    trained: QuestionAnsweringChain, tmp_path: Path
) -> None:
    chain = copy.deepcopy(trained)
    chain.text_encoder = load_span_encoder(FIXTURES / "bert")
    before = chain.text_encoder.encode(["who\x1fthe cat"])
    chain.compress([Quantize("int8")])
    assert chain.text_encoder.precision == "int8"
    np.testing.assert_allclose(chain.text_encoder.encode(["who\x1fthe cat"]), before, atol=0.1)
    assert chain.text_encoder.runner.running.label == "tfchain's own kernels"
    again = QuestionAnsweringChain.load(chain.save(tmp_path / "int8"))
    assert again.read("who sleeps", "the cat sleeps") == chain.read("who sleeps", "the cat sleeps")


@pytest.mark.usefixtures("forks")
def test_python_rest_and_grpc_answer_alike(trained: QuestionAnsweringChain, tmp_path: Path) -> None:
    """One version: its answers with accents, Chinese, emoji, long documents, no answer, and from raw texts."""
    expected = trained.ask(QUESTIONS, top_k=3, passages=4)
    contexts = [context for _, context, _ in ROWS[:3]] + [make_long(6)]
    read = [trained.read(question, context, top_k=3) for question, context in zip(QUESTIONS, contexts, strict=True)]
    with trained.deploy(tmp_path / "qa", name="qa", top_k=3, passages=4) as deployment, deployment.client() as client:
        assert isinstance(client, QuestionClient)
        for protocol in ("rest", "grpc"):
            answers = client.ask(QUESTIONS, model="qa", protocol=protocol)
            answers += client.read(QUESTIONS, contexts, model="qa", protocol=protocol)
            for one, wanted in zip(answers, [*expected, *read], strict=True):
                pairs = zip((one, *one.others), (wanted, *wanted.others), strict=True)
                for found, right in pairs:
                    assert (found.text, found.id, found.start, found.end) == (
                        right.text,
                        right.id,
                        right.start,
                        right.end,
                    )
                    assert found.passage == right.passage
                    assert found.score == pytest.approx(right.score, abs=1e-5)
        assert (
            client.read(QUESTIONS[:1] * 2, contexts[0], model="qa")[1]
            == client.read(QUESTIONS[0], contexts[0], model="qa")[0]
        )
        hits = client.predict({"text": QUESTIONS}, model="qa", signature="search")["ids"]
        assert hits[:, 0].tolist() == [result.hits[0].id for result in trained.retriever.search(QUESTIONS)]
    with open_version(tmp_path / "qa" / "1") as version:
        assert make_judge(tmp_path / "qa" / "1", ROWS)(version).score == 1  # reads the rows' own contexts


def test_bad_input(chain: QuestionAnsweringChain, thin_model_path: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="A query must not be empty"):
        chain.ask(" ")
    with pytest.raises(InputError, match="`top_k` must be a whole number of at least 1"):
        chain.ask("who", top_k=0)
    with pytest.raises(InputError, match="`passages` must be a whole number of at least 1"):
        chain.ask("who", passages=0)
    with pytest.raises(InputError, match="`context` must be a text of valid Unicode"):
        chain.read("who", "a \ud83d cat")
    with pytest.raises(InputError, match="`contexts` must be 'given' or 'retrieved'"):
        chain.evaluate(ROWS, contexts="found")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="`metrics` must be among"):
        chain.evaluate(ROWS, metrics=["bleu"])
    with pytest.raises(InputError, match="A reader has its own loss. Received: loss='cosent'"):
        chain.fit(ROWS, loss="cosent")
    with pytest.raises(InputError, match="must have a question whose answer is where the data says"):
        chain.fit([("who", "the cat", "dog")])
    empty = QuestionAnsweringChain(None, thin_model_path, engine="tensorflow")
    with pytest.raises(InputError, match="`ask` answers from documents. Received: a chain without any"):
        empty.ask("who")
    with pytest.raises(InputError, match="`retriever` must be a NeuralSearchChain"):
        make_retriever(empty)
    for reader in (chain.text_encoder, FIXTURES / "bert"):
        with pytest.raises(InputError, match="`tokenizer` is for an encoder without one"):
            QuestionAnsweringChain(None, reader, tokenizer=FIXTURES / "bert")
    with pytest.raises(InputError, match="`reading` must be a ReadingOptions"):
        QuestionAnsweringChain(None, thin_model_path, reading={"stride": 4})  # type: ignore[arg-type]
    with pytest.raises(InputError, match="`max_length` is set when a reader is made"):
        QuestionAnsweringChain(None, chain.text_encoder, max_length=12)
    with pytest.raises(IndexFolderError, match="holds no saved chain"):
        QuestionAnsweringChain.load(tmp_path)
    with pytest.raises(InputError, match="`top_k` must be a whole number"):
        chain.export(tmp_path, top_k=0)
    assert not list(tmp_path.iterdir())


def test_a_reader_of_another_tokenizer_has_no_signature_for_raw_texts(
    thin_model_path: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """RoBERTa's: the documents' tokens are known at the export, those of a text that comes are not."""
    retriever = NeuralSearchChain.from_pretrained(thin_model_path, engine="tensorflow").add(DOCUMENTS[:2])
    chain = QuestionAnsweringChain(retriever, FIXTURES / "roberta", engine="tensorflow")
    with caplog.at_level(logging.WARNING):
        version = chain.export(tmp_path / "versions", passages=2, top_k=2)  # compares the answers with Python's
    assert "The version has no signature 'reader'" in caplog.text
    assert (version / "saved_model.pb").is_file()
