"""Pictures with their vectors: an index never changes, and its folder is whole or not there."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tfchain.core.errors import IndexFolderError, InputError
from tfchain.core.types import Document
from tfchain.data.pictures.reading import PictureItem
from tfchain.tasks.image_search.evaluation import JudgedPictures, read_judged
from tfchain.tasks.image_search.picture_folder import load_picture_folder
from tfchain.tasks.image_search.picture_index import EncodedPictures, PictureIndex

VECTORS = np.array([[1.0, 0.0], [0.0, 1.0]], np.float32)


def make_index() -> PictureIndex:
    documents = [Document("a", "a cat", metadata={"n": 1}), Document("b", "a dog")]
    return PictureIndex.empty(2, "f").with_added(EncodedPictures(documents, VECTORS, [b"A", b"B"], [b"1", b""]))


def test_pictures_are_added_replaced_and_removed_in_a_new_index() -> None:
    first = make_index()
    second = first.with_added(EncodedPictures([Document("a", "new")], VECTORS[1:], [b"C"], [b""]))
    third = second.without(["b"])
    assert [len(index) for index in (first, second, third)] == [2, 2, 1]
    assert first.search(VECTORS[:1], 1)[0][0].caption == "a cat"
    (hit,) = third.search(VECTORS[1:], 5)[0]
    assert (hit.id, hit.caption, hit.thumbnail, hit.score) == ("a", "new", b"C", pytest.approx(1.0))
    assert ("b" in third, third.inputs) == (False, {})


def test_vectors_are_made_again_only_of_what_was_kept() -> None:
    index = make_index()
    with pytest.raises(InputError, match="1 were added with keep=False, such as 'b'"):
        index.list_inputs()
    assert index.without(["b"]).list_inputs() == [b"1"]
    assert index.with_vectors(VECTORS[::-1].copy(), "g").search(VECTORS[:1], 1)[0][0].id == "b"


def test_each_caption_asks_for_the_pictures_that_have_it() -> None:
    items = [PictureItem("1", b"", "cat"), PictureItem("2", b"", "dog"), PictureItem("3", b"", "cat")]
    judged = JudgedPictures(items)
    assert judged.queries == {"1": "cat", "2": "dog"}
    assert judged.qrels == {"1": {"1": 1, "3": 1}, "2": {"2": 1}}
    with pytest.raises(InputError, match="pictures with captions"):
        read_judged([{"image": b"", "caption": " "}], split="test")


def test_judged_pictures_are_told_apart_by_their_contents(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    file.write_bytes(b"one")
    dark, light = np.zeros((2, 2, 3), np.uint8), np.ones((2, 2, 3), np.uint8)
    pictures = [b"one", b"two", dark, light, Image.fromarray(light[:1]), "no/such.png", lambda: b"three"]
    found = [JudgedPictures([PictureItem("1", picture, "cat")]).fingerprint for picture in pictures]
    assert len(set(found)) == len(pictures)
    assert JudgedPictures([PictureItem("1", file, "cat")]).fingerprint == found[0]


def test_a_folder_without_a_chain_is_named(tmp_path: Path) -> None:
    with pytest.raises(IndexFolderError, match="holds no saved chain"):
        load_picture_folder(tmp_path, "image_search")
