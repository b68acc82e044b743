"""An image search as a TensorFlow graph: tokenizer, both towers, reading of pictures, vectors and captions."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tfchain.core.checks import check_whole_number
from tfchain.core.errors import InputError
from tfchain.core.proof import Proof
from tfchain.core.signatures import EMBED, SEARCH_FILTERED, SERVING_DEFAULT, TOKENIZE
from tfchain.data.pictures.pixels import write_png
from tfchain.models.images.image_text_model import ImageTextModel
from tfchain.models.indexes.exact_graph import make_search
from tfchain.models.tokenizers.graph_tokenizer import make_graph_tokenizer
from tfchain.runtime.fork import check_tensorflow_runs
from tfchain.tasks.image_search.picture_index import PictureIndex
from tfchain.tasks.ties import find_ties

logger = logging.getLogger(__name__)

SEARCH, SEARCH_IMAGE, EMBED_TEXT, EMBED_IMAGE = "search", "search_image", "embed_text", "embed_image"
SAMPLE_TEXTS = ("a photo of a cat", "Ein Überblick, naïve café", "你好，我是一个智能助手。", "two dogs & 3 birds!?")
MOST_CAPTIONS = 4
TOLERANCES = {"float32": 1e-4, "int8": 1e-4, "bfloat16": 5e-2}


@dataclass(frozen=True)
class ImageGraph:
    """The graph of a version; see `core.task.Graph`."""

    module: Any
    signatures: Mapping[str, Any]
    proofs: Sequence[Proof]
    litert_proofs: Sequence[Any] = ()
    halves: Mapping[str, Any] = field(default_factory=dict)
    methods: Mapping[str, str] = field(default_factory=dict)


def check_graph_options(top_k: Any, signatures: Any) -> int:
    """Checks the options of `make_image_graph`, and returns `top_k` as an int.

    Raises:
        InputError: if an option is out of range.
    """
    if signatures != "text":
        raise InputError(f"`signatures` of an image search must be 'text'. Received: {signatures!r}.")
    return check_whole_number("top_k", top_k, advice="Ask for one hit or more.")


def make_image_graph(model: ImageTextModel, pictures: PictureIndex | None, *, top_k: int = 10) -> ImageGraph:
    """Makes the graph of a version.

    Args:
        model: The model.
        pictures: The pictures; if None or empty, there is no search.
        top_k: The number of pictures that a search returns; all, if there are fewer. Default: 10.

    Returns:
        A graph with `serving_default` and `search` (text → ids, captions, texts, scores; `texts` are the captions under
        the name that clients of text searches know), `search_image` (the bytes of a picture's file → the same),
        `embed_text` and `embed_image`; for the endpoints of texts, `embed` (the same as `embed_text`) and `tokenize`;
        and `search_filtered`, if a picture has metadata.

    Raises:
        InputError: if the tokenizer has no graph.
    """
    import tensorflow as tf

    from tfchain.models.images.picture_graph import make_inputs

    check_tensorflow_runs()
    module = tf.Module(name="image_search")
    towers = model.compute_towers
    module.towers = towers.module
    module.tokenizer = make_graph_tokenizer(model.tokenizer.tokenizer, pad_id=model.tokenizer.pad_token_id)
    length = model.config.text.max_length

    text_spec, image_spec = (tf.TensorSpec([None], tf.string, name=name) for name in ("text", "image"))

    # One graph of each part for all signatures: most of an export's time goes into making them.
    @tf.function(input_signature=[text_spec], autograph=False)
    def split(text: Any) -> Any:
        return module.tokenizer(text, length)

    @tf.function(input_signature=[text_spec], autograph=False)
    def embed_text(text: Any) -> Any:
        token_ids, mask = split(text)
        if model.config.text.pads_to_length:
            missing = length - tf.shape(token_ids)[1]
            token_ids = tf.pad(token_ids, [[0, 0], [0, missing]], constant_values=model.tokenizer.pad_token_id)
            mask = tf.ones_like(token_ids)
        return towers.text(token_ids, mask)

    @tf.function(input_signature=[image_spec], autograph=False)
    def embed_image(image: Any) -> Any:
        return towers.image(make_inputs(image, model.pictures, max_pixels=model.max_pixels))

    def of_texts(answer: Any) -> Any:
        return tf.function(lambda text: answer(embed_text(text)), input_signature=[text_spec], autograph=False)

    def of_images(answer: Any) -> Any:
        return tf.function(lambda image: answer(embed_image(image)), input_signature=[image_spec], autograph=False)

    def to_embedding(vectors: Any) -> dict[str, Any]:
        return {"embedding": vectors}

    def tokenize(text: Any) -> dict[str, Any]:
        return dict(zip(("token_ids", "padding_mask"), split(text), strict=True))

    signatures = {EMBED_TEXT: of_texts(to_embedding), EMBED_IMAGE: of_images(to_embedding)}
    signatures[EMBED] = signatures[EMBED_TEXT]
    signatures[TOKENIZE] = tf.function(tokenize, input_signature=[text_spec], autograph=False)
    if pictures is not None and len(pictures):
        look_up = _make_lookup(module, pictures, min(top_k, len(pictures)))
        signatures[SEARCH], signatures[SEARCH_IMAGE] = of_texts(look_up), of_images(look_up)
        signatures[SERVING_DEFAULT] = signatures[SEARCH]
        if any(document.metadata for document in pictures.index):
            allowed_spec = tf.TensorSpec([len(pictures)], tf.bool, name="allowed")
            signatures[SEARCH_FILTERED] = tf.function(
                lambda text, allowed: look_up(embed_text(text), allowed),
                input_signature=[text_spec, allowed_spec],
                autograph=False,
            )
    else:
        signatures[SERVING_DEFAULT] = signatures[EMBED_TEXT]
    return ImageGraph(module, signatures, _make_proofs(model, pictures, top_k))


def _make_lookup(module: Any, pictures: PictureIndex, top_k: int) -> Any:
    import tensorflow as tf

    documents = list(pictures.index)
    search = make_search(module, pictures.index.vectors, top_k)
    module.ids = tf.Variable([document.id.encode() for document in documents], trainable=False)
    module.captions = tf.Variable([document.text.encode() for document in documents], trainable=False)

    def look_up(queries: Any, allowed: Any = None) -> dict[str, Any]:
        scores, places = search(queries, allowed)
        ids, captions = tf.gather(module.ids, places), tf.gather(module.captions, places)
        if allowed is not None:  # where too few are allowed, the hits end in blanks
            ids, captions = (tf.where(scores == -np.inf, "", strings) for strings in (ids, captions))
        return {"ids": ids, "captions": captions, "texts": captions, "scores": scores}

    return look_up


def _make_proofs(model: ImageTextModel, pictures: PictureIndex | None, top_k: int) -> list[Proof]:
    """Returns questions of texts and pictures with Python's answers."""
    captions = [] if pictures is None else [document.text for document in pictures.index if document.text.strip()]
    texts = [*SAMPLE_TEXTS, *captions[:: max(1, len(captions) // MOST_CAPTIONS)][:MOST_CAPTIONS]]
    contents = _make_samples()
    asked: dict[str, tuple[list[Any], np.ndarray]] = {
        "text": (texts, model.encode_texts(texts, progress=False)),
        "image": (contents, model.encode_images(contents, progress=False)),
    }
    tolerance = TOLERANCES[model.precision]
    proofs = []
    for name, (items, vectors) in asked.items():
        inputs = {name: np.array([item.encode() if isinstance(item, str) else item for item in items], dtype=object)}
        signature = EMBED_TEXT if name == "text" else EMBED_IMAGE
        proofs.append(Proof(signature, inputs, {"embedding": vectors}, tolerance=tolerance))
        if pictures is not None and len(pictures):
            outputs, ties = _list_expected(pictures, vectors, min(top_k, len(pictures)), tolerance)
            signature = SERVING_DEFAULT if name == "text" else SEARCH_IMAGE
            proofs.append(Proof(signature, inputs, outputs, ties, tolerance=tolerance))
    return proofs


def _list_expected(
    pictures: PictureIndex, vectors: np.ndarray, top_k: int, tolerance: float
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    found = pictures.search(vectors, top_k + 1)
    scores = np.array([[hit.score for hit in hits] for hits in found], np.float32)
    captions = np.array([[hit.caption.encode() for hit in hits[:top_k]] for hits in found], dtype=object)
    outputs = {
        "ids": np.array([[hit.id.encode() for hit in hits[:top_k]] for hits in found], dtype=object),
        "captions": captions,
        "texts": captions,
        "scores": scores[:, :top_k],
    }
    ties = find_ties(scores, tolerance)[:, :top_k]
    return outputs, dict.fromkeys(("ids", "captions", "texts"), ties)


def _make_samples() -> list[bytes]:
    """Returns pictures to prove a version with: noise over a gradient, wide and high."""
    random = np.random.default_rng(0)
    samples = []
    for height, width in ((60, 90), (120, 40)):
        rows, columns = np.mgrid[0:height, 0:width]
        smooth = np.stack([rows * 2, columns * 2, 255 - rows - columns], axis=-1)
        noisy = smooth + random.integers(0, 30, (height, width, 3))
        samples.append(write_png(np.clip(noisy, 0, 255).astype(np.uint8)))
    return samples
