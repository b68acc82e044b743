"""`ImageSearchChain`: pictures in; texts and pictures find them, on top of what every chain does."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, Unpack, overload

import numpy as np

from tfchain.chains.base import Chain
from tfchain.chains.deploy_options import ServerOptions, TargetOptions
from tfchain.core.checks import check_whole_number
from tfchain.core.errors import InputError
from tfchain.core.hyperparameters import HyperparameterOptions, Hyperparameters
from tfchain.core.ids import to_ids
from tfchain.core.texts import check_queries, check_texts
from tfchain.data.pictures.reading import PictureItem, read_pictures
from tfchain.models.images.image_text_model import ImagePrecision, ImageTextModel
from tfchain.tasks.image_search.encoding import Broken, BrokenPicture, encode_pictures
from tfchain.tasks.image_search.live_pictures import LivePictures
from tfchain.tasks.image_search.picture_index import EncodedPictures, PictureHit, PictureIndex
from tfchain.tasks.image_search.task import ImageSearchTask
from tfchain.tasks.live_model import Current

if TYPE_CHECKING:
    from tfchain.deployment.deploy import Deployment


@dataclass(frozen=True, slots=True)
class ImageLabel:
    """A label of a picture.

    Args:
        label: The label.
        score: How likely it is: a softmax over the labels (CLIP), or a sigmoid for each alone (SigLIP).
    """

    label: str
    score: float


class ImageSearchChain(Chain):
    """Search of pictures by texts and by pictures, and labels of pictures without training.

    `from_pretrained` reads CLIP, SigLIP, SigLIP 2 (of fixed resolution) and Chinese-CLIP; `make` makes small towers to
    train from nothing. Threads may use a chain at the same time: each call sees a model and the pictures that belong to
    it.

    Args:
        model: An `ImageTextModel`, or the folder or hub name of one.
        learning_rate: The learning rate of training, above 0. Default: 2e-5.
        batch_size: Pictures in a step, in training and encoding. Default: 32.
        epochs: The number of training epochs. Default: 1.
        augmentation: Keras layers that change pictures in training, numbers from 0 to 255, such as
            `[keras.layers.RandomFlip("horizontal")]`. Default: none.
        **hyperparameters: More defaults of `fit`: see `Hyperparameters`.

    Raises:
        InputError: if an argument is of the wrong type or out of range.
        ModelFolderError: if the folder cannot be read.

    Example:
        >>> chain = ImageSearchChain.from_pretrained("openai/clip-vit-base-patch32")
        >>> chain.add("photos/")
        >>> chain.search("a cat on a sofa")[0].id
        'cat_7.jpg'
    """

    task_type: ClassVar[Any] = ImageSearchTask
    task: Any
    broken: Sequence[BrokenPicture] = ()
    """The pictures that the last `add` left out, with their places and what is wrong with them."""

    def __init__(
        self,
        model: ImageTextModel | str | Path,
        learning_rate: float = 2e-5,
        batch_size: int = 32,
        epochs: int = 1,
        *,
        augmentation: Sequence[Any] = (),
        **hyperparameters: Unpack[HyperparameterOptions],
    ) -> None:
        chosen = Hyperparameters().replace(
            learning_rate=learning_rate, batch_size=batch_size, epochs=epochs, **hyperparameters
        )
        if not isinstance(model, ImageTextModel):
            model = ImageTextModel.from_pretrained(model)
        if augmentation:
            from tfchain.tasks.image_search.losses import check_augmentation

            augmentation = check_augmentation(augmentation)
        task: Any = ImageSearchTask(tuple(augmentation))
        super().__init__(task, model, hyperparameters=chosen)

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | Path,
        *,
        precision: ImagePrecision | None = None,
        max_pixels: int | None = None,
        **options: Any,
    ) -> Self:
        """Reads a folder of CLIP, SigLIP, SigLIP 2 (of fixed resolution) or Chinese-CLIP.

        Args:
            name_or_path: A folder, or a name on the Hugging Face hub.
            precision: `float32`, `bfloat16` or `int8`. Default: the folder's, else `float32`.
            max_pixels: Pictures with more pixels are refused by their header. Default: 89,478,485.
            **options: Arguments of the constructor, except model.

        Raises:
            ModelFolderError: if the folder cannot be read.
        """
        return cls(ImageTextModel.from_pretrained(name_or_path, precision=precision, max_pixels=max_pixels), **options)

    @classmethod
    def make(
        cls,
        captions: Iterable[str],
        *,
        image_size: int = 64,
        dim: int = 128,
        num_layers: int = 4,
        vocabulary_size: int = 4000,
        sigmoid: bool = False,
        **options: Any,
    ) -> Self:
        """Makes small towers with new weights, to be trained with `fit`.

        Args:
            captions: Texts that the tokenizer's vocabulary is learned from.
            image_size: The side of a picture in pixels, a multiple of 8. Default: 64.
            dim: The width of both towers, a multiple of 32. Default: 128.
            num_layers: The layers of each tower. Default: 4.
            vocabulary_size: The most tokens. Default: 4000.
            sigmoid: Whether the towers are SigLIP's, for the sigmoid loss. Default: False, they are CLIP's.
            **options: Arguments of the constructor, except model.

        Raises:
            InputError: if a value is out of range.
        """
        from tfchain.models.images.small import make_small_model

        seed = options.get("seed", 0)
        shape = {"image_size": image_size, "dim": dim, "num_layers": num_layers, "vocabulary_size": vocabulary_size}
        return cls(make_small_model(captions, sigmoid=sigmoid, seed=seed, **shape), **options)

    def __len__(self) -> int:
        state = self._live.state
        return 0 if state is None else len(state)

    def __repr__(self) -> str:
        return f"<ImageSearchChain: {len(self)} pictures, {self.model.embedding_dim} dimensions>"

    @property
    def pictures(self) -> PictureIndex | None:
        """The pictures; None before the first `add`."""
        state: PictureIndex | None = self._live.state
        return state

    def add(
        self,
        images: Any,
        *,
        captions: Sequence[str] | str | None = None,
        ids: Sequence[str] | None = None,
        metadata: Sequence[Mapping[str, Any]] | None = None,
        split: str | None = None,
        broken: Broken = "error",
        keep: bool = True,
        progress: bool | None = None,
    ) -> Self:
        """Adds pictures.

        Args:
            images: A list of paths, bytes, arrays or `PIL.Image`, or of dicts (`image`, `caption`, `id`, `metadata`); a
                folder, a zip file or a table of pictures: see `data.pictures.reading.read_pictures`.
            captions: The captions of a list, or a table's column of captions. Default: none; the table's first of
                `caption`, `text`, `name` and `title`.
            ids: The ids of a list. Default: file names, else numbers. An id that is there is replaced.
            metadata: The metadata of a list. Default: none; a table's other columns.
            split: The rows of a table whose column `split` has this value. Default: all.
            broken: `error` adds nothing if a picture cannot be read, `skip` leaves it out, and lists it in
                `chain.broken`. Default: `error`.
            keep: Whether each picture in the model's size is kept, to make vectors again after `fit`. Default: True.
            progress: Whether to show a progress bar. Default: when it takes more than a second.

        Returns:
            The chain.

        Raises:
            InputError: if a picture cannot be read or an id is repeated; nothing is added then.
        """
        given: dict[str, Any] = {"captions": captions, "ids": ids, "metadata": metadata, "split": split}
        options: dict[str, Any] = {"broken": broken, "keep": keep, "progress": progress}
        options["batch_size"] = self.hyperparameters.batch_size

        def read(first: int) -> list[PictureItem]:
            return read_pictures(images, first_number=first, **given)

        def encode(model: ImageTextModel, items: Sequence[PictureItem]) -> EncodedPictures:
            encoded, self.broken = encode_pictures(model, items, **options)
            return encoded

        self._live.add(read, encode)
        return self

    def remove(self, ids: str | int | Iterable[str | int]) -> Self:
        """Removes pictures by id.

        Raises:
            InputError: if an id does not exist; nothing is removed then.
        """
        self._live.remove(to_ids(ids))
        return self

    def reindex(self, *, progress: bool | None = None) -> Self:
        """Encodes all pictures again, such as after a change of the model's weights in memory."""
        self.model.refresh()
        self._live.encode_again(batch_size=self.hyperparameters.batch_size, progress=progress, forced=True)
        return self

    @overload
    def search(self, text: str, top_k: int = 10) -> list[PictureHit]: ...

    @overload
    def search(self, text: list[str] | tuple[str, ...] | np.ndarray, top_k: int = 10) -> list[list[PictureHit]]: ...

    def search(self, text: Any, top_k: int = 10) -> list[PictureHit] | list[list[PictureHit]]:
        """Finds the pictures that fit a text.

        Args:
            text: A text, or a list of texts.
            top_k: The number of hits; all pictures, if there are fewer. Default: 10.

        Returns:
            The hits, best first; a list for each text of a list.

        Raises:
            InputError: if a text is empty, `top_k` is less than 1, or no pictures were added.
        """
        texts = check_queries(text)
        found = self._search(lambda model: model.encode_texts(texts, **self._options()), top_k)
        return found[0] if isinstance(text, str) else found

    def search_image(self, image: Any, top_k: int = 10) -> list[PictureHit] | list[list[PictureHit]]:
        """Finds the pictures that are like a picture.

        Args:
            image: A path, bytes, an array or a `PIL.Image`; or a list of them.
            top_k: As in `search`.

        Raises:
            InputError: if a picture cannot be read, `top_k` is less than 1, or no pictures were added.
        """
        images = image if isinstance(image, list | tuple) else [image]
        found = self._search(lambda model: model.encode_images(images, **self._options()), top_k)
        return found if isinstance(image, list | tuple) else found[0]

    def classify(
        self,
        image: Any,
        labels: Sequence[str],
        *,
        template: str | Sequence[str] = "a photo of a {}.",
    ) -> list[ImageLabel] | list[list[ImageLabel]]:
        """Labels a picture without training: the labels' texts are compared with it.

        Args:
            image: A path, bytes, an array or a `PIL.Image`; or a list of them.
            labels: The labels.
            template: The text of a label, with `{}` for it; of several, the mean vector is taken. Default: `a photo of
                a {}.`.

        Returns:
            The labels with their scores, best first; a list for each picture of a list.

        Raises:
            InputError: if a picture cannot be read, there are no labels, or a template lacks `{}`.
        """
        names = check_texts([labels] if isinstance(labels, str) else labels)
        templates = [template] if isinstance(template, str) else list(template)
        if not names or not templates or any("{}" not in written for written in templates):
            raise InputError(
                "`classify` needs labels, and templates with `{}` for the label. "
                f"Received: {len(names)} labels and template={template!r}."
            )
        images = image if isinstance(image, list | tuple) else [image]
        model = self._model
        with model.unchanged():
            texts = np.stack(
                [
                    model.encode_texts([each.replace("{}", name) for name in names], **self._options())
                    for each in templates
                ]
            ).mean(axis=0)
            texts = texts / np.maximum(np.linalg.norm(texts, axis=1, keepdims=True), 1e-12)
            logits = model.encode_images(images, **self._options()) @ texts.T * model.logit_scale + model.logit_bias
            is_alone = model.config.has_logit_bias
        scores = 1 / (1 + np.exp(-logits)) if is_alone else _softmax(logits)
        found = [
            [ImageLabel(names[place], float(row[place])) for place in np.argsort(-row, kind="stable")] for row in scores
        ]
        return found if isinstance(image, list | tuple) else found[0]

    def encode_text(self, texts: str | Sequence[str]) -> np.ndarray:
        """Returns vectors of texts, float32 `(texts, dim)`, of length one; `(dim,)` for one text."""
        return self._model.encode_texts(texts, **self._options())

    def encode_image(self, images: Any) -> np.ndarray:
        """Returns vectors of pictures, float32 `(pictures, dim)`, of length one; `(dim,)` for one picture."""
        return self._model.encode_images(images, **self._options())

    def answer_texts(self, texts: Sequence[str], *, top_k: int | None = None) -> list[dict[str, Any]]:
        """Answers `tfchain predict`: the pictures that fit each text, with their captions."""
        found = self.search(list(texts), 10 if top_k is None else top_k)
        return [
            {"text": text, "id": hit.id, "score": hit.score, "caption": hit.caption}
            for text, hits in zip(texts, found, strict=True)
            for hit in hits
        ]

    def export(
        self,
        path: str | Path | None = None,
        *,
        top_k: int = 10,
        signatures: str = "text",
        name: str | None = None,
        reference: Any = None,
    ) -> Path:
        """Writes the next version, a SavedModel that answers texts and pictures in stock TensorFlow Serving.

        Its signatures: `serving_default` and `search` (`text` → `ids`, `captions`, `scores`), `search_image` (`image`,
        the bytes of a JPEG, PNG, GIF, BMP or WebP file → the same; over REST `{"b64": "…"}`), `embed_text` and
        `embed_image`. Before the version appears, its ops are checked and its answers compared with this chain's.

        Args:
            path: The base path; versions are folders in it. Default: `saved_models/<name>`.
            top_k: The number of hits; all pictures, if there are fewer. Default: 10.
            signatures: `text`, all of them; versions of token ids are for texts alone. Default: `text`.
            name: The model's name, for the default path. Default: `image_search`.
            reference: As in `Chain.export`.

        Returns:
            The version's folder, `<path>/<number>`.

        Raises:
            InputError: if an argument is out of range, or the path is a file; raised before any costly work.
            ExportError: if an op is not in stock TensorFlow Serving, or answers differ from this chain's.
        """
        return self._export(path, signatures=signatures, name=name, options={"top_k": top_k}, reference=reference)

    @overload
    def deploy(
        self,
        path: str | Path | None = None,
        *,
        top_k: int = 10,
        name: str | None = None,
        **options: Unpack[ServerOptions],
    ) -> Deployment: ...

    @overload
    def deploy(
        self,
        path: str | Path | None = None,
        *,
        top_k: int = 10,
        name: str | None = None,
        target: str,
        **options: Unpack[TargetOptions],
    ) -> Path: ...

    def deploy(
        self,
        path: str | Path | None = None,
        *,
        top_k: int = 10,
        name: str | None = None,
        target: str | None = None,
        **options: Any,
    ) -> Deployment | Path:
        """Exports a version and serves it with the embedded server, in a process of its own: see `Chain.deploy`.

        Args:
            path: As in `Chain.deploy`, as are name, target and options.
            top_k: As in `export`. Default: 10.
            name: The model's name in requests. Default: `image_search`.
            target: Where the version is to run. Default: a server on this machine.
            **options: As in `Chain.deploy`.
        """
        return self._deploy(path, name=name, target=target, options=options, serving={"top_k": top_k})

    @property
    def _model(self) -> ImageTextModel:
        model: ImageTextModel = self._live.model
        return model

    def _search(self, encode: Any, top_k: int) -> list[list[PictureHit]]:
        top_k = check_whole_number("top_k", top_k, advice="Ask for one hit or more.")
        with self._current() as current:
            if current.state is None or not len(current.state):
                raise InputError("A search needs pictures. Received: none so far. Add some with `add(images)`.")
            hits: list[list[PictureHit]] = current.state.search(encode(current.model), top_k)
        return hits

    def _options(self) -> dict[str, Any]:
        return {"batch_size": self.hyperparameters.batch_size, "progress": False}

    def _write_pretrained(self, folder: Path) -> None:
        """Writes what transformers loads."""
        self._model.save(folder)

    def _make_live(self, model: Any, state: Any) -> LivePictures:
        return LivePictures(model, state)

    def _current(self, progress: bool | None = None) -> contextlib.AbstractContextManager[Current]:
        current: contextlib.AbstractContextManager[Current] = self._live.current_with(
            batch_size=self.hyperparameters.batch_size, progress=progress
        )
        return current


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    found: np.ndarray = powers / powers.sum(axis=1, keepdims=True)
    return found
