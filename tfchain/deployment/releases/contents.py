"""The content hash of a version: what a report, a signature and a copy of it are tied to."""

import hashlib
from pathlib import Path

# Files that tfchain adds to a version after its export; they say something about it, and are not part of it.
ADDED = frozenset(
    {
        *("blessing.json", "blessing.html", "manifest.json"),
        *("assets.extra/measurement.json", "assets.extra/reference.npz", "assets.extra/canaries.jsonl"),
    }
)
_PIECE = 1 << 20


def hash_files(version_path: Path | str) -> dict[str, str]:
    """Hashes each file of a version, but not those added after its export.

    Args:
        version_path: The version's folder.

    Returns:
        Path in the folder, with `/` → SHA-256, in the order of paths.
    """
    folder = Path(version_path)
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    names = {path.relative_to(folder).as_posix(): path for path in files}
    return {name: hash_file(path) for name, path in names.items() if name not in ADDED}


def hash_file(path: Path) -> str:
    """Returns the SHA-256 of a file, 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()


def join_hashes(hashes: dict[str, str]) -> str:
    """Returns one hash of the hashes of files."""
    lines = "".join(f"{digest}  {name}\n" for name, digest in sorted(hashes.items()))
    return hashlib.sha256(lines.encode()).hexdigest()


def hash_version(version_path: Path | str) -> str:
    """Returns one hash of all that a version consists of."""
    return join_hashes(hash_files(version_path))


def measure_size_mb(version_path: Path | str) -> float:
    """Returns the megabytes (10^6 bytes) of a version's files."""
    return sum(path.stat().st_size for path in Path(version_path).rglob("*") if path.is_file()) / 1e6
