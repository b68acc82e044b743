"""What a chain does for every task: what changes beside a training, a search for hyperparameters or a compression."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import pytest

from tfchain import NeuralSearchChain, Prune
from tfchain.chains.base import Chain
from tfchain.core.errors import InputError

PAIRS = [
    ("the cat", "the cat sleeps"),
    ("stock", "stock fell"),
    ("dog", "a dog does run"),
    ("who", "what who does"),
] * 2
ROUTER = Path(__file__).parents[1] / "parity" / "fixtures" / "router"
DOCUMENTS = [{"id": "cat", "text": "the cat sleeps"}, {"id": "stock", "text": "stock fell on monday"}]


def at_the_first_step(act: Callable[[], Any]) -> keras.callbacks.Callback:
    """What another thread would do in the middle of a training."""
    return keras.callbacks.LambdaCallback(on_train_begin=lambda logs: act())


def find_ids(chain: NeuralSearchChain, text: str) -> list[str]:
    return [hit.id for hit in chain.search(text, top_k=5).hits]


@pytest.fixture
def chain(thin_model_path: Path) -> NeuralSearchChain:
    return NeuralSearchChain.from_pretrained(thin_model_path, engine="tensorflow", batch_size=4)


def test_documents_added_to_an_empty_chain_while_it_trains_are_there(chain: NeuralSearchChain, eager: None) -> None:
    chain.fit(PAIRS, callbacks=[at_the_first_step(lambda: chain.add(DOCUMENTS))])
    assert len(chain) == 2
    assert find_ids(chain, "the cat sleeps")[0] == "cat"
    assert chain.index.fingerprint == chain.text_encoder.fingerprint


def test_documents_encoded_again_while_the_model_trains_keep_what_was_added_after(
    chain: NeuralSearchChain, eager: None
) -> None:
    chain.add(DOCUMENTS[:1])

    def encode_again_and_add() -> None:
        chain.reindex()
        chain.add(DOCUMENTS[1:])

    chain.fit(PAIRS, callbacks=[at_the_first_step(encode_again_and_add)])
    assert sorted(find_ids(chain, "the cat sleeps")) == ["cat", "stock"]


def test_documents_added_during_the_training_that_tune_ends_with_are_there(
    chain: NeuralSearchChain, eager: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish = type(chain.task).finish

    def add_before(*arguments: Any, **options: Any) -> Any:
        chain.add(DOCUMENTS)
        return finish(*arguments, **options)

    monkeypatch.setattr(type(chain.task), "finish", add_before)
    judged = {"queries": {"q": "the cat"}, "documents": DOCUMENTS, "qrels": {"q": {"cat": 1}}}
    chain.tune(PAIRS, {"learning_rate": [1e-3]}, max_trials=1, validation=judged, refit=True)
    assert sorted(find_ids(chain, "the cat sleeps")) == ["cat", "stock"]


def test_documents_added_during_a_compression_are_there(
    chain: NeuralSearchChain, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tfchain.chains import compression

    compress = compression.compress_for

    def add_after(*arguments: Any, **options: Any) -> Any:
        made = compress(*arguments, **options)
        chain.add(DOCUMENTS)
        return made

    monkeypatch.setattr(compression, "compress_for", add_after)
    before = chain.text_encoder
    chain.compress(Prune(0.5))
    assert chain.text_encoder is not before
    assert sorted(find_ids(chain, "the cat sleeps")) == ["cat", "stock"]


def test_a_chain_that_does_not_know_its_task_says_so_when_it_is_loaded(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Chain does not know its task, so it cannot be loaded. .* set `task_type`"):
        Chain.load(tmp_path)


def test_a_version_and_its_chain_have_the_fingerprint_of_both_encoders_of_a_router() -> None:
    chain = NeuralSearchChain.from_pretrained(ROUTER, engine="tensorflow")
    found = []
    for _ in range(2):
        options = {"signatures": "ids", "batch_size": 2, "options": {"top_k": 2}}
        served = chain.task.serve(chain.text_encoder, chain.state, **options)
        assert served.description["fingerprint"] == chain.fingerprint
        found.append(chain.fingerprint)
        route = chain.text_encoder.query_route
        assert route is not None
        route.set_weights([weight + 1 for weight in route.own_encoder.get_weights()])
    assert found[0] != found[1]
