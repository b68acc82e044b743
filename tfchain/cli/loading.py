"""Opens saved chains; the first import of TensorFlow happens here."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfchain.core.errors import FingerprintError

if TYPE_CHECKING:
    from tfchain.chains.search import NeuralSearchChain


def load_chain(path: Path, *, engine: Any = "auto") -> "NeuralSearchChain":
    """Reads a saved chain.

    Args:
        path: The chain's folder.
        engine: The engine that runs the encoder. Default: `auto`.

    Raises:
        IndexFolderError: if it is missing or damaged.
        FingerprintError: if another model made its vectors.
    """
    from tfchain.cli.folders import check_is_chain

    check_is_chain(path)
    from tfchain.chains.search import NeuralSearchChain

    try:
        return NeuralSearchChain.load(path, engine=engine)
    except FingerprintError as error:
        raise FingerprintError(
            f"{path} was not made by the model that it now holds. Put the right model back, or run "
            f"`tfchain index DOCS --out {path} --reindex`."
        ) from error
