"""The passages that are found, and where they are in their documents."""

from pathlib import Path

import numpy as np

from tfchain import Document, NeuralSearchChain
from tfchain.core.judgement import Question as Request
from tfchain.tasks.question_answering.questions import Question
from tfchain.tasks.question_answering.retrieval import PassagePlaces, find_passages
from tfchain.tasks.question_answering.version_judge import make_question_judge
from tfchain.tasks.search.search import cut_documents

LONG = "who does what on monday, and a cat runs; the dog sleeps a lot. stocks fell again, and who does what? " * 3
DOCUMENTS = [
    Document("a", "the cat sleeps"),
    Document("b", LONG, title="the dog"),
    Document("c", "", title="a dog runs"),
]


def test_the_best_passages_of_all_documents_are_found_with_their_places(thin_model_path: Path) -> None:
    chain = NeuralSearchChain.from_pretrained(thin_model_path, engine="tensorflow").add(DOCUMENTS)
    question, places = "what fell", PassagePlaces()
    options = {"top": 4, "places": places}
    (found,) = find_passages(chain.text_encoder, chain.index, [question], chain.passages, **options)
    cuts = [passage for cut in cut_documents(chain.text_encoder, DOCUMENTS, chain.passages) for passage in cut]
    scores = chain.encode_document([passage.text for passage in cuts]) @ chain.encode_query(question)
    best = np.argsort(-scores, kind="stable")[:4]
    expected = [(cuts[row].document_id, cuts[row].start, cuts[row].end or len("a dog runs")) for row in best]
    assert [(one.document.id, one.start, one.end) for one in found] == expected
    np.testing.assert_allclose([one.score for one in found], scores[best], atol=1e-6)
    assert len({one.document.id for one in found}) < 4  # several of the long one
    for one in found:
        assert one.text == (one.document.text or one.document.title)[one.start : one.end]
    assert find_passages(chain.text_encoder, chain.index, [question], chain.passages, **options) == [found]
    empty = NeuralSearchChain.from_pretrained(thin_model_path, engine="tensorflow")
    assert empty.index.search_passages(np.ones((1, chain.text_encoder.embedding_dim), "float32"), 3) == [[]]


class Version:
    """Answers with the first word of a text."""

    def __init__(self, *signatures: str) -> None:
        self.signatures = signatures
        self.description: dict[str, object] = {}

    def ask(self, question: Request) -> dict[str, np.ndarray]:
        texts = question.inputs["context" if question.signature == "reader" else "text"]
        return {"answers": np.array([[text.split()[0], b"other"] for text in texts], dtype=object)}


def test_a_version_is_judged_by_its_answers() -> None:
    questions = [Question("who sleeps", "cat sleeps", ("the cat",)), Question("what fell", "stocks fell", ("a stock",))]
    judgement = make_question_judge(questions, metric="exact_match")(Version("reader", "answer"))
    assert judgement.values.tolist() == [1, 0]
    assert judgement.rankings == [["cat"], ["stocks"]]
    assert judgement.probes[0].inputs["context"].tolist() == [b"cat sleeps"]
    asked = make_question_judge(questions, metric="f1")(Version("answer"))  # without `reader`, from its documents
    assert (asked.values.tolist(), asked.probes[0].signature) == ([0, 0], "answer")
