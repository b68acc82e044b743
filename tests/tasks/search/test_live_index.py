"""A model and its documents while threads add, remove, train and search."""

import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from tfchain import NeuralSearchChain
from tfchain.core.errors import FingerprintError, InputError
from tfchain.models.text_encoder import TextEncoder
from tfchain.tasks.search.live_index import Encoding, LiveIndex
from tfchain.tasks.search.search import PassageConfig, search_texts
from tfchain.training.fit.routed import set_trained_weights

ROUTER = Path(__file__).parents[2] / "parity" / "fixtures" / "router"
ENCODING = Encoding(PassageConfig(mode="truncate"))
TEXTS = ("the cat sleeps", "a dog runs", "stocks fell on monday", "who does what")


@pytest.fixture
def live(thin_model_path: Path) -> LiveIndex:
    made = LiveIndex(TextEncoder.from_pretrained(thin_model_path, engine="tensorflow"))
    made.add(TEXTS, ENCODING)
    return made


def other_weights(text_encoder: TextEncoder) -> list[np.ndarray]:
    weights = text_encoder.own_encoder.get_weights()
    return [weight + 0.3 * np.cos(np.arange(weight.size)).reshape(weight.shape) for weight in weights]


def run_beside(*work: Callable[[], None]) -> None:
    """Runs each in a thread, and raises the first error."""
    errors: list[BaseException] = []

    def run(one: Callable[[], None]) -> None:
        try:
            one()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(one,), daemon=True) for one in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads), "threads wait for each other"
    if errors:
        raise errors[0]


def test_the_block_keeps_the_documents_and_the_weights_of_its_beginning(live: LiveIndex) -> None:
    writes = threading.Event()

    def train() -> None:
        weights = other_weights(live.model)
        writes.set()
        live.model.set_weights(weights)

    with live.current(ENCODING) as current:
        before = current.text_encoder.encode("a dog")
        live.remove(["0"])
        live.add(["more"], ENCODING)
        thread = threading.Thread(target=train, daemon=True)
        thread.start()
        assert writes.wait(30)
        thread.join(0.1)
        assert thread.is_alive(), "weights are written while they are in use"
        np.testing.assert_array_equal(current.text_encoder.encode("a dog"), before)
        assert current.state is not None
        assert [one.text for one in current.state] == list(TEXTS)
    thread.join(30)
    assert live.is_stale
    with live.current(ENCODING) as current:
        assert current.state is not None
        assert [one.text for one in current.state] == [*TEXTS[1:], "more"]
        assert current.state.fingerprint == current.text_encoder.fingerprint
        assert np.abs(current.text_encoder.encode("a dog") - before).max() > 1e-3


def test_searches_beside_trainings_find_each_document_by_its_own_text(live: LiveIndex) -> None:
    """Vectors of one model must never be compared with those of another: here a text's own score is 1, or wrong."""
    weights = [live.model.own_encoder.get_weights(), other_weights(live.model)]
    done = threading.Event()

    def train() -> None:
        try:
            for step in range(12):
                live.model.set_weights(weights[step % 2])
        finally:
            done.set()

    def search() -> None:
        rounds = 0
        while not done.is_set() or rounds < 2:
            rounds += 1
            with live.current(ENCODING) as current:
                found = search_texts(current.text_encoder, current.state, TEXTS)
            assert [result["answer"] for result in found] == list(TEXTS)
            assert [result.hits[0].score for result in found] == pytest.approx([1] * 4, abs=1e-5)

    run_beside(train, search, search)


