"""The folder of a saved chain with a state of a few plain values: `chain.json` and the model's folder."""

import json
import shutil
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfchain import __version__
from tfchain.core.atomic import check_can_write, new_folder, remove_partials, write_json, writing
from tfchain.core.errors import IndexFolderError, InputError
from tfchain.models.text_encoder import TextEncoder
from tfchain.models.text_encoder_model import identify_model
from tfchain.tasks.manifest import FORMAT, MANIFEST, check_is_ours, check_task, locked, read_manifest

MODEL, SEGMENT = "model-", "segment-"


@dataclass(frozen=True)
class Segment:
    """A folder of a saved chain that holds what JSON cannot; its name says what is in it.

    Args:
        name: The name, after `segment-`.
        write: A function that writes it to an empty folder.
    """

    name: str
    write: Callable[[Path], None]


@dataclass
class StateFolder:
    """The folder of a saved chain with a plain state.

    Args:
        path: The folder.
        task: The task's name.
        to_plain: A function from the state to values that JSON can hold.
        commit: The id of this chain's last save here; empty before the first.
    """

    path: Path
    task: str
    to_plain: Callable[[Any], Any]
    commit: str = ""

    def check(self) -> None:
        """Raises early the errors that `save` would raise, before any work is done.

        Raises:
            IndexFolderError: if the folder contains something else, or another process has written there meanwhile.
            TfchainError: if the folder cannot be made or written to.
        """
        check_is_ours(self.path)
        check_can_write(self.path)
        if (self.path / MANIFEST).is_file():
            self._check_manifest(read_manifest(self.path))

    def save(
        self, model: TextEncoder, state: Any, settings: Mapping[str, Any], *, segment: Segment | None = None
    ) -> None:
        """Saves a chain, and replaces any earlier one in one step.

        Args:
            model: The model.
            state: The task's state.
            settings: The chain's plain values.
            segment: A folder beside the model's; earlier ones are deleted. Default: none.

        Raises:
            IndexFolderError: if another process is writing there or has written there meanwhile, or the folder contains
                something else.
            InputError: if JSON cannot hold the state.
            TfchainError: if the disk is full.
        """
        check_is_ours(self.path)
        plain = self._check_plain(state)
        with writing(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
        with locked(self.path):
            remove_partials(self.path)
            if (self.path / MANIFEST).is_file():
                self._check_manifest(read_manifest(self.path))
            name = f"{MODEL}{identify_model(model)[:16]}"
            if not (self.path / name).is_dir():
                with new_folder(self.path / name) as partial:
                    model.save(partial)
            kept = None if segment is None else f"{SEGMENT}{segment.name}"
            if segment is not None and not (self.path / str(kept)).is_dir():
                with new_folder(self.path / str(kept)) as partial:
                    segment.write(partial)
            commit = uuid.uuid4().hex
            values = {"model": name, "state": plain, "settings": dict(settings)}
            write_json(
                self.path / MANIFEST,
                {
                    "format": FORMAT,
                    "tfchain": __version__,
                    "commit": commit,
                    "task": self.task,
                    **values,
                },
            )
            self.commit = commit
            for found in (*self.path.glob(f"{MODEL}*"), *self.path.glob(f"{SEGMENT}*")):
                if found.name not in (name, kept):
                    shutil.rmtree(found, ignore_errors=True)

    def _check_plain(self, state: Any) -> Any:
        plain = self.to_plain(state)
        try:
            json.dumps(plain)
        except (TypeError, ValueError, RecursionError) as error:
            raise InputError(
                f"The state must be values that JSON can hold. Received: {type(state).__name__}: {error}. Nothing was "
                "written."
            ) from error
        return plain

    def _check_manifest(self, manifest: Mapping[str, Any]) -> None:
        check_task(self.path, manifest, self.task)
        if self.commit not in ("", manifest["commit"]):
            raise IndexFolderError(
                f"{self.path} was saved by another process since this chain was loaded from it or saved there. Nothing "
                "was written. Load it again, or save to another folder."
            )


@dataclass(frozen=True)
class LoadedState:
    """The content of a chain's folder.

    Args:
        commit: The id of the save.
        model_path: The folder of tokenizer and encoder.
        state: The state, as plain values.
        settings: The chain's plain values.
    """

    commit: str
    model_path: Path
    state: Any
    settings: dict[str, Any]


def load_state_folder(path: str | Path, task: str) -> LoadedState:
    """Reads the last complete save.

    Args:
        path: The folder.
        task: The name of the expected task.

    Raises:
        IndexFolderError: if there is no saved chain, it belongs to another task, or it is damaged.
    """
    path = Path(path)
    manifest = read_manifest(path)
    check_task(path, manifest, task)
    try:
        model_path = path / manifest["model"]
        loaded = LoadedState(manifest["commit"], model_path, manifest["state"], dict(manifest["settings"]))
    except (KeyError, TypeError, ValueError) as error:
        raise IndexFolderError(
            f"{path} is damaged: {type(error).__name__}: {error}. Save the chain there again."
        ) from error
    if not model_path.is_dir():
        raise IndexFolderError(f"{path} lacks its model, {model_path.name}. Save the chain there again.")
    return loaded
