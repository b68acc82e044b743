"""The small model that comes with tfchain, so that everything works at once and without a hub."""

from pathlib import Path

from tfchain.core.errors import ModelFolderError

# In a checkout this is a link into saved_models/; a wheel has the files themselves there.
BUNDLED_MODEL = Path(__file__).resolve().parents[1] / "small_english"


def find_bundled_model() -> Path:
    """The folder of the small English model that comes with tfchain; its README.md says how it was made.

    It is all-MiniLM-L6-v2 distilled into three narrower layers. Take it to begin with, for tests and demonstrations;
    for the best ranking, for other languages and for texts of a special kind take a model of your own.

    Raises:
        ModelFolderError: if this installation lacks it.

    Example:
        >>> (find_bundled_model() / "config.json").is_file()
        True
    """
    if not (BUNDLED_MODEL / "config.json").is_file():
        raise ModelFolderError(
            f"This installation of tfchain lacks its small model. Expected: {BUNDLED_MODEL}. Install the wheel, or "
            "clone with symbolic links (git config core.symlinks true); or name a model of your own."
        )
    return BUNDLED_MODEL.resolve()