def test_both_encoders_of_a_router_change_in_one_step_for_searches(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = TextEncoder.from_pretrained(ROUTER, engine="tensorflow")
    route = encoder.query_route
    assert route is not None
    live = LiveIndex(encoder)
    encoder.encode_query("a dog")
    half, go_on = threading.Event(), threading.Event()
    write, found = route.own_encoder.set_weights, []

    def write_late(weights: list[np.ndarray]) -> None:
        half.set()  # the documents' encoder has its new weights
        assert go_on.wait(30)
        write(weights)

    def search() -> None:
        with live.current(ENCODING) as current:
            found.append((current.text_encoder.own_encoder.get_weights(), current.text_encoder.encode_query("a dog")))

    monkeypatch.setattr(route.own_encoder, "set_weights", write_late)
    trained = [*other_weights(encoder), *other_weights(route)]
    training = threading.Thread(target=set_trained_weights, args=(encoder, trained), daemon=True)
    training.start()
    assert half.wait(30)
    searching = threading.Thread(target=search, daemon=True)
    searching.start()
    searching.join(1)
    assert searching.is_alive(), "a search meets new documents and old queries"
    go_on.set()
    training.join(30)
    searching.join(60)
    weights, query = found[0]
    np.testing.assert_allclose(weights[0], trained[0], atol=1e-6)
    np.testing.assert_allclose(query, encoder.encode_query("a dog"), atol=1e-6)


def test_the_block_keeps_the_encoder_for_queries_too() -> None:
    encoder = TextEncoder.from_pretrained(ROUTER, engine="tensorflow")
    route = encoder.query_route
    assert route is not None
    live = LiveIndex(encoder)
    live.add(TEXTS, ENCODING)
    with live.current(ENCODING):
        training = threading.Thread(target=route.set_weights, args=(other_weights(route),), daemon=True)
        training.start()
        training.join(0.3)
        assert training.is_alive(), "weights are written while they are in use"
    training.join(30)
    assert not training.is_alive()


def test_a_model_that_changes_while_documents_are_encoded_encodes_them_again(
    live: LiveIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tfchain.tasks.search import live_index

    encode, changed = live_index.encode_documents, []

    def encode_and_train(*arguments, **options) -> Iterator:
        yield from encode(*arguments, **options)
        if not changed:
            changed.append(live.model.with_encoder(live.model.own_encoder))
            changed[0].prompts["document"] = "who "  # another model
            live.model = changed[0]
            live.encode_again(ENCODING)

    monkeypatch.setattr(live_index, "encode_documents", encode_and_train)
    live.add([{"id": "new", "text": "the dog sleeps"}], ENCODING)
    index = live.index
    assert index.fingerprint == changed[0].fingerprint
    np.testing.assert_allclose(index.vectors.vectors[-1], changed[0].encode_document("the dog sleeps"), atol=1e-6)


def test_numbers_of_two_calls_at_the_same_time_are_different(live: LiveIndex) -> None:
    """Both calls took the same numbers, and the second one's documents replaced the first one's."""
    both = threading.Barrier(2, timeout=30)

    def texts(word: str) -> Iterator[str]:
        yield f"{word} one"
        yield f"{word} two"

    def add(word: str) -> None:
        both.wait()
        live.add(texts(word), ENCODING)

    run_beside(lambda: add("cat"), lambda: add("dog"))
    added = {one.id: one.text for one in live.index if one.text not in TEXTS}
    assert sorted(added) == ["4", "5", "6", "7"]
    assert sorted(added.values()) == ["cat one", "cat two", "dog one", "dog two"]


def test_an_add_that_fails_gives_its_numbers_back(live: LiveIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("tfchain.tasks.search.live_index.encode_documents", lambda *_, **__: iter([1 / 0]))
        with pytest.raises(ZeroDivisionError):
            live.add(["lost", "lost too"], ENCODING)
    live.add(["kept"], ENCODING)
    assert [one.id for one in live.index][4:] == ["4"]


def test_what_is_removed_while_documents_are_encoded_again_stays_removed(
    live: LiveIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tfchain.tasks.search import live_index

    make, removing = live_index.make_index, threading.Event()

    def make_slowly(*arguments, **options):
        made = make(*arguments, **options)
        assert removing.wait(30)
        return made

    def remove() -> None:
        removing.set()
        live.remove("1")

    monkeypatch.setattr(live_index, "make_index", make_slowly)
    run_beside(lambda: live.encode_again(ENCODING), remove)
    assert [one.id for one in live.index] == ["0", "2", "3"]


def test_everything_beside_everything_ends_and_leaves_what_was_asked(
    thin_model_path: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    chain = NeuralSearchChain.from_pretrained(thin_model_path, engine="tensorflow")
    chain.add([{"id": f"kept-{n}", "text": text} for n, text in enumerate(TEXTS)])
    dataset = {"queries": {"q": TEXTS[0]}, "qrels": {"q": {"kept-0": 1}}}

    def search() -> None:
        for _ in range(10):
            found = chain.search(list(TEXTS), top_k=3)
            assert [result["answer"] for result in found] == list(TEXTS)
            assert len(chain) in range(4, 15)
            assert [one.id for one in chain.index][:4] == [f"kept-{n}" for n in range(4)]

    def add_and_remove(name: str) -> None:
        for step in range(5):
            chain.add([{"id": f"{name}-{step}", "text": f"monday {name}"}])
            chain.remove(f"{name}-{step}")

    def save() -> None:
        for _ in range(3):
            chain.save(tmp_path / "index")
            assert chain.evaluate(dataset, metrics=["mrr@10"]) == {"mrr@10": 1.0}

    def fit() -> None:
        chain.fit([(text, text) for text in TEXTS], epochs=1, batch_size=4, learning_rate=1e-3)
        chain.reindex()

    with caplog.at_level(logging.ERROR):
        run_beside(search, lambda: add_and_remove("a"), lambda: add_and_remove("b"), save, fit)
    assert [one.id for one in chain.index] == [f"kept-{n}" for n in range(4)]
    chain.save(tmp_path / "index")
    again = NeuralSearchChain.load(tmp_path / "index", engine="tensorflow")
    assert list(again.index) == list(chain.index)
    np.testing.assert_allclose(again.encode(TEXTS[0]), chain.encode(TEXTS[0]), atol=1e-6)


def test_a_save_during_a_training_is_of_one_model(
    thin_model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain = NeuralSearchChain.from_pretrained(thin_model_path, engine="tensorflow").add(TEXTS)
    save, writing = TextEncoder.save, threading.Event()
    trainer = threading.Thread(
        target=lambda: writing.wait(30) and chain.text_encoder.set_weights(other_weights(chain.text_encoder)),
        daemon=True,
    )
    trainer.start()

    def save_slowly(text_encoder: TextEncoder, path: Path) -> None:
        writing.set()
        trainer.join(0.1)
        save(text_encoder, path)

    monkeypatch.setattr(TextEncoder, "save", save_slowly)
    chain.save(tmp_path / "index")
    trainer.join(30)
    assert chain.is_stale
    try:
        assert not NeuralSearchChain.load(tmp_path / "index", engine="tensorflow").is_stale
    except FingerprintError as error:
        pytest.fail(str(error))


def test_a_number_that_was_removed_is_not_given_again_after_all_is_encoded_again(live: LiveIndex) -> None:
    live.remove(["2", "3"])
    live.encode_again(ENCODING)
    assert live.index.next_number == 4  # which a save keeps
    live.add(["more"], ENCODING)
    assert [one.id for one in live.index] == ["0", "1", "4"]


def test_removing_by_what_is_no_id_is_named(live: LiveIndex) -> None:
    live.remove(1)
    live.remove(np.array([2, 3]))
    assert [one.id for one in live.index] == ["0"]
    with pytest.raises(InputError, match="'1', not among the 1 documents"):
        live.remove(1)
