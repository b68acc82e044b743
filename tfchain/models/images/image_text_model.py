"""A model of images and texts: pictures and texts in, vectors that are compared with each other out."""

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np

from tfchain.core.checks import check_whole_number
from tfchain.core.errors import InputError
from tfchain.core.fingerprint import make_fingerprint
from tfchain.core.progress import show_progress
from tfchain.core.shared_lock import SharedLock
from tfchain.core.texts import check_texts
from tfchain.data.pictures.pixels import MAX_PIXELS, read_pixels
from tfchain.models.engines.padding import pad
from tfchain.models.images.config import ImageTextConfig, PictureConfig
from tfchain.models.images.folder import read_image_text_folder, write_image_text_folder
from tfchain.models.images.preprocessing import normalize, to_model_size
from tfchain.models.images.quantized import quantize_towers
from tfchain.models.images.tokenizer import load_image_text_tokenizer
from tfchain.models.images.weight_maps import get_tower, set_tower
from tfchain.models.tokenizers.host import HostTokenizer
from tfchain.models.weights.json_file import read_json

if TYPE_CHECKING:
    import keras

ImagePrecision = Literal["float32", "bfloat16", "int8"]
PRECISIONS = ("float32", "bfloat16", "int8")
SETTINGS = "tfchain_images.json"  # what only tfchain has, beside transformers' files
Compute = Callable[..., Any]


