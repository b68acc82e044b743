"""The one door to TensorFlow Text, which provides the ops of tokenizers in graphs."""

from types import ModuleType

from tfchain.core.errors import MissingPackageError


def load_tf_text() -> ModuleType:
    """Imports TensorFlow Text, which also registers its ops.

    Call it before building a tokenizer's graph, and before loading a SavedModel that contains a tokenizer.

    Returns:
        The module `tensorflow_text`.

    Raises:
        MissingPackageError: if it is not installed, or was built for another version of TensorFlow.
    """
    try:
        import tensorflow_text
    except ImportError as error:
        raise MissingPackageError(
            "Tokenizing inside a graph needs the package tensorflow-text, in the version of the installed TensorFlow. "
            f"Received: {error}. Install it with `pip install tensorflow-text`, the same minor version as tensorflow."
        ) from error
    module: ModuleType = tensorflow_text
    return module
