"""The small model that comes with tfchain, so that everything works at once, without downloads."""

from pathlib import Path

from tfchain.core.errors import ModelFolderError

# In a checkout this is a link into saved_models/; in a wheel it is a folder.
BUNDLED_MODEL = Path(__file__).resolve().parents[1] / "small_english"


def find_bundled_model() -> Path:
    """Returns the folder of the small English model that comes with tfchain; its README.md says how it was made.

    It is all-MiniLM-L6-v2 distilled into three narrower layers. Use it to begin with, for tests and demonstrations. For
    the best ranking, other languages and special kinds of texts, use a model of your own.

    Raises:
        ModelFolderError: if this installation lacks it.

    Example:
        >>> (find_bundled_model() / "config.json").is_file()
        True
    """
    if not (BUNDLED_MODEL / "config.json").is_file():
        raise ModelFolderError(
            f"This installation of tfchain lacks its small model. Expected: {BUNDLED_MODEL}. Install the wheel, or "
            "clone with symbolic links (git config core.symlinks true); or use a model of your own."
        )
    return BUNDLED_MODEL.resolve()