class ImageTextModel:
    """Encodes pictures and texts as vectors of one space, such as CLIP's.

    Use `from_pretrained` for folders, and the constructor for towers of your own.

    Args:
        config: The model's shape.
        tokenizer: A transformers tokenizer.
        pictures: How pictures become the model's input.
        keras_model: The model of both towers (`make_two_towers`).
        precision: `float32`; `bfloat16`; or `int8`, which stores the matrices in a quarter of the space, each column
            with its own scale, and computes in float32. Default: `float32`.
        max_pixels: Pictures with more pixels are refused by their header. Default: 89,478,485.

    Raises:
        InputError: if the precision is unknown.
    """

    engine = "tensorflow"

    def __init__(
        self,
        config: ImageTextConfig,
        tokenizer: Any,
        pictures: PictureConfig,
        keras_model: "keras.Model",
        *,
        precision: ImagePrecision = "float32",
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        if precision not in PRECISIONS:
            raise InputError(
                f"`precision` of a model of images must be one of {', '.join(PRECISIONS)}. Received: {precision!r}."
            )
        self.config, self.pictures, self.keras_model = config, pictures, keras_model
        self.max_pixels = check_whole_number("max_pixels", max_pixels)
        self.tokenizer = HostTokenizer(tokenizer, max_length=config.text.max_length)
        self.precision: ImagePrecision = precision
        self._lock = SharedLock()
        self._fingerprint: str | None = None

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | Path,
        *,
        engine: str = "auto",
        precision: ImagePrecision | None = None,
        max_pixels: int | None = None,
    ) -> Self:
        """Reads a folder of CLIP, SigLIP, SigLIP 2 (of fixed resolution) or Chinese-CLIP, or one that `save` wrote.

        Args:
            name_or_path: A folder, or a name on the Hugging Face hub.
            engine: What computes: `auto` or `tensorflow`. Default: `auto`.
            precision: As in the constructor. Default: the folder's, else `float32`.
            max_pixels: As in the constructor. Default: the folder's, else 89,478,485.

        Raises:
            ModelFolderError: if the folder cannot be read, or holds another kind of model.
            InputError: if an argument is out of range.
        """
        from tfchain.models.images.two_towers import TEMPERATURE, make_two_towers

        check_engine(engine)
        folder = read_image_text_folder(name_or_path)
        settings = read_json(folder.path / SETTINGS, needed=False)
        tokenizer = load_image_text_tokenizer(folder.path)
        made = make_two_towers(folder.config)
        for name, weights in folder.towers.items():
            set_tower(made.get_layer(f"{name}_tower"), weights)
        temperature = made.get_layer(TEMPERATURE)
        temperature.scale.assign(folder.logit_scale)
        if folder.config.has_logit_bias:
            temperature.bias.assign(folder.logit_bias)
        return cls(
            folder.config,
            tokenizer,
            folder.pictures,
            made,
            precision=precision or settings.get("precision", "float32"),
            max_pixels=settings.get("max_pixels", MAX_PIXELS) if max_pixels is None else max_pixels,
        )

    @property
    def embedding_dim(self) -> int:
        """Width of the vectors."""
        return self.config.embedding_dim

    @property
    def logit_scale(self) -> float:
        """The factor of cosines where probabilities are made of them."""
        return float(np.exp(np.asarray(self.keras_model.get_layer("temperature").scale)))

    @property
    def logit_bias(self) -> float:
        """What is added to the products; 0 without one."""
        temperature = self.keras_model.get_layer("temperature")
        return float(np.asarray(temperature.bias)) if self.config.has_logit_bias else 0.0

    @property
    def fingerprint(self) -> str:
        """A hash of everything that determines a vector: weights, precision, tokenizer, how pictures are read."""
        with self.unchanged():
            if self._fingerprint is None:
                values = {
                    "config": self.config.to_dict(),
                    "pictures": dataclasses.asdict(self.pictures),
                    "precision": self.precision,
                    **self.tokenizer.describe(),
                }
                arrays = ((weight.path, np.asarray(weight, np.float32)) for weight in self.keras_model.weights)
                self._fingerprint = make_fingerprint(values, arrays)
            return self._fingerprint

    def unchanged(self) -> contextlib.AbstractContextManager[None]:
        """Returns a block during which the weights do not change; several threads may be in such blocks."""
        return self._lock.shared()

    def set_weights(self, weights: Sequence[np.ndarray]) -> None:
        """Replaces the weights in one step, while no other thread computes with them."""
        with self._lock.exclusive():
            self.keras_model.set_weights(weights)
            self._forget()

    def refresh(self) -> None:
        """Discards the fingerprint and everything compiled, after a change of the weights."""
        self._forget()

    def _forget(self) -> None:
        self._fingerprint = None
        for name in ("_compute", "compute_towers"):
            self.__dict__.pop(name, None)

    # Vectors

    def encode_texts(
        self, texts: str | Sequence[str], *, batch_size: int = 32, progress: bool | None = None
    ) -> np.ndarray:
        """Encodes texts.

        Args:
            texts: A list of texts, or a single text.
            batch_size: The most texts in a step. Default: 32.
            progress: Whether to show a progress bar. Default: when it takes more than a second.

        Returns:
            float32 `(texts, dim)`, of length one; `(dim,)` for one text.

        Raises:
            InputError: if an item is not a text.
        """
        if isinstance(texts, str):
            return self.encode_texts([texts], batch_size=batch_size, progress=progress)[0]
        checked = check_texts(texts)
        with self.unchanged():
            return self._encode(checked, self._encode_text_batch, batch_size, progress)

    def encode_images(
        self, images: Any, *, batch_size: int = 32, progress: bool | None = None, place: str = "images"
    ) -> np.ndarray:
        """Encodes pictures.

        Args:
            images: A list of paths, bytes, arrays or `PIL.Image`, or a single picture.
            batch_size: The most pictures in a step. Default: 32.
            progress: Whether to show a progress bar. Default: when it takes more than a second.
            place: What errors call the list. Default: `images`.

        Returns:
            float32 `(pictures, dim)`, of length one; `(dim,)` for one picture.

        Raises:
            InputError: if a picture is broken or too large.
        """
        if not isinstance(images, Sequence) or isinstance(images, str | bytes):
            return self.encode_images([images], batch_size=batch_size, progress=progress, place=place)[0]
        rows = list(enumerate(images))

        def encode(part: Sequence[tuple[int, Any]]) -> np.ndarray:
            sized = []
            for row, image in part:  # one at a time, as large ones need much memory
                name = f"{place}[{row}]"
                pixels = read_pixels(image, place=name, max_pixels=self.max_pixels)
                sized.append(to_model_size(pixels, self.pictures, place=name))
            return self.encode_pixels(normalize(np.stack(sized), self.pictures))

        with self.unchanged():
            return self._encode(rows, encode, batch_size, progress)

    def encode_pixels(self, pixels: np.ndarray) -> np.ndarray:
        """Encodes the model's own input: float32 `(pictures, height, width, 3)` → float32 `(pictures, dim)`."""
        return np.asarray(self._compute[0](pixels))

    def _encode_text_batch(self, texts: Sequence[str]) -> np.ndarray:
        return np.asarray(self._compute[1](*self.to_token_ids(texts)))

    def to_token_ids(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Returns the tower's input of texts: `token_ids` and `padding_mask`, int32 `(texts, length)`."""
        token_ids, mask = pad(self.tokenizer(texts), self.tokenizer.pad_token_id)
        if self.config.text.pads_to_length:
            missing = self.config.text.max_length - token_ids.shape[1]
            token_ids = np.pad(token_ids, ((0, 0), (0, missing)), constant_values=self.tokenizer.pad_token_id)
            mask = np.ones_like(token_ids)
        return token_ids, mask

    def _encode(
        self, items: Sequence[Any], encode: Callable[[Any], np.ndarray], batch_size: int, progress: bool | None
    ) -> np.ndarray:
        check_whole_number("batch_size", batch_size)
        parts = [np.zeros((0, self.embedding_dim), np.float32)]
        with show_progress(len(items), "encoding", shown=progress if len(items) > 1 else False) as advance:
            for start in range(0, len(items), batch_size):
                part = items[start : start + batch_size]
                parts.append(encode(part))
                advance(len(part))
        return np.concatenate(parts)

    @functools.cached_property
    def _compute(self) -> tuple[Compute, Compute]:
        """The two towers as compiled functions."""
        import tensorflow as tf

        image, text = self.compute_towers
        side = self.config.image.image_size
        pixels = [tf.TensorSpec((None, side, side, 3), tf.float32)]
        ids = [tf.TensorSpec((None, None), tf.int32)] * 2
        return (
            tf.function(image, input_signature=pixels, autograph=False),
            tf.function(text, input_signature=ids, autograph=False),
        )

    @functools.cached_property
    def compute_towers(self) -> "Towers":
        """The towers in the model's precision, as functions for a graph, with the variables that they read."""
        return make_towers(self)

    # Other models made from this one

    def copy(self) -> Self:
        """Returns a model with the same values, and weights of its own."""
        from tfchain.models.images.two_towers import make_two_towers

        made = make_two_towers(self.config)
        made.set_weights(self.keras_model.get_weights())
        return self.with_keras_model(made)

    def plain(self) -> Self:
        """Returns the model in float32, with the same weights."""
        return self.with_precision("float32")

    def with_precision(self, precision: Any, *, engine: Any = None, calibration: Any = None) -> Self:
        """Returns a model with the same weights that computes in another precision.

        Args:
            precision: As in the constructor.
            engine: `tensorflow` or None.
            calibration: None: a calibration is for text encoders.

        Raises:
            InputError: if it cannot compute in it.
        """
        check_engine(engine or "auto")
        if calibration is not None:
            raise InputError("`calibration` is for text encoders. Received: one for a model of images. Leave it out.")
        return self._with(self.keras_model, precision)

    def with_keras_model(self, keras_model: Any) -> Self:
        """Returns a model of the same kind around another Keras model, such as a pruned copy."""
        return self._with(keras_model, self.precision)

    def in_training(self, keras_model: Any) -> "ImageTextModel":
        """Returns a model that computes with the present weights of a Keras model in training, in float32."""
        return InTraining(self.config, self.tokenizer.source, self.pictures, keras_model, max_pixels=self.max_pixels)

    def _with(self, keras_model: Any, precision: Any) -> Self:
        options = {"precision": precision, "max_pixels": self.max_pixels}
        return type(self)(self.config, self.tokenizer.source, self.pictures, keras_model, **options)

    # Keeping and measuring

    def save(self, path: Path) -> None:
        """Writes a folder that `from_pretrained` reads, and transformers, too.

        The weights are written in float32, whatever the precision, which is written beside them.

        Args:
            path: An empty folder, which exists.
        """
        with self.unchanged():
            towers = {name: get_tower(self.keras_model.get_layer(f"{name}_tower")) for name in ("image", "text")}
            scale = float(np.asarray(self.keras_model.get_layer("temperature").scale))
            write_image_text_folder(
                path, self.config, self.pictures, towers, logit_scale=scale, logit_bias=self.logit_bias
            )
        self.tokenizer.save(path)
        settings = {"precision": self.precision, "max_pixels": self.max_pixels}
        from tfchain.core.atomic import write_json

        write_json(path / SETTINGS, settings)

    def describe_shape(self) -> Mapping[str, Any]:
        """Returns plain values that decide what an answer costs, whatever the weights."""
        return {"config": self.config.to_dict(), "precision": self.precision, "size": list(self.pictures.shape)}

    def write_served_files(self, folder: Path) -> None:
        """Writes the files that a server of the model needs: the towers in its precision, and the tokenizer."""
        import tensorflow as tf

        from tfchain.runtime.quiet_stderr import quiet_native_log

        module = tf.Module()
        module.towers = self.compute_towers.module
        image, text = self._compute
        with quiet_native_log():
            tf.saved_model.save(module, str(folder), signatures={"embed_pixels": image, "embed_ids": text})
        self.tokenizer.save(folder)

    def run_one(self, item: Any) -> None:
        """Encodes one item of a workload: a dict of a `text`, or of a picture of noise by its `seed`."""
        self.run([item], batch_size=1)

    def run(self, items: Sequence[Any], *, batch_size: int) -> None:
        """Encodes many items of a workload: see `run_one`."""
        texts = [str(item["text"]) for item in items if "text" in item]
        self.encode_texts(texts, batch_size=batch_size, progress=False)
        seeds = [int(item["seed"]) for item in items if "seed" in item]
        noise = [np.random.default_rng(seed).integers(0, 256, (256, 256, 3), np.uint8) for seed in seeds]
        self.encode_images(noise, batch_size=batch_size, progress=False)


class InTraining(ImageTextModel):
    """A model whose Keras model is being trained: the compiled functions read the current weights each time."""

    @property
    def fingerprint(self) -> str:
        """The same for the whole training: vectors are not kept beyond an evaluation."""
        return "training"


class Towers:
    """Both towers as functions for a graph, and the module that owns their variables.

    Args:
        module: A `tf.Module`.
        image: From pixels, float32, to vectors of length one.
        text: From token ids and padding mask, int32, to vectors of length one.
    """

    def __init__(self, module: Any, image: Compute, text: Compute) -> None:
        self.module, self.image, self.text = module, image, text

    def __iter__(self) -> Any:
        return iter((self.image, self.text))


def make_towers(model: ImageTextModel) -> Towers:
    """Makes the towers in a model's precision."""
    import tensorflow as tf

    from tfchain.models.images.two_towers import make_two_towers, scale_to_one

    keras_model = model.keras_model
    if model.precision == "bfloat16":
        keras_model = make_two_towers(model.config, dtype="bfloat16")
        keras_model.set_weights(model.keras_model.get_weights())
    module = tf.Module(name="towers")
    image_tower, text_tower = keras_model.get_layer("image_tower"), keras_model.get_layer("text_tower")
    call: Callable[[Any, Any], Any] = lambda tower, inputs: tower(inputs, training=False)  # noqa: E731
    if model.precision == "int8":
        call = quantize_towers(module, (image_tower, text_tower))
    else:
        module.weights = [weight.value for tower in (image_tower, text_tower) for weight in tower.weights]
    return Towers(
        module,
        lambda pixels: scale_to_one(call(image_tower, pixels)),
        lambda token_ids, padding_mask: scale_to_one(
            call(text_tower, {"token_ids": token_ids, "padding_mask": padding_mask})
        ),
    )


def check_engine(engine: str) -> None:
    """Raises an `InputError` for an engine that does not compute models of images."""
    if engine not in ("auto", "tensorflow"):
        raise InputError(f"`engine` of a model of images must be 'auto' or 'tensorflow'. Received: engine={engine!r}.")
