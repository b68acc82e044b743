"""The whole life of an image search: found by texts and pictures, saved, trained, served, asked over REST and gRPC."""

import base64
import datetime
import json
import pickle
import threading
import urllib.request
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tfchain.chains.image_search import ImageSearchChain
from tfchain.core.errors import IndexFolderError, InputError, ModelFolderError
from tfchain.core.hyperparameters import Hyperparameters
from tfchain.deployment.client.client import Client
from tfchain.optimization.recipes import Quantize

FIXTURES = Path(__file__).parents[1] / "parity" / "image_fixtures"
PICTURES = FIXTURES / "pictures"
FILES = [PICTURES / name for name in ("photo.jpg", "turned.jpg", "clear.png", "gray.jpg", "lossy.webp", "narrow.png")]
CAPTIONS = [f"a photo called {file.stem}" for file in FILES]
PAIRS = list(zip(FILES, CAPTIONS, strict=True))


def make_chain(name: str = "clip", **options: Any) -> ImageSearchChain:
    chain = ImageSearchChain.from_pretrained(FIXTURES / name, **options)
    return chain.add(FILES, captions=CAPTIONS, metadata=[{"row": row} for row in range(len(FILES))])


@pytest.fixture(scope="module")
def chain() -> ImageSearchChain:
    return make_chain()


def test_a_picture_finds_itself_and_hits_have_all_that_was_added(chain: ImageSearchChain) -> None:
    hits = chain.search_image(FILES[2], top_k=3)
    assert next(hit.id for hit in hits) == "clear.png"
    assert hits[0].score == pytest.approx(1.0, abs=1e-5)
    assert (hits[0].caption, hits[0].metadata) == ("a photo called clear", {"row": 2})
    assert hits[0].thumbnail.startswith(b"\xff\xd8\xff")
    assert len(chain) == 6


def test_hits_of_a_text_are_ordered_by_the_cosine_of_vectors(chain: ImageSearchChain) -> None:
    scores = chain.encode_image(FILES) @ chain.encode_text("a photo of a cat")
    hits = chain.search("a photo of a cat", top_k=99)
    assert [hit.id for hit in hits] == [FILES[row].name for row in np.argsort(-scores)]
    np.testing.assert_allclose([hit.score for hit in hits], np.sort(scores)[::-1], atol=1e-6)
    assert chain.search(["a photo of a cat"], top_k=99) == [hits]


def test_labels_are_scored_by_a_softmax_or_each_alone() -> None:
    labels = ["cat", "dog", "bird"]
    chain = ImageSearchChain.from_pretrained(FIXTURES / "clip")
    assert [found.label for found in chain.classify(FILES[0], "cat")] == ["cat"]
    found = chain.classify(FILES[0], labels, template="a photo of a {}")
    texts = chain.encode_text([f"a photo of a {label}" for label in labels])
    logits = chain.model.logit_scale * texts @ chain.encode_image(FILES[0])
    expected = np.exp(logits) / np.exp(logits).sum()
    assert [label.label for label in found] == [labels[row] for row in np.argsort(-expected)]
    np.testing.assert_allclose([label.score for label in found], np.sort(expected)[::-1], atol=1e-6)
    alone = ImageSearchChain.from_pretrained(FIXTURES / "siglip")
    logits = alone.model.logit_scale * alone.encode_text(labels) @ alone.encode_image(FILES[0]) + alone.model.logit_bias
    scores = {label.label: label.score for label in alone.classify([FILES[0]], labels, template="{}")[0]}
    np.testing.assert_allclose([scores[label] for label in labels], 1 / (1 + np.exp(-logits)), atol=1e-6)


def test_broken_pictures_are_counted_and_named_and_an_error_adds_nothing() -> None:
    chain = ImageSearchChain.from_pretrained(FIXTURES / "clip")
    images = [FILES[0], b"no picture", PICTURES / "bomb.png"]
    with pytest.raises(InputError, match="images\\[1\\]: a picture must be a file of JPEG"):
        chain.add(images)
    assert len(chain) == 0
    chain.add(images, broken="skip")
    assert len(chain) == 1
    assert [(broken.id, broken.place) for broken in chain.broken] == [("1", "images[1]"), ("bomb.png", "images[2]")]
    assert "It was not decoded" in chain.broken[1].reason


