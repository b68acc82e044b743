"""The strings that an exported version keeps of its documents: whether it still holds one."""

from collections.abc import Callable
from pathlib import Path

VARIABLES = Path("variables") / "variables"
# The variables that hold what was added; others, such as a vocabulary, hold words of any text.
KEPT = ("ids", "texts", "passage_texts")


def version_holds(version: Path, wanted: Callable[[str], bool]) -> bool:
    """Returns whether an id or a text of a version's documents is wanted.

    Args:
        version: A version's folder, a SavedModel.
        wanted: Returns whether a string is wanted.
    """
    import tensorflow as tf

    if not (version / VARIABLES).with_suffix(".index").is_file():
        return False
    reader = tf.train.load_checkpoint(str(version / VARIABLES))
    for name, dtype in reader.get_variable_to_dtype_map().items():
        if dtype == tf.string and name.split("/.ATTRIBUTES/")[0].split("/")[-1] in KEPT:
            values = reader.get_tensor(name).ravel().tolist()
            if any(wanted(value.decode("utf-8", "replace")) for value in values):
                return True
    return False
