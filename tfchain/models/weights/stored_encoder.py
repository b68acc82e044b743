"""An encoder in a folder: its configuration, and its weights, which are read when they are needed."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from tfchain.core.errors import ModelFolderError
from tfchain.core.fingerprint import ArrayBlocks
from tfchain.models.encoders.anatomy import LAYER_NORM, fingerprint_weights, list_dense, list_modules, list_shapes
from tfchain.models.encoders.blocks.static import TABLE
from tfchain.models.encoders.config import HEAD, EncoderConfig
from tfchain.models.encoders.dense_config import DenseConfig
from tfchain.models.weights.adapters import adapt_tensors
from tfchain.models.weights.folded_tensors import Folded, FoldedTensors, Tensors, iterate_blocks
from tfchain.models.weights.folder import ModelFolder
from tfchain.models.weights.json_file import read_json
from tfchain.models.weights.static_folder import find_unknown_id
from tfchain.models.weights.tensor_files import TensorFile, TensorFiles
from tfchain.models.weights.weight_maps import fold_tensors, join_shapes, join_tensors, match_tensors

ROWS_AT_A_TIME = 128  # of a weight: an embedding can be a quarter of a model
SCORES = "scores"  # the name of a head that is computed of an output embedding


class StoredEncoder(Mapping[str, np.ndarray]):
    """The weights of a folder's encoder: path in the Keras model → float32 array, read on access.

    Args:
        folder: The result of `read_folder`.
        fingerprint: The fingerprint of these weights, if it is known. Default: computed when it is needed.
        kernel_path: A file of the same weights for the project's own kernels. Default: no file.

    Raises:
        ModelFolderError: if weights are missing, left over, of the wrong shape, or in no file that tfchain reads.

    Attributes:
        config: The encoder's shape.
        kernel_file: The open file for the kernels, or None.
    """

    def __init__(self, folder: ModelFolder, *, fingerprint: str | None = None, kernel_path: Path | None = None) -> None:
        self.config = folder.encoder
        self.kernel_file = None if kernel_path is None else TensorFile(kernel_path)
        own: Tensors = TensorFiles(folder.transformer_path)
        if folder.adapters or folder.adapter is not None:
            own = adapt_tensors(own, read_json(folder.transformer_path / "config.json"), folder.adapter)
        tensors = fold_tensors(self.config.transformer.architecture, own)
        matched = match_tensors(self.config.transformer, tensors, heads=folder.heads)
        self._places: dict[str, tuple[Tensors, tuple[str, ...]]] = {
            path: (tensors, names) for path, names in matched.items()
        }
        if folder.dense_modules:
            self._add_modules(tensors, folder.dense_modules)
        elif folder.score_tokens:
            self._add_scores(tensors, folder.score_tokens)
        else:
            for place, (name, dense) in zip(folder.dense_paths, list_dense(self.config), strict=True):
                self._add_dense(place, name, dense)
            for place, name in zip(folder.norm_paths, _list_norms(self.config), strict=True):
                self._add_norm(TensorFiles(place), name, "norm")
        self._shapes = list_shapes(self.config)
        for path, shape in self._shapes.items():
            tensors, names = self._places[path]
            found_shape = join_shapes(path, [tensors.shape(name) for name in names])
            if found_shape != shape:
                raise ModelFolderError(
                    f"The tensor for {path} must have the shape {shape}. Received: {found_shape}. "
                    "Check that config.json and the weights belong together."
                )
        self._fingerprint = fingerprint
        self._unknown = find_unknown_id(folder.transformer_path) if folder.drops_unknown else None

    def _add_dense(self, place: Path, name: str, dense: DenseConfig) -> None:
        tensors = TensorFiles(place)
        parts = {"kernel": "linear.weight"} | ({"bias": "linear.bias"} if dense.use_bias else {})
        unread = sorted(set(tensors) - set(parts.values()))
        if unread:
            raise ModelFolderError(
                f"The Dense module in {place} has tensors that nothing reads: {', '.join(unread)}. "
                "Check that its config.json and its weights belong together."
            )
        for part, tensor in parts.items():
            self._places[f"{name}/{part}"] = tensors, (tensor,)

    def _add_modules(self, tensors: Tensors, modules: Mapping[str, str]) -> None:
        """Adds modules whose tensors are beside the transformer's."""
        for name, dense in list_dense(self.config):
            parts = {"kernel": "weight"} | ({"bias": "bias"} if dense.use_bias else {})
            for part, leaf in parts.items():
                self._places[f"{name}/{part}"] = tensors, (f"{modules[name]}.{leaf}",)
        for name in _list_norms(self.config):
            scale, shift = f"{modules[name]}.weight", f"{modules[name]}.bias"
            if scale in set(tensors) and shift not in set(tensors):  # a normalisation without a bias
                zeros = Folded((scale,), np.zeros_like, tensors.shape(scale))
                tensors = FoldedTensors(tensors, {shift: zeros})
            self._add_norm(tensors, name, modules[name])

    def _add_scores(self, tensors: Tensors, tokens: Sequence[int]) -> None:
        """Adds a head of rows of the output embedding: the language model's, or the token embedding if they are one."""
        own = [name for name in tensors if name == "lm_head.weight"]
        (source,) = own or self._places["embeddings/token/embeddings"][1]
        shape = (1, tensors.shape(source)[1])
        scores = Folded((source,), lambda table: _subtract_rows(table, tokens), shape)
        self._places[f"{HEAD}/kernel"] = FoldedTensors(tensors, {SCORES: scores}), (SCORES,)

    def _add_norm(self, tensors: Tensors, name: str, module: str) -> None:
        for part, leaf in (("gamma", "weight"), ("beta", "bias")):
            self._places[f"{name}/{part}"] = tensors, (f"{module}.{leaf}",)

    def __getitem__(self, path: str) -> np.ndarray:
        tensors, names = self._places[path]
        weight = join_tensors(path, [tensors[name] for name in names])
        if self._unknown is not None and path == TABLE:  # the mean's direction, without the unknown words
            weight = weight.copy()
            weight[self._unknown] = 0
        return weight

    def read_blocks(self, path: str, num_rows: int) -> Iterator[np.ndarray]:
        """Reads a weight in float32 some rows at a time, if possible without having it in memory as a whole.

        Args:
            path: The weight's path. The rows of a kernel are those of its transpose, one for each output.
            num_rows: The most rows at a time.
        """
        tensors, names = self._places[path]
        is_kernel = path.endswith("kernel")
        if (len(names) > 1 and not is_kernel) or (self._unknown is not None and path == TABLE):
            yield from iterate_blocks(self[path], num_rows)
            return
        for name in names:
            for block in tensors.read_blocks(name, num_rows):
                yield np.asarray(block, dtype="float32")

    def __contains__(self, path: object) -> bool:
        return path in self._shapes

    def __iter__(self) -> Iterator[str]:
        return iter(self._shapes)

    def __len__(self) -> int:
        return len(self._shapes)

    @property
    def fingerprint(self) -> str:
        """The same value as `fingerprint_model` of the Keras model; reads all weights, once."""
        if self._fingerprint is None:
            self._fingerprint = fingerprint_weights(self.config, self._read_for_hash)
        return self._fingerprint

    def _read_for_hash(self, path: str) -> np.ndarray | ArrayBlocks:
        shape = self._shapes[path]
        if not path.endswith("embeddings"):
            return self[path]
        return ArrayBlocks("float32", shape, self.read_blocks(path, ROWS_AT_A_TIME))

    @property
    def num_weights(self) -> int:
        """The number of parameters."""
        return sum(int(np.prod(shape)) for shape in self._shapes.values())


def _subtract_rows(table: np.ndarray, tokens: Sequence[int]) -> np.ndarray:
    """Returns the first token's row, less the second one's if there is one, float32 `(1, dim)`."""
    rows = np.asarray(table[list(tokens)], dtype="float32")
    return rows[:1] if len(rows) == 1 else rows[:1] - rows[1:]


def _list_norms(config: EncoderConfig) -> list[str]:
    """Returns the names of the layer normalisations after the pooling, in order."""
    return [name for name in list_modules(config) if name.startswith(LAYER_NORM)]