def test_pictures_are_replaced_and_removed() -> None:
    chain = ImageSearchChain.from_pretrained(FIXTURES / "clip").add(FILES[:2])
    chain.add([{"image": FILES[2], "id": "photo.jpg", "caption": "another"}])
    assert len(chain) == 2
    assert chain.search_image(FILES[2], 1)[0].caption == "another"
    chain.remove("photo.jpg")
    assert [hit.id for hit in chain.search("x")] == ["turned.jpg"]
    with pytest.raises(InputError, match="Nothing is removed"):
        chain.remove("photo.jpg")


def test_a_saved_chain_is_loaded_and_pickled(chain: ImageSearchChain, tmp_path: Path) -> None:
    chain.save(tmp_path / "saved")
    for again in (ImageSearchChain.load(tmp_path / "saved"), pickle.loads(pickle.dumps(chain))):
        hits, expected = again.search("a photo of a cat"), chain.search("a photo of a cat")
        assert [(hit.id, hit.caption, hit.thumbnail) for hit in hits] == [
            (hit.id, hit.caption, hit.thumbnail) for hit in expected
        ]
        np.testing.assert_allclose([hit.score for hit in hits], [hit.score for hit in expected], atol=1e-6)
        assert again.model.fingerprint == chain.model.fingerprint
    again = ImageSearchChain.load(tmp_path / "saved")
    again.remove("photo.jpg").save(tmp_path / "saved")
    assert len(ImageSearchChain.load(tmp_path / "saved")) == 5
    assert len(list((tmp_path / "saved").glob("pictures-*"))) == 1
    next((tmp_path / "saved").glob("pictures-*/vectors.npy")).write_bytes(b"x")
    with pytest.raises(IndexFolderError, match="is damaged"):
        ImageSearchChain.load(tmp_path / "saved")


def test_captions_and_metadata_of_any_kind_are_saved(tmp_path: Path) -> None:
    made = ImageSearchChain.from_pretrained(FIXTURES / "clip")
    caption = "one\u2028two\x85three\nfour"
    made.add([FILES[0]], captions=[caption], metadata=[{"day": datetime.date(2026, 1, 2), "count": np.int64(3)}])
    made.save(tmp_path / "saved")
    made.add(np.zeros((4, 4, 3), np.uint8)).remove(1)  # the number is not given again
    again = ImageSearchChain.load(made.save(tmp_path / "saved"))
    assert again.pictures.index.next_number == made.pictures.index.next_number == 2
    (hit,) = again.search_image(FILES[0])
    assert (hit.caption, hit.metadata) == (caption, {"day": "2026-01-02", "count": 3})


def test_pictures_that_were_not_kept_are_replaced_after_a_training() -> None:
    made = ImageSearchChain.from_pretrained(FIXTURES / "clip").add([FILES[0]], keep=False).add([FILES[1]])
    made.model.set_weights([1.5 * weight for weight in made.model.keras_model.get_weights()])
    for ask in (lambda: made.search("x"), lambda: made.add([FILES[2]])):
        with pytest.raises(InputError, match="1 were added with keep=False, such as 'photo.jpg'"):
            ask()
    made.add([FILES[0]])
    for file in FILES[:2]:
        (hit,) = made.search_image(file, 1)
        assert (hit.id, hit.score) == (file.name, pytest.approx(1.0, abs=1e-5))


def test_saved_pretrained_folders_are_read_again(chain: ImageSearchChain, tmp_path: Path) -> None:
    again = ImageSearchChain.from_pretrained(chain.save_pretrained(tmp_path / "model"))
    np.testing.assert_allclose(again.encode_text(CAPTIONS), chain.encode_text(CAPTIONS), atol=1e-6)


