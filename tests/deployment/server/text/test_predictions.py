"""`/predict` of text-embeddings-inference: a served classifier answers as its chain does."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from huggingface_hub import InferenceClient

from tests.conformance.conftest import Wire
from tfchain import TextClassificationChain
from tfchain.core.signatures import EMBED, SERVING_DEFAULT
from tfchain.deployment.server.http.rest import Answer
from tfchain.deployment.server.http.routes import Router
from tfchain.deployment.server.manager import Manager
from tfchain.deployment.server.model_server import ModelServer
from tfchain.deployment.server.options import ServerOptions
from tfchain.deployment.server.servables.servable import Signature, TensorSpec
from tfchain.deployment.server.text.embedding import TextService
from tfchain.deployment.server.text.predictions import PredictApi

WORDS = ("cat", "dog", "stock", "who", "do", "on")
ROWS = [(f"the {word} sleeps on monday", "sleep") for word in WORDS] + [(f"a {word} runs", "跑") for word in WORDS]
TEXTS = ["the cat sleeps", "a dog runs on monday", "stocks run"]


@pytest.fixture(scope="module")
def chain(thin_model_path: Path) -> TextClassificationChain:
    return TextClassificationChain.from_pretrained(thin_model_path, engine="tensorflow").fit_head(ROWS)


@pytest.fixture(scope="module")
def labels_wire(chain: TextClassificationChain, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wire]:
    folder = tmp_path_factory.mktemp("labels") / "kinds"
    chain.export(folder)
    options = ServerOptions("kinds", folder, host="127.0.0.1", grpc_port=0, rest_port=0, poll_seconds=0)
    with ModelServer(options) as server:
        server.start()
        yield Wire(server)


def post(wire: Wire, path: str, body: Any) -> tuple[int, Any]:
    reply = wire.http("POST", path, json.dumps(body).encode())
    return reply.status, json.loads(reply.text)


def assert_predictions(found: Any, chain: TextClassificationChain, text: str) -> None:
    expected = list(chain.predict(text).scores)
    assert [row["label"] for row in found] == [name for name, _ in expected]
    assert [row["score"] for row in found] == pytest.approx([score for _, score in expected], abs=1e-5)


def test_one_text_has_labels_and_several_have_lists(labels_wire: Wire, chain: TextClassificationChain) -> None:
    for inputs in (TEXTS[0], [TEXTS[0]]):
        status, found = post(labels_wire, "/predict", {"inputs": inputs, "truncate": False, "raw_scores": False})
        assert status == 200
        assert_predictions(found, chain, TEXTS[0])
    status, found = post(labels_wire, "/predict", {"inputs": [[text] for text in TEXTS], "model": "kinds"})
    assert (status, len(found)) == (200, 3)
    for row, text in zip(found, TEXTS, strict=True):
        assert_predictions(row, chain, text)


def test_the_root_answers_with_labels_as_hugging_faces_client_asks(
    labels_wire: Wire, chain: TextClassificationChain
) -> None:
    best = InferenceClient(f"http://127.0.0.1:{labels_wire.server.rest_port}").text_classification(TEXTS[0])
    assert best.label == chain.predict(TEXTS[0])["label"]  # type: ignore[attr-defined]  # it takes the first of a list


def test_info_tells_the_labels(labels_wire: Wire) -> None:
    info = json.loads(labels_wire.http("GET", "/info").text)
    assert info["model_type"] == {
        "classifier": {"id2label": {"0": "sleep", "1": "跑"}, "label2id": {"sleep": 0, "跑": 1}}
    }


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        ({}, 422, "`inputs` must be a string, a pair of strings, or a list of lists of one or two strings."),
        ({"inputs": []}, 422, "`inputs` must not be empty."),
        ({"inputs": ["a", "b", "c"]}, 422, "Received: another form at position 0."),
        ({"inputs": [["a"], "b"]}, 422, "Received: another form at position 1."),
        ({"inputs": [["a"], [1]]}, 422, "Received: another form at position 1."),
        ({"inputs": [["a"], [""]]}, 422, "`inputs` must have no empty texts. Received: one at position 1."),
        ({"inputs": ["a", "b"]}, 422, "`inputs` must have single texts, which the model kinds classifies. Received: a "
         "pair at position 0."),
        ({"inputs": "a", "raw_scores": True}, 422, "`raw_scores` must be false: versions answer with probabilities."),
        ({"inputs": "a", "truncate": 3}, 422, "`truncate` must be true or false. Received: 3."),
        ({"inputs": "cat " * 40, "truncate": False}, 413, "`inputs` must have less than 24 tokens a text"),
        ({"inputs": [["a"]] * 3000}, 413, "`inputs` must have at most 2048 items. Received: 3000."),
        ({"inputs": "a", "model": "nope"}, 404, "The model 'nope' does not exist"),
    ],
    ids=[f"case{number}" for number in range(12)],
)  # fmt: skip
def test_a_wrong_request_is_one_clear_error(labels_wire: Wire, body: Any, status: int, text: str) -> None:
    found, answer = post(labels_wire, "/predict", body)
    assert found == status, answer
    assert text in answer["error"]


def test_a_model_that_classifies_nothing_is_named(docs_wire: Wire) -> None:
    status, answer = post(docs_wire, "/predict", {"inputs": "a"})
    assert (status, answer["error_type"]) == (424, "Backend")
    assert answer["error"].startswith("The model docs (version 1) classifies no texts.")


class PairServable:
    """Gives a pair the labels of its texts' lengths."""

    signature_defs: Mapping[str, Any] = {}
    signatures: Mapping[str, Signature] = {
        EMBED: Signature(EMBED, {"text": TensorSpec("", 7)}, {}),
        SERVING_DEFAULT: Signature(
            SERVING_DEFAULT,
            {name: TensorSpec("", 7) for name in ("text", "text_pair")},
            {"labels": TensorSpec("", 7), "scores": TensorSpec("", 1)},
        ),
    }

    def run(
        self, _: Signature, inputs: Mapping[str, np.ndarray], outputs: Sequence[str], timeout_ms: int | None = None
    ) -> list[np.ndarray]:
        pairs = zip(inputs["text"], inputs["text_pair"], strict=True)
        labels = [[str(len(one)).encode(), str(len(other)).encode()] for one, other in pairs]
        found = {"labels": np.array(labels, object), "scores": np.full((len(labels), 2), 0.5, np.float32)}
        return [found[name] for name in outputs]

    def close(self) -> None: ...


