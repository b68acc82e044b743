"""Whether Apache Beam is installed."""

from importlib.util import find_spec

from tfchain.core.errors import MissingPackageError


def check_beam() -> None:
    """Raises an error that says what to install, if Apache Beam is missing.

    Call it before importing another module of this room.

    Raises:
        MissingPackageError: if apache-beam is not installed.
    """
    if find_spec("apache_beam") is None:
        raise MissingPackageError(
            "Pipelines on Apache Beam need the package apache-beam. Install it with `pip install 'tfchain[beam]'`, "
            "best in an environment of its own: it wants older versions of protobuf and pyarrow than others do."
        )