def test_evaluation_ranks_each_captions_picture() -> None:
    chain = make_chain()
    scores = chain.encode_text(CAPTIONS) @ chain.encode_image(FILES).T
    ranks = 1 + (scores > np.diag(scores)[:, None]).sum(axis=1)
    found = chain.evaluate(PAIRS, metrics=["mrr@10", "recall@2"])
    assert found == pytest.approx({"mrr@10": (1 / ranks).mean(), "recall@2": (ranks <= 2).mean()})
    assert chain.report == found


@pytest.mark.usefixtures("eager")
def test_training_changes_the_model_and_the_pictures_are_encoded_again() -> None:
    chain = make_chain(augmentation=[keras.layers.RandomFlip("horizontal", seed=0)])
    before, vector = chain.model.fingerprint, chain.encode_image(FILES[0])
    history = chain.fit(PAIRS, batch_size=3, epochs=2, learning_rate=1e-3, validation=PAIRS)
    assert len(history.history["loss"]) == len(history.history["recall@10"]) == 2
    assert chain.model.fingerprint != before
    assert chain.search_image(FILES[0], 1)[0].score == pytest.approx(1.0, abs=1e-5)  # with the new vectors
    assert not np.allclose(chain.encode_image(FILES[0]), vector)


def test_what_does_not_fit_is_named(chain: ImageSearchChain, tmp_path: Path) -> None:
    for ask, message in (
        (lambda: ImageSearchChain.from_pretrained(FIXTURES / "clip").search("x"), "A search needs pictures"),
        (lambda: chain.search("x", top_k=0), "`top_k`"),
        (lambda: chain.search(""), "empty"),
        (lambda: chain.classify(FILES[0], ["x"], template="no place"), "templates with `{}`"),
        (lambda: chain.classify(FILES[0], []), "needs labels"),
        (lambda: chain.fit(PAIRS[:1]), "two or more. Received: 1"),
        (lambda: chain.fit([(FILES[0], ""), PAIRS[1]]), "needs a caption"),
        (lambda: chain.fit(PAIRS, loss="sigmoid"), "needs a model with a bias"),
        (lambda: chain.fit(PAIRS, loss="cosent"), "must be one of softmax, sigmoid"),
        (lambda: chain.fit(PAIRS, lora_rank=4), "`lora_rank` is for text encoders"),
        (lambda: chain.evaluate([(FILES[0], "")]), "pictures with captions"),
        (lambda: chain.export(tmp_path, top_k=0), "`top_k`"),
        (lambda: ImageSearchChain.make([3]), "Each text must be a string. Received: 3"),
        (lambda: ImageSearchChain(chain.model, augmentation=["flip"]), "must be a list of Keras layers"),
        (lambda: ImageSearchChain.from_pretrained(FIXTURES / "clip", precision="int4"), "`precision` of a model of"),
    ):
        with pytest.raises(InputError, match=message):
            ask()
    assert not list(tmp_path.iterdir())
    with pytest.raises(ModelFolderError, match="holds no model of images and texts"):
        ImageSearchChain.from_pretrained(FIXTURES.parent / "fixtures" / "bert")


