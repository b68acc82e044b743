"""A target's files: made in memory, written into a folder all or none, and never over files of somebody else."""

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tfchain.core.atomic import PARTIAL_PREFIX, check_can_write, new_folder, writing
from tfchain.core.errors import InputError

MANIFEST = "tfchain-target.json"  # in the folder: the target, and the files that were written


@dataclass(frozen=True)
class Artefact:
    """A file or a folder of a target.

    Args:
        path: Its path in the target's folder, with `/`.
        content: The file's text or bytes; the path of a file or folder to copy, such as a version; or what writes the
            file to a path, for files too large for memory.
        executable: Whether the file is a program. Default: False.
    """

    path: str
    content: str | bytes | Path | Callable[[Path], None]
    executable: bool = False

    def __post_init__(self) -> None:
        parts = PurePosixPath(self.path).parts
        if not parts or PurePosixPath(self.path).is_absolute() or ".." in parts:
            raise ValueError(f"`path` must lie in the target's folder. Received: {self.path!r}.")


def write_artefacts(out: Path, target: str, artefacts: Iterable[Artefact], *, force: bool = False) -> Path:
    """Writes a target's files into a folder, which appears whole or not at all.

    Args:
        out: The folder: new or empty, or with `force` one that an earlier call wrote.
        target: The target's name, for the manifest.
        artefacts: The files.
        force: Whether the files of an earlier call are replaced. Files that a user added stay. Default: False.

    Returns:
        The folder.

    Raises:
        InputError: if the folder holds files, and `force` is not given or they are not an earlier call's.
        TfchainError: if the folder cannot be written.
    """
    artefacts = tuple(artefacts)
    out = out.expanduser().resolve()  # a link to a folder stays a link
    kept = _check_folder(out, artefacts, force=force)
    check_can_write(out.parent)
    if not out.exists() or not any(out.iterdir()):
        with new_folder(out) as partial:
            _write_all(partial, target, artefacts)
        return out
    with writing(out):
        old = Path(tempfile.mkdtemp(prefix=PARTIAL_PREFIX, suffix=f"-{out.name}", dir=out.parent))
        try:
            with new_folder(old / "new") as partial:
                _write_all(partial, target, artefacts)
                for name in kept:
                    (partial / name).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy2(out / name, partial / name, follow_symlinks=False)
            out.rename(old / "old")
            try:
                (old / "new").rename(out)
            except OSError:
                (old / "old").rename(out)
                raise
        finally:
            shutil.rmtree(old, ignore_errors=True)
    return out


def check_out(out: Path, *, force: bool = False) -> None:
    """Raises early if `write_artefacts` would refuse a folder, whatever is to be written there.

    Raises:
        InputError: as `write_artefacts` does.
        TfchainError: if the folder cannot be written.
    """
    out = out.expanduser().resolve()
    _check_folder(out, (), force=force)
    check_can_write(out.parent)


def list_written(folder: Path) -> frozenset[str]:
    """Returns the files of a folder that `write_artefacts` wrote, by their paths in it; none without its manifest."""
    try:
        written = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        return frozenset([*map(str, written["files"]), MANIFEST])
    except (OSError, ValueError, KeyError, TypeError):
        return frozenset()


def _check_folder(out: Path, artefacts: tuple[Artefact, ...], *, force: bool) -> list[str]:
    """Raises if the folder must not be written; returns the user's own files in it, which stay."""
    if not os.path.lexists(out):
        return []
    if not out.is_dir():
        raise InputError(f"`out` must be a folder. Received: {out}, which is a file. Name another.", argument="out")
    there = [str(path.relative_to(out)) for path in sorted(out.rglob("*")) if path.is_symlink() or not path.is_dir()]
    written = list_written(out)
    if there and not written:
        raise InputError(
            f"`out` must be a new folder, or one that a target was written to. Received: {out}, which holds "
            f"{there[0]} and no {MANIFEST}. Name another.",
            argument="out",
        )
    if there and not force:
        raise InputError(
            f"{out} holds the files of a target already. Name another folder, or give --force (`force=True`) to "
            "replace them; files that you added stay.",
            argument="out",
        )
    kept = [name for name in there if name not in written]
    new = {artefact.path for artefact in artefacts}
    both = next((name for name in kept if any(name == path or name.startswith(f"{path}/") for path in new)), None)
    if both is not None:
        raise InputError(
            f"{out / both} is your own file, and the target has one of that name. Move it.", argument="out"
        )
    return kept


def _write_all(folder: Path, target: str, artefacts: tuple[Artefact, ...]) -> None:
    for artefact in artefacts:
        path = folder / artefact.path
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(artefact.content, Path):
            _copy(artefact.content, path)
        elif callable(artefact.content):
            artefact.content(path)
        else:
            content = artefact.content
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        if artefact.executable:
            path.chmod(0o755)
    files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())
    text = json.dumps({"target": target, "files": files}, ensure_ascii=False, indent=2)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")


def _copy(source: Path, path: Path) -> None:
    """Copies a file or a folder; a file that vanishes meanwhile is an error, since a part would be missing."""
    if source.is_dir():
        shutil.copytree(source, path, dirs_exist_ok=True)
    else:
        shutil.copyfile(source, path)
    for file in [path, *path.rglob("*")]:
        with contextlib.suppress(OSError):
            file.chmod(0o755 if file.is_dir() or os.access(file, os.X_OK) else 0o644)