@pytest.fixture
def pairs(tmp_path: Path) -> Iterator[Router]:
    manager = Manager(lambda *_: PairServable(), max_retries=0)
    manager.set_wanted("pairs", {1: tmp_path})
    manager.wait_until_loaded(["pairs"], 10)
    router = Router(lambda *_: Answer(404, (), b""))
    PredictApi(TextService(manager)).add_to(router)
    yield router
    manager.close()


def ask(router: Router, body: Any) -> tuple[int, Any]:
    answer = router.answer("POST", "/predict", {}, json.dumps(body).encode())
    return answer.status, json.loads(answer.body)


def test_pairs_are_answered_in_their_order(pairs: Router) -> None:
    asked = [["a" * (1 + row % 7), "b" * (1 + row % 5)] for row in range(150)]
    status, found = ask(pairs, {"inputs": asked})
    assert status == 200
    assert [[row["label"] for row in rows] for rows in found] == [[str(len(a)), str(len(b))] for a, b in asked]
    assert ask(pairs, {"inputs": ["aa", "b"]})[1] == [{"score": 0.5, "label": "2"}, {"score": 0.5, "label": "1"}]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"inputs": "a"}, "`inputs` must have pairs of texts, which the model pairs classifies. Received: a single "
         "text at position 0."),
        ({"inputs": [["a", "b"]], "truncate": False}, "`truncate` must be true and `truncation_direction` Right"),
        ({"inputs": [["a", "b"]], "truncation_direction": "left"}, "`truncate` must be true and"),
    ],
    ids=["single", "truncate", "left"],
)  # fmt: skip
def test_what_a_model_of_pairs_cannot_do(pairs: Router, body: Any, text: str) -> None:
    status, answer = ask(pairs, body)
    assert status == 422
    assert text in answer["error"]