@pytest.mark.usefixtures("forks")
def test_a_version_answers_texts_and_pictures_over_rest_and_grpc(chain: ImageSearchChain, tmp_path: Path) -> None:
    photo = FILES[1].read_bytes()  # turned by EXIF
    expected = chain.search_image(photo, 3)
    with chain.deploy(tmp_path / "photos", top_k=3, name="photos") as deployment:
        url = f"{deployment.rest_url}/v1/models/photos:predict"
        body = {"signature_name": "search_image", "instances": [{"b64": base64.b64encode(photo).decode()}]}
        (found,) = post(url, body)["predictions"]
        assert found["ids"] == [hit.id for hit in expected]
        assert found["captions"] == [hit.caption for hit in expected]
        np.testing.assert_allclose(found["scores"], [hit.score for hit in expected], atol=1e-5)
        hits = chain.search("a photo of a cat", 3)
        (found,) = post(url, {"instances": ["a photo of a cat"]})["predictions"]
        assert found["ids"] == [hit.id for hit in hits]
        asked = {"query": "a photo of a cat", "thumbnails": True}
        (result,) = post(f"{deployment.rest_url}/v1/search", asked)["results"]  # what the search page asks
        assert [(hit["id"], hit["text"]) for hit in result["hits"]] == [(hit.id, hit.caption) for hit in hits]
        thumbnail = f"data:image/jpeg;base64,{base64.b64encode(hits[0].thumbnail).decode()}"
        assert result["hits"][0]["thumbnail"] == thumbnail
        asked = {"query": "a photo of a cat", "filter": {"row": 5}}
        (result,) = post(f"{deployment.rest_url}/v1/search", asked)["results"]
        assert [hit["id"] for hit in result["hits"]] == ["narrow.png"]
        assert "thumbnail" not in result["hits"][0]
        with Client(deployment.grpc_target) as client:
            answer = client.predict({"image": [photo]}, model="photos", signature="embed_image")
            np.testing.assert_allclose(answer["embedding"][0], chain.encode_image(photo), atol=1e-5)
        for broken, message in ((b"no picture", "JPEG, PNG, GIF, BMP or WebP"), (PICTURES / "bomb.png", "50000")):
            content = broken if isinstance(broken, bytes) else broken.read_bytes()
            body["instances"] = [{"b64": base64.b64encode(content).decode()}]
            with pytest.raises(urllib.error.HTTPError) as caught:
                post(url, body)
            assert caught.value.code == 400
            assert message in caught.value.read().decode()
        body["instances"] = [{"b64": base64.b64encode(photo).decode()}]
        assert post(url, body)["predictions"][0]["ids"] == [hit.id for hit in expected]  # it still answers
    description = json.loads((tmp_path / "photos" / "1" / "assets.extra" / "tfchain.json").read_text())
    assert (description["task"], description["documents"], description["has_thumbnails"]) == ("image_search", 6, True)


@pytest.mark.usefixtures("eager")
def test_hyperparameters_are_tuned() -> None:
    chain = make_chain()
    report = chain.tune(PAIRS, {"learning_rate": [1e-6, 1e-2]}, tuner="grid", validation=PAIRS, objective="recall@1")
    assert [trial.status for trial in report.trials] == ["completed"] * 2
    assert chain.hyperparameters.learning_rate in (1e-6, 1e-2)
    assert isinstance(chain.hyperparameters, Hyperparameters)


def test_int8_keeps_the_vectors_and_says_so_when_saved(tmp_path: Path) -> None:
    chain = make_chain("siglip")
    before = chain.encode_image(FILES)
    chain.compress([Quantize("int8")])
    assert chain.model.precision == "int8"
    after = chain.encode_image(FILES)
    assert (np.sum(before * after, axis=1) > 0.999).all()
    again = ImageSearchChain.load(chain.save(tmp_path / "small"))
    assert again.model.precision == "int8"
    np.testing.assert_allclose(again.encode_image(FILES), after, atol=1e-6)


def test_threads_search_while_pictures_come() -> None:
    chain = make_chain()
    found: list[int] = []

    def ask() -> None:
        found.extend(len(chain.search("a photo", 99)) for _ in range(20))

    thread = threading.Thread(target=ask)
    thread.start()
    chain.add([FILES[0]], ids=["again"])
    thread.join()
    assert set(found) <= {6, 7}
    assert len(chain) == 7


def test_threads_that_add_pictures_without_names_give_them_different_numbers() -> None:
    made = ImageSearchChain.from_pretrained(FIXTURES / "clip")
    pixels = np.zeros((4, 4, 3), np.uint8)
    begins = threading.Barrier(4)

    def add() -> None:
        begins.wait()
        made.add([pixels, pixels])

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(document.id for document in made.pictures.index) == [str(number) for number in range(8)]


def post(url: str, body: dict[str, Any]) -> Any:
    with urllib.request.urlopen(url, json.dumps(body).encode(), timeout=60) as reply:
        return json.load(reply)
